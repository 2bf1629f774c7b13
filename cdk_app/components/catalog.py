"""The product's history as Athena sees it: one Glue table of applications, one per view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Aws
from aws_cdk import aws_glue as glue
from constructs import Construct

from credit_core.domain.product import DType, KeyType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aws_cdk import aws_s3 as s3

    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct, EntityKey, Feature

TYPES: Mapping[DType, str] = {
    DType.FLOAT: "double",
    DType.INTEGER: "bigint",
    DType.CATEGORY: "string",
}
KEY_TYPES: Mapping[KeyType, str] = {KeyType.TEXT: "string", KeyType.INTEGER: "bigint"}
WHEN = {"event_timestamp": "timestamp", "created_timestamp": "timestamp"}
PARQUET = "org.apache.hadoop.hive.ql.io.parquet"


def feature_columns(features: Iterable[Feature]) -> dict[str, str]:
    """Return the Glue type of each feature by its name."""
    return {feature.name: TYPES[feature.dtype] for feature in features}


def key_columns(keys: Iterable[EntityKey]) -> dict[str, str]:
    """Return the Glue type of each entity key by its name."""
    return {key.name: KEY_TYPES[key.dtype] for key in keys}


class Catalog(Construct):
    """One Glue database per stage, with the tables that follow from the product definition."""

    def __init__(
        self, scope: Construct, id_: str, *, stage: Stage, product: CreditProduct, lake: s3.IBucket
    ) -> None:
        super().__init__(scope, id_)
        self._lake = lake
        self.table_names = (
            product.applications_table,
            *(product.view_table(view) for view in product.feature_views),
        )
        self.database_name = f"credit_{stage.name}"
        self._database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=Aws.ACCOUNT_ID,
            database_input=glue.CfnDatabase.DatabaseInputProperty(
                name=self.database_name, description="History of applications and features"
            ),
        )
        # What the model must never see lies in the lake all the same, but not in the catalog: its
        # types are not stated anywhere, and Athena fails on a column of another type than its file.
        self._table(
            "Applications",
            product.applications_table,
            prefix=product.applications_prefix,
            columns={
                "application_id": "string",
                **key_columns(product.entity_keys),
                **WHEN,
                **feature_columns(product.request_features),
                product.label.name: "bigint",
            },
        )
        for view in product.feature_views:
            self._table(
                f"View{view.name.title().replace('_', '')}",
                product.view_table(view),
                prefix=product.view_prefix(view),
                columns={
                    **key_columns(view.entity.keys),
                    **WHEN,
                    **feature_columns(view.features),
                },
            )

    def _table(self, id_: str, name: str, *, prefix: str, columns: Mapping[str, str]) -> None:
        table = glue.CfnTable(
            self,
            id_,
            catalog_id=Aws.ACCOUNT_ID,
            database_name=self.database_name,
            table_input=glue.CfnTable.TableInputProperty(
                name=name,
                table_type="EXTERNAL_TABLE",
                parameters={"classification": "parquet", "EXTERNAL": "TRUE"},
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    location=self._lake.s3_url_for_object(prefix),
                    columns=[
                        glue.CfnTable.ColumnProperty(name=column, type=type_)
                        for column, type_ in columns.items()
                    ],
                    input_format=f"{PARQUET}.MapredParquetInputFormat",
                    output_format=f"{PARQUET}.MapredParquetOutputFormat",
                    serde_info=glue.CfnTable.SerdeInfoProperty(
                        serialization_library=f"{PARQUET}.serde.ParquetHiveSerDe"
                    ),
                ),
            ),
        )
        table.add_resource_dependency(self._database)
