"""The function that decides, and the warm environments it runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_iam as iam
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


SCALING_ROLE = "AWSServiceRoleForApplicationAutoScaling_LambdaConcurrency"
"""The role by which Application Auto Scaling warms functions; it makes it itself."""


class Scorer(Construct):
    """It reads three tables and writes only decisions; its current version is kept warm."""

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
                receipt_days=stage.receipt_days,
                decisions_table=tables.decisions.table_name,
                registry_table=tables.registry.table_name,
                models_bucket=models.bucket_name,
                signing_key=storage.signing_key.key_arn,
                entity_key_secret=secret.secret_arn,
                deadline_ms=stage.scorer_deadline_ms,
            ),
            layers=layers,
            key=storage.key,
            warm=warm_at_first(stage),
        )
        allow_deciding(scorer.role, product=product, storage=storage)
        self.function = scorer.function
        self.live = LiveAlias(self, "Live", function=scorer.function)
        if stage.scaling:
            self._follow_load(stage.scaling, minimum=stage.provisioned_concurrency)

    def _follow_load(self, scaling: Scaling, *, minimum: int) -> None:
        """Keep as many environments of this version warm as it needs; each version has its own."""
        version = self.function.current_version.version
        warm = autoscaling.ScalableTarget(
            self,
            "Warm",
            service_namespace=autoscaling.ServiceNamespace.LAMBDA,
            scalable_dimension="lambda:function:ProvisionedConcurrency",
            resource_id=f"function:{self.function.function_name}:{version}",
            min_capacity=minimum,
            max_capacity=scaling.maximum,
            role=iam.Role.from_role_arn(self, "ScalingRole", self._scaling_role_arn()),
        )
        warm.scale_to_track_metric(
            "Tracking",
            target_value=scaling.target_utilization,
            predefined_metric=autoscaling.PredefinedMetric.LAMBDA_PROVISIONED_CONCURRENCY_UTILIZATION,
        )
        for change in scaling.schedule:
            warm.scale_on_schedule(
                change.name,
                schedule=autoscaling.Schedule.cron(
                    minute="0", hour=change.hour, week_day=change.week_day
                ),
                min_capacity=change.minimum,
            )

    def _scaling_role_arn(self) -> str:
        return Stack.of(self).format_arn(
            service="iam",
            region="",
            resource="role/aws-service-role/lambda.application-autoscaling.amazonaws.com",
            resource_name=SCALING_ROLE,
            arn_format=ArnFormat.SLASH_RESOURCE_NAME,
        )


def warm_at_first(stage: Stage) -> int:
    """Return how many environments of a new version are warm before anybody reaches it.

    As many as business hours begin with, at whatever hour it is deployed; from there it follows the
    load.
    """
    schedule = stage.scaling.schedule if stage.scaling else ()
    return max([stage.provisioned_concurrency, *(change.minimum for change in schedule)])
