"""Archive the records of decisions as the table's stream brings them; on call, what lacks."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.decision_records import DynamoDecisionRecords
from credit_core.adapters.dynamodb_items import from_dynamodb
from credit_core.adapters.receipt_archive import S3ReceiptArchive, SqsFailedBatches
from credit_core.domain.receipt_archive import Days
from credit_core.settings import ArchiverSettings
from credit_core.use_cases.archive import archive, compare, redrive

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

CONNECTIONS = 16

logger = Logger(service="archiver")
settings = ArchiverSettings.from_environment()
config = pipeline_config(connections=CONNECTIONS)
receipts = S3ReceiptArchive(
    client("s3", config),
    settings.receipts_bucket,
    product=settings.product,
    connections=CONNECTIONS,
)
records = DynamoDecisionRecords(client("dynamodb", config), settings.decisions_table)
failed_batches = SqsFailedBatches(client("sqs", config), settings.failed_batches_queue)


def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Archive a batch of the stream; or ``{"check": days}``, or ``{"redrive": days}``.

    Days are ``{"from": "2026-11-01", "to": "2026-11-22"}``, both included; in ``{}`` all are
    checked, and those of the failed batches are redriven. Days whose objects the bucket no longer
    keeps are left out.

    Raises:
        StoreUnavailableError: Not everything was done; doing it again is safe.
    """
    started, as_of = time.perf_counter(), datetime.now(UTC)
    if "check" in event:
        days = days_in(event["check"]) or Days()
        done = compare(
            days,
            as_of=as_of,
            kept_since=kept_since(as_of),
            product=settings.product,
            records=records,
            archive=receipts,
        ).document()
    elif "redrive" in event:
        done = redrive(
            days_in(event["redrive"]),
            as_of=as_of,
            kept_since=kept_since(as_of),
            product=settings.product,
            records=records,
            archive=receipts,
            failed_batches=failed_batches,
        ).document()
    else:
        images = (record["dynamodb"].get("NewImage") for record in event["Records"])
        arrived = [from_dynamodb(image) for image in images if image]
        done = asdict(archive(arrived, as_of=as_of, product=settings.product, into=receipts))
    logger.info("done", duration_seconds=round(time.perf_counter() - started, 3), **done)
    return done


def kept_since(as_of: datetime) -> date:
    """Return the first day of which bucket and table still keep every record."""
    return as_of.date() - timedelta(days=settings.receipt_days - 1)


def days_in(asked: dict[str, str]) -> Days | None:
    """Return the days that an event names, or None if it names none."""
    if not asked:
        return None
    return Days(
        date.fromisoformat(asked.get("from", str(date.min))),
        date.fromisoformat(asked.get("to", str(date.max))),
    )
