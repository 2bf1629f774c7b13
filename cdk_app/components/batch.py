"""The function that decides a batch of applications."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from cdk_app.components.api_routes import BATCH
from cdk_app.components.deciding import allow_deciding
from cdk_app.components.live_alias import LiveAlias
from cdk_app.components.service_function import ServiceFunction
from credit_core.settings import BatchSettings

if TYPE_CHECKING:
    from cdk_app.components.layers import Layers
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


class Batch(Construct):
    """It may do what the scorer may, in environments of its own, which are not kept warm."""

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
        tables, batching = storage.tables, stage.batching
        batch = ServiceFunction(
            self,
            "Batch",
            name=BATCH,
            description="Decides up to 100 applications, each alone",
            stage=stage,
            size=stage.batch,
            settings=BatchSettings(
                stage=stage.name,
                product=product.name,
                online_store_table=tables.online_store.table_name,
                receipt_days=stage.receipt_days,
                decisions_table=tables.decisions.table_name,
                registry_table=tables.registry.table_name,
                models_bucket=storage.buckets.models.bucket_name,
                signing_key=storage.signing_key.key_arn,
                entity_key_secret=storage.entity_key.secret.secret_arn,
                threads=batching.threads,
                deadline_ms=batching.deadline_ms,
                batch_seconds=batching.batch_seconds,
            ),
            layers=layers,
            key=storage.key,
        )
        allow_deciding(batch.role, product=product, storage=storage)
        self.function = batch.function
        self.live = LiveAlias(self, "Live", function=self.function)
