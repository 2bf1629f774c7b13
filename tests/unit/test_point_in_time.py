"""The training-set query on DuckDB: nothing that was not known may enter, nothing known is lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import pytest

from credit_core.domain.point_in_time import training_set_columns, training_set_sql
from credit_core.domain.product import DType
from tests.builders import AN_APPLICATION, PRODUCT, features_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credit_core.domain.product import Feature

APPLIED = datetime(2025, 11, 20, 12)  # noqa: DTZ001 (the lake's timestamps are UTC without a zone)
MATURED = APPLIED + PRODUCT.label.horizon
BUREAU = PRODUCT.view("bureau")
SECOND = timedelta(seconds=1)
SQL_TYPES = {DType.FLOAT: "DOUBLE", DType.INTEGER: "BIGINT", DType.CATEGORY: "VARCHAR"}


class Lake:
    """The product's tables, empty, in an in-memory DuckDB."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        label = f"{PRODUCT.label.name} BIGINT"
        held = "int_rate DOUBLE, sub_grade VARCHAR"
        self._create(
            PRODUCT.applications_table,
            ("application_id", *PRODUCT.entity_key_names),
            PRODUCT.request_features,
            f", {label}, {held}",
        )
        for view in PRODUCT.feature_views:
            self._create(PRODUCT.view_table(view), view.entity.key_names, view.features, "")

    def _create(
        self, table: str, keys: tuple[str, ...], features: tuple[Feature, ...], more: str
    ) -> None:
        columns = [f"{key} VARCHAR" for key in keys]
        columns += ["event_timestamp TIMESTAMP", "created_timestamp TIMESTAMP"]
        columns += [f"{feature.name} {SQL_TYPES[feature.dtype]}" for feature in features]
        self._connection.execute(f"CREATE TABLE {table} ({', '.join(columns)}{more})")

    def add(self, table: str, row: dict[str, object]) -> None:
        names, marks = ", ".join(row), ", ".join("?" for _ in row)
        self._connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})",  # noqa: S608 (a test's own names)
            list(row.values()),
        )

    def add_application(self, **changes: object) -> None:
        times: dict[str, object] = {"event_timestamp": APPLIED, "created_timestamp": MATURED}
        label: dict[str, object] = {PRODUCT.label.name: 0}
        self.add(PRODUCT.applications_table, AN_APPLICATION | times | label | changes)

    def add_report(
        self, *, event: datetime, created: datetime | None = None, inquiries: int = 1
    ) -> None:
        times = {"event_timestamp": event, "created_timestamp": created or event}
        keys = {"applicant_id": AN_APPLICATION["applicant_id"]}
        features = features_of(BUREAU, inq_last_6mths=inquiries)
        self.add(PRODUCT.view_table(BUREAU), keys | times | features)

    def training_set(self) -> list[dict[str, object]]:
        found = self._connection.execute(training_set_sql(PRODUCT))
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def inquiries(self) -> object:
        (row,) = self.training_set()
        return row["inq_last_6mths"]


@pytest.fixture
def lake() -> Iterator[Lake]:
    with duckdb.connect() as connection:
        yield Lake(connection)


def test_the_newest_report_before_the_application_is_taken(lake: Lake) -> None:
    lake.add_application()
    lake.add_report(event=APPLIED - timedelta(days=9), inquiries=9)
    lake.add_report(event=APPLIED - timedelta(days=3), inquiries=3)
    lake.add_report(event=APPLIED - timedelta(days=6), inquiries=6)

    assert lake.inquiries() == 3


def test_an_event_after_the_application_never_enters(lake: Lake) -> None:
    lake.add_application()
    lake.add_report(event=APPLIED + SECOND, inquiries=7)

    assert lake.inquiries() is None


def test_a_late_backfill_of_an_early_event_never_enters(lake: Lake) -> None:
    """It had not arrived when the decision was made, whatever its event timestamp claims."""
    lake.add_application()
    lake.add_report(event=APPLIED - timedelta(days=9), inquiries=9)
    lake.add_report(event=APPLIED - timedelta(days=1), created=APPLIED + SECOND, inquiries=7)

    assert lake.inquiries() == 9


def test_what_happened_and_arrived_at_the_very_instant_enters(lake: Lake) -> None:
    lake.add_application()
    lake.add_report(event=APPLIED, created=APPLIED, inquiries=2)

    assert lake.inquiries() == 2


@pytest.mark.parametrize(("older_by", "expected"), [(timedelta(0), 4), (SECOND, None)])
def test_a_report_counts_up_to_its_time_to_live_and_not_beyond(
    lake: Lake, older_by: timedelta, expected: int | None
) -> None:
    """As online: an age equal to the ttl is fresh."""
    lake.add_application()
    lake.add_report(event=APPLIED - BUREAU.ttl - older_by, inquiries=4)

    assert lake.inquiries() == expected


def test_a_stale_report_is_told_from_a_missing_one_by_its_timestamp(lake: Lake) -> None:
    stale = APPLIED - BUREAU.ttl - SECOND
    lake.add_application()
    lake.add_report(event=stale)

    (row,) = lake.training_set()

    assert row["bureau_event_timestamp"] == stale
    assert row["region_market_event_timestamp"] is None


def test_of_two_reports_of_one_instant_the_correction_counts(lake: Lake) -> None:
    event = APPLIED - timedelta(days=2)
    lake.add_application()
    lake.add_report(event=event, created=event + 2 * SECOND, inquiries=5)
    lake.add_report(event=event, created=event + SECOND, inquiries=8)

    assert lake.inquiries() == 5


def test_rows_delivered_twice_do_not_multiply_loans(lake: Lake) -> None:
    for _ in range(2):
        lake.add_application()
        lake.add_report(event=APPLIED - timedelta(days=2), inquiries=5)

    assert lake.inquiries() == 5


def test_the_last_delivery_of_an_application_brings_its_label(lake: Lake) -> None:
    lake.add_application(defaulted=None, created_timestamp=APPLIED)
    lake.add_application(defaulted=1, created_timestamp=MATURED)

    (row,) = lake.training_set()

    assert row["defaulted"] == 1


def test_an_application_whose_outcome_is_unknown_is_left_out(lake: Lake) -> None:
    lake.add_application(defaulted=None)

    assert lake.training_set() == []


def test_an_outcome_whose_horizon_has_not_passed_is_left_out(lake: Lake) -> None:
    """Of so young an application only an early default can be known; to learn from it is bias."""
    lake.add_application(application_id="young", defaulted=1, event_timestamp=APPLIED + SECOND)
    lake.add_application(application_id="old enough")

    assert [row["application_id"] for row in lake.training_set()] == ["old enough"]


def test_a_delivery_from_the_future_lets_nobodys_horizon_pass(lake: Lake) -> None:
    lake.add_application(application_id="old enough")
    lake.add_application(application_id="young", defaulted=1, event_timestamp=MATURED - SECOND)
    far_off = datetime(9999, 12, 31)  # noqa: DTZ001 (as APPLIED)
    lake.add_application(application_id="wrong", defaulted=1, created_timestamp=far_off)

    assert [row["application_id"] for row in lake.training_set()] == ["old enough"]


def test_a_row_that_the_store_would_reject_never_enters(lake: Lake) -> None:
    """A broken correction takes the last good report away neither here nor there."""
    lake.add_application()
    lake.add_report(event=APPLIED - timedelta(days=9), inquiries=9)
    lake.add_report(event=APPLIED - timedelta(days=1), inquiries=-1)

    assert lake.inquiries() == 9


def test_time_is_rounded_to_milliseconds_as_athena_rounds_it(lake: Lake) -> None:
    lake.add_application()
    lake.add_report(event=APPLIED + timedelta(microseconds=499), inquiries=3)
    lake.add_report(event=APPLIED + timedelta(microseconds=500), inquiries=4)

    assert lake.inquiries() == 3


def test_of_two_rows_of_one_instant_the_greater_values_count(lake: Lake) -> None:
    """As in the online store; else training would see what scoring does not."""
    lake.add_application()
    for inquiries in (9, 10, 8):
        lake.add_report(event=APPLIED - SECOND, inquiries=inquiries)

    assert lake.inquiries() == 10


@pytest.mark.parametrize("key", ["", "with space", "line\n", "ca", "CAL"])
def test_an_application_that_no_request_could_carry_is_left_out(lake: Lake, key: str) -> None:
    """Scoring would refuse it, so the model must not learn from it."""
    lake.add_application(application_id="sound")
    lake.add_application(application_id="unsound", addr_state=key)

    assert [row["application_id"] for row in lake.training_set()] == ["sound"]


def test_another_applicants_report_never_enters(lake: Lake) -> None:
    lake.add_application(applicant_id="somebody-else")
    lake.add_report(event=APPLIED - SECOND)

    assert lake.inquiries() is None


def test_columns_are_the_model_s_and_no_key_or_prohibited_one_is_among_them(lake: Lake) -> None:
    lake.add_application(int_rate=9.9, sub_grade="A1")

    (row,) = lake.training_set()

    assert tuple(row) == training_set_columns(PRODUCT)
    assert not set(row) & {"applicant_id", "addr_state", "int_rate", "sub_grade"}


def test_rows_come_in_order_of_time(lake: Lake) -> None:
    for number, hours in enumerate((0, 2, 1)):
        lake.add_application(
            application_id=f"a-{number}", event_timestamp=APPLIED - timedelta(hours=hours)
        )

    assert [row["application_id"] for row in lake.training_set()] == ["a-1", "a-2", "a-0"]


def test_a_time_to_live_of_hours_is_written_in_seconds() -> None:
    hourly = replace(BUREAU, ttl=timedelta(hours=6))
    product = replace(PRODUCT, feature_views=(hourly, PRODUCT.feature_views[1]))

    assert "INTERVAL '21600' SECOND" in training_set_sql(product)
