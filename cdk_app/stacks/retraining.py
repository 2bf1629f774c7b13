"""From the lake to a champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import CfnOutput, Stack

from cdk_app.components.layers import Layers
from cdk_app.components.model_guard import ModelGuard
from cdk_app.components.retraining import Retraining
from cdk_app.components.rollout import ModelRollout

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_
    from constructs import Construct

    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


class RetrainingStack(Stack):
    """The state machines that train and judge a model, and that make it champion step by step."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        product: CreditProduct,
        storage: Storage,
        served_set: lambda_.IFunction,
        **props: Any,
    ) -> None:
        super().__init__(scope, id_, **props)
        layers = Layers(self, "Layers", stage=stage)
        rollout = ModelRollout(
            self, "Rollout", stage=stage, product=product, storage=storage, layers=layers
        )
        guard = ModelGuard(
            self,
            "Guard",
            stage=stage,
            product=product,
            storage=storage,
            layers=layers,
            rollout=rollout,
        )
        retraining = Retraining(
            self,
            "Retraining",
            stage=stage,
            product=product,
            storage=storage,
            layers=layers,
            rollout=rollout.workflow,
            served_set=served_set,
        )
        self.workflow, self.triggers = retraining.workflow, retraining.triggers
        self.rollout, self.guard = rollout.workflow, guard
        for name, value in {
            "RetrainingStateMachine": self.workflow.state_machine.ref,
            "RolloutStateMachine": rollout.workflow.state_machine.ref,
            "PromoterFunction": rollout.function.function_name,
            "ApproverFunction": rollout.approver.function_name,
            "GuardFunction": guard.function.function_name,
        }.items():
            CfnOutput(self, name, value=value)
