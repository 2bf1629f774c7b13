"""A pushed row: checked as strictly as a file, kept before it is served, and never lost."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_core.domain.metrics import Metric
from credit_core.domain.online_store import newest_row_key
from credit_core.errors import StoreUnavailableError
from credit_core.ports import FilePart
from credit_core.use_cases.materialize import materialize
from tests.builders import NOW, PRODUCT, SECRET
from tests.feature_rows import (
    AN_HOUR_AGO,
    BUREAU,
    FakeLake,
    FakeRejectedRows,
    FakeStore,
    bureau_key,
    never,
)
from tests.pushes import WITH_HOUSEHOLDS, APusher, FakeAppender, FakeMetrics, a_detail, a_household

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from credit_core.domain.online_store import FeatureRow
    from credit_core.domain.product import FeatureView
    from credit_core.ports import LakeRow, RejectedRow, WriteCounts

SOON = timedelta(seconds=40)

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400), 2**53, "own", "x", "\ud800", ""])
    | st.floats()
    | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=4,
)
names = st.sampled_from(
    [
        *("view", "keys", "event_timestamp", "created_timestamp", "features"),
        *("household_number", "district", "tenure", "heating", "rooms", "square_meters", "more"),
    ]
)


def changed(detail: dict[str, Any], name: str, value: object) -> dict[str, Any]:
    for part in (detail, detail["keys"], detail["features"]):
        if name in part:
            part[name] = value
            return detail
    return detail | {name: value}


def test_a_pushed_row_is_in_the_lake_and_in_the_store() -> None:
    pusher = APusher()

    done = pusher(a_detail(inq_fi=7))

    assert (done.written, done.stale, done.rejected, done.unsettled) == (1, 0, (), ())
    assert pusher.store.rows[bureau_key("applicant-1")].features["inq_fi"] == 7
    ((key, row),) = pusher.lake.rows.items()
    assert key.startswith("personal_loan/features/bureau/pushed/2026-11-20/")
    assert key.endswith(".parquet")
    assert row.keys == ("applicant-1",)
    assert row.event_timestamp == AN_HOUR_AGO


def test_the_lake_has_a_row_before_the_store_has_it() -> None:
    """Else a crash in between left decisions that training could not explain."""
    pusher = APusher()
    pusher.lake.before = lambda: pytest.fail("served first") if pusher.store.rows else None

    assert pusher(a_detail()).written == 1


def test_a_row_that_the_lake_does_not_take_is_not_served_and_comes_again() -> None:
    pusher = APusher(lake=FakeAppender(available=False))

    done = pusher(a_detail())

    assert pusher.store.rows == {}
    assert done.unsettled == (("message-0", "a row could not be appended to the lake: SlowDown"),)


def test_materializing_what_was_pushed_finds_it_stale() -> None:
    """The upload of the row's file starts a materialization: it must change nothing."""
    pusher = APusher(WITH_HOUSEHOLDS)
    # A whole number for a float, an undeclared category: what the lake holds is read back alike.
    pusher(a_detail(), a_household(square_meters=70, tenure="boat"))
    before = dict(pusher.store.rows)

    for key, row in pusher.lake.rows.items():
        done = materialize(
            WITH_HOUSEHOLDS,
            FilePart(key),
            lake=FakeLake({key: [row]}),
            store=pusher.store,
            rejected_rows=FakeRejectedRows(),
            secret=SECRET,
            as_of=NOW,
            wait=never,
        )
        assert (done.read, done.stale) == (1, 1)

    assert pusher.store.rows == before
    assert [row.features_json() for row in before.values() if "tenure" in row.features] == [
        '{"tenure":"other","heating":null,"rooms":3,"square_meters":70.0}'
    ]


def test_the_same_row_again_lies_in_the_lake_once() -> None:
    """Senders, the bus and queues deliver twice at times."""
    pusher = APusher()

    first, second = pusher(a_detail()), pusher(a_detail())

    assert (first.written, second.stale) == (1, 1)
    assert len(pusher.lake.rows) == 1


def test_an_older_row_does_not_replace_a_newer_one_but_is_kept_for_training() -> None:
    pusher = APusher()
    pusher(a_detail(inq_fi=1))

    done = pusher(a_detail(event=AN_HOUR_AGO - timedelta(days=1), inq_fi=2))

    assert done.stale == 1
    assert pusher.store.rows[bureau_key("applicant-1")].features["inq_fi"] == 1
    assert len(pusher.lake.rows) == 2


def test_a_push_is_noted_as_the_newest_event_of_its_view() -> None:
    pusher = APusher()

    pusher(a_detail(), a_detail("applicant-2", event=NOW))

    mark = pusher.store.marks[newest_row_key(PRODUCT, BUREAU)]
    assert mark.event_timestamp == NOW


def test_a_row_of_the_near_future_is_waited_for_and_keeps_no_other_waiting() -> None:
    waits: list[float] = []
    stored: list[int] = []
    pusher = APusher()

    def wait(seconds: float) -> None:
        waits.append(seconds)
        stored.append(len(pusher.store.rows))

    pusher.wait = wait
    details = [
        a_detail("applicant-4", created=NOW + SOON + SOON / 4),
        a_detail("applicant-1", event=NOW + SOON),
        a_detail("applicant-2"),
        a_detail("applicant-3", event=NOW + SOON),
    ]

    done = pusher(*details)

    assert done.written == 4
    assert waits == [40.0, 10.0]
    assert stored == [1, 3]


def test_a_row_from_later_than_a_minute_is_refused() -> None:
    faults = APusher().faults(a_detail(event=NOW + timedelta(seconds=61)))

    assert faults == ("created_timestamp lies in the future",)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-11-20T09:00:00Z", "2026-11-20T09:00:00.000Z"),
        ("2026-11-20t10:00:00.25+01:00", "2026-11-20T09:00:00.250Z"),
        ("2026-11-20T09:00:00.0004999-00:00", "2026-11-20T09:00:00.000Z"),
        ("2026-11-20T09:00:00.000500Z", "2026-11-20T09:00:00.001Z"),
        ("2026-11-20T08:59:59.999999999Z", "2026-11-20T09:00:00.000Z"),
    ],
)
def test_times_are_read_in_any_zone_and_rounded_half_up_to_milliseconds(
    written: str, expected: str
) -> None:
    pusher = APusher()

    pusher(a_detail(event=written, created=AN_HOUR_AGO))

    (row,) = pusher.store.rows.values()
    assert row.recency.startswith(f"{expected}/")
    (in_lake,) = pusher.lake.rows.values()
    assert in_lake.event_timestamp == row.event_timestamp


@pytest.mark.parametrize(
    "written",
    [
        *("2026-11-20T09:00:00", "2026-11-20", "20261120T090000Z", "2026-W47-5T09:00:00Z"),
        *("2026-13-20T09:00:00Z", "2026-11-20T09:00:61Z", "2026-11-20T09:00Z", "now", ""),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.9999Z", "٢٠٢٦-11-20T09:00:00Z"),
        1_763_629_200,
        None,
    ],
)
def test_a_time_without_a_zone_or_in_another_form_is_refused(written: Any) -> None:
    detail = a_detail() | {"event_timestamp": written}

    assert APusher().faults(detail) == (
        "event_timestamp is not an ISO 8601 date and time with a time zone",
    )


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("view", "bureaucracy", "view is none of bureau, region_market, household"),
        ("view", ["household"], "view is none of bureau, region_market, household"),
        ("household_number", "12", "household_number is not an integer"),
        ("household_number", True, "household_number is not an integer"),
        ("household_number", 12.0, "household_number is not an integer"),
        ("household_number", -1, "household_number is not from 0 to 2**53 - 1"),
        ("household_number", None, "household_number is null"),
        ("district", 7, "district is not text"),
        ("district", "\ud800", "district is not text"),
        ("tenure", 1, "tenure is not text"),
        ("tenure", "\udfff", "tenure is not text"),
        ("heating", "coal", "heating is none of its categories"),
        ("rooms", 2.0, "rooms is not an integer"),
        ("rooms", "2", "rooms is not a number"),
        ("rooms", False, "rooms is not a number"),
        ("rooms", 51, "rooms is not from 0 to 50"),
        ("square_meters", None, "square_meters is null"),
        ("square_meters", 10**400, "square_meters is not from 0 to 1000"),
        ("square_meters", float("nan"), "square_meters is not a finite number"),
        ("square_meters", [70], "square_meters is not a number"),
        ("more", 1, "detail has 1 name beyond those defined"),
    ],
)
def test_a_field_that_is_not_as_defined_is_refused_with_its_reason(
    name: str, value: object, fault: str
) -> None:
    assert APusher(WITH_HOUSEHOLDS).faults(changed(a_household(), name, value)) == (fault,)


def test_a_null_is_taken_where_the_product_allows_it() -> None:
    assert APusher(WITH_HOUSEHOLDS)(a_household(rooms=None, heating=None)).written == 1


def test_all_faults_are_told_at_once() -> None:
    detail = a_household(district=..., tenure=..., rooms=99, square_meters="large")
    detail["features"] |= {"applicant-77": 1, "applicant-78": 2}
    detail["event_timestamp"] = "yesterday"

    assert APusher(WITH_HOUSEHOLDS).faults(detail) == (
        "event_timestamp is not an ISO 8601 date and time with a time zone",
        "district is missing",
        "tenure is missing",
        "features has 2 names beyond those defined",
        "square_meters is not a number",
        "rooms is not from 0 to 50",
    )


@pytest.mark.parametrize("detail", [None, [], "bureau", 1])
def test_what_is_no_object_is_refused(detail: object) -> None:
    assert APusher().faults(detail) == ("detail is not a JSON object",)


def test_an_empty_object_is_told_what_is_required() -> None:
    faults = APusher().faults({})

    assert faults == (
        *("view is missing", "keys is missing"),
        *("event_timestamp is missing", "created_timestamp is missing", "features is missing"),
    )


@given(names, anything)
def test_no_row_whatever_breaks_the_pusher_or_shows_a_value(name: str, value: object) -> None:
    """One that did would take the other rows of its batch along, again and again."""
    pusher = APusher(WITH_HOUSEHOLDS, wait=lambda _: None)

    done = pusher(changed(a_household(), name, value), a_detail())

    assert done.unsettled == ()
    assert done.written + done.stale + len(done.rejected) == 2
    assert len(pusher.lake.rows) == done.written
    for row in pusher.rejected.rows:
        said = json.dumps(row.faults)
        assert not isinstance(value, str) or len(value) < 9 or value not in said


def test_what_is_refused_is_noted_and_counted_and_not_tried_again() -> None:
    pusher = APusher()

    done = pusher(a_detail(inq_fi=-1), a_detail("applicant-2"), a_detail(inq_fi=None))

    assert done.written == 1
    assert done.unsettled == ()
    assert [event for event, _ in done.rejected] == ["event-0", "event-2"]
    assert {row.entity_key for row in pusher.rejected.rows} == {bureau_key("applicant-1")}
    (counted,) = pusher.metrics.measurements
    assert (counted.metric, counted.value) == (Metric.REJECTED_PUSHES, 2)
    assert counted.dimensions == {"Stage": "test", "Product": "personal_loan"}


def test_a_refusal_that_nobody_would_hear_of_comes_again() -> None:
    class NoRoom(FakeRejectedRows):
        @contextmanager
        def open(self, name: str) -> Iterator[Callable[[RejectedRow], None]]:
            yield self.rows.append
            raise StoreUnavailableError(f"rejected rows of {name} could not be stored")

    for pusher in (APusher(rejected=NoRoom()), APusher(metrics=FakeMetrics(available=False))):
        done = pusher(a_detail(inq_fi=-1), a_detail("applicant-2"))

        assert [message for message, _ in done.unsettled] == ["message-0"]
        assert (done.written, done.rejected) == (1, ())


def test_a_file_that_the_lake_does_not_take_is_no_other_rows_trouble() -> None:
    class Picky(FakeAppender):
        def append(self, key: str, row: LakeRow, view: FeatureView) -> None:
            self.available = row.keys != ("applicant-2",)
            super().append(key, row, view)

    pusher = APusher(lake=Picky())

    done = pusher(*(a_detail(f"applicant-{number}") for number in range(1, 4)))

    assert done.written == 2
    assert [message for message, _ in done.unsettled] == ["message-1"]


def test_one_views_trouble_is_not_anothers() -> None:
    class Picky(FakeStore):
        def write(self, rows: Sequence[FeatureRow], *, ttl: timedelta) -> WriteCounts:
            if rows[0].entity_key.startswith("personal_loan/bureau#"):
                raise StoreUnavailableError("a batch of writes to the online store failed")
            return super().write(rows, ttl=ttl)

    pusher = APusher(WITH_HOUSEHOLDS, store=Picky())

    done = pusher(a_detail("applicant-1"), a_household(), a_detail("applicant-2"))

    assert done.written == 1
    assert sorted(message for message, _ in done.unsettled) == ["message-0", "message-2"]


def test_of_rows_of_one_entity_in_a_batch_the_newest_stays() -> None:
    pusher = APusher()
    older, oldest = (AN_HOUR_AGO - timedelta(days=days) for days in (1, 2))

    done = pusher(
        a_detail(event=older, inq_fi=2),
        a_detail("applicant-2"),
        a_detail(inq_fi=1),
        a_detail(event=oldest, inq_fi=3),
    )

    assert (done.written, done.stale) == (2, 2)
    assert pusher.store.rows[bureau_key("applicant-1")].features["inq_fi"] == 1
    assert len(pusher.lake.rows) == 4


def test_the_key_in_the_lake_tells_nothing_of_the_entity() -> None:
    pusher = APusher()

    pusher(a_detail("applicant-1"))

    (key,) = pusher.lake.rows
    assert "applicant-1" not in key
