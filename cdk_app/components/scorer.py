"""The function that decides, and the warm environments it runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_applicationautoscaling as autoscaling
from constructs import Construct

from cdk_app.components.api_routes import SCORER
from cdk_app.components.deciding import allow_deciding
from cdk_app.components.live_alias import LiveAlias
from cdk_app.components.service_function import ServiceFunction
from credit_core.settings import ScorerSettings

if TYPE_CHECKING:
    from cdk_app.components.layers import Layers
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Scaling, Stage
    from credit_core.domain.product import CreditProduct


class Scorer(Construct):
    """One version is live at a time; it reads three tables and writes only decisions."""

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
        tables, models, secret = storage.tables, storage.buckets.models, storage.entity_key.secret
        scorer = ServiceFunction(
            self,
            "Scorer",
            name=SCORER,
            description="Decides one application",
            stage=stage,
            size=stage.scorer,
            settings=ScorerSettings(
                stage=stage.name,
                product=product.name,
                online_store_table=tables.online_store.table_name,
                decisions_table=tables.decisions.table_name,
                registry_table=tables.registry.table_name,
                models_bucket=models.bucket_name,
                signing_key=storage.signing_key.key_arn,
                entity_key_secret=secret.secret_arn,
                deadline_ms=stage.scorer_deadline_ms,
            ),
            layers=layers,
            key=storage.key,
        )
        allow_deciding(scorer.role, product=product, storage=storage)
        self.function = scorer.function
        self.live = LiveAlias(
            self, "Live", function=scorer.function, warm=stage.provisioned_concurrency
        )
        if stage.scaling:
            self._follow_load(stage.scaling, minimum=stage.provisioned_concurrency)

    def _follow_load(self, scaling: Scaling, *, minimum: int) -> None:
        warm = self.live.add_auto_scaling(min_capacity=minimum, max_capacity=scaling.maximum)
        warm.scale_on_utilization(utilization_target=scaling.target_utilization)
        for change in scaling.schedule:
            warm.scale_on_schedule(
                change.name,
                schedule=autoscaling.Schedule.cron(
                    minute="0", hour=change.hour, week_day=change.week_day
                ),
                min_capacity=change.minimum,
            )
