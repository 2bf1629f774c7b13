"""What starts a state machine without anybody asking: an upload, and the clock."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from cdk_app.components.dead_letters import undelivered
from cdk_app.components.own_role import OwnRole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_cdk import aws_s3 as s3

    from cdk_app.components.workflow import Workflow

EVENT_AGE_SECONDS = 3_600
EVENT_RETRIES = 30
"""Within an hour, with growing pauses and jitter: EventBridge's own way."""


class WorkflowTriggers(Construct):
    """Rules for uploads and schedules, each with a role to start one state machine only.

    An event that could not start a run waits in a queue of which on-call is told.
    """

    def __init__(self, scope: Construct, id_: str, *, workflow: Workflow) -> None:
        super().__init__(scope, id_)
        self._workflow = workflow
        self.dead_letters = undelivered(self, "DeadLetters", removal=RemovalPolicy.DESTROY)

    def on_upload(
        self,
        id_: str,
        *,
        description: str,
        bucket: s3.IBucket,
        keys: Sequence[Mapping[str, Any]],
        input_template: str,
    ) -> None:
        """Start a run when an object comes.

        Args:
            id_: Name of the rule.
            description: What it is for.
            bucket: Where the object comes; it tells EventBridge of each.
            keys: Patterns, any of which the object's key fits.
            input_template: The run's input, in which <key> is the object's key with its quotes.
        """
        role = self._role(id_, "events.amazonaws.com")
        rule = events.CfnRule(
            self,
            id_,
            description=description,
            event_pattern={
                "source": ["aws.s3"],
                "detail-type": ["Object Created"],
                "detail": {
                    "bucket": {"name": [bucket.bucket_name]},
                    "object": {"key": list(keys)},
                },
            },
            state="ENABLED",
            targets=[
                events.CfnRule.TargetProperty(
                    id="Workflow",
                    arn=self._workflow.arn,
                    role_arn=role.role_arn,
                    input_transformer=events.CfnRule.InputTransformerProperty(
                        input_paths_map={"key": "$.detail.object.key"},
                        # EventBridge adds the quotes of a text.
                        input_template=input_template,
                    ),
                    retry_policy=events.CfnRule.RetryPolicyProperty(
                        maximum_event_age_in_seconds=EVENT_AGE_SECONDS,
                        maximum_retry_attempts=EVENT_RETRIES,
                    ),
                    dead_letter_config=events.CfnRule.DeadLetterConfigProperty(
                        arn=self.dead_letters.queue_arn
                    ),
                )
            ],
        )
        rule.node.add_dependency(self._workflow.state_machine, role)
        self.dead_letters.add_to_resource_policy(
            iam.PolicyStatement(
                sid=f"{id_}ThatStartedNothing",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[self.dead_letters.queue_arn],
                conditions={"ArnEquals": {"aws:SourceArn": rule.attr_arn}},
            )
        )

    def on_schedule(
        self, id_: str, *, description: str, expression: str, asked: Mapping[str, Any]
    ) -> None:
        """Start a run again and again.

        Args:
            id_: Name of the schedule.
            description: What it is for.
            expression: When, as in EventBridge Scheduler, UTC.
            asked: The run's input.
        """
        role = self._role(id_, "scheduler.amazonaws.com")
        role.allow("sqs:SendMessage", on=[self.dead_letters.queue_arn])
        schedule = scheduler.CfnSchedule(
            self,
            id_,
            description=description,
            schedule_expression=expression,
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            state="ENABLED",
            target=scheduler.CfnSchedule.TargetProperty(
                arn=self._workflow.arn,
                role_arn=role.role_arn,
                input=json.dumps(asked),
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                    maximum_event_age_in_seconds=EVENT_AGE_SECONDS,
                    maximum_retry_attempts=EVENT_RETRIES,
                ),
                dead_letter_config=scheduler.CfnSchedule.DeadLetterConfigProperty(
                    arn=self.dead_letters.queue_arn
                ),
            ),
        )
        schedule.node.add_dependency(self._workflow.state_machine, role)

    def _role(self, starter: str, service: str) -> OwnRole:
        role = OwnRole(
            self,
            f"{starter}Role",
            assumed_by=iam.ServicePrincipal(
                service, conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
        )
        role.allow("states:StartExecution", on=[self._workflow.arn])
        return role
