"""What starts a materialization without anybody asking: an upload, and the clock."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aws_cdk import Aws, RemovalPolicy
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from cdk_app.components.acknowledgements import acknowledge
from cdk_app.components.own_role import OwnRole
from credit_core.domain.places import APPLICATIONS_FOLDER, PUSHED_FOLDER

if TYPE_CHECKING:
    from aws_cdk import aws_s3 as s3

    from cdk_app.components.workflow import Workflow
    from cdk_app.stages import Stage

NOT_FROM_HERE = [f"*/{APPLICATIONS_FOLDER}/*", f"*/{PUSHED_FOLDER}/*"]
"""Uploads that start nothing: loans are for training, and pushed rows are in the store already.

A pattern can't ask for one prefix and against another, but features are all else that the lake has.
"""
EVENT_AGE_SECONDS = 3_600
EVENT_RETRIES = 30
"""Within an hour, with growing pauses and jitter: EventBridge's own way."""


class MaterializationTriggers(Construct):
    """A rule for uploads and a schedule for sweeps, each with a role to start this machine only.

    An event that could not start a run waits in a queue that pages; the next sweep takes its file
    in any case.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        lake: s3.IBucket,
        workflow: Workflow,
    ) -> None:
        super().__init__(scope, id_)
        self._workflow = workflow
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            # EventBridge can't write under a customer's key without being let in by that key.
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            removal_policy=RemovalPolicy.DESTROY,
        )
        acknowledge(
            self.dead_letters,
            {"AwsSolutions-SQS3": "This is the queue for what could not be delivered."},
        )
        self._on_upload(lake)
        self._on_schedule(stage)

    def _on_upload(self, lake: s3.IBucket) -> None:
        role = self._role("UploadRole", "events.amazonaws.com")
        rule = events.CfnRule(
            self,
            "Uploads",
            description="Features that come into the lake go on into the online store",
            event_pattern={
                "source": ["aws.s3"],
                "detail-type": ["Object Created"],
                "detail": {
                    "bucket": {"name": [lake.bucket_name]},
                    "object": {"key": [{"anything-but": {"wildcard": NOT_FROM_HERE}}]},
                },
            },
            state="ENABLED",
            targets=[
                events.CfnRule.TargetProperty(
                    id="Materialization",
                    arn=self._workflow.arn,
                    role_arn=role.role_arn,
                    input_transformer=events.CfnRule.InputTransformerProperty(
                        input_paths_map={"key": "$.detail.object.key"},
                        # EventBridge adds the quotes of a text.
                        input_template='{"prefix": <key>}',
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
                sid="UploadsThatStartedNothing",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[self.dead_letters.queue_arn],
                conditions={"ArnEquals": {"aws:SourceArn": rule.attr_arn}},
            )
        )

    def _on_schedule(self, stage: Stage) -> None:
        role = self._role("SweepRole", "scheduler.amazonaws.com")
        role.allow("sqs:SendMessage", on=[self.dead_letters.queue_arn])
        schedule = scheduler.CfnSchedule(
            self,
            "Sweeps",
            description="Materializes what no event announced, or what failed since",
            schedule_expression=stage.materialization.sweep_schedule,
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            state="ENABLED",
            target=scheduler.CfnSchedule.TargetProperty(
                arn=self._workflow.arn,
                role_arn=role.role_arn,
                input=json.dumps({"sweep": True}),
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

    def _role(self, name: str, service: str) -> OwnRole:
        role = OwnRole(
            self,
            name,
            assumed_by=iam.ServicePrincipal(
                service, conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
            ),
        )
        role.allow("states:StartExecution", on=[self._workflow.arn])
        return role
