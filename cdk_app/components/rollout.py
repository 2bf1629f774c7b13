"""How a registered model comes to answer: who moves the pointer, who approves, and the plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import ArnFormat, Stack
from constructs import Construct

from cdk_app.components.acknowledgements import acknowledge
from cdk_app.components.own_role import WILDCARD
from cdk_app.components.pager import kebab
from cdk_app.components.rollout_definition import rollout_definition
from cdk_app.components.service_function import ServiceFunction
from cdk_app.components.workflow import Workflow
from credit_core.domain.metrics import dimensions
from credit_core.domain.places import approvals_partition, rollout_partition
from credit_core.settings import ApproverSettings, PromoterSettings

if TYPE_CHECKING:
    from cdk_app.components.layers import Layers
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct

NAME = "rollout"


class ModelRollout(Construct):
    """The promoter, which alone may move the pointer, and the state machine that has it do so.

    The approver, which passes on a person's word, may not move it. The alarms are known by name
    alone: they belong to the operations stack, which comes last.
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
        self._machine = self._arn("states", "stateMachine", f"{stage.prefix}-{NAME}")
        promoter = self._promoter(layers)
        self.function = promoter.function
        self.approver = self._approver(layers).function
        alarms = {name: f"{stage.prefix}-{kebab(name)}" for name in stage.rollout.alarms}
        self.workflow = Workflow(
            self,
            "Workflow",
            name=NAME,
            definition=rollout_definition(
                stage.rollout,
                promoter_arn=self.function.function_arn,
                promoter_timeout_seconds=stage.promoter.timeout_seconds,
                alarms=alarms,
                dimensions=dimensions(stage=stage.name, product=product.name),
            ),
            stage=stage,
            key=storage.key,
        )
        self.workflow.role.allow("lambda:InvokeFunction", on=[self.function.function_arn])
        self.workflow.role.allow_looking_at_alarms()
        if stage.rollout.evidence.counts:
            # A metric is no resource that could be named.
            self.workflow.role.allow("cloudwatch:GetMetricData", on=["*"])

    def _promoter(self, layers: Layers) -> ServiceFunction:
        models, registry = self._storage.buckets.models, self._storage.tables.registry
        channels = self._storage.channels
        promoter = ServiceFunction(
            self,
            "Promoter",
            name="promoter",
            description="Moves the rollout pointer",
            stage=self._stage,
            size=self._stage.promoter,
            settings=PromoterSettings(
                stage=self._stage.name,
                product=self._product.name,
                models_bucket=models.bucket_name,
                registry_table=registry.table_name,
                signing_key=self._storage.signing_key.key_arn,
                rollout_machine=self._machine,
                inform_topic=channels.inform.topic_arn,
                needs_approval=self._stage.rollout.approval_hours is not None,
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
        executions = self._machine.replace(":stateMachine:", ":execution:")
        may.allow("states:StopExecution", on=[f"{executions}:*"])
        acknowledge(
            may,
            {
                f"{WILDCARD}[Resource::arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>"
                f":execution:{self._stage.prefix}-{NAME}:*]": "Executions are named when they "
                "start; these are of one state machine."
            },
        )
        if self._stage.rollout.approval_hours is not None:
            may.allow_items(
                *("dynamodb:GetItem", "dynamodb:PutItem"),
                table=registry,
                partition=approvals_partition(self._product.name),
            )
            may.allow("sns:Publish", on=[channels.inform.topic_arn])
            may.allow_key(channels.key, through=("sns",))
        return promoter

    def _approver(self, layers: Layers) -> ServiceFunction:
        registry = self._storage.tables.registry
        approver = ServiceFunction(
            self,
            "Approver",
            name="approver",
            description="Passes a person's word to the rollout that waits for it",
            stage=self._stage,
            size=self._stage.approver,
            settings=ApproverSettings(
                product=self._product.name,
                registry_table=registry.table_name,
            ),
            layers=layers,
            key=self._storage.key,
        )
        may = approver.role
        may.allow_items(
            *("dynamodb:GetItem", "dynamodb:PutItem"),
            table=registry,
            partition=approvals_partition(self._product.name),
        )
        may.allow_items(
            "dynamodb:GetItem", table=registry, partition=rollout_partition(self._product.name)
        )
        may.allow_key(self._storage.key, through=("dynamodb",))
        may.allow("states:SendTaskFailure", "states:SendTaskSuccess", on=[self._machine])
        return approver

    def _arn(self, service: str, resource: str, name: str) -> str:
        return Stack.of(self).format_arn(
            service=service,
            resource=resource,
            resource_name=name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
