"""Every module under products/: what follows from it fits together. A new one is tested by this."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import duckdb
import pytest

from credit_cli import main
from credit_core.domain.application import ApplicationReader
from credit_core.domain.credit_lint import credit_lint
from credit_core.domain.feature_matrix import feature_matrix
from credit_core.domain.findings import Severity
from credit_core.domain.lake_tables import ColumnType, lake_tables
from credit_core.domain.point_in_time import training_set_columns, training_set_sql
from credit_core.domain.product import DType, KeyType, load_product, product_names
from tests.builders import WITHOUT_RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credit_core.domain.product import CreditProduct, EntityKey, Feature, Value

DUCKDB_TYPES = {
    ColumnType.TEXT: "VARCHAR",
    ColumnType.INTEGER: "BIGINT",
    ColumnType.FLOAT: "DOUBLE",
    ColumnType.INSTANT: "TIMESTAMP",
}
LONGEST_GLUE_NAME = 255


@pytest.fixture(params=product_names())
def product(request: pytest.FixtureRequest) -> CreditProduct:
    return load_product(request.param)


@pytest.fixture
def lake() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


def described(product: CreditProduct, lake: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return columns and types of the training set over the product's empty tables."""
    for table in lake_tables(product):
        columns = ", ".join(
            f'"{name}" {DUCKDB_TYPES[type_]}' for name, type_ in table.columns.items()
        )
        lake.execute(f'CREATE TABLE "{table.name}" ({columns})')
    sql = training_set_sql(product)
    assert lake.execute(sql).fetchall() == []
    return {name: type_ for name, type_, *_ in lake.execute(f"DESCRIBE {sql}").fetchall()}


def a_value(feature: Feature) -> Value:
    """Return a valid value: the lowest, or the first category."""
    if feature.dtype is DType.CATEGORY:
        return feature.categories[0]
    assert feature.minimum is not None
    return int(feature.minimum) if feature.dtype is DType.INTEGER else float(feature.minimum)


def a_key(key: EntityKey) -> str | int | None:
    """Return a valid key, None where the pattern is too special to guess one."""
    if key.dtype is KeyType.INTEGER:
        return 7
    candidates = ("a", "1", "AA", "12345", "12345678_1234", "19900101_1234")
    return next((it for it in candidates if key.value_fault(it) is None), None)


def test_the_lint_finds_no_error(product: CreditProduct) -> None:
    assert [it for it in credit_lint(product) if it.severity is Severity.ERROR] == []


def test_the_training_query_runs_on_the_tables_and_has_its_columns_in_order(
    product: CreditProduct, lake: duckdb.DuckDBPyConnection
) -> None:
    types = described(product, lake)

    assert tuple(types) == training_set_columns(product)
    for feature in product.base_features:
        expected = {DType.FLOAT: "DOUBLE", DType.INTEGER: "BIGINT", DType.CATEGORY: "VARCHAR"}
        assert types[feature.name] == expected[feature.dtype], feature.name


def test_each_table_has_a_name_and_a_prefix_of_its_own(product: CreditProduct) -> None:
    tables = lake_tables(product)

    assert len({table.name for table in tables}) == len(tables)
    assert len({table.prefix for table in tables}) == len(tables)
    assert all(len(table.name) <= LONGEST_GLUE_NAME for table in tables)
    assert all(table.prefix.startswith(f"{product.name}/") for table in tables)


def test_a_request_as_the_schema_has_it_is_read(product: CreditProduct) -> None:
    reader = ApplicationReader(product)
    schema = reader.schema.model_json_schema()
    fields = ["application_id", *product.entity_key_names]
    fields += [feature.name for feature in product.request_features]

    assert schema["required"] == fields
    assert list(schema["properties"]) == fields
    keys = {key.name: a_key(key) for key in product.entity_keys}
    if None not in keys.values():
        values = {feature.name: a_value(feature) for feature in product.request_features}
        read = reader(json.dumps({"application_id": "a-1"} | keys | values))
        assert dict(read.features) == values


def test_valid_values_make_the_models_input(product: CreditProduct) -> None:
    columns = {feature.name: [a_value(feature)] * 2 for feature in product.base_features}

    assert feature_matrix(product, columns).shape == (2, len(product.model_features))


def test_check_prints_all_of_it(product: CreditProduct, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["products", "check", product.name]) == 0
    shown = capsys.readouterr().out

    for feature in product.model_features:
        assert feature.name in shown
    for table in lake_tables(product):
        assert table.name in shown
    listed = [len(line) for line in shown.splitlines()]
    assert max(listed) <= 120

    assert main.run(["products", "check", product.name, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["inputs"] == [feature.name for feature in product.model_features]
    assert document["sql"] == training_set_sql(product)


def test_no_two_products_share_a_table() -> None:
    """They would share a database, where one stage holds both."""
    names = [table.name for name in product_names() for table in lake_tables(load_product(name))]

    assert len(set(names)) == len(names)


def test_names_that_the_query_uses_itself_are_free_for_views(
    lake: duckdb.DuckDBPyConnection,
) -> None:
    """A view may be called after a subquery, or after another view and a subquery's ending."""
    product = load_product("personal_loan")
    bureau = product.feature_views[0]
    names = ("newest", "delivered", "labelled", "a", "x", "x_rows", "x_wanted", "x_reached")
    views = tuple(
        replace(bureau, name=name, features=(replace(bureau.features[0], name=f"{name}_count"),))
        for name in names
    )

    plain = replace(product, feature_views=views, derived_features=(), policy=WITHOUT_RULES)
    types = described(plain, lake)

    assert {f"{name}_event_timestamp" for name in names} <= set(types)
