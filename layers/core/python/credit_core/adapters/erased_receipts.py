"""Receipts of one applicant: found by an index of the table, and ended when the law allows it."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from credit_core.adapters.clients import AWS_ERRORS, NO_OBJECT, error_code
from credit_core.adapters.decision_records import DynamoDecisionRecords
from credit_core.domain.application_records import MOMENTS
from credit_core.domain.places import BY_APPLICANT, ERASED_TAG
from credit_core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

    from credit_core.domain.application_records import StoredRecord

READ = ("application_id", "record", "revision", *sorted(set(MOMENTS.values())))
"""What tells a record's place in the archive, and when it was made; nothing of its contents."""


class DynamoApplicantRecords:
    """The table of decisions, asked by the keyed hash of an applicant."""

    def __init__(self, dynamodb: DynamoDBClient, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._records = DynamoDecisionRecords(dynamodb, table)

    def of_applicant(self, applicant: str) -> Iterator[StoredRecord]:
        """Yield each record of each of the applicant's applications, without its contents.

        The index is a moment behind the table: what was decided within the last second may lack.

        Raises:
            StoreUnavailableError: Not all could be read.
        """
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=BY_APPLICANT,
            KeyConditionExpression="applicant = :applicant",
            ExpressionAttributeValues={":applicant": {"S": applicant}},
            ProjectionExpression="application_id",
        )
        try:
            applications = {
                item["application_id"]["S"]: None for page in pages for item in page["Items"]
            }
        except AWS_ERRORS as error:
            message = f"the applicant's decisions could not be found: {error_code(error)}"
            raise StoreUnavailableError(message) from None
        for application in applications:
            yield from self._records.of_application(application, attributes=READ)

    def shorten(self, record: StoredRecord, *, to: datetime) -> None:
        """Let a record end at that moment, unless it ends before.

        Raises:
            StoreUnavailableError: It is not known to be done; doing it again is safe.
        """
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key={
                    "application_id": {"S": str(record["application_id"])},
                    "record": {"S": str(record["record"])},
                },
                UpdateExpression="SET expires_at = :end",
                # It may have ended since it was read: an end alone would be no record.
                ConditionExpression="attribute_exists(application_id)"
                " AND (attribute_not_exists(expires_at) OR expires_at > :end)",
                ExpressionAttributeValues={":end": {"N": str(math.ceil(to.timestamp()))}},
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            return
        except AWS_ERRORS as error:
            message = f"a record's end could not be set: {error_code(error)}"
            raise StoreUnavailableError(message) from None


class S3EndingReceipts:
    """Objects of the archive with a tag, by which the bucket ends them when their duty ends.

    Args:
        s3: The client, with at least ``connections`` connections.
        bucket: The archive.
        connections: How many objects are marked at once.
    """

    def __init__(self, s3: S3Client, bucket: str, *, connections: int) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._connections = connections

    def mark(self, keys: Sequence[str]) -> frozenset[str]:
        """Tag these objects; return the keys under which there is none.

        Raises:
            StoreUnavailableError: Not all could be tagged; doing it again is safe.
        """
        with ThreadPoolExecutor(self._connections) as pool:
            there = list(pool.map(self._mark, keys))
        return frozenset(key for key, found in zip(keys, there, strict=True) if not found)

    def _mark(self, key: str) -> bool:
        tag, value = ERASED_TAG
        try:
            self._s3.put_object_tagging(
                Bucket=self._bucket, Key=key, Tagging={"TagSet": [{"Key": tag, "Value": value}]}
            )
        except AWS_ERRORS as error:
            code = error_code(error)
            if code in NO_OBJECT:
                return False
            raise StoreUnavailableError(f"a receipt could not be tagged: {code}") from None
        return True
