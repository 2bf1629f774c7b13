"""The embedded sample as a lake: LendingClub's first quarter of 2016, as known on a day of choice.

The loans are real. LendingClub published neither applicants nor times of day, so keys and times
are assigned here, each from a hash of the row's place in the file: the same on every machine,
and blind to the label. ``data/README.md`` says in plain words what is invented.

A label takes its horizon to mature, so the quarter ends that long before the last day, on which
the last labels arrive. Applicants and regions have rows of the last days too: they can be scored
now.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import duckdb

from credit_core.domain.product import DType

if TYPE_CHECKING:
    from datetime import date, timedelta

    from credit_core.domain.product import CreditProduct, Feature

LOANS = Path(__file__).resolve().parent.parent / "data" / "lending_club_2016q1.csv.gz"

QUARTER_DAYS = 91
"""Days that the applications are spread over: as many as the first quarter of 2016 had."""

WINDOW_DAYS = 28
"""Days that a row of the region view looks back over."""

SNAPSHOT_DAYS = 7
SNAPSHOTS = 14
"""Region rows are made weekly; the first one a day before the first application."""
RECENT_SNAPSHOTS = 5
"""Weeks up to the last day that have region rows once more: those within the view's ttl."""

APPLICATION_FILES, BUREAU_FILES, REGION_FILES = 3, 2, 1
"""Their names carry no date, so a sample of a later day replaces them instead of joining them."""

SQL_TYPES = {DType.FLOAT: "DOUBLE", DType.INTEGER: "BIGINT", DType.CATEGORY: "VARCHAR"}

REQUEST_EXPRESSIONS = {
    "loan_amount": "funded_amnt",
    "term_months": "replace(term, 'term_', '')",
    "annual_income": "annual_inc",
    "employment_years": """CASE emp_length WHEN 'emp_unk' THEN NULL WHEN 'emp_lt_1' THEN '0'
        WHEN 'emp_ge_10' THEN '10' ELSE replace(emp_length, 'emp_', '') END""",
    "verification_status": "lower(verification_status)",
}
"""What an applicant states, in LendingClub's columns."""

UNIFORM = """
CREATE MACRO uniform(purpose, place) AS
    ('0x' || left(sha256('lending_club_2016q1/' || purpose || '/' || place), 12))::BIGINT / 2.0**48
"""

LOANS_WITH_TIMES = """
CREATE TABLE loan AS
WITH numbered AS (
    SELECT *, row_number() OVER () AS place FROM read_csv(getvariable('loans'), all_varchar = true)
), placed AS (
    SELECT *,
        'LC-' || lpad(place::VARCHAR, 6, '0') AS application_id,
        'LC-A' || left(sha256('lending_club_2016q1/applicant/' || place), 12) AS applicant_id,
        floor(uniform('day', place) * getvariable('quarter_days'))::BIGINT AS day,
        -- Most people apply around three in the afternoon, nobody between ten and eight.
        28800 + floor(25200 * (uniform('hour', place) + uniform('minute', place)))::BIGINT
            AS second_of_day,
        10800 + floor(uniform('bureau age', place) * (14 * 86400 - 10800))::BIGINT
            AS bureau_age_seconds,
        10800 + floor(uniform('recent bureau age', place) * (14 * 86400 - 10800))::BIGINT
            AS recent_bureau_age_seconds
    FROM numbered
)
SELECT *,
    getvariable('last_day')::TIMESTAMP - to_seconds(getvariable('horizon_seconds'))
        - to_days((getvariable('quarter_days') - 1 - day)::INTEGER)
        + to_seconds(second_of_day) AS applied_at,
    -- An application comes with its label, and that is known when the horizon has passed.
    applied_at + to_seconds(getvariable('horizon_seconds'))
        + to_seconds(1 + floor(300 * uniform('application lag', place))::BIGINT)
        AS application_created_at
FROM placed
"""

REPORTS = """
CREATE TABLE report AS
WITH reported AS (
    SELECT *, applied_at AS needed_at, bureau_age_seconds AS age_seconds,
        uniform('bureau lag', place) AS lag
    FROM loan
    UNION ALL
    -- The same report once more, for whoever applies after the last day.
    SELECT *, getvariable('last_day')::TIMESTAMP + to_days(1), recent_bureau_age_seconds,
        uniform('recent bureau lag', place)
    FROM loan
)
SELECT *,
    needed_at - to_seconds(age_seconds) AS reported_at,
    -- A report reaches the lake within six hours, and always before it is needed.
    reported_at + to_seconds(1 + floor(lag * least(6 * 3600, 0.9 * age_seconds))::BIGINT)
        AS report_created_at
FROM reported
"""

REGION_MARKET = """
CREATE TABLE region_market AS
WITH snapshot AS (
    SELECT getvariable('quarter_days') - 1 - getvariable('snapshot_days') * number AS day
    FROM range(getvariable('snapshots')) AS weeks(number)
), application AS (
    SELECT day, addr_state, annual_inc::DOUBLE AS income, funded_amnt::DOUBLE AS amount FROM loan
    -- The weeks before the quarter are its own last weeks again. Nothing else is known of them,
    -- and a window that fills up only by and by would look like a growing market.
    UNION ALL
    SELECT day - getvariable('quarter_days'), addr_state, annual_inc::DOUBLE, funded_amnt::DOUBLE
    FROM loan
), market AS (
    SELECT addr_state, snapshot.day,
        count(*) AS region_applications,
        median(income) AS region_median_income,
        round(avg(amount), 2) AS region_mean_loan_amount
    FROM snapshot
    JOIN application
        ON application.day < snapshot.day
        AND application.day >= snapshot.day - getvariable('window_days')
    GROUP BY ALL
), published AS (
    SELECT *, getvariable('last_day')::TIMESTAMP - to_seconds(getvariable('horizon_seconds'))
        - to_days((getvariable('quarter_days') - 1 - day)::INTEGER) AS event_timestamp
    FROM market
    UNION ALL
    -- The last weeks once more, as if the same people had applied again one horizon later.
    SELECT *, getvariable('last_day')::TIMESTAMP
        - to_days((getvariable('quarter_days') - 1 - day)::INTEGER)
    FROM market
    WHERE day > getvariable('quarter_days') - 1
        - getvariable('snapshot_days') * getvariable('recent_snapshots')
)
SELECT *,
    event_timestamp + to_seconds(3600 + floor(
        7200 * uniform('region lag', addr_state || day))::BIGINT) AS created_timestamp
FROM published
"""


def write_sample(folder: Path, *, last_day: date, product: CreditProduct) -> list[Path]:
    """Write the sample's Parquet files under ``folder``, laid out like the keys of the lake.

    The same day gives the same bytes. Timestamps are UTC without a zone, in whole seconds.

    Args:
        folder: Root of the layout; files of an earlier call are replaced.
        last_day: Day of the newest rows, in UTC; yesterday, so that nothing of the sample lies
            in the future. The last applications are one horizon of the label older.
        product: The product that ``products/personal_loan.py`` defines.

    Returns:
        The files written, in order.
    """
    # One thread: the order of rows, and with it every byte, then depends on nothing else.
    with duckdb.connect(config={"threads": 1}) as connection:
        _load(connection, last_day=last_day, horizon=product.label.horizon)
        return [
            path
            for table in (_applications(product), _bureau(product), _region_market(product))
            for path in _write(connection, folder, table)
        ]


class _Table(NamedTuple):
    """A table of the lake: where it lies, what it selects from what, its order, its files."""

    prefix: str
    columns: list[str]
    source: str
    order: str
    files: int


def _applications(product: CreditProduct) -> _Table:
    columns = [
        "application_id",
        *product.entity_key_names,
        "applied_at AS event_timestamp",
        "application_created_at AS created_timestamp",
        *(
            _column(feature, REQUEST_EXPRESSIONS[feature.name])
            for feature in product.request_features
        ),
        f"(Class = 'bad')::BIGINT AS \"{product.label.name}\"",
        "int_rate::DOUBLE AS int_rate",
        "sub_grade",
    ]
    return _Table(
        product.applications_prefix,
        columns,
        "loan",
        "event_timestamp, application_id",
        APPLICATION_FILES,
    )


def _bureau(product: CreditProduct) -> _Table:
    view = product.view("bureau")
    columns = [
        *view.entity.key_names,
        "reported_at AS event_timestamp",
        "report_created_at AS created_timestamp",
        *(_column(feature, f'"{feature.name}"') for feature in view.features),
    ]
    order = "event_timestamp, applicant_id"
    return _Table(product.view_prefix(view), columns, "report", order, BUREAU_FILES)


def _region_market(product: CreditProduct) -> _Table:
    view = product.view("region_market")
    columns = [
        *view.entity.key_names,
        "event_timestamp",
        "created_timestamp",
        *(_column(feature, f'"{feature.name}"') for feature in view.features),
    ]
    order = "event_timestamp, addr_state"
    return _Table(product.view_prefix(view), columns, "region_market", order, REGION_FILES)


def _load(connection: duckdb.DuckDBPyConnection, *, last_day: date, horizon: timedelta) -> None:
    for name, value in {
        "loans": str(LOANS),
        "last_day": last_day.isoformat(),
        "horizon_seconds": int(horizon.total_seconds()),
        "quarter_days": QUARTER_DAYS,
        "window_days": WINDOW_DAYS,
        "snapshot_days": SNAPSHOT_DAYS,
        "snapshots": SNAPSHOTS,
        "recent_snapshots": RECENT_SNAPSHOTS,
    }.items():
        connection.execute(f"SET VARIABLE {name} = ?", [value])
    for statement in (UNIFORM, LOANS_WITH_TIMES, REPORTS, REGION_MARKET):
        connection.execute(statement)


def _column(feature: Feature, expression: str) -> str:
    return f'({expression})::{SQL_TYPES[feature.dtype]} AS "{feature.name}"'


def _write(connection: duckdb.DuckDBPyConnection, folder: Path, table: _Table) -> list[Path]:
    """Write a table's rows to files of about equal size, in its order."""
    target = folder / table.prefix
    target.mkdir(parents=True, exist_ok=True)
    # Names in these statements come from a checked definition and from this module.
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE selected AS SELECT {', '.join(table.columns)}"  # noqa: S608
        f" FROM {table.source}"
    )
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE output AS"  # noqa: S608
        f" SELECT *, ntile({table.files}) OVER (ORDER BY {table.order}) AS file FROM selected"
    )
    paths = [
        target / f"part-{number}-of-{table.files}.parquet" for number in range(1, table.files + 1)
    ]
    for number, path in enumerate(paths, start=1):
        quoted = str(path).replace("'", "''")
        connection.execute(
            f"COPY (SELECT * EXCLUDE (file) FROM output WHERE file = {number}"  # noqa: S608
            f" ORDER BY {table.order}) TO '{quoted}' (FORMAT parquet, COMPRESSION snappy)"
        )
    return paths
