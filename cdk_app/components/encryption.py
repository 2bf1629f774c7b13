"""The key under which everything about applicants is encrypted at rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import ArnFormat, Aws, Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from cdk_app.components.firewall import LOG_PREFIX

if TYPE_CHECKING:
    from cdk_app.stages import Stage


class DataKey(Construct):
    """A customer-managed key, rotated each year, for tables, buckets, the secret and logs."""

    def __init__(self, scope: Construct, id_: str, *, stage: Stage) -> None:
        super().__init__(scope, id_)
        self.key = kms.Key(
            self,
            "Key",
            alias=f"{stage.prefix}-data",
            description=f"Data of {stage.prefix}",
            enable_key_rotation=True,
            removal_policy=stage.removal,
            pending_window=Duration.days(stage.key_pending_days),
        )
        if stage.receipts_locked:
            # Without its key what is locked can't be read: to end that would be to end the archive.
            # An administrator can change the policy first, and leaves a trace of that.
            self.key.add_to_resource_policy(
                iam.PolicyStatement(
                    sid="NobodyEndsTheKey",
                    effect=iam.Effect.DENY,
                    principals=[iam.AnyPrincipal()],
                    actions=["kms:DisableKey", "kms:ScheduleKeyDeletion"],
                    resources=["*"],
                )
            )
        # CloudWatch Logs encrypts as itself; the condition keeps it to log groups of this service.
        groups = (
            f"{stage.prefix}-*",
            f"{LOG_PREFIX}{stage.prefix}-*",
            f"/aws/vendedlogs/states/{stage.prefix}-*",
            # API Gateway fixes this name; an API's id is not known here.
            "API-Gateway-Execution-Logs_*",
        )
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="LogGroupsOfThisStage",
                principals=[iam.ServicePrincipal(f"logs.{Aws.REGION}.{Aws.URL_SUFFIX}")],
                # Source: CloudWatch Logs User Guide, "Encrypt log data using AWS KMS".
                actions=[
                    "kms:Decrypt",
                    "kms:DescribeKey",
                    "kms:Encrypt",
                    "kms:GenerateDataKey*",
                    "kms:ReEncrypt*",
                ],
                resources=["*"],
                conditions={
                    "ArnLike": {
                        "kms:EncryptionContext:aws:logs:arn": [
                            Stack.of(self).format_arn(
                                service="logs",
                                resource="log-group",
                                resource_name=group,
                                arn_format=ArnFormat.COLON_RESOURCE_NAME,
                            )
                            for group in groups
                        ]
                    }
                },
            )
        )
        # EventBridge encrypts what lies on the bus of pushed rows, and in the queue behind it. It
        # is held to this account alone: AWS does not say for certain which source it names to a
        # queue's key, and a wrong condition would send each row to the dead letters.
        self.key.add_to_resource_policy(
            iam.PolicyStatement(
                sid="EventBusOfThisAccount",
                principals=[iam.ServicePrincipal("events.amazonaws.com")],
                # Source: EventBridge User Guide, "Authorizing EventBridge to use a customer
                # managed key"; for the queue, SQS Developer Guide, "Key management".
                actions=["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"],
                resources=["*"],
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            )
        )
