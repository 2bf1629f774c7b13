"""Lake, results of jobs, models, archive of receipts: private, encrypted, versioned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from cdk_app.components.acknowledgements import acknowledge
from credit_core.domain.places import ERASED_TAG

if TYPE_CHECKING:
    from aws_cdk import aws_kms as kms

    from cdk_app.stages import Stage


class Buckets(Construct):
    """Four buckets for data, and one for the record of who opened them."""

    def __init__(self, scope: Construct, id_: str, *, stage: Stage, key: kms.IKey) -> None:
        super().__init__(scope, id_)
        self._stage = stage
        self._key = key
        self.access_logs = s3.Bucket(
            self,
            "AccessLogs",
            # Log delivery can't write to a bucket under a customer's key.
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=Duration.days(stage.access_log_days),
                    noncurrent_version_expiration=Duration.days(1),
                )
            ],
            removal_policy=stage.removal,
        )
        acknowledge(
            self.access_logs,
            {"AwsSolutions-S1": "The log bucket itself: logging it would log each log delivery."},
        )
        self.lake = self._bucket("Lake")
        announce_uploads(self.lake)
        self.models = self._bucket("Models")
        make_append_only(self.models)
        self.results = self._bucket("Results", expire_after=Duration.days(stage.results_days))
        self.receipts = self._bucket(
            "Receipts",
            expire_after=Duration.days(stage.receipt_days),
            # None is replaced, so an old version is one whose time is over.
            old_versions_days=1,
            locked_days=stage.receipt_duty_days if stage.receipts_locked else None,
        )
        make_append_only(self.receipts)
        end_erased(self.receipts, after_days=stage.receipt_duty_days)
        self.all = (self.lake, self.models, self.results, self.receipts, self.access_logs)

    def _bucket(
        self,
        name: str,
        *,
        expire_after: Duration | None = None,
        old_versions_days: int | None = None,
        locked_days: int | None = None,
    ) -> s3.Bucket:
        return s3.Bucket(
            self,
            name,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self._key,
            # One data key for many objects: fewer calls to KMS, at less cost.
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(
                    expiration=expire_after,
                    noncurrent_version_expiration=Duration.days(
                        old_versions_days or self._stage.old_versions_days
                    ),
                ),
                # What an expired object leaves is a mark with its name. S3 takes no other end in
                # this rule, and CloudFormation no rule of marks alone (its roadmap, issue 1124).
                s3.LifecycleRule(
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                    expired_object_delete_marker=True,
                ),
            ],
            # Nobody shortens it, not the account's owner either.
            object_lock_default_retention=s3.ObjectLockRetention.compliance(
                Duration.days(locked_days)
            )
            if locked_days
            else None,
            server_access_logs_bucket=self.access_logs,
            server_access_logs_prefix=f"{name.lower()}/",
            removal_policy=self._stage.removal,
        )


def make_append_only(bucket: s3.Bucket) -> None:
    """Refuse to anybody what would replace or remove an object; its lifetime alone ends it.

    Replication writes and removes by actions of its own. An administrator can change the policy
    first, and leaves a trace of that.

    Source: Amazon S3 User Guide, "Enforce conditional writes on Amazon S3 buckets"; a lifetime's
    end is no request, and no policy applies to it.
    """
    for sid, actions, conditions in (
        ("OnlyWhatIsNotThere", ["s3:PutObject"], {"Null": {"s3:if-none-match": "true"}}),
        ("NothingIsRemoved", ["s3:DeleteObject", "s3:DeleteObjectVersion"], None),
        ("NothingIsReplicatedHere", ["s3:ReplicateDelete", "s3:ReplicateObject"], None),
    ):
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                sid=sid,
                effect=iam.Effect.DENY,
                principals=[iam.AnyPrincipal()],
                actions=actions,
                resources=[bucket.arn_for_objects("*")],
                conditions=conditions,
            )
        )


def end_erased(bucket: s3.Bucket, *, after_days: int) -> None:
    """End the objects of erased applicants, which bear a tag, after so many days of theirs."""
    tag, value = ERASED_TAG
    bucket.add_lifecycle_rule(
        tag_filters={tag: value},
        expiration=Duration.days(after_days),
        noncurrent_version_expiration=Duration.days(1),
    )


def announce_uploads(bucket: s3.Bucket) -> None:
    """Have S3 tell EventBridge of each new object.

    By CloudFormation's own property: the CDK's ``event_bridge_enabled`` adds a function that calls
    S3 instead, with a role of its own.
    """
    native = bucket.node.default_child
    assert isinstance(native, s3.CfnBucket)  # noqa: S101 (for mypy)
    native.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
        event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(
            event_bridge_enabled=True
        )
    )
