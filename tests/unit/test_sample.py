"""The embedded sample: real loans, invented times, and nothing from the future in any of it."""

# ruff: noqa: S608 (queries are put together from names in this file and in the product)

from __future__ import annotations

import csv
import gzip
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING

import duckdb
import pytest

from credit_cli import sample
from credit_cli.sample import LOANS, write_sample
from credit_core.adapters.feature_files import opened
from credit_core.domain.online_store import row_faults
from credit_core.domain.point_in_time import training_set_sql, view_event_column
from credit_core.ports import FilePart
from tests.builders import PRODUCT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from credit_core.domain.product import FeatureView

LAST_DAY = date(2026, 11, 20)
HORIZON = PRODUCT.label.horizon


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lake")
    write_sample(folder, last_day=LAST_DAY, product=PRODUCT)
    return folder


@pytest.fixture
def tables(lake: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for name, prefix in {
            "applications": PRODUCT.applications_prefix,
            **{view.name: PRODUCT.view_prefix(view) for view in PRODUCT.feature_views},
        }.items():
            connection.execute(
                f"CREATE VIEW {name} AS FROM read_parquet('{lake}/{prefix}*.parquet')"
            )
        yield connection


def the_row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[object, ...]:
    (row,) = connection.execute(query).fetchall()
    return tuple(row)


def test_every_loan_of_the_file_is_an_application_with_its_label(
    tables: duckdb.DuckDBPyConnection,
) -> None:
    assert the_row(
        tables,
        """SELECT count(*), count(DISTINCT application_id), count(DISTINCT applicant_id),
            sum(defaulted) FROM applications""",
    ) == (9_857, 9_857, 9_857, 517)


def test_the_last_labels_arrive_on_the_last_day_and_all_have_matured(
    tables: duckdb.DuckDBPyConnection,
) -> None:
    """The applications of a quarter are as old as it takes to know how their loans went."""
    assert the_row(
        tables,
        f"""SELECT min(event_timestamp)::DATE, max(event_timestamp)::DATE,
            max(created_timestamp)::DATE,
            min(created_timestamp - event_timestamp) > INTERVAL '{HORIZON.days} days',
            max(created_timestamp - event_timestamp)
                <= INTERVAL '{HORIZON.days} days' + INTERVAL 5 MINUTES
        FROM applications""",
    ) == (LAST_DAY - HORIZON - timedelta(days=90), LAST_DAY - HORIZON, LAST_DAY, True, True)


def test_nothing_of_the_sample_lies_after_its_last_day(tables: duckdb.DuckDBPyConnection) -> None:
    """Else the first demo after midnight would find rows of the future and reject them."""
    for table in ("applications", "bureau", "region_market"):
        (newest,) = the_row(
            tables, f"SELECT max(greatest(event_timestamp, created_timestamp))::DATE FROM {table}"
        )
        assert newest == LAST_DAY


def test_everything_is_created_after_it_happened(tables: duckdb.DuckDBPyConnection) -> None:
    for table in ("applications", "bureau", "region_market"):
        assert the_row(
            tables, f"SELECT bool_and(event_timestamp < created_timestamp) FROM {table}"
        ) == (True,)


def test_every_earlier_report_was_there_before_its_application_and_at_most_a_fortnight_old(
    tables: duckdb.DuckDBPyConnection,
) -> None:
    assert the_row(
        tables,
        """SELECT
            count(*),
            bool_and(b.created_timestamp < a.event_timestamp),
            bool_and(b.created_timestamp - b.event_timestamp <= INTERVAL 6 HOURS),
            bool_and(a.event_timestamp - b.event_timestamp BETWEEN INTERVAL 3 HOURS
                AND INTERVAL 14 DAYS)
        FROM applications AS a JOIN bureau AS b
            ON a.applicant_id = b.applicant_id AND b.event_timestamp <= a.event_timestamp""",
    ) == (9_857, True, True, True)


def test_every_applicant_has_the_same_report_again_in_the_last_fortnight(
    tables: duckdb.DuckDBPyConnection,
) -> None:
    features = ", ".join(feature.name for feature in PRODUCT.view("bureau").features)

    assert the_row(
        tables,
        f"""SELECT count(*), bool_and(reports = 2), bool_and(contents = 1),
            bool_and(newest >= DATE '{LAST_DAY}' - INTERVAL 13 DAYS)
        FROM (
            SELECT count(*) AS reports, count(DISTINCT ({features})) AS contents,
                max(event_timestamp) AS newest
            FROM bureau GROUP BY applicant_id
        )""",
    ) == (9_857, True, True, True)


@pytest.mark.parametrize("view", PRODUCT.feature_views, ids=lambda view: str(view.name))
def test_whoever_applies_in_the_two_days_after_the_last_finds_fresh_rows(
    tables: duckdb.DuckDBPyConnection, view: FeatureView
) -> None:
    """The demo scores applicants of the sample on the day after it, or around midnight."""
    keys = ", ".join(view.entity.key_names)
    (oldest,) = the_row(
        tables,
        f"""SELECT min(newest) FROM (
            SELECT max(event_timestamp) AS newest FROM {view.name} GROUP BY {keys})""",
    )

    now = datetime.combine(LAST_DAY, time()) + timedelta(days=3)
    assert isinstance(oldest, datetime)
    assert now - oldest <= view.ttl


def test_the_region_s_recent_weeks_are_those_of_the_quarter_s_end(
    tables: duckdb.DuckDBPyConnection,
) -> None:
    """As if the same people had applied again a year later."""
    features = ", ".join(feature.name for feature in PRODUCT.view("region_market").features)
    recent = f"""SELECT addr_state, event_timestamp - INTERVAL '{HORIZON.days} days', {features}
        FROM region_market WHERE event_timestamp > DATE '{LAST_DAY}' - INTERVAL 90 DAYS"""
    earlier = f"SELECT addr_state, event_timestamp, {features} FROM region_market"

    weeks, in_both, in_all = the_row(
        tables,
        f"""SELECT (SELECT count(DISTINCT column1) FROM ({recent}) AS r(column0, column1)),
            (SELECT count(*) FROM ({recent} INTERSECT {earlier})),
            (SELECT count(*) FROM ({recent}))""",
    )

    assert weeks == 5
    assert in_both == in_all


def test_every_loan_joins_the_rows_of_its_own_year(tables: duckdb.DuckDBPyConnection) -> None:
    """The training query takes all loans, each with fresh rows, and none of this year's."""
    for name, table in {
        "applications": PRODUCT.applications_table,
        **{view.name: PRODUCT.view_table(view) for view in PRODUCT.feature_views},
    }.items():
        tables.execute(f"CREATE VIEW {table} AS FROM {name}")
    found = [view_event_column(view) for view in PRODUCT.feature_views]
    fresh = " AND ".join(
        f"event_timestamp - {column} <= INTERVAL '{int(view.ttl_seconds)} seconds'"
        for view, column in zip(PRODUCT.feature_views, found, strict=True)
    )

    loans, fresh_loans, newest = the_row(
        tables,
        f"""SELECT count(*), count(*) FILTER ({fresh}), max(greatest({", ".join(found)}))
        FROM ({training_set_sql(PRODUCT)})""",
    )

    assert loans == fresh_loans == 9_857
    assert isinstance(newest, datetime)
    assert newest.date() <= LAST_DAY - HORIZON


@pytest.mark.parametrize("view", PRODUCT.feature_views, ids=lambda view: str(view.name))
def test_applications_find_fresh_rows_in_every_view(
    tables: duckdb.DuckDBPyConnection, view: FeatureView
) -> None:
    keys = " AND ".join(f"a.{key} = v.{key}" for key in view.entity.key_names)
    found, applications = the_row(
        tables,
        f"""SELECT count(*) FILTER (EXISTS (
            SELECT 1 FROM {view.name} AS v WHERE {keys}
                AND v.created_timestamp <= a.event_timestamp
                AND v.event_timestamp BETWEEN
                    a.event_timestamp - INTERVAL '{view.ttl_seconds} seconds'
                    AND a.event_timestamp
        )), count(*) FROM applications AS a""",
    )

    assert isinstance(found, int)
    assert isinstance(applications, int)
    assert found / applications >= 0.99


@pytest.mark.parametrize("view", PRODUCT.feature_views, ids=lambda view: str(view.name))
def test_every_feature_row_is_one_that_the_materializer_accepts(
    lake: Path, view: FeatureView
) -> None:
    for path in sorted((lake / PRODUCT.view_prefix(view)).iterdir()):
        with duckdb.connect() as connection:
            file = opened(connection, path, view, part=FilePart(path.name))
            for row in file.rows_by_entity():
                names = (feature.name for feature in view.features)
                assert not row_faults(view.features, dict(zip(names, row.values, strict=True)))


def test_every_application_is_within_the_products_ranges(
    tables: duckdb.DuckDBPyConnection,
) -> None:
    names = [feature.name for feature in PRODUCT.request_features]
    rows = tables.execute(f"SELECT {', '.join(names)} FROM applications").fetchall()

    for row in rows:
        assert not row_faults(PRODUCT.request_features, dict(zip(names, row, strict=True)))


def test_no_feature_knows_how_a_loan_ended(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every label turned round, each file of features is the same byte for byte."""
    with gzip.open(LOANS, "rt", newline="", encoding="utf-8") as file:
        loans = list(csv.DictReader(file))
    turned = tmp_path / "turned.csv"
    with turned.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, loans[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            loan | {"Class": "good" if loan["Class"] == "bad" else "bad"} for loan in loans
        )
    monkeypatch.setattr(sample, "LOANS", turned)

    paths = write_sample(tmp_path, last_day=LAST_DAY, product=PRODUCT)

    features = [path.relative_to(tmp_path) for path in paths if "features" in path.parts]
    assert len(features) == 3
    for path in features:
        assert (tmp_path / path).read_bytes() == (lake / path).read_bytes()


def test_when_people_apply_says_nothing_about_how_their_loans_ended(
    tables: duckdb.DuckDBPyConnection,
) -> None:
    """The share of defaults in each month stays within three standard errors of the whole."""
    shares = tables.execute(
        """SELECT avg(defaulted) FROM applications GROUP BY
            (event_timestamp::DATE - (SELECT min(event_timestamp)::DATE FROM applications)) // 31"""
    ).fetchall()

    assert len(shares) == 3
    for (share,) in shares:
        assert abs(share - 0.0525) < 3 * (0.0525 * 0.9475 / 3_000) ** 0.5


def test_the_same_day_gives_the_same_bytes(lake: Path, tmp_path: Path) -> None:
    for path in write_sample(tmp_path, last_day=LAST_DAY, product=PRODUCT):
        assert path.read_bytes() == (lake / path.relative_to(tmp_path)).read_bytes()


def test_another_day_moves_all_times_and_nothing_else(
    tables: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Applicants stay the same people, so a later sample renews their rows in the store."""
    write_sample(tmp_path, last_day=LAST_DAY + timedelta(days=1), product=PRODUCT)

    for table, prefix in (
        ("applications", PRODUCT.applications_prefix),
        ("bureau", PRODUCT.view_prefix(PRODUCT.view("bureau"))),
        ("region_market", PRODUCT.view_prefix(PRODUCT.view("region_market"))),
    ):
        moved = f"""SELECT * REPLACE (
            event_timestamp + INTERVAL 1 DAY AS event_timestamp,
            created_timestamp + INTERVAL 1 DAY AS created_timestamp) FROM {table}"""
        assert (
            tables.execute(
                f"({moved}) EXCEPT FROM read_parquet('{tmp_path}/{prefix}*.parquet')"
            ).fetchall()
            == []
        )


def test_prohibited_columns_are_in_the_lake_where_the_lender_holds_them(
    tables: duckdb.DuckDBPyConnection,
) -> None:
    columns = {name for name, *_ in tables.execute("DESCRIBE applications").fetchall()}

    assert {unwanted.name for unwanted in PRODUCT.prohibited} <= columns
