"""From the archive of receipts to what it shows of models: comparisons, and training sets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from cdk_app.components.schedule import FunctionSchedule
from cdk_app.components.service_function import ServiceFunction
from credit_core.domain.places import COMPARISONS, SERVED_TRAINING_SETS, receipts_prefix
from credit_core.settings import ComparerSettings, ServedSetSettings

if TYPE_CHECKING:
    from cdk_app.components.layers import Layers
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct

A_DAY_SECONDS = 86_400
"""The longest that EventBridge Scheduler keeps trying."""


class ModelEvidence(Construct):
    """A function that compares models each week, and one that makes training sets on call."""

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
        receipts, results = storage.buckets.receipts, storage.buckets.results
        comparer = ServiceFunction(
            self,
            "Comparer",
            name="comparer",
            description="Compares champion and challenger on the applicants both have judged",
            stage=stage,
            size=stage.comparer,
            settings=ComparerSettings(
                stage=stage.name,
                product=product.name,
                receipts_bucket=receipts.bucket_name,
                results_bucket=results.bucket_name,
                days=min(stage.comparison.days, stage.receipt_days),
                most_decisions=stage.comparison.most_decisions,
            ),
            layers=layers,
            key=storage.key,
        )
        served_set = ServiceFunction(
            self,
            "ServedSet",
            name="served_set",
            description="Makes a training set of what decisions were served",
            stage=stage,
            size=stage.served_set,
            settings=ServedSetSettings(
                product=product.name,
                receipts_bucket=receipts.bucket_name,
                results_bucket=results.bucket_name,
                receipt_days=stage.receipt_days,
                most_decisions=stage.comparison.most_decisions,
            ),
            layers=layers,
            key=storage.key,
        )
        for reader, prefix in (
            (comparer, f"{COMPARISONS}{product.name}/"),
            (served_set, SERVED_TRAINING_SETS),
        ):
            may = reader.role
            may.allow_listing(receipts, receipts_prefix(product.name))
            may.allow_objects("s3:GetObject", bucket=receipts, prefix=receipts_prefix(product.name))
            may.allow_objects("s3:PutObject", bucket=results, prefix=prefix)
            may.allow_key(storage.key, through=("s3",))
        comparer.role.allow_metrics()
        self.comparer, self.served_set = comparer.function, served_set.function
        FunctionSchedule(
            self,
            "Schedule",
            description=f"Compares champion and challenger of {stage.prefix}",
            expression=stage.comparison.schedule,
            tries_seconds=A_DAY_SECONDS,
            asked={"publish": "yes"},
            function=self.comparer,
        )
