"""Where alarms go: an encrypted topic that CloudWatch is able to use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

if TYPE_CHECKING:
    from cdk_app.stages import Stage


class AlarmTopic(Construct):
    """On-call subscribes here.

    Two policies must let CloudWatch in, the key's and the topic's: without either, an alarm
    changes its state and pages nobody, silently.
    """

    def __init__(self, scope: Construct, id_: str, *, stage: Stage) -> None:
        super().__init__(scope, id_)
        cloudwatch = iam.ServicePrincipal("cloudwatch.amazonaws.com")
        this_account = {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
        key = kms.Key(
            self,
            "Key",
            alias=f"{stage.prefix}-alarms",
            description=f"Alarms of {stage.prefix}",
            enable_key_rotation=True,
            removal_policy=stage.removal,
        )
        key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="CloudWatchAlarms",
                principals=[cloudwatch],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],
                conditions=this_account,
            )
        )
        self.topic = sns.Topic(
            self,
            "Topic",
            display_name=stage.prefix,
            master_key=key,
            enforce_ssl=True,
        )
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="CloudWatchAlarms",
                principals=[cloudwatch],
                actions=["sns:Publish"],
                resources=[self.topic.topic_arn],
                conditions=this_account,
            )
        )
