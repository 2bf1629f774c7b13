"""A lake in a folder, read as Athena would read it wherever the machine stands."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import duckdb

from credit_cli.sample import write_sample
from credit_core.adapters.local_lake import LocalLake
from credit_core.domain.point_in_time import training_set_columns
from credit_core.domain.product import MonitoredGroup
from tests.builders import PRODUCT

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

ZONED = """
COPY (SELECT * REPLACE (
    event_timestamp AT TIME ZONE 'UTC' AS event_timestamp,
    created_timestamp AT TIME ZONE 'UTC' AS created_timestamp
) FROM '{0}') TO '{0}.zoned' (FORMAT parquet)
"""


def rows_of(path: Path) -> list[tuple[Any, ...]]:
    return duckdb.execute(f"FROM '{path}'").fetchall()


def test_timestamps_with_a_zone_count_as_what_they_are_in_utc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a laptop in Tokyo as well; Athena works in UTC."""
    lake = tmp_path / "lake"
    files = write_sample(lake, last_day=date(2026, 11, 21), product=PRODUCT)
    LocalLake(PRODUCT, lake).write_training_set(tmp_path / "plain.parquet")
    for path in files:
        duckdb.execute(ZONED.format(path))
        path.with_name(f"{path.name}.zoned").replace(path)
    connect = duckdb.connect

    def in_tokyo(*arguments: Any, **named: Any) -> duckdb.DuckDBPyConnection:
        connection = connect(*arguments, **named)
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        return connection

    monkeypatch.setattr(duckdb, "connect", in_tokyo)
    LocalLake(PRODUCT, lake).write_training_set(tmp_path / "zoned.parquet")

    assert rows_of(tmp_path / "zoned.parquet") == rows_of(tmp_path / "plain.parquet")


def test_files_of_mixed_types_of_timestamps_are_read_one_kind_at_a_time(tmp_path: Path) -> None:
    """Read together they would be nanoseconds, which have no year 9999."""
    lake = tmp_path / "lake"
    files = write_sample(lake, last_day=date(2026, 11, 21), product=PRODUCT)
    LocalLake(PRODUCT, lake).write_training_set(tmp_path / "plain.parquet")
    (bureau, *_) = (path for path in files if "bureau" in path.parts)
    for name, event in (
        ("nanoseconds", "event_timestamp::TIMESTAMP_NS"),
        ("far_off", "TIMESTAMP '9999-12-31 00:00:00'"),
        ("no_date", "TIMESTAMP '294247-01-10 00:00:00'"),
    ):
        target = bureau.with_name(f"{name}.parquet")
        selected = f"SELECT * REPLACE ({event} AS event_timestamp) FROM '{bureau}'"  # noqa: S608 (the test's own path)
        duckdb.execute(f"COPY ({selected}) TO '{target}' (FORMAT parquet)")

    LocalLake(PRODUCT, lake).write_training_set(tmp_path / "mixed.parquet")

    assert rows_of(tmp_path / "mixed.parquet") == rows_of(tmp_path / "plain.parquet")


def test_a_monitored_group_is_carried_to_the_training_set_and_files_may_lack_it(
    tmp_path: Path,
) -> None:
    """Old deliveries do not state it; what they hold beside it counts all the same."""
    group = MonitoredGroup(name="sex", description="As stated", values=("female", "male"))
    product = replace(PRODUCT, monitored_groups=(group,))
    lake = tmp_path / "lake"
    files = write_sample(lake, last_day=date(2026, 11, 21), product=PRODUCT)
    applications, *_ = (path for path in files if "applications" in path.parts)
    rows = len(rows_of(applications))
    stated = "SELECT * REPLACE ('again-' || application_id AS application_id), 'female' AS sex"
    target = applications.with_name("stated.parquet")
    duckdb.execute(f"COPY ({stated} FROM '{applications}') TO '{target}' (FORMAT parquet)")

    LocalLake(product, lake).write_training_set(tmp_path / "grouped.parquet")

    place = training_set_columns(product).index("sex")
    counted = Counter(row[place] for row in rows_of(tmp_path / "grouped.parquet"))
    assert set(counted) == {"female", None}
    assert counted["female"] == rows
