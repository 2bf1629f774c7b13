"""A role of one function or state machine, with permissions one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Aws, Stack
from aws_cdk import aws_iam as iam

from cdk_app.components.acknowledgements import acknowledge
from credit_core.domain.metrics import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_cdk import aws_dynamodb as dynamodb
    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_s3 as s3
    from constructs import Construct

WILDCARD = "AwsSolutions-IAM5"
READ_AND_WRITE = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)
"""What DynamoDB and S3 ask of KMS in the name of whoever reads and writes encrypted data.

Source: Amazon DynamoDB Developer Guide, "Authorizing use of your KMS key": the least it states,
without the grant, which only whoever creates a table needs.
"""


class OwnRole(iam.Role):
    """Starts without any permission; the CDK's ``grant`` methods would give more than is needed."""

    def __init__(
        self, scope: Construct, id_: str, *, assumed_by: iam.IPrincipal, **props: Any
    ) -> None:
        super().__init__(scope, id_, assumed_by=assumed_by, **props)

    def allow(
        self, *actions: str, on: Sequence[str], conditions: Mapping[str, Any] | None = None
    ) -> None:
        """Allow these actions on these ARNs, under the conditions if there are any."""
        self.add_to_policy(
            iam.PolicyStatement(actions=list(actions), resources=list(on), conditions=conditions)
        )

    def allow_objects(self, *actions: str, bucket: s3.IBucket, prefix: str) -> None:
        """Allow these actions on the objects under a prefix of a bucket of another stack."""
        self.allow(*actions, on=[bucket.arn_for_objects(f"{prefix}*")])
        owner = Stack.of(bucket)
        imported = owner.resolve(owner.export_value(bucket.bucket_arn))["Fn::ImportValue"]
        acknowledge(
            self,
            {
                f"{WILDCARD}[Resource::{imported}/{prefix}*]": "Keys under this prefix are not "
                "known beforehand; nothing outside of it is allowed."
            },
        )

    def allow_listing(
        self, bucket: s3.IBucket, *prefixes: str, tells_what_is_missing: bool = False
    ) -> None:
        """Allow to list the objects under these prefixes of a bucket, and no others.

        Args:
            bucket: Whose objects.
            prefixes: What a call has to ask for, or a longer one.
            tells_what_is_missing: Of an object that is not there S3 says so, and not that access is
                denied, to those alone who may list without a prefix; then they may, too.

        Source: Amazon S3 User Guide, "Bucket policy examples", ``s3:prefix``; API Reference,
        GetObject, "Permissions".
        """
        test = "StringLikeIfExists" if tells_what_is_missing else "StringLike"
        asked = [f"{prefix}*" for prefix in prefixes]
        self.allow("s3:ListBucket", on=[bucket.bucket_arn], conditions={test: {"s3:prefix": asked}})

    def allow_items(self, *actions: str, table: dynamodb.ITable, partition: str) -> None:
        """Allow these actions on the items of one partition key of a table, and on no others."""
        self.allow(
            *actions,
            on=[table.table_arn],
            conditions={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [partition]}},
        )

    def allow_stream(self, table: dynamodb.ITable) -> None:
        """Allow to read the stream of a table of another stack.

        Source: Amazon DynamoDB Developer Guide, "IAM policy to allow an AWS Lambda function to
        access DynamoDB stream records"; to list streams is allowed on all of a table's or none.
        """
        self.allow(
            *("dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"),
            "dynamodb:ListStreams",
            on=[f"{table.table_arn}/stream/*"],
        )
        owner = Stack.of(table)
        imported = owner.resolve(owner.export_value(table.table_arn))["Fn::ImportValue"]
        acknowledge(
            self,
            {
                f"{WILDCARD}[Resource::{imported}/stream/*]": "A table has one stream at a time, "
                "named by the moment at which it was begun."
            },
        )

    def allow_metrics(self) -> None:
        """Allow to publish this service's own metrics, and no others."""
        self.allow(
            "cloudwatch:PutMetricData",
            on=["*"],
            conditions={"StringEquals": {"cloudwatch:namespace": NAMESPACE}},
        )
        acknowledge(
            self,
            {
                f"{WILDCARD}[Resource::*]": "A metric is no resource that could be named, nor is "
                "a trace; the condition keeps metrics to this service's namespace."
            },
        )

    def allow_looking_at_alarms(self) -> None:
        """Allow to read the state of alarms.

        Of all: whoever asks for alarms of both kinds, as CodeDeploy does, is refused with less, and
        a look that is refused ends a deployment or a rollout.

        Source: Amazon CloudWatch API Reference, "DescribeAlarms".
        """
        self.allow("cloudwatch:DescribeAlarms", on=["*"])
        acknowledge(
            self,
            {
                f"{WILDCARD}[Resource::*]": "CloudWatch wants this scope of whoever looks at "
                "alarms of both kinds; a trace, a log's delivery and a metric are no resources "
                "that could be named."
            },
        )

    def allow_key(self, key: kms.IKey, *, through: Sequence[str]) -> None:
        """Allow the use of a key when one of these services asks for it, never directly."""
        services = [f"{service}.{Aws.REGION}.{Aws.URL_SUFFIX}" for service in through]
        self.add_to_policy(
            iam.PolicyStatement(
                actions=list(READ_AND_WRITE),
                resources=[key.key_arn],
                conditions={"StringEquals": {"kms:ViaService": services}},
            )
        )
