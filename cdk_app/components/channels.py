"""Where on-call is told: a topic that wakes somebody, and one that is read in the morning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Aws, Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from constructs import Construct

if TYPE_CHECKING:
    from cdk_app.stages import Stage


class Channels(Construct):
    """Two encrypted topics that CloudWatch is able to use; on-call subscribes to both.

    Two policies must let CloudWatch in, the key's and the topic's: without either, an alarm
    changes its state and tells nobody, silently.
    """

    def __init__(self, scope: Construct, id_: str, *, stage: Stage) -> None:
        super().__init__(scope, id_)
        self.key = kms.Key(
            self,
            "Key",
            alias=f"{stage.prefix}-alarms",
            description=f"Alarms of {stage.prefix}",
            enable_key_rotation=True,
            removal_policy=stage.removal,
            pending_window=Duration.days(stage.key_pending_days),
        )
        self._cloudwatch = iam.ServicePrincipal("cloudwatch.amazonaws.com")
        self._this_account = {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="CloudWatchAlarms",
                principals=[self._cloudwatch],
                actions=["kms:Decrypt", "kms:GenerateDataKey*"],
                resources=["*"],
                conditions=self._this_account,
            )
        )
        self.page = self._topic("Page", f"{stage.prefix} pages")
        """Somebody gets up."""
        self.inform = self._topic("Inform", f"{stage.prefix} informs")
        """Somebody reads it in working hours."""

    def _topic(self, name: str, display_name: str) -> sns.Topic:
        topic = sns.Topic(
            self, name, display_name=display_name, master_key=self.key, enforce_ssl=True
        )
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                sid="CloudWatchAlarms",
                principals=[self._cloudwatch],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions=self._this_account,
            )
        )
        return topic
