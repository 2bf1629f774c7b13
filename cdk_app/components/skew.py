"""From decisions and the lake to a measure of how far they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from cdk_app.components.erasure import allow_asking
from cdk_app.components.schedule import FunctionSchedule
from cdk_app.components.service_function import ServiceFunction
from credit_core.domain.places import SKEW_REPORTS, receipts_prefix
from credit_core.settings import SkewSettings

if TYPE_CHECKING:
    from cdk_app.components.layers import Layers
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct

TRIES_SECONDS = 12 * 3_600


class SkewMeter(Construct):
    """A function that compares what was served with the lake, and the schedule that invokes it."""

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
        buckets, secret = storage.buckets, storage.entity_key.secret
        meter = ServiceFunction(
            self,
            "Meter",
            name="skew",
            description="Compares what decisions were served with what the lake had then",
            stage=stage,
            size=stage.skew,
            settings=SkewSettings(
                stage=stage.name,
                product=product.name,
                receipts_bucket=buckets.receipts.bucket_name,
                lake_bucket=buckets.lake.bucket_name,
                results_bucket=buckets.results.bucket_name,
                registry_table=storage.tables.registry.table_name,
                entity_key_secret=secret.secret_arn,
                most_decisions=stage.skew_check.most_decisions,
                settling_minutes=stage.skew_check.settling_minutes,
                split_bytes=stage.materialization.split_bytes,
                split_rows=stage.materialization.split_rows,
            ),
            layers=layers,
            key=storage.key,
        )
        may = meter.role
        may.allow_listing(buckets.lake, product.features_prefix, tells_what_is_missing=True)
        may.allow_listing(buckets.receipts, receipts_prefix(product.name))
        may.allow_objects("s3:GetObject", bucket=buckets.lake, prefix=product.features_prefix)
        may.allow_objects(
            "s3:GetObject", bucket=buckets.receipts, prefix=receipts_prefix(product.name)
        )
        may.allow_objects(
            "s3:PutObject", bucket=buckets.results, prefix=f"{SKEW_REPORTS}{product.name}/"
        )
        may.allow("secretsmanager:GetSecretValue", on=[secret.secret_arn])
        allow_asking(may, product=product, storage=storage)
        may.allow_key(storage.key, through=("dynamodb", "s3", "secretsmanager"))
        may.allow_metrics()
        self.function = meter.function
        FunctionSchedule(
            self,
            "Schedule",
            description=f"Compares what {stage.prefix} served yesterday with the lake",
            expression=stage.skew_check.schedule,
            tries_seconds=TRIES_SECONDS,
            asked={},
            function=self.function,
        )
