"""Where recorded receipts are read from, and the models that they name: AWS, or files of it."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import TYPE_CHECKING

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.adapters.receipt_archive import DynamoDBDecisionRecords, from_dynamodb
from credit_core.domain.application_records import DECISION, SUPERSEDED
from credit_core.domain.receipt_archive import Days
from credit_core.errors import ModelUnavailableError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mypy_boto3_dynamodb import DynamoDBClient

    from credit_core.domain.receipt_archive import Attribute, StoredRecord


class DynamoReceipts:
    """The receipts in the decisions table, those that others superseded included."""

    def __init__(self, dynamodb: DynamoDBClient, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def of(self, application_id: str) -> Iterator[StoredRecord]:
        """Yield every record of an application, in the order of their names.

        Raises:
            StoreUnavailableError: Not all could be read.
        """
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="application_id = :id",
            ExpressionAttributeValues={":id": {"S": application_id}},
            ConsistentRead=True,
        )
        try:
            for page in pages:
                yield from map(from_dynamodb, page["Items"])
        except AWS_ERRORS as error:
            message = f"the decisions could not be read: {error_code(error)}"
            raise StoreUnavailableError(message) from None

    def all(self) -> Iterator[StoredRecord]:
        """Yield every record of the table.

        Raises:
            StoreUnavailableError: Not all could be read.
        """
        return DynamoDBDecisionRecords(self._dynamodb, self._table).of(Days())


def archived_records(path: Path) -> Iterator[StoredRecord]:
    """Yield the records in a folder of the archive, or in one file with a record a line.

    A line that is none yields what says where it stands, so that it shows as unreadable.

    Raises:
        OSError: There is no such path, or it can't be read.
    """
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    for file in files:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _record(line) or {"application_id": f"{file}, line {number}"}


def _record(line: bytes) -> StoredRecord | None:
    """Return the record in a line of JSON, None if there is none."""
    try:
        document: dict[str, Attribute] = json.loads(line)
        terms = document.get("terms")
        if isinstance(terms, str):
            document["terms"] = b64decode(terms, validate=True)
    except (AttributeError, ValueError, RecursionError):
        return None
    return document


def is_receipt(record: StoredRecord) -> bool:
    """Whether a record is a receipt, and neither a review nor an outcome."""
    # The archive's name of a receipt is decision/<revision>; one without a name has to show too.
    name = str(record.get("record", DECISION))
    return name.partition("/")[0] == DECISION or name.startswith(SUPERSEDED)


def objects_below(folder: Path) -> Callable[[str], bytes]:
    """Return how the objects of a bucket are read from a folder that holds a copy of it."""

    def read(key: str) -> bytes:
        try:
            return (folder / key).read_bytes()
        except (OSError, ValueError) as error:
            cause = getattr(error, "strerror", None) or type(error).__name__
            raise ModelUnavailableError(f"{key} cannot be read: {cause}") from None

    return read
