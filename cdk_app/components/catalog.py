"""The product's history as Athena sees it: one Glue table of applications, one per view."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Aws
from aws_cdk import aws_glue as glue
from constructs import Construct

from credit_core.domain.lake_tables import lake_tables

if TYPE_CHECKING:
    from aws_cdk import aws_s3 as s3

    from cdk_app.stages import Stage
    from credit_core.domain.lake_tables import LakeTable
    from credit_core.domain.product import CreditProduct

PARQUET = "org.apache.hadoop.hive.ql.io.parquet"


class Catalog(Construct):
    """One Glue database per stage, with the tables that follow from the product definition."""

    def __init__(
        self, scope: Construct, id_: str, *, stage: Stage, product: CreditProduct, lake: s3.IBucket
    ) -> None:
        super().__init__(scope, id_)
        self._lake = lake
        tables = lake_tables(product)
        self.table_names = tuple(table.name for table in tables)
        self.database_name = stage.prefix.replace("-", "_")
        self._database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=Aws.ACCOUNT_ID,
            database_input=glue.CfnDatabase.DatabaseInputProperty(
                name=self.database_name, description="History of applications and features"
            ),
        )
        for table in tables:
            self._table(table)

    def _table(self, table: LakeTable) -> None:
        view = table.view.name.title().replace("_", "") if table.view else None
        made = glue.CfnTable(
            self,
            f"View{view}" if view else "Applications",
            catalog_id=Aws.ACCOUNT_ID,
            database_name=self.database_name,
            table_input=glue.CfnTable.TableInputProperty(
                name=table.name,
                table_type="EXTERNAL_TABLE",
                parameters={"classification": "parquet", "EXTERNAL": "TRUE"},
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    location=self._lake.s3_url_for_object(table.prefix),
                    columns=[
                        glue.CfnTable.ColumnProperty(name=column, type=type_)
                        for column, type_ in table.columns.items()
                    ],
                    input_format=f"{PARQUET}.MapredParquetInputFormat",
                    output_format=f"{PARQUET}.MapredParquetOutputFormat",
                    serde_info=glue.CfnTable.SerdeInfoProperty(
                        serialization_library=f"{PARQUET}.serde.ParquetHiveSerDe"
                    ),
                ),
            ),
        )
        made.add_resource_dependency(self._database)
