"""From the stream of the decisions table to an object for each record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from cdk_app.components.acknowledgements import acknowledge
from cdk_app.components.dead_letters import KEPT_DAYS
from cdk_app.components.service_function import ServiceFunction
from credit_core.domain.places import receipts_prefix
from credit_core.settings import ArchiverSettings

if TYPE_CHECKING:
    from cdk_app.components.layers import Layers
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


class Archive(Construct):
    """A function that follows the stream, and a queue for what it had to give up."""

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
        self.failed_batches = sqs.Queue(
            self,
            "FailedBatches",
            encryption=sqs.QueueEncryption.KMS,
            encryption_master_key=storage.key,
            enforce_ssl=True,
            retention_period=Duration.days(KEPT_DAYS),
            # A redrive holds what it took; one that was cut off lets go of it by then.
            visibility_timeout=Duration.seconds(stage.archiver.timeout_seconds),
            removal_policy=stage.removal,
        )
        acknowledge(
            self.failed_batches,
            {
                "AwsSolutions-SQS3": "This is the queue for what could not be archived.",
                "Serverless-SQSRedrivePolicy": "The same.",
            },
        )
        table, bucket = storage.tables.decisions, storage.buckets.receipts
        archiver = ServiceFunction(
            self,
            "Archiver",
            name="archiver",
            description="Archives records of decisions; on call, checks the archive and fills it",
            stage=stage,
            size=stage.archiver,
            settings=ArchiverSettings(
                product=product.name,
                receipts_bucket=bucket.bucket_name,
                receipt_days=stage.receipt_days,
                decisions_table=table.table_name,
                failed_batches_queue=self.failed_batches.queue_url,
            ),
            layers=layers,
            key=storage.key,
        )
        may = archiver.role
        may.allow_stream(table)
        may.allow("dynamodb:Scan", on=[table.table_arn])
        # It can't read what it wrote, and the bucket lets nobody replace or remove it.
        may.allow_objects("s3:PutObject", bucket=bucket, prefix=receipts_prefix(product.name))
        may.allow_listing(bucket, receipts_prefix(product.name))
        may.allow(
            *("sqs:SendMessage", "sqs:ReceiveMessage", "sqs:ChangeMessageVisibility"),
            "sqs:DeleteMessage",
            on=[self.failed_batches.queue_arn],
        )
        may.allow_key(storage.key, through=("dynamodb", "s3", "sqs"))
        self.function = archiver.function
        self._follow(table.table_stream_arn, archiver, stage)

    def _follow(self, stream_arn: str | None, archiver: ServiceFunction, stage: Stage) -> None:
        limits, mapping = stage.archiving, lambda_.CfnEventSourceMapping
        stream = mapping(
            self,
            "Stream",
            function_name=archiver.function.function_name,
            event_source_arn=stream_arn,
            # What was decided before the archiver was there is archived too, up to a day back.
            starting_position="TRIM_HORIZON",
            batch_size=limits.records_a_batch,
            maximum_batching_window_in_seconds=limits.wait_seconds,
            parallelization_factor=1,
            # All of a batch but what failed is archived at the first try. Halving it, which is no
            # retry, leaves a record that always fails alone in the end.
            bisect_batch_on_function_error=True,
            maximum_retry_attempts=limits.retries,
            maximum_record_age_in_seconds=limits.record_age_seconds,
            destination_config=mapping.DestinationConfigProperty(
                on_failure=mapping.OnFailureProperty(destination=self.failed_batches.queue_arn)
            ),
        )
        # At its creation AWS checks that the role may read the stream and write the queue.
        stream.node.add_dependency(archiver.role)
