"""The function that reads decisions and adds reviews and outcomes beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from cdk_app.components.api_routes import RECORDS
from cdk_app.components.live_alias import LiveAlias
from cdk_app.components.service_function import ServiceFunction
from credit_core.domain.places import AWAITING_REVIEW, rollout_partition
from credit_core.settings import RecordsSettings

if TYPE_CHECKING:
    from cdk_app.components.layers import Layers
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


class Records(Construct):
    """It reads features of nobody, and of the registry what concerns its product's models."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        product: CreditProduct,
        storage: Storage,
        layers: Layers,
        token_url: str,
    ) -> None:
        super().__init__(scope, id_)
        decisions, registry = storage.tables.decisions, storage.tables.registry
        models = storage.buckets.models
        records = ServiceFunction(
            self,
            "Records",
            name=RECORDS,
            description="Reads decisions and what waits for a person, records reviews and outcomes",
            stage=stage,
            size=stage.records,
            settings=RecordsSettings(
                product=product.name,
                receipt_days=stage.receipt_days,
                decisions_table=decisions.table_name,
                registry_table=registry.table_name,
                models_bucket=models.bucket_name,
                signing_key=storage.signing_key.key_arn,
                token_url=token_url,
            ),
            layers=layers,
            key=storage.key,
        )
        may = records.role
        # A transaction needs what its writes need: one puts, one updates.
        may.allow(
            *("dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem"),
            on=[decisions.table_arn],
        )
        may.allow("dynamodb:Query", on=[f"{decisions.table_arn}/index/{AWAITING_REVIEW}"])
        for partition in (product.name, rollout_partition(product.name)):
            may.allow_items("dynamodb:GetItem", table=registry, partition=partition)
        may.allow_objects("s3:GetObject", bucket=models, prefix=f"{product.name}/")
        may.allow("kms:Verify", on=[storage.signing_key.key_arn])
        may.allow_key(storage.key, through=("dynamodb", "s3"))
        self.function = records.function
        self.live = LiveAlias(self, "Live", function=self.function)
