"""From an applicant's keys to tombstones in the online store and receipts that end in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from cdk_app.components.service_function import ServiceFunction
from credit_core.domain.places import (
    BY_APPLICANT,
    erased_partition,
    pushed_prefix,
    receipts_prefix,
)
from credit_core.settings import EraserSettings

if TYPE_CHECKING:
    from cdk_app.components.layers import Layers
    from cdk_app.components.own_role import OwnRole
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


class Erasure(Construct):
    """A function that a person calls, `credit erase` for one; nothing calls it by itself."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        product: CreditProduct,
        storage: Storage,
        layers: Layers,
    ) -> None:
        super().__init__(scope, id_)
        tables, buckets = storage.tables, storage.buckets
        secret = storage.entity_key.secret
        eraser = ServiceFunction(
            self,
            "Eraser",
            name="eraser",
            description="Erases an applicant whose keys it is called with; they are never logged",
            stage=stage,
            size=stage.eraser,
            settings=EraserSettings(
                stage=stage.name,
                product=product.name,
                lake_bucket=buckets.lake.bucket_name,
                receipts_bucket=buckets.receipts.bucket_name,
                online_store_table=tables.online_store.table_name,
                decisions_table=tables.decisions.table_name,
                registry_table=tables.registry.table_name,
                entity_key_secret=secret.secret_arn,
                receipt_days=stage.receipt_days,
                duty_days=stage.receipt_duty_days,
                split_bytes=stage.materialization.split_bytes,
                split_rows=stage.materialization.split_rows,
            ),
            layers=layers,
            key=storage.key,
        )
        may = eraser.role
        allow_covering(may, product=product, storage=storage)
        may.allow("dynamodb:Query", on=[tables.decisions.table_arn])
        may.allow("dynamodb:Query", on=[f"{tables.decisions.table_arn}/index/{BY_APPLICANT}"])
        # Of a record it can change nothing but the end.
        may.allow(
            "dynamodb:UpdateItem",
            on=[tables.decisions.table_arn],
            conditions={
                "ForAllValues:StringEquals": {
                    "dynamodb:Attributes": ["application_id", "expires_at", "record"]
                }
            },
        )
        may.allow_listing(
            buckets.receipts, receipts_prefix(product.name), tells_what_is_missing=True
        )
        may.allow_objects(
            "s3:PutObjectTagging", bucket=buckets.receipts, prefix=receipts_prefix(product.name)
        )
        lake_prefix = f"{product.name}/"
        may.allow_listing(buckets.lake, lake_prefix, tells_what_is_missing=True)
        may.allow_objects("s3:GetObject", bucket=buckets.lake, prefix=lake_prefix)
        may.allow(
            "s3:ListBucketVersions",
            on=[buckets.lake.bucket_arn],
            conditions={"StringLike": {"s3:prefix": [f"{lake_prefix}*"]}},
        )
        for view in product.views_of_applicant:
            # Rows that were pushed: the only files of the lake that this service writes.
            may.allow_objects(
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
                bucket=buckets.lake,
                prefix=pushed_prefix(product, view),
            )
        may.allow("secretsmanager:GetSecretValue", on=[secret.secret_arn])
        may.allow_key(storage.key, through=("dynamodb", "s3", "secretsmanager"))
        self.function = eraser.function


def allow_covering(role: OwnRole, *, product: CreditProduct, storage: Storage) -> None:
    """Allow to put tombstones, and to read and keep the list of erased applicants."""
    tables = storage.tables
    role.allow("dynamodb:PutItem", on=[tables.online_store.table_arn])
    role.allow_items(
        *("dynamodb:GetItem", "dynamodb:Query", "dynamodb:UpdateItem"),
        table=tables.registry,
        partition=erased_partition(product.name),
    )


def allow_asking(role: OwnRole, *, product: CreditProduct, storage: Storage) -> None:
    """Allow to ask whether applicants were erased."""
    role.allow_items(
        "dynamodb:BatchGetItem",
        table=storage.tables.registry,
        partition=erased_partition(product.name),
    )
