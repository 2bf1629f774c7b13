"""From a paging alarm, or a rollout that ended on the way, to the former champion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from constructs import Construct

from cdk_app.components.dead_letters import undelivered
from cdk_app.components.pager import Figure, kebab, waiting_in
from cdk_app.components.service_function import ServiceFunction
from credit_core.domain.alarm_change import RINGS
from credit_core.domain.places import rollout_partition
from credit_core.settings import GuardSettings

if TYPE_CHECKING:
    from cdk_app.components.layers import Layers
    from cdk_app.components.pager import Pager
    from cdk_app.components.rollout import ModelRollout
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct

WITHOUT_SUCCESS = ("ABORTED", "FAILED", "TIMED_OUT")
EVENT_AGE_SECONDS = 3_600
"""Of a rollout's end that cannot be delivered; an alarm's change SNS tries for days."""


class ModelGuard(Construct):
    """A function that hears of alarms and rollouts, and has the promoter take a model back.

    It listens where every alarm speaks for itself: on the other topic one that goes off while
    another one rings would not be heard, and the guard would hear its own pages.
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
        rollout: ModelRollout,
    ) -> None:
        super().__init__(scope, id_)
        channels, watched = storage.channels, stage.rollout
        guard = ServiceFunction(
            self,
            "Guard",
            name="guard",
            description="Takes a new model back when an alarm goes off",
            stage=stage,
            size=stage.guard,
            settings=GuardSettings(
                product=product.name,
                deployment=stage.prefix,
                registry_table=storage.tables.registry.table_name,
                promoter_function=rollout.function.function_name,
                page_topic=channels.page.topic_arn,
                baking_seconds=watched.watch_seconds,
                alarms=_names(stage, watched.alarms),
                shadow_alarms=_names(stage, watched.shadow_alarms),
            ),
            layers=layers,
            key=storage.key,
        )
        self.function = guard.function
        self.undelivered = undelivered(self, "Undelivered", removal=RemovalPolicy.DESTROY)
        may = guard.role
        may.allow_items(
            "dynamodb:Query",
            table=storage.tables.registry,
            partition=rollout_partition(product.name),
        )
        may.allow_key(storage.key, through=("dynamodb",))
        may.allow("lambda:InvokeFunction", on=[rollout.function.function_arn])
        may.allow("sns:Publish", on=[channels.page.topic_arn])
        may.allow_key(channels.key, through=("sns",))
        self._hear_of_alarms(channels.inform)
        self._hear_of_rollouts(rollout.workflow.arn)

    def _hear_of_alarms(self, topic: sns.ITopic) -> None:
        lambda_.CfnPermission(
            self,
            "ByAlarms",
            action="lambda:InvokeFunction",
            function_name=self.function.function_arn,
            principal="sns.amazonaws.com",
            source_arn=topic.topic_arn,
        )
        self._keep_undelivered("alarms", "sns.amazonaws.com", topic.topic_arn)
        sns.CfnSubscription(
            self,
            "Alarms",
            topic_arn=topic.topic_arn,
            protocol="lambda",
            endpoint=self.function.function_arn,
            # Neither the end of an alarm nor words to people.
            filter_policy_scope="MessageBody",
            filter_policy={"NewStateValue": [RINGS]},
            redrive_policy={"deadLetterTargetArn": self.undelivered.queue_arn},
        )

    def _hear_of_rollouts(self, state_machine_arn: str) -> None:
        rule = events.CfnRule(
            self,
            "Rollouts",
            description="Rollouts that were stopped, failed, or ran out of time",
            event_pattern={
                "source": ["aws.states"],
                "detail-type": ["Step Functions Execution Status Change"],
                "detail": {
                    "stateMachineArn": [state_machine_arn],
                    "status": list(WITHOUT_SUCCESS),
                },
            },
            state="ENABLED",
            targets=[
                events.CfnRule.TargetProperty(
                    id="Guard",
                    arn=self.function.function_arn,
                    retry_policy=events.CfnRule.RetryPolicyProperty(
                        maximum_event_age_in_seconds=EVENT_AGE_SECONDS
                    ),
                    dead_letter_config=events.CfnRule.DeadLetterConfigProperty(
                        arn=self.undelivered.queue_arn
                    ),
                )
            ],
        )
        self._keep_undelivered("rollouts", "events.amazonaws.com", rule.attr_arn)
        lambda_.CfnPermission(
            self,
            "ByRollouts",
            action="lambda:InvokeFunction",
            function_name=self.function.function_arn,
            principal="events.amazonaws.com",
            source_arn=rule.attr_arn,
        )

    def _keep_undelivered(self, what: str, service: str, source_arn: str) -> None:
        self.undelivered.add_to_resource_policy(
            iam.PolicyStatement(
                sid=f"Undelivered{what.title()}",
                principals=[iam.ServicePrincipal(service)],
                actions=["sqs:SendMessage"],
                resources=[self.undelivered.queue_arn],
                conditions={"ArnEquals": {"aws:SourceArn": source_arn}},
            )
        )


class GuardAlarms(Construct):
    """Did the guard fail to take a model back, or to say so, or never hear of it?"""

    def __init__(self, scope: Construct, id_: str, *, pager: Pager, guard: ModelGuard) -> None:
        super().__init__(scope, id_)
        pager.page(
            "GuardFailed",
            description="The guard did not take a new model back, or could not tell: its log, and "
            "a page before this one, say which. Look who answers, and withdraw the challenger or "
            "roll the champion back by hand.",
            of=Figure(
                namespace="AWS/Lambda",
                metric="Errors",
                dimensions={"FunctionName": guard.function.function_name},
            ),
            runbook="model-taken-back",
        )
        pager.page(
            "GuardNotReached",
            description="An alarm, or the end of a rollout, did not reach the guard; the queue "
            "holds what it was. Look who answers, and withdraw the challenger or roll the champion "
            "back by hand.",
            of=waiting_in(guard.undelivered.queue_name),
            runbook="model-taken-back",
        )


def _names(stage: Stage, alarms: tuple[str, ...]) -> str:
    return ",".join(f"{stage.prefix}-{kebab(name)}" for name in alarms)
