"""Arrangers and fakes of the feature side: rows, Parquet files, a lake and a store in memory."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import duckdb

from credit_core.domain.online_store import FeatureRow, entity_key, feature_row
from credit_core.domain.product import DType
from credit_core.ports import LakeRow, WriteCounts
from tests.builders import NOW, PRODUCT, SECRET, features_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from credit_core.domain.product import FeatureView
    from credit_core.ports import FilePart, RejectedRow

BUREAU = PRODUCT.view("bureau")
BUREAU_KEY = PRODUCT.view_prefix(BUREAU) + "part-1.parquet"
AN_HOUR_AGO = NOW - timedelta(hours=1)
PARQUET_TYPES = {DType.FLOAT: "DOUBLE", DType.INTEGER: "BIGINT", DType.CATEGORY: "VARCHAR"}


def a_lake_row(
    position: int = 0,
    *,
    applicant_id: str | None = "applicant-1",
    event: datetime | None = AN_HOUR_AGO,
    created: datetime | None = AN_HOUR_AGO,
    **changes: object,
) -> LakeRow:
    """Return a valid bureau row of an hour ago, but for the changes."""
    values = tuple(features_of(BUREAU, **changes).values())
    return LakeRow(position, (applicant_id,), event, created, values)  # type: ignore[arg-type]


def a_feature_row(
    applicant_id: str = "applicant-1", *, event: datetime = AN_HOUR_AGO, **changes: object
) -> FeatureRow:
    """Return a bureau row of an hour ago, ready to write."""
    return feature_row(
        BUREAU,
        bureau_key(applicant_id),
        event_timestamp=event,
        created_timestamp=event,
        features=features_of(BUREAU, **changes),  # type: ignore[arg-type]
    )


def bureau_key(applicant_id: str) -> str:
    """Return the key of an applicant's bureau row in the online store."""
    return entity_key(PRODUCT, BUREAU, {"applicant_id": applicant_id}, secret=SECRET)


def bureau_types(**changes: str) -> dict[str, str]:
    """Return the type of each bureau column, as DuckDB names it, but for the changes."""
    return {
        "applicant_id": "VARCHAR",
        "event_timestamp": "TIMESTAMP",
        "created_timestamp": "TIMESTAMP",
        **{feature.name: PARQUET_TYPES[feature.dtype] for feature in BUREAU.features},
    } | changes


def never(seconds: float) -> None:
    """Stand for a wait that must not happen."""
    raise AssertionError(f"nothing lies in the future, and yet {seconds} s were waited for")


def write_parquet(
    path: Path, rows: Sequence[LakeRow], *, types: Mapping[str, str] | None = None
) -> Path:
    """Write bureau rows to a Parquet file with those columns of those types."""
    columns: dict[str, list[object]] = {
        "applicant_id": [row.keys[0] for row in rows],
        "event_timestamp": [row.event_timestamp for row in rows],
        "created_timestamp": [row.created_timestamp for row in rows],
        **{
            feature.name: [row.values[index] for row in rows]
            for index, feature in enumerate(BUREAU.features)
        },
    }
    types = types or bureau_types()
    # Without a zone, as the lake has them; only a column that asks for a zone gets one.
    for name in ("event_timestamp", "created_timestamp"):
        if types.get(name) != "TIMESTAMP WITH TIME ZONE":
            columns[name] = [
                value.replace(tzinfo=None) if value else None  # type: ignore[attr-defined]
                for value in columns[name]
            ]
    selected = ", ".join(f'unnest(?)::{type_} AS "{name}"' for name, type_ in types.items())
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"COPY (SELECT {selected}) TO '{path}' (FORMAT parquet)",
            [columns[name] for name in types],
        )
    return path


@dataclass
class FakeFile:
    """A feature file in memory."""

    rows: Sequence[LakeRow]

    @property
    def row_count(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def rows_by_entity(self) -> Iterator[LakeRow]:
        """Yield the rows sorted by their keys."""
        yield from sorted(self.rows, key=lambda row: [key or "" for key in row.keys])


@dataclass
class FakeLake:
    """Feature files in memory."""

    files: Mapping[str, Sequence[LakeRow]]

    @contextmanager
    def open(self, part: FilePart, view: FeatureView) -> Iterator[FakeFile]:  # noqa: ARG002 (the port's)
        """Open a file, or some of its rows."""
        rows = self.files[part.key]
        yield FakeFile(rows if part.rows is None else rows[slice(*part.rows)])


@dataclass
class FakeStore:
    """An online store in memory that keeps the newest row; ``marks`` are those of whole views."""

    rows: dict[str, FeatureRow] = field(default_factory=dict)
    marks: dict[str, FeatureRow] = field(default_factory=dict)

    def write(
        self,
        rows: Sequence[FeatureRow],
        *,
        ttl: timedelta,  # noqa: ARG002 (the port's)
    ) -> WriteCounts:
        """Write each row unless the stored one is newer, or the same."""
        assert len({row.entity_key for row in rows}) == len(rows), "keys must be distinct"
        written = 0
        for row in rows:
            kept = self.marks if row.entity_key.endswith("#newest") else self.rows
            stored = kept.get(row.entity_key)
            if stored is None or stored.recency < row.recency:
                kept[row.entity_key] = row
                written += 1
        return WriteCounts(written, len(rows) - written)


@dataclass
class FakeRejectedRows:
    """Keeps rejected rows in memory."""

    rows: list[RejectedRow] = field(default_factory=list)

    @contextmanager
    def open(self, name: str) -> Iterator[Callable[[RejectedRow], None]]:  # noqa: ARG002 (the port's)
        """Return a function that notes one row."""
        yield self.rows.append


@dataclass
class FakeWatermark:
    """A watermark in memory."""

    at: datetime | None = None

    def read(self) -> datetime | None:
        """Return where it is."""
        return self.at

    def move(self, to: datetime) -> bool:
        """Move it forward."""
        if self.at is not None and to <= self.at:
            return False
        self.at = to
        return True
