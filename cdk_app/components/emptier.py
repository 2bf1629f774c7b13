"""Buckets that go with their stack: S3 removes none that holds anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Aws, CustomResource, Duration, Stack
from constructs import Construct

from cdk_app.components.acknowledgements import acknowledge
from cdk_app.components.own_role import WILDCARD
from cdk_app.components.service_function import ServiceFunction
from credit_core.settings import EmptierSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_s3 as s3

    from cdk_app.components.layers import Layers
    from cdk_app.stages import FunctionSize, Stage

EMPTY_BUCKET = "Custom::EmptyBucket"


class Emptier(Construct):
    """A function that empties each of these buckets when their stack is deleted.

    It asks CloudFormation whether that is so: neither an update nor a rollback, nor an event that
    somebody made up, removes anything. The CDK's own ``auto_delete_objects`` asks nobody, and
    brings a function that nobody here has read.

    By its dependencies a deletion goes: a bucket's policy, which refuses removal or lets access
    logs in; what the bucket holds; the bucket.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        size: FunctionSize,
        buckets: Sequence[s3.Bucket],
        layers: Layers,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id_)
        emptier = ServiceFunction(
            self,
            "Emptier",
            name="emptier",
            description="Empties the buckets of a stack that is being deleted",
            stage=stage,
            size=size,
            settings=EmptierSettings(stack=Aws.STACK_ID),
            layers=layers,
            key=key,
        )
        emptier.role.allow("cloudformation:DescribeStacks", on=[Aws.STACK_ID])
        emptier.role.allow(
            "s3:ListBucketMultipartUploads",
            "s3:ListBucketVersions",
            on=[bucket.bucket_arn for bucket in buckets],
        )
        emptier.role.allow(
            "s3:AbortMultipartUpload",
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            on=[bucket.arn_for_objects("*") for bucket in buckets],
        )
        for bucket in buckets:
            arn = ".".join(Stack.of(self).resolve(bucket.bucket_arn)["Fn::GetAtt"])
            acknowledge(
                emptier.role,
                {f"{WILDCARD}[Resource::<{arn}>/*]": "All that a bucket holds goes with it."},
            )
            emptied = CustomResource(
                self,
                bucket.node.id,
                resource_type=EMPTY_BUCKET,
                service_token=emptier.function.function_arn,
                # CloudFormation would wait for an hour where it is never answered.
                service_timeout=Duration.seconds(size.timeout_seconds + 60),
                properties={"BucketName": bucket.bucket_name},
            )
            # What is made after it is removed before it.
            if bucket.policy:
                bucket.policy.node.add_dependency(emptied)
