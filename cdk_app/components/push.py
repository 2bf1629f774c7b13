"""From single rows on an event bus to the lake and the online store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Duration
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from cdk_app.components.acknowledgements import acknowledge
from cdk_app.components.dead_letters import KEPT_DAYS, undelivered
from cdk_app.components.erasure import allow_asking, allow_covering
from cdk_app.components.service_function import ServiceFunction
from credit_core.domain.feature_event import DETAIL_TYPE
from credit_core.domain.places import REJECTED_PUSHES, pushed_prefix
from credit_core.settings import PusherSettings

if TYPE_CHECKING:
    from cdk_app.components.layers import Layers
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct

MESSAGES_A_BATCH = 10
TIMEOUTS_UNSEEN = 6
"""Source: AWS Lambda Developer Guide, "Configuring a queue to use with Lambda"."""


class FeaturePush(Construct):
    """A bus, a queue that keeps what it carries, and a function that brings it in."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        product: CreditProduct,
        storage: Storage,
        layers: Layers,
    ) -> None:
        super().__init__(scope, id_)
        timeout_seconds = TIMEOUTS_UNSEEN * stage.pusher.timeout_seconds
        self._key = storage.key
        self._removal = stage.removal
        self.dead_letters = self._queue("DeadLetters", retention_period=Duration.days(KEPT_DAYS))
        acknowledge(
            self.dead_letters,
            {"Serverless-SQSRedrivePolicy": "This is the queue for what could not be brought in."},
        )
        self.queue = self._queue(
            "Queue",
            visibility_timeout=Duration.seconds(timeout_seconds),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=stage.push.attempts
            ),
        )
        # What comes here EventBridge could not decrypt, and leaves encrypted.
        self.undecryptable = undelivered(self, "Undecryptable", removal=stage.removal)
        self.bus_name = self._bus(stage)
        function = self._pusher(stage, product, storage, layers)
        mapping = lambda_.EventSourceMapping(
            self,
            "Messages",
            target=function.function,
            event_source_arn=self.queue.queue_arn,
            batch_size=MESSAGES_A_BATCH,
            report_batch_item_failures=True,
            max_concurrency=stage.push.functions_at_once,
        )
        acknowledge(
            mapping,
            {
                "Serverless-LambdaEventSourceMappingDestination": "Streams have destinations; what "
                "fails of a queue stays in it, and goes to the dead letters in the end."
            },
        )
        # At its creation AWS checks that the role may read the queue.
        mapping.node.add_dependency(function.role)

    def _queue(self, id_: str, **props: Any) -> sqs.Queue:
        return sqs.Queue(
            self,
            id_,
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=self._key,
            enforce_ssl=True,
            removal_policy=self._removal,
            **props,
        )

    def _bus(self, stage: Stage) -> str:
        """Make the bus with the rule that leads to the queue; return its name.

        The key's policy names the bus and its rules, see ``DataKey``.
        """
        bus = events.CfnEventBus(
            self,
            "Bus",
            name=stage.prefix,
            description="Rows of features that can't wait for a file",
            kms_key_identifier=self._key.key_arn,
            dead_letter_config=events.CfnEventBus.DeadLetterConfigProperty(
                arn=self.undecryptable.queue_arn
            ),
        )
        rule = events.CfnRule(
            self,
            "Rule",
            description="Rows of features go to the queue",
            event_bus_name=bus.name,
            event_pattern={"detail-type": [DETAIL_TYPE]},
            targets=[
                events.CfnRule.TargetProperty(
                    id="Queue",
                    arn=self.queue.queue_arn,
                    dead_letter_config=events.CfnRule.DeadLetterConfigProperty(
                        arn=self.dead_letters.queue_arn
                    ),
                )
            ],
        )
        rule.add_resource_dependency(bus)
        for queue, senders in (
            (self.queue, [rule.attr_arn]),
            (self.dead_letters, [rule.attr_arn]),
            (self.undecryptable, [bus.attr_arn]),
        ):
            queue.add_to_resource_policy(
                iam.PolicyStatement(
                    sid="EventBus",
                    principals=[iam.ServicePrincipal("events.amazonaws.com")],
                    actions=["sqs:SendMessage"],
                    resources=[queue.queue_arn],
                    conditions={"ArnEquals": {"aws:SourceArn": senders}},
                )
            )
        return bus.name

    def _pusher(
        self, stage: Stage, product: CreditProduct, storage: Storage, layers: Layers
    ) -> ServiceFunction:
        lake, results = storage.buckets.lake, storage.buckets.results
        table, secret = storage.tables.online_store, storage.entity_key.secret
        function = ServiceFunction(
            self,
            "Pusher",
            name="pusher",
            description="Appends pushed rows to the lake and writes them to the online store",
            stage=stage,
            size=stage.pusher,
            settings=PusherSettings(
                stage=stage.name,
                product=product.name,
                lake_bucket=lake.bucket_name,
                results_bucket=results.bucket_name,
                online_store_table=table.table_name,
                registry_table=storage.tables.registry.table_name,
                entity_key_secret=secret.secret_arn,
            ),
            layers=layers,
            key=storage.key,
        )
        may = function.role
        may.allow(
            *("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
            on=[self.queue.queue_arn],
        )
        for view in product.feature_views:
            may.allow_objects("s3:PutObject", bucket=lake, prefix=pushed_prefix(product, view))
        may.allow_objects("s3:PutObject", bucket=results, prefix=REJECTED_PUSHES)
        may.allow("dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate", on=[table.table_arn])
        allow_covering(may, product=product, storage=storage)
        allow_asking(may, product=product, storage=storage)
        may.allow("secretsmanager:GetSecretValue", on=[secret.secret_arn])
        may.allow_key(storage.key, through=("dynamodb", "s3", "secretsmanager", "sqs"))
        may.allow_metrics()
        return function
