"""Athena and DuckDB return the same training set of the same lake, row for row."""

from __future__ import annotations

import random
import shutil
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from credit_cli.book.deliveries import Shares
from credit_cli.book.generate import write_book
from credit_cli.book.plan import BookPlan
from credit_cli.sample import write_sample
from credit_core.adapters.local_lake import LocalLake
from credit_core.domain.lake_tables import ColumnType, lake_tables
from credit_core.domain.point_in_time import training_set_columns, view_event_column
from tests.builders import NOW, PRODUCT
from tests.builders_athena import athena_csv, parsed
from tests.histories import PRODUCT as MADE_UP

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from credit_core.domain.lake_tables import LakeTable
    from credit_core.domain.product import CreditProduct, FeatureView
    from tests.integration.conftest import LocalCloud

LAST_DAY = date(2026, 11, 21)
TYPES = {
    ColumnType.TEXT: ("VARCHAR", "VARCHAR"),
    ColumnType.INTEGER: ("BIGINT", "TINYINT"),
    ColumnType.FLOAT: ("DOUBLE", "FLOAT"),
    ColumnType.INSTANT: ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"),
}
"""Two types that files may have for each column of a table."""
MILLISECONDS = (0, 1, -1, 60_000, 60_001, 3_600_000, 3_600_001, -3_600_000, 7_200_001, 86_400_000)
VALUES: dict[ColumnType, tuple[Any, ...]] = {
    ColumnType.TEXT: ("rent", "own", "it's other", "B", "a", "C", "undeclared", None),
    ColumnType.INTEGER: (0, 1, 2, 3, 4, -1, None),
    ColumnType.FLOAT: (0.0, 0.5, -1.5, 2.5, 2.75, float("nan"), float("-inf"), None),
}


def both(
    cloud: LocalCloud, product: CreditProduct, folder: Path
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows of Athena and those of DuckDB."""
    target = folder.parent / "rows.csv"
    LocalLake(product, folder).write_training_set(target)
    return parsed(product, athena_csv(cloud, product, folder)), parsed(product, target.read_bytes())


def assert_same(athena: Sequence[dict[str, Any]], local: Sequence[dict[str, Any]]) -> None:
    """Compare row for row, and say which row differs first."""
    assert len(athena) == len(local) > 0
    for number, (one, other) in enumerate(zip(athena, local, strict=True)):
        assert list(one) == list(other)
        assert one == other, number


def test_the_sample_is_the_same_by_athena_and_by_duckdb(
    local_cloud_bare: LocalCloud, tmp_path: Path
) -> None:
    write_sample(tmp_path / "lake", last_day=LAST_DAY, product=PRODUCT)

    athena, local = both(local_cloud_bare, PRODUCT, tmp_path / "lake")

    assert_same(athena, local)
    assert tuple(local[0]) == training_set_columns(PRODUCT)
    assert all(row[view_event_column(PRODUCT.feature_views[0])] for row in local)


def test_a_generated_book_is_the_same_by_athena_and_by_duckdb(
    local_cloud_bare: LocalCloud, tmp_path: Path
) -> None:
    shares = Shares(late=0.2, corrected=0.2, missing=0.1, duplicated=0.2, rejected=0.1)
    plan = BookPlan(product=PRODUCT, applicants=300, months=18, seed=3, end=LAST_DAY, shares=shares)
    write_book(tmp_path / "book", plan)
    shutil.rmtree(tmp_path / "book" / "truth")

    athena, local = both(local_cloud_bare, PRODUCT, tmp_path / "book")

    assert_same(athena, local)
    assert {status for view in PRODUCT.feature_views for status in statuses(view, local)} == {
        "fresh",
        "stale",
        "missing",
    }


@pytest.mark.parametrize("seed", range(3))
def test_broken_histories_are_the_same_by_athena_and_by_duckdb(
    local_cloud_bare: LocalCloud, tmp_path: Path, seed: int
) -> None:
    """Late, repeated, corrected, expired and invalid rows, ties, in files of several types."""
    product = replace(MADE_UP, label=replace(MADE_UP.label, horizon=timedelta(hours=1)))
    dice = random.Random(seed)  # noqa: S311 (the same for every run)
    for table in lake_tables(product):
        rows = [row for _ in range(150) for row in some_rows(dice, product, table)]
        dice.shuffle(rows)
        for number in range(4):
            part = rows[number::4]
            write(tmp_path / "lake", table, part, name=f"{number}.parquet", narrow=number == 3)

    athena, local = both(local_cloud_bare, product, tmp_path / "lake")

    assert_same(athena, local)
    for view in product.feature_views:
        assert statuses(view, local) == {"fresh", "stale", "missing"}, view.name


def statuses(view: FeatureView, rows: Sequence[dict[str, Any]]) -> set[str]:
    """Return what the rows say of a view: fresh, stale, missing."""
    found = set()
    for row in rows:
        event = row[view_event_column(view)]
        if event is None:
            found.add("missing")
        else:
            found.add("fresh" if row["event_timestamp"] - event <= view.ttl else "stale")
    return found


def some_rows(
    dice: random.Random, product: CreditProduct, table: LakeTable
) -> list[dict[str, Any]]:
    """Return a row of a table, and often the same again or another one of the same times."""
    row: dict[str, Any] = {
        name: dice.choice(VALUES[type_])
        for name, type_ in table.columns.items()
        if type_ is not ColumnType.INSTANT
    }
    row["person_id"] = f"p-{dice.randrange(40)}"
    if "account_number" in row:
        row["account_number"] = dice.randrange(2)
    if table.view is None:
        row["application_id"] = f"application-{dice.randrange(400)}"
        row[product.label.name] = dice.choice((0, 1, None))
    row["event_timestamp"] = a_moment(dice)
    late = timedelta(milliseconds=dice.choice(MILLISECONDS), microseconds=dice.choice((0, 499)))
    row["created_timestamp"] = row["event_timestamp"] + late
    changed = list(table.columns)[-1]
    other = row | {changed: dice.choice(VALUES[table.columns[changed]])}
    without_date = row | {dice.choice(("event_timestamp", "created_timestamp")): None}
    return dice.choice(([row], [row, row], [row, other], [row, row, other], [without_date]))


def a_moment(dice: random.Random) -> datetime:
    """Return an instant of three days, often the same, now and then between milliseconds."""
    instant = NOW.replace(tzinfo=None) - timedelta(
        minutes=dice.choice((0, 30, 61, 121, 1_500, 2_800))
    )
    instant -= timedelta(milliseconds=dice.choice(MILLISECONDS))
    return instant + timedelta(microseconds=dice.choice((0, 0, 499, 500)))


def write(
    folder: Path, table: LakeTable, rows: Sequence[dict[str, Any]], *, name: str, narrow: bool
) -> None:
    """Write rows to a file of a table, in the narrower types if asked."""
    (folder / table.prefix).mkdir(parents=True, exist_ok=True)
    selected = ", ".join(
        f'unnest(?)::{TYPES[type_][narrow]} AS "{column}"'
        for column, type_ in table.columns.items()
    )
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"COPY (SELECT {selected}) TO '{folder / table.prefix / name}' (FORMAT parquet)",
            [[row[column] for row in rows] for column in table.columns],
        )
