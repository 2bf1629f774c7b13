"""What a scorer reads at any instant is what the training set holds for it, and neither errs.

Three accounts of one history are compared: the SQL on DuckDB, the store after materialization as
the scorer serves it, and a reference of ten lines.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_core.domain.online_store import entity_key
from credit_core.domain.point_in_time import training_set_sql
from credit_core.domain.product import DType, KeyType
from credit_core.ports import FilePart, LakeRow, Readout, StoredFeatures
from credit_core.use_cases.materialize import materialize
from credit_core.use_cases.score import serve_view
from tests.builders import SECRET
from tests.feature_rows import FakeLake, FakeRejectedRows, FakeStore
from tests.histories import ACCOUNTS, AREAS, KEYS, NOW, PRODUCT, Recorded, as_known, histories

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from credit_core.domain.product import FeatureView, Value

SQL_TYPES = {
    DType.FLOAT: "DOUBLE",
    DType.INTEGER: "BIGINT",
    DType.CATEGORY: "VARCHAR",
    KeyType.TEXT: "VARCHAR",
    KeyType.INTEGER: "BIGINT",
}
TIMES = {"event_timestamp": "TIMESTAMP", "created_timestamp": "TIMESTAMP"}
SQL = training_set_sql(PRODUCT)


class NotYetError(Exception):
    """The row's time has not come at the instant of the comparison."""


@pytest.fixture(scope="module")
def lake() -> Iterator[duckdb.DuckDBPyConnection]:
    """The product's tables, empty."""
    with duckdb.connect() as connection:
        keys = {key.name: SQL_TYPES[key.dtype] for key in PRODUCT.entity_keys}
        request = {feature.name: SQL_TYPES[feature.dtype] for feature in PRODUCT.request_features}
        columns = {"application_id": "VARCHAR"} | keys | TIMES | request
        tables = {PRODUCT.applications_table: columns | {PRODUCT.label.name: "BIGINT"}}
        for view in PRODUCT.feature_views:
            of_view = {name: keys[name] for name in view.entity.key_names}
            features = {feature.name: SQL_TYPES[feature.dtype] for feature in view.features}
            tables[PRODUCT.view_table(view)] = of_view | TIMES | features
        for table, types in tables.items():
            listed = ", ".join(f"{name} {type_}" for name, type_ in types.items())
            connection.execute(f"CREATE TABLE {table} ({listed})")
        yield connection


def fill(
    connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[tuple[object, ...]]
) -> None:
    connection.execute(f"DELETE FROM {table}")  # noqa: S608 (the product's own name)
    if rows:
        marks = ", ".join("?" for _ in rows[0])
        connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608 (see above)


def naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


def in_the_training_set(
    connection: duckdb.DuckDBPyConnection,
    found: Mapping[str, Sequence[Recorded]],
    instants: Sequence[datetime],
) -> dict[str, dict[datetime, dict[str, Value]]]:
    """Return what the SQL holds for an application at each instant, by view."""
    keys = tuple(KEYS[key.name] for key in PRODUCT.entity_keys)
    applications = [
        (str(number), *keys, naive(instant), naive(instant), 1.0, 0)
        for number, instant in enumerate(instants)
    ]
    fill(connection, PRODUCT.applications_table, applications)
    for view in PRODUCT.feature_views:
        of_view = tuple(KEYS[name] for name in view.entity.key_names)
        recorded = [
            (*of_view, naive(row.event_timestamp), naive(row.created_timestamp), *row.values)
            for row in found[view.name]
        ]
        fill(connection, PRODUCT.view_table(view), recorded)
    result = connection.execute(SQL)
    names = [column[0] for column in result.description]
    rows = {row[0]: dict(zip(names, row, strict=True)) for row in result.fetchall()}
    assert len(rows) == len(instants)
    return {
        view.name: {
            instant: {feature.name: rows[str(number)][feature.name] for feature in view.features}
            for number, instant in enumerate(instants)
        }
        for view in PRODUCT.feature_views
    }


def in_the_store(
    view: FeatureView, history: Sequence[Recorded], as_of: datetime
) -> dict[str, Value] | None:
    """Return what is served from a store into which all was brought that had been recorded."""
    store, files = FakeStore(), {}
    keys = tuple(KEYS[name] for name in view.entity.key_names)
    for number, row in enumerate(history):
        if row.created_timestamp <= as_of:
            lake_row = LakeRow(0, keys, row.event_timestamp, row.created_timestamp, row.values)  # type: ignore[arg-type]
            files[f"{PRODUCT.view_prefix(view)}{number}.parquet"] = [lake_row]

    def wait(seconds: float) -> None:
        raise NotYetError(seconds)

    for key in files:
        try:
            materialize(
                PRODUCT,
                FilePart(key),
                lake=FakeLake(files),
                store=store,
                rejected_rows=FakeRejectedRows(),
                secret=SECRET,
                as_of=as_of,
                wait=wait,
            )
        except NotYetError:
            continue
    key = entity_key(PRODUCT, view, KEYS, secret=SECRET)  # type: ignore[arg-type]
    rows = {
        place: StoredFeatures(row.recency, row.features_json()) for place, row in store.rows.items()
    }
    served = serve_view(view, key, Readout(rows), as_of=as_of)
    return None if served.features is None else dict(served.features)


def nulls(view: FeatureView) -> dict[str, Value]:
    """Return what a training set holds where an application is referred."""
    return dict.fromkeys(feature.name for feature in view.features)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_store_training_set_and_reference_agree_at_every_instant(
    lake: duckdb.DuckDBPyConnection, data: st.DataObject
) -> None:
    found = {
        view.name: data.draw(histories(view), label=view.name) for view in PRODUCT.feature_views
    }
    offsets = data.draw(
        st.lists(st.integers(-7_300_000, 100_000), min_size=1, max_size=4, unique=True)
    )
    ttl_ms = {view.name: int(view.ttl_seconds * 1_000) for view in PRODUCT.feature_views}
    edges = {
        moment + step
        for name, rows in found.items()
        for row in rows
        # It comes to be known; it goes stale after one ttl, and missing after two.
        for moment in (row.event, row.created, *(row.event + n * ttl_ms[name] for n in (1, 2)))
        for step in (-1, 0, 1)
    }
    instants = [NOW + timedelta(milliseconds=offset) for offset in sorted({*offsets, *edges})]

    trained = in_the_training_set(lake, found, instants)

    for view in (ACCOUNTS, AREAS):
        for instant in instants:
            expected = as_known(view, found[view.name], instant)
            assert trained[view.name][instant] == (expected or nulls(view)), (view.name, instant)
            assert in_the_store(view, found[view.name], instant) == expected, (view.name, instant)


@pytest.mark.parametrize("number", [-1, 2**53])
def test_an_application_with_an_integer_key_that_no_request_could_carry_is_left_out(
    lake: duckdb.DuckDBPyConnection, number: int
) -> None:
    row = ("a-1", KEYS["person_id"], number, naive(NOW), naive(NOW), 1.0, 0)
    fill(lake, PRODUCT.applications_table, [row])

    assert lake.execute(SQL).fetchall() == []
