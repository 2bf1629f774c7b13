from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.domain.metrics import Metric
from credit_core.domain.online_store import timestamp_text
from credit_core.errors import InvalidFeatureFileError
from credit_core.ports import LakeRow, StoredFeatures
from credit_core.use_cases.plan_materialization import LakeObject, PartBounds
from credit_core.use_cases.skew import SKEWED, Finding, measure_skew, publish_skew, skew_lines
from tests.builders import NOW, PRODUCT, SECRET, features_of
from tests.builders_evidence import Trial, key_of_applicant
from tests.feature_rows import BUREAU
from tests.pushes import FakeErased, FakeMetrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from credit_core.domain.product import FeatureView
    from credit_core.ports import FilePart
    from credit_core.use_cases.plan_materialization import RowGroup

A_DAY, AN_HOUR, A_MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
REGION = PRODUCT.feature_views[1]
SETTLING = AN_HOUR


@dataclass
class FakeFile:
    rows: list[LakeRow]

    def rows_of(
        self,
        is_wanted: Callable[[tuple[str | int, ...]], bool],
        *,
        first_event: datetime,
        last_event: datetime,
    ) -> Iterator[LakeRow]:
        for row in self.rows:
            assert row.event_timestamp is not None
            wanted = is_wanted(row.keys)  # type: ignore[arg-type]
            if wanted and first_event <= row.event_timestamp <= last_event:
                yield row


@dataclass
class FakeLake:
    """Files by key, each with the moment of its delivery; those without rows are broken."""

    files: dict[str, tuple[datetime, list[LakeRow]]] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    def deliver(
        self,
        *rows: LakeRow,
        view: FeatureView = BUREAU,
        at: datetime = NOW - A_DAY,
        name: str = "",
    ) -> None:
        name = name or f"{len(self.files)}.parquet"
        self.files[f"{PRODUCT.view_prefix(view)}{name}"] = (at, list(rows))

    def objects(self, prefix: str) -> Iterator[LakeObject]:
        for key, (at, _) in sorted(self.files.items()):
            if key.startswith(prefix):
                yield LakeObject(key, 1, at)

    def row_groups(self, key: str) -> list[RowGroup]:
        raise NotImplementedError

    @contextmanager
    def open(self, part: FilePart, view: FeatureView) -> Iterator[FakeFile]:  # noqa: ARG002 (the port's)
        self.opened.append(part.key)
        _, rows = self.files[part.key]
        if not rows:
            raise InvalidFeatureFileError(f"{part.key}: broken")
        yield FakeFile(rows)


def a_row(
    applicant_id: str = "a",
    *,
    view: FeatureView = BUREAU,
    event: datetime = NOW - 2 * A_DAY,
    created: datetime | None = None,
    **changes: object,
) -> LakeRow:
    keys = (applicant_id,) if view is BUREAU else ("CA",)
    values = tuple(features_of(view, **changes).values())
    return LakeRow(0, keys, event, created or event + A_MINUTE, values)  # type: ignore[arg-type]


def online(row: LakeRow, view: FeatureView = BUREAU) -> StoredFeatures:
    """Return a row as materialization puts it into the online store."""
    assert row.event_timestamp is not None
    assert row.created_timestamp is not None
    features = dict(zip((each.name for each in view.features), row.values, strict=True))
    times = timestamp_text(row.event_timestamp), timestamp_text(row.created_timestamp)
    return StoredFeatures("/".join((*times, "0001")), json.dumps(features))


@dataclass
class World:
    """Decisions with an online store and a lake; the region's row is sound in both."""

    trial: Trial = field(default_factory=Trial)
    lake: FakeLake = field(default_factory=FakeLake)
    erased: FakeErased = field(default_factory=FakeErased)

    def __post_init__(self) -> None:
        self.lake.deliver(a_row(view=REGION), view=REGION)

    def decide(
        self, application_id: str = "a", *, served: LakeRow | None, at: datetime = NOW
    ) -> None:
        rows = {
            key: stored for key, stored in self.trial.rows(at).items() if f"/{REGION.name}#" in key
        }
        rows = {key: online(a_row(view=REGION), REGION) for key in rows}
        if served is not None:
            rows[key_of_applicant(application_id)] = online(served)
        self.trial.decide(application_id, at=at, rows=rows)

    def report(self, **options: Any) -> dict[str, Any]:
        return measure_skew(
            PRODUCT,
            self.trial.decisions(**options),
            lake=self.lake,
            erased=self.erased,
            bounds=PartBounds(2**24, 2**20),
            secret=SECRET,
            settling=SETTLING,
            as_of=NOW + A_DAY,
        )

    def finding(self) -> Finding:
        """Return the one finding of the bureau's view."""
        findings = self.report()["views"][BUREAU.name]["findings"]
        (found,) = (Finding(name) for name, count in findings.items() if count)
        return found


def test_a_sound_system_has_no_skew() -> None:
    world = World()
    for number in range(5):
        row = a_row(f"a{number}", inq_last_6mths=number)
        world.lake.deliver(row)
        world.decide(f"a{number}", served=row)

    views = world.report()["views"]

    for view in (BUREAU, REGION):
        found = views[view.name]
        assert (found["compared"], found["skewed"], found["findings"]["equal"]) == (5, 0, 5)
        assert all(counts["equal"] == 5 for counts in found["features"].values())


def test_a_value_changed_in_the_store_shows_by_its_feature() -> None:
    world = World()
    world.lake.deliver(a_row(inq_last_6mths=1))
    world.decide(served=a_row(inq_last_6mths=2))

    found = world.report()["views"][BUREAU.name]

    assert world.finding() is Finding.OTHER_VALUES
    assert found["features"]["inq_last_6mths"] == {"equal": 0, "differing": 1}
    assert found["features"]["delinq_2yrs"] == {"equal": 1, "differing": 0}
    assert found["examples"] == [{"application_id": "a", "finding": "other_values"}]


def test_a_row_that_the_lake_never_had_is_missing_offline() -> None:
    world = World()
    world.lake.deliver(a_row(event=NOW - 3 * A_DAY))
    world.decide(served=a_row())

    assert world.finding() is Finding.MISSING_OFFLINE


def test_an_older_row_is_skew_when_the_newer_one_was_delivered_long_before() -> None:
    world = World()
    older, newer = a_row(event=NOW - 3 * A_DAY), a_row(event=NOW - 2 * A_DAY)
    world.lake.deliver(older)
    world.lake.deliver(newer, at=NOW - SETTLING)
    world.decide(served=older)

    assert world.finding() is Finding.OLDER_ROW


@pytest.mark.parametrize("delivered", [NOW - SETTLING + A_MINUTE, NOW + AN_HOUR])
def test_a_row_on_its_way_is_late_and_no_skew(delivered: datetime) -> None:
    world = World()
    older, newer = a_row(event=NOW - 3 * A_DAY), a_row(event=NOW - 2 * A_DAY)
    world.lake.deliver(older)
    world.lake.deliver(newer, at=delivered)
    world.decide(served=older)

    assert world.finding() is Finding.LATE
    assert Finding.LATE not in SKEWED


def test_a_row_created_after_the_decision_was_not_known_and_does_not_count() -> None:
    world = World()
    served = a_row()
    world.lake.deliver(served)
    world.lake.deliver(a_row(event=NOW - A_DAY, created=NOW + A_MINUTE))
    world.decide(served=served)

    assert world.finding() is Finding.EQUAL


def test_a_correction_of_the_same_event_is_the_newer_row() -> None:
    world = World()
    first = a_row(inq_last_6mths=1)
    correction = a_row(created=NOW - A_DAY, inq_last_6mths=2)
    world.lake.deliver(first, correction, at=NOW - A_DAY)
    world.decide("a", served=correction)

    assert world.finding() is Finding.EQUAL


def test_rows_that_materialization_rejects_do_not_count() -> None:
    world = World()
    served = a_row()
    world.lake.deliver(served)
    world.lake.deliver(a_row(event=NOW - A_DAY, inq_last_6mths=-5))
    world.decide(served=served)

    assert world.finding() is Finding.EQUAL


def test_a_stale_row_is_compared_by_what_stood_for_it() -> None:
    world = World()
    old = a_row(event=NOW - BUREAU.ttl - A_DAY)
    world.lake.deliver(old, at=NOW - BUREAU.ttl)
    world.decide(served=old)

    assert world.finding() is Finding.EQUAL


def test_a_row_that_was_not_served_is_missing_online_if_the_lake_had_it_for_long() -> None:
    world = World()
    world.lake.deliver(a_row())
    world.decide(served=None)

    assert world.finding() is Finding.MISSING_ONLINE


def test_who_is_in_neither_is_no_skew() -> None:
    world = World()
    world.lake.deliver(a_row("somebody-else"))
    world.decide(served=None)

    assert world.finding() is Finding.EQUAL


def test_a_first_row_on_its_way_is_late() -> None:
    world = World()
    world.lake.deliver(a_row(), at=NOW)
    world.decide(served=None)

    assert world.finding() is Finding.LATE


def test_an_expired_row_is_missing_on_both_sides() -> None:
    world = World()
    expired = a_row(event=NOW - 2 * BUREAU.ttl - A_DAY)
    world.lake.deliver(expired, at=NOW - 2 * BUREAU.ttl)
    world.decide(served=expired)

    assert world.finding() is Finding.EQUAL


def test_an_erased_applicants_decisions_are_not_compared() -> None:
    """Before the erasure a row was served, after it none, and the lake may have it still."""
    world = World()
    world.lake.deliver(a_row("a"))
    world.decide("a", served=None)
    world.decide("b", served=None)
    key = key_of_applicant("a")
    world.erased.applicants.add(key.rpartition("#")[2])

    found = world.report()["views"]

    assert found[BUREAU.name]["not_compared"]["erased"] == 1
    assert (found[BUREAU.name]["compared"], found[BUREAU.name]["skewed"]) == (1, 0)
    # The region is nobody's alone.
    assert found[REGION.name]["compared"] == 2


def test_a_receipt_that_does_not_say_of_whom_there_was_no_row_is_not_compared() -> None:
    """The first receipts were written so."""
    world = World()
    world.decide(served=None)
    (key,) = world.trial.archive.objects
    record = json.loads(world.trial.archive.objects[key])
    served = json.loads(record["served"])
    served[BUREAU.name]["entity_key"] = None
    record["served"] = json.dumps(served)
    world.trial.archive.objects[key] = json.dumps(record).encode()

    found = world.report()["views"][BUREAU.name]

    assert (found["compared"], found["not_compared"]["unknown_entity"]) == (0, 1)


def test_files_that_can_hold_nothing_of_the_time_are_not_read() -> None:
    world = World()
    served = a_row()
    world.lake.deliver(served, name="new.parquet")
    world.lake.deliver(a_row(), at=NOW - 2 * BUREAU.ttl - 4 * A_DAY, name="old.parquet")
    world.lake.deliver(a_row(), name="_temporary/part.parquet")
    world.decide(served=served)

    world.report()

    assert [key.rpartition("/")[2] for key in world.lake.opened] == ["new.parquet", "0.parquet"]


def test_a_broken_file_is_counted_and_ends_nothing() -> None:
    world = World()
    served = a_row()
    world.lake.deliver(served)
    world.lake.deliver()
    world.decide(served=served)

    found = world.report()["views"][BUREAU.name]

    assert (found["files"], found["refused_files"], found["skewed"]) == (2, 1, 0)


def test_no_more_decisions_are_compared_than_the_sample_has() -> None:
    world = World()
    for number in range(9):
        row = a_row(f"a{number}")
        world.lake.deliver(row)
        world.decide(f"a{number}", served=row)

    report = world.report(most=4)

    assert (report["decisions"], report["read"]) == (9, 4)
    assert report["views"][BUREAU.name]["compared"] == 4


def test_a_receipt_that_cannot_be_read_is_counted() -> None:
    world = World()
    world.decide(served=a_row())
    (key,) = world.trial.archive.objects
    record = json.loads(world.trial.archive.objects[key])
    world.trial.archive.objects[key] = json.dumps({**record, "served": "{"}).encode()

    assert world.report()["damaged"] == 1


def test_the_share_of_each_view_is_published_and_the_words_name_the_feature() -> None:
    world, metrics = World(), FakeMetrics()
    for name, offline in (("a", 1), ("b", 2)):
        world.lake.deliver(a_row(name, inq_last_6mths=offline))
        world.decide(name, served=a_row(name, inq_last_6mths=1))
    report = world.report()

    publish_skew(report, stage="test", metrics=metrics, as_of=NOW)

    assert {each.metric for each in metrics.measurements} == {Metric.FEATURE_SKEW}
    shares = {each.dimensions["View"]: each.value for each in metrics.measurements}
    assert shares == {BUREAU.name: 0.5, REGION.name: 0.0}
    said = "\n".join(skew_lines(report))
    assert "bureau: 1 of 2 skewed" in said
    assert "inq_last_6mths differs in 1" in said
    assert "application b: other values" in said


def test_without_decisions_nothing_is_read_or_published() -> None:
    world, metrics = World(), FakeMetrics()

    publish_skew(world.report(), stage="test", metrics=metrics, as_of=NOW)

    assert (world.lake.opened, metrics.measurements) == ([], [])
