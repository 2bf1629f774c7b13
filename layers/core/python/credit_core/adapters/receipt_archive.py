"""The archive of receipts in S3, and the queue of what was given up on the way to it."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import batched, takewhile
from typing import TYPE_CHECKING

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.domain.places import receipts_prefix
from credit_core.domain.receipt_archive import DAY, Days, day_of, record_in
from credit_core.errors import StoreUnavailableError
from credit_core.ports import FailedBatch, Kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

    from credit_core.domain.application_records import StoredRecord
    from credit_core.domain.receipt_archive import ArchivedRecord

THERE = "PreconditionFailed"
"""S3's word for an object that may not be written because there is one."""
MESSAGES_A_CALL = 10
"""Limit of each of SQS's calls."""
FETCHED_AT_ONCE = 500
"""Records that are in memory together while the archive is read; one has some 10 KB."""
CLOCKS_APART = timedelta(hours=1)
"""More than lies between the moment in a record and its arrival in the stream."""


class S3ReceiptArchive:
    """An object for each record, in a bucket that lets none be replaced."""

    def __init__(self, s3: S3Client, bucket: str, *, product: str, connections: int) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._prefix = receipts_prefix(product)
        self._pool = ThreadPoolExecutor(connections)

    def keep(self, records: Sequence[ArchivedRecord]) -> Kept:
        """Keep each record unless it is there; one that fails doesn't stop the others."""
        causes = dict(zip(records, self._pool.map(self._keep, records), strict=True))
        return Kept(
            new=sum(cause is None for cause in causes.values()),
            known=sum(cause == THERE for cause in causes.values()),
            failed={
                record.key: cause for record, cause in causes.items() if cause and cause != THERE
            },
        )

    def keys(self, days: Days) -> Iterator[str]:
        """Yield the key of each record of these days.

        Raises:
            StoreUnavailableError: Not all are known.
        """
        after = f"{self._prefix}{DAY}{days.first}"
        yield from takewhile(lambda key: day_of(key) <= days.last, self._listed(after))

    def keys_between(self, after: str, last: str) -> Iterator[str]:
        """Yield the keys that come after one, up to and including another.

        Raises:
            StoreUnavailableError: Not all are known.
        """
        yield from takewhile(lambda key: key <= last, self._listed(after))

    def records(self, keys: Iterable[str]) -> Iterator[StoredRecord | None]:
        """Yield the record under each key, in their order; None where it is no record.

        Raises:
            StoreUnavailableError: One could not be read.
        """
        for some in batched(keys, FETCHED_AT_ONCE, strict=False):
            yield from map(record_in, self._pool.map(self._body, some))

    def _listed(self, after: str) -> Iterator[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix, StartAfter=after
        )
        try:
            for page in pages:
                yield from (found["Key"] for found in page.get("Contents", []))
        except AWS_ERRORS as error:
            message = f"the archive could not be listed: {error_code(error)}"
            raise StoreUnavailableError(message) from None

    def _body(self, key: str) -> bytes:
        try:
            return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except AWS_ERRORS as error:
            message = f"{key} could not be read from the archive: {error_code(error)}"
            raise StoreUnavailableError(message) from None

    def _keep(self, record: ArchivedRecord) -> str | None:
        """Return None, or the service's code for why the record was not written."""
        try:
            self._s3.put_object(
                Bucket=self._bucket,
                Key=record.key,
                Body=record.body,
                ContentType="application/json",
                IfNoneMatch="*",
            )
        except AWS_ERRORS as error:
            return error_code(error)
        return None


class SqsFailedBatches:
    """The queue to which Lambda sends what it gave up: where in the stream, and when written."""

    def __init__(self, sqs: SQSClient, queue_url: str) -> None:
        self._sqs = sqs
        self._queue_url = queue_url

    def take(self) -> Sequence[FailedBatch]:
        """Return all that wait; a message that is no failed batch is left where it is.

        Raises:
            StoreUnavailableError: The queue did not answer.
        """
        taken: list[FailedBatch] = []
        try:
            # A short wait asks all of SQS's servers; without, some messages may not be found.
            while messages := self._sqs.receive_message(
                QueueUrl=self._queue_url, MaxNumberOfMessages=MESSAGES_A_CALL, WaitTimeSeconds=1
            ).get("Messages"):
                taken += [
                    FailedBatch(message["ReceiptHandle"], days)
                    for message in messages
                    if (days := days_of_failure(message["Body"]))
                ]
        except AWS_ERRORS as error:
            message = f"the failed batches could not be read: {error_code(error)}"
            raise StoreUnavailableError(message) from None
        return taken

    def forget(self, batches: Sequence[FailedBatch]) -> None:
        """Remove batches that are archived.

        Raises:
            StoreUnavailableError: The queue did not answer; they may come again.
        """
        for some in batched(batches, MESSAGES_A_CALL, strict=False):
            try:
                self._sqs.delete_message_batch(
                    QueueUrl=self._queue_url,
                    Entries=[
                        {"Id": str(place), "ReceiptHandle": batch.receipt_handle}
                        for place, batch in enumerate(some)
                    ],
                )
            except AWS_ERRORS as error:
                message = f"the failed batches could not be removed: {error_code(error)}"
                raise StoreUnavailableError(message) from None

    def put_back(self, batches: Sequence[FailedBatch]) -> None:
        """Let batches be taken again at once.

        Raises:
            StoreUnavailableError: The queue did not answer; they can be taken later.
        """
        for some in batched(batches, MESSAGES_A_CALL, strict=False):
            try:
                self._sqs.change_message_visibility_batch(
                    QueueUrl=self._queue_url,
                    Entries=[
                        {
                            "Id": str(place),
                            "ReceiptHandle": batch.receipt_handle,
                            "VisibilityTimeout": 0,
                        }
                        for place, batch in enumerate(some)
                    ],
                )
            except AWS_ERRORS as error:
                message = f"the failed batches could not be put back: {error_code(error)}"
                raise StoreUnavailableError(message) from None


def days_of_failure(body: str) -> Days | None:
    """Return the days in which a failed batch was written, or None if the text names none.

    Source: AWS Lambda Developer Guide, "Retain discarded records for a DynamoDB event source".

    >>> days_of_failure('{"DDBStreamBatchInfo": {'
    ...     '"approximateArrivalOfFirstRecord": "2026-11-22T00:13:49Z", '
    ...     '"approximateArrivalOfLastRecord": "2026-11-22T00:14:01Z"}}')
    Days(first=datetime.date(2026, 11, 21), last=datetime.date(2026, 11, 22))
    >>> days_of_failure("{}")
    """
    try:
        batch = json.loads(body)["DDBStreamBatchInfo"]
        first, last = (
            datetime.fromisoformat(batch[f"approximateArrivalOf{which}Record"]).astimezone(UTC)
            for which in ("First", "Last")
        )
    except (KeyError, TypeError, ValueError):
        return None
    return Days((first - CLOCKS_APART).date(), (last + CLOCKS_APART).date())
