"""Materialization as algebra: rows decide, not the order in which files come."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_core.domain.online_store import CLOCK_SKEW, newest_row_key, tie_break
from credit_core.domain.product import AdverseActionReason, DType, Feature
from credit_core.errors import InvalidFeatureFileError
from credit_core.ports import FilePart
from credit_core.use_cases.materialize import (
    ROWS_A_WRITE,
    materialize,
    view_of_key,
)
from tests.builders import NOW, PRODUCT, SECRET, WITHOUT_RULES
from tests.feature_rows import (
    AN_HOUR_AGO,
    BUREAU,
    BUREAU_KEY,
    FakeLake,
    FakeRejectedRows,
    FakeStore,
    a_lake_row,
    bureau_key,
    never,
)
from tests.histories import BALANCE, GRADE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from random import Random

    from credit_core.domain.online_store import FeatureRow
    from credit_core.domain.product import CreditProduct, Value
    from credit_core.ports import LakeRow, Tally, WriteCounts

REGION = PRODUCT.view("region_market")
EVENTS = [AN_HOUR_AGO - timedelta(days=days) for days in range(3)]

lake_rows = st.builds(
    a_lake_row,
    st.integers(0, 1_000_000),
    applicant_id=st.sampled_from(["applicant-1", "applicant-2", "applicant-3", "", None]),
    event=st.sampled_from([*EVENTS, NOW + timedelta(days=400), None]),
    created=st.sampled_from([*EVENTS, None]),
    inq_fi=st.sampled_from([0, 1, 2, -1, 10_000]),
)
file_contents = st.lists(st.lists(lake_rows, max_size=12), min_size=1, max_size=5)


def materialized(
    rows: Sequence[LakeRow],
    store: FakeStore,
    rejected: FakeRejectedRows | None = None,
    *,
    product: CreditProduct = PRODUCT,
    wait: Callable[[float], None] = never,
) -> Tally:
    return materialize(
        product,
        FilePart(BUREAU_KEY),
        lake=FakeLake({BUREAU_KEY: rows}),
        store=store,
        rejected_rows=rejected or FakeRejectedRows(),
        secret=SECRET,
        as_of=NOW,
        wait=wait,
    )


def newest_valid_rows(rows: Sequence[LakeRow]) -> dict[str, tuple[datetime, datetime, str]]:
    """Say again, in the plainest words, what must be in the store in the end."""
    newest: dict[str, tuple[datetime, datetime, str]] = {}
    place = [feature.name for feature in BUREAU.features].index("inq_fi")
    for row in rows:
        count = row.values[place]
        if not (row.keys[0] and row.event_timestamp and row.created_timestamp):
            continue
        if row.event_timestamp - row.created_timestamp > CLOCK_SKEW:
            continue
        if not isinstance(count, int) or not 0 <= count <= 1_000:
            continue
        key = bureau_key(str(row.keys[0]))
        found = (row.event_timestamp, row.created_timestamp, str(count))
        newest[key] = max(found, newest.get(key, found))
    return newest


def in_brief(rows: dict[str, FeatureRow]) -> dict[str, tuple[datetime, datetime, str]]:
    return {
        key: (row.event_timestamp, row.created_timestamp, str(row.features["inq_fi"]))
        for key, row in rows.items()
    }


@given(file_contents, st.randoms(use_true_random=False))
def test_files_in_any_order_and_any_number_of_times_give_one_state(
    files: list[list[LakeRow]], random: Random
) -> None:
    one, other = FakeStore(), FakeStore()
    repeated = files * 2
    random.shuffle(repeated)

    for rows in files:
        materialized(rows, one)
    for rows in repeated:
        materialized(rows, other)

    assert one.rows == other.rows
    assert in_brief(one.rows) == newest_valid_rows([row for rows in files for row in rows])


@given(file_contents)
def test_rows_read_are_those_written_stale_and_rejected(files: list[list[LakeRow]]) -> None:
    store = FakeStore()

    for rows in files:
        rejected = FakeRejectedRows()
        done = materialized(rows, store, rejected)

        assert done.read == len(rows) == done.written + done.stale + done.rejected
        assert sorted(row.position for row in rejected.rows) == sorted(
            row.position for row in rows if not newest_valid_rows([row])
        )


def test_a_row_that_is_missing_to_every_reader_is_stale_and_not_kept() -> None:
    """Nobody could be served from it, and a table forgets what expired years ago never."""
    store = FakeStore()
    old = NOW - 2 * BUREAU.ttl

    done = materialized(
        [
            a_lake_row(0, applicant_id="applicant-1", event=old, created=old),
            a_lake_row(1, applicant_id="applicant-2", event=old - timedelta(milliseconds=1)),
        ],
        store,
    )

    assert (done.written, done.stale, done.rejected) == (1, 1, 0)
    assert list(store.rows) == [bureau_key("applicant-1")]


def test_only_the_newest_row_of_an_entity_in_a_file_is_sent() -> None:
    store = FakeStore()
    rows = [a_lake_row(place, event=event) for place, event in enumerate(EVENTS)]

    done = materialized(rows, store)

    assert (done.written, done.stale) == (1, 2)
    assert store.rows[bureau_key("applicant-1")].event_timestamp == max(EVENTS)


def test_a_rejected_row_gives_way_to_the_newest_valid_one() -> None:
    """A broken correction does not take the last good report away."""
    store = FakeStore()
    rows = [
        a_lake_row(0, event=AN_HOUR_AGO, revol_util=-5.0),
        a_lake_row(1, event=AN_HOUR_AGO - timedelta(days=1), revol_util=5.0),
    ]

    done = materialized(rows, store)

    assert (done.written, done.stale, done.rejected) == (1, 0, 1)
    assert store.rows[bureau_key("applicant-1")].features["revol_util"] == 5.0


def test_a_row_that_the_store_loses_shows_as_a_difference() -> None:
    class Forgetful(FakeStore):
        def write(self, rows: Sequence[FeatureRow], *, ttl: timedelta) -> WriteCounts:
            return super().write(rows[1:], ttl=ttl)

    rows = [a_lake_row(place, applicant_id=f"applicant-{place}") for place in range(3)]

    done = materialized(rows, Forgetful())

    assert done.read == done.written + done.stale + done.rejected + 1


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (a_lake_row(applicant_id=None), "applicant_id is null"),
        (a_lake_row(applicant_id="  "), "applicant_id does not match [A-Za-z0-9_.:-]{1,64}"),
        (a_lake_row(event=None), "event_timestamp is null or no date"),
        (a_lake_row(created=None), "created_timestamp is null or no date"),
        (
            a_lake_row(event=NOW + timedelta(hours=1)),
            "event_timestamp lies after created_timestamp",
        ),
        (a_lake_row(created=NOW + timedelta(hours=1)), "created_timestamp lies in the future"),
        (a_lake_row(inq_fi=None), "inq_fi is null"),
        (a_lake_row(inq_fi=2.5), "inq_fi is not an integer"),
        (a_lake_row(inq_fi=1_001), "inq_fi is "),
        (a_lake_row(revol_util=float("nan")), "revol_util is not a finite number"),
        (a_lake_row(revol_util=float("inf")), "revol_util is not a finite number"),
    ],
)
def test_a_row_that_cannot_be_used_is_rejected_with_its_reason(row: LakeRow, reason: str) -> None:
    store, rejected = FakeStore(), FakeRejectedRows()

    done = materialized([row], store, rejected)

    assert (done.read, done.rejected) == (1, 1)
    assert store.rows == {}
    ((fault,),) = (found.faults for found in rejected.rows)
    assert fault.startswith(reason)


def test_all_faults_of_a_row_are_told_at_once() -> None:
    rejected = FakeRejectedRows()

    materialized([a_lake_row(7, event=None, inq_fi=-1, revol_util=-1.0)], FakeStore(), rejected)

    (row,) = rejected.rows
    assert row.position == 7
    assert row.entity_key == bureau_key("applicant-1")
    assert len(row.faults) == 3


@pytest.mark.parametrize("time", ["event", "created"])
def test_a_row_of_the_near_future_is_written_when_its_time_has_come(time: str) -> None:
    """Clocks differ. Training sees a row from the later of its times on, and so must scoring."""
    store, waits = FakeStore(), list[float]()

    def wait(seconds: float) -> None:
        assert store.rows == {}
        waits.append(seconds)

    times = {"event": NOW, "created": NOW, time: NOW + CLOCK_SKEW}
    done = materialized([a_lake_row(**times)], store, wait=wait)  # type: ignore[arg-type]

    assert waits == [CLOCK_SKEW.total_seconds()]
    assert (done.written, done.rejected) == (1, 0)


def test_what_was_waited_for_is_not_waited_for_again() -> None:
    waits = list[float]()
    rows = [
        a_lake_row(place, applicant_id=f"applicant-{place:05}", created=NOW + CLOCK_SKEW)
        for place in range(ROWS_A_WRITE + 1)
    ]

    done = materialized(rows, FakeStore(), wait=waits.append)

    assert done.written == len(rows)
    assert waits == [CLOCK_SKEW.total_seconds()]


def test_whole_numbers_in_a_row_of_doubles_are_rejected() -> None:
    """Athena would not read such a column as the integer of the catalog."""
    rejected = FakeRejectedRows()

    materialized([a_lake_row(inq_fi=3.0)], FakeStore(), rejected)

    assert rejected.rows[0].faults == ("inq_fi is not an integer",)


def test_the_newest_row_of_a_view_is_marked_and_never_falls_back() -> None:
    store, key = FakeStore(), newest_row_key(PRODUCT, BUREAU)
    for hours in (5, 2, 9):
        materialized([a_lake_row(event=NOW - timedelta(hours=hours))], store)

    assert store.marks[key].event_timestamp == NOW - timedelta(hours=2)


def test_the_mark_of_a_view_tells_no_features() -> None:
    """Whoever may read it may read nobody's row; the end of a recency encodes the features."""
    one, other = FakeStore(), FakeStore()
    materialized([a_lake_row(inq_fi=1)], one)
    materialized([a_lake_row(inq_fi=2)], other)

    assert one.marks == other.marks


def test_of_the_rows_of_one_file_the_newest_is_marked() -> None:
    """The store takes rows in the order of their entities, not of their events."""
    store, hours = FakeStore(), (5, 2, 9)
    rows = [
        a_lake_row(place, applicant_id=f"applicant-{place}", event=NOW - timedelta(hours=ago))
        for place, ago in enumerate(hours)
    ]

    materialized(rows, store)

    assert store.marks[newest_row_key(PRODUCT, BUREAU)].event_timestamp == NOW - timedelta(hours=2)


def test_of_rows_that_go_together_the_last_to_be_known_is_waited_for() -> None:
    waits = list[float]()
    rows = [
        a_lake_row(place, applicant_id=f"applicant-{place}", created=NOW + timedelta(seconds=ahead))
        for place, ahead in enumerate((10, 50, 0))
    ]

    materialized(rows, FakeStore(), wait=waits.append)

    assert waits == [50.0]


def test_a_file_without_valid_rows_marks_nothing() -> None:
    store = FakeStore()

    materialized([a_lake_row(inq_fi=-1)], store)

    assert store.marks == {}


def test_of_two_rows_of_one_instant_the_same_counts_whatever_their_order() -> None:
    """As in the training set: the greater value of the first feature that differs."""
    rows = [a_lake_row(0, inq_fi=9, delinq_2yrs=2), a_lake_row(1, inq_fi=10, delinq_2yrs=1)]
    found = []
    for order in (rows, rows[::-1]):
        together, apart = FakeStore(), FakeStore()
        materialized(order, together)
        for row in order:
            materialized([row], apart)
        found += [*together.rows.values(), *apart.rows.values()]

    assert [row.features["delinq_2yrs"] for row in found] == [2, 2, 2, 2]


@pytest.mark.parametrize(("before", "after"), [(13, 14), (14, 13)])
def test_a_backfill_under_a_new_version_of_the_view_replaces_rows_of_the_same_instants(
    before: int, after: int
) -> None:
    """Else a row of the old definition would stay, unreadable, until the next event."""
    old = replace(BUREAU, features=BUREAU.features[:before], version=1)
    new = replace(BUREAU, features=BUREAU.features[:after], version=2)
    store, row = FakeStore(), a_lake_row()
    for view in (old, new, old):
        product = replace(
            PRODUCT, feature_views=(view, REGION), derived_features=(), policy=WITHOUT_RULES
        )
        values = row.values[: len(view.features)]
        materialized([row._replace(values=values)], store, product=product)

    (stored,) = store.rows.values()
    assert list(stored.features) == [feature.name for feature in new.features]


@pytest.mark.parametrize(
    ("feature", "in_order"),
    [(BALANCE, (None, -1.5, -0.5, 0.0, 2.5)), (GRADE, (None, "B", "C", "a"))],
)
def test_rows_of_equal_times_sort_by_value_and_null_is_least(
    feature: Feature, in_order: Sequence[Value]
) -> None:
    texts = [tie_break([feature], {feature.name: value}) for value in in_order]

    assert texts == sorted(texts)


@pytest.mark.parametrize("value", ["heard of never", None])
def test_an_undeclared_category_counts_as_the_unknown_one(value: str | None) -> None:
    purpose = Feature(
        name="purpose",
        description="What for",
        dtype=DType.CATEGORY,
        categories=("car", "house", "other"),
        unknown_category="other",
        adverse_action=AdverseActionReason(code="PURPOSE", text="The purpose"),
    )
    view = replace(BUREAU, features=(*BUREAU.features, purpose))
    product = replace(PRODUCT, feature_views=(view, PRODUCT.feature_views[1]))
    store, row = FakeStore(), a_lake_row()

    materialized([row._replace(values=(*row.values, value))], store, product=product)

    assert [row.features["purpose"] for row in store.rows.values()] == ["other"]


@pytest.mark.parametrize(
    "key",
    [
        "personal_loan/features/bureaucracy/part-1.parquet",
        "personal_loan/applications/part-1.parquet",
        "other/features/bureau/part-1.parquet",
        "part-1.parquet",
        "",
    ],
)
def test_a_key_below_no_view_is_refused_with_the_keys_that_would_do(key: str) -> None:
    with pytest.raises(
        InvalidFeatureFileError,
        match=r"begins with personal_loan/features/bureau/ or personal_loan/features/region_market",
    ):
        view_of_key(PRODUCT, key)


def test_a_file_that_is_not_named_as_parquet_is_refused() -> None:
    with pytest.raises(InvalidFeatureFileError, match=r"part-1\.csv: .* ends in \.parquet"):
        view_of_key(PRODUCT, "personal_loan/features/bureau/part-1.csv")


def test_a_folder_below_a_views_prefix_belongs_to_the_view() -> None:
    """Writers like Spark make a folder per day."""
    assert view_of_key(PRODUCT, "personal_loan/features/bureau/day=1/x.parquet") is BUREAU


@pytest.mark.parametrize(
    "name", ["", "_SUCCESS", ".part-1.parquet.tmp", "_temporary.parquet", "_temporary/1.parquet"]
)
def test_what_athena_passes_over_is_passed_over_here(name: str) -> None:
    """Else scoring would know rows that training never saw."""
    done = materialize(
        PRODUCT,
        FilePart(PRODUCT.view_prefix(BUREAU) + name),
        lake=FakeLake({}),
        store=FakeStore(),
        rejected_rows=FakeRejectedRows(),
        secret=SECRET,
        as_of=NOW,
        wait=never,
    )

    assert (done.read, done.written, done.stale, done.rejected) == (0, 0, 0, 0)
