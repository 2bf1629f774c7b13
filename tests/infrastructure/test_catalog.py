from __future__ import annotations

from typing import TYPE_CHECKING

from credit_core.domain.point_in_time import training_set_sql
from credit_core.domain.product import load_product
from tests.infrastructure.templates import properties

if TYPE_CHECKING:
    from tests.infrastructure.templates import Deployment

PRODUCT = load_product("personal_loan")


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
        names = [*view.entity.keys, "event_timestamp", "created_timestamp"]
        names += [feature.name for feature in view.features]
        assert list(tables[PRODUCT.view_table(view)]) == names


def test_applications_have_their_label_and_what_the_model_must_not_see(local: Deployment) -> None:
    columns = glue_tables(local)[PRODUCT.applications_table]

    assert columns[PRODUCT.label.name] == "bigint"
    assert {unwanted.name for unwanted in PRODUCT.prohibited} <= set(columns)


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
