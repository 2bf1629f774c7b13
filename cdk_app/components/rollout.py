"""How a registered model comes to answer: the function that moves the pointer, and its plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import ArnFormat, Stack
from constructs import Construct

from cdk_app.components.pager import kebab
from cdk_app.components.rollout_definition import rollout_definition
from cdk_app.components.service_function import ServiceFunction
from cdk_app.components.workflow import Workflow
from credit_core.domain.places import rollout_partition
from credit_core.settings import PromoterSettings

if TYPE_CHECKING:
    from cdk_app.components.layers import Layers
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


class ModelRollout(Construct):
    """The promoter, which alone may move the pointer, and the state machine that has it do so.

    The alarms are known by name alone: they belong to the operations stack, which comes last.
    """

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
        self._stage, self._product, self._storage = stage, product, storage
        self._promoter = self._function(layers)
        self.function = self._promoter.function
        alarms = [f"{stage.prefix}-{kebab(name)}" for name in stage.rollout.alarms]
        self.workflow = Workflow(
            self,
            "Workflow",
            name="rollout",
            definition=rollout_definition(
                stage=stage,
                promoter_arn=self.function.function_arn,
                promoter_timeout_seconds=stage.promoter.timeout_seconds,
                alarms=alarms,
            ),
            stage=stage,
            key=storage.key,
        )
        self.workflow.role.allow("lambda:InvokeFunction", on=[self.function.function_arn])
        self.workflow.role.allow(
            "cloudwatch:DescribeAlarms", on=[self._alarm_arn(name) for name in alarms]
        )
        if stage.rollout.approval_hours:
            self._promoter.role.allow(
                "states:SendTaskFailure", "states:SendTaskSuccess", on=[self.workflow.arn]
            )

    def _function(self, layers: Layers) -> ServiceFunction:
        models, registry = self._storage.buckets.models, self._storage.tables.registry
        promoter = ServiceFunction(
            self,
            "Promoter",
            name="promoter",
            description="Moves the rollout pointer",
            stage=self._stage,
            size=self._stage.promoter,
            settings=PromoterSettings(
                product=self._product.name,
                models_bucket=models.bucket_name,
                registry_table=registry.table_name,
                signing_key=self._storage.signing_key.key_arn,
            ),
            layers=layers,
            key=self._storage.key,
        )
        may = promoter.role
        may.allow_objects("s3:GetObject", bucket=models, prefix=f"{self._product.name}/")
        may.allow_items(
            *("dynamodb:GetItem", "dynamodb:UpdateItem"),
            table=registry,
            partition=self._product.name,
        )
        may.allow_items(
            "dynamodb:ConditionCheckItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            table=registry,
            partition=rollout_partition(self._product.name),
        )
        may.allow("kms:Verify", on=[self._storage.signing_key.key_arn])
        may.allow_key(self._storage.key, through=("dynamodb", "s3"))
        return promoter

    def _alarm_arn(self, name: str) -> str:
        return Stack.of(self).format_arn(
            service="cloudwatch",
            resource="alarm",
            resource_name=name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
