from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import duckdb

from credit_cli.sample import write_sample
from credit_core.domain.point_in_time import training_set_sql
from credit_core.domain.product import load_product
from tests.infrastructure.templates import properties

if TYPE_CHECKING:
    from pathlib import Path

    from tests.infrastructure.templates import Deployment

PRODUCT = load_product("personal_loan")
GLUE_TYPES = {
    "VARCHAR": "string",
    "BIGINT": "bigint",
    "DOUBLE": "double",
    "TIMESTAMP": "timestamp",
}


def glue_tables(deployment: Deployment) -> dict[str, dict[str, str]]:
    """Return the columns and their types by table name."""
    inputs = [
        properties(table)["TableInput"] for table in deployment.of_type("AWS::Glue::Table").values()
    ]
    return {
        table["Name"]: {
            column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]
        }
        for table in inputs
    }


def test_each_view_has_a_table_with_its_keys_times_and_features(local: Deployment) -> None:
    tables = glue_tables(local)

    for view in PRODUCT.feature_views:
        names = [*view.entity.key_names, "event_timestamp", "created_timestamp"]
        names += [feature.name for feature in view.features]
        assert list(tables[PRODUCT.view_table(view)]) == names


def test_applications_have_their_label_but_not_what_the_model_must_not_see(
    local: Deployment,
) -> None:
    columns = glue_tables(local)[PRODUCT.applications_table]

    assert columns[PRODUCT.label.name] == "bigint"
    assert PRODUCT.prohibited
    assert not {unwanted.name for unwanted in PRODUCT.prohibited} & set(columns)


def test_columns_have_the_types_of_the_samples_files(local: Deployment, tmp_path: Path) -> None:
    """Athena fails on a file whose column is of another type than its table's."""
    tables = glue_tables(local)
    prefixes = {PRODUCT.applications_prefix: PRODUCT.applications_table} | {
        PRODUCT.view_prefix(view): PRODUCT.view_table(view) for view in PRODUCT.feature_views
    }

    for path in write_sample(tmp_path, last_day=date(2026, 11, 20), product=PRODUCT):
        (table,) = (
            tables[name]
            for prefix, name in prefixes.items()
            if path.relative_to(tmp_path).as_posix().startswith(prefix)
        )
        described = duckdb.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)]).fetchall()
        types = {name: GLUE_TYPES[type_] for name, type_, *_ in described}
        assert table == {name: types[name] for name in table}


def test_the_training_query_names_only_tables_of_the_catalog(local: Deployment) -> None:
    sql = training_set_sql(PRODUCT)

    for name in glue_tables(local):
        assert name in sql


def test_a_table_lies_where_the_materialization_reads(local: Deployment) -> None:
    locations = {
        table["Name"]: local.text(table["StorageDescriptor"]["Location"], "storage")
        for table in (
            properties(found)["TableInput"] for found in local.of_type("AWS::Glue::Table").values()
        )
    }

    for view in PRODUCT.feature_views:
        expected = f"s3://storage/Buckets/Lake/{PRODUCT.view_prefix(view)}"
        assert locations[PRODUCT.view_table(view)] == expected
