"""What outlives every deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import CfnOutput, Stack

from cdk_app.components.buckets import Buckets
from cdk_app.components.catalog import Catalog
from cdk_app.components.channels import Channels
from cdk_app.components.emptier import Emptier
from cdk_app.components.encryption import DataKey
from cdk_app.components.entity_key import EntityKey
from cdk_app.components.layers import Layers
from cdk_app.components.signing import SigningKey
from cdk_app.components.storage import Storage
from cdk_app.components.tables import Tables

if TYPE_CHECKING:
    from constructs import Construct

    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


class StorageStack(Stack):
    """Lake, results, models, receipts, online store, decisions, registry, and the keys to them."""

    def __init__(
        self, scope: Construct, id_: str, *, stage: Stage, product: CreditProduct, **props: Any
    ) -> None:
        super().__init__(scope, id_, **props)
        key = DataKey(self, "Data", stage=stage).key
        buckets = Buckets(self, "Buckets", stage=stage, key=key)
        self.storage = Storage(
            key=key,
            signing_key=SigningKey(self, "Models", stage=stage).key,
            buckets=buckets,
            tables=Tables(self, "Tables", stage=stage, key=key),
            catalog=Catalog(self, "Catalog", stage=stage, product=product, lake=buckets.lake),
            entity_key=EntityKey(self, "EntityKey", stage=stage, key=key),
            channels=Channels(self, "Alarms", stage=stage),
        )
        if stage.emptier:
            Emptier(
                self,
                "Emptier",
                stage=stage,
                size=stage.emptier,
                buckets=buckets.all,
                layers=Layers(self, "Layers", stage=stage),
                key=key,
            )
        for name, value in {
            "LakeBucket": buckets.lake.bucket_name,
            "ResultsBucket": buckets.results.bucket_name,
            "ModelsBucket": buckets.models.bucket_name,
            "ReceiptsBucket": buckets.receipts.bucket_name,
            "OnlineStoreTable": self.storage.tables.online_store.table_name,
            "DecisionsTable": self.storage.tables.decisions.table_name,
            "RegistryTable": self.storage.tables.registry.table_name,
            "SigningKey": self.storage.signing_key.key_arn,
            "PageTopic": self.storage.channels.page.topic_arn,
            "InformTopic": self.storage.channels.inform.topic_arn,
            "GlueDatabase": self.storage.catalog.database_name,
        }.items():
            CfnOutput(self, name, value=value)
