"""The decisions table read record by record: of one application, or from one end to the other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.adapters.dynamodb_items import from_dynamodb
from credit_core.domain.application_records import MOMENTS
from credit_core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from credit_core.domain.application_records import StoredRecord
    from credit_core.domain.receipt_archive import Days

SEGMENTS = 8
"""Parts of the table that are read at once."""

NAMES = {"#record": "record"} | {f"#{moment}": moment for moment in MOMENTS.values()}
KINDS = {f":kind{place}": {"S": kind} for place, kind in enumerate(MOMENTS)}
# What lies outside is left out, and not what lies inside taken in: a comparison with an attribute
# that an item lacks is false, and an item without its moment has to be seen.
OUTSIDE_IS_LEFT_OUT = " AND ".join(
    f"NOT (begins_with(#record, :kind{place}) AND (#{moment} < :first OR #{moment} > :end))"
    for place, moment in enumerate(MOMENTS.values())
)


class DynamoDecisionRecords:
    """Every record of every decision."""

    def __init__(self, dynamodb: DynamoDBClient, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def of_application(
        self, application_id: str, *, attributes: Collection[str] = ()
    ) -> Iterator[StoredRecord]:
        """Yield every record of an application, in the order of their names.

        Args:
            application_id: Whose.
            attributes: What is read of each; everything if empty.

        Raises:
            StoreUnavailableError: Not all could be read.
        """
        only: dict[str, Any] = {}
        if attributes:
            names = {f"#{name}": name for name in attributes}
            only = {
                "ProjectionExpression": ", ".join(names),
                "ExpressionAttributeNames": names,
            }
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="application_id = :id",
            ExpressionAttributeValues={":id": {"S": application_id}},
            ConsistentRead=True,
            **only,
        )
        for items in _items(pages):
            yield from map(from_dynamodb, items)

    def of(self, days: Days) -> Iterator[StoredRecord]:
        """Yield each record made in these days, and each that doesn't say when; perhaps others.

        Several parts of the table are read at once.

        Raises:
            StoreUnavailableError: Not all could be read.
        """
        with ThreadPoolExecutor(SEGMENTS) as pool:
            segments = [self._pages(days, segment) for segment in range(SEGMENTS)]
            while segments:
                pages = list(pool.map(lambda pages: next(pages, None), segments))
                for items in pages:
                    yield from map(from_dynamodb, items or ())
                segments = [
                    pages_of
                    for pages_of, items in zip(segments, pages, strict=True)
                    if items is not None
                ]

    def _pages(self, days: Days, segment: int) -> Iterator[Sequence[Mapping[str, Any]]]:
        return _items(
            self._dynamodb.get_paginator("scan").paginate(
                TableName=self._table,
                Segment=segment,
                TotalSegments=SEGMENTS,
                ConsistentRead=True,
                FilterExpression=OUTSIDE_IS_LEFT_OUT,
                ExpressionAttributeNames=NAMES,
                ExpressionAttributeValues={
                    **KINDS,
                    ":first": {"S": days.first.isoformat()},
                    # After the date comes a T, which is less.
                    ":end": {"S": f"{days.last.isoformat()}U"},
                },
            )
        )


def _items(pages: Iterable[Any]) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Yield the items of each page.

    Raises:
        StoreUnavailableError: A page did not come.
    """
    try:
        for page in pages:
            yield page["Items"]
    except AWS_ERRORS as error:
        message = f"the decisions could not be read: {error_code(error)}"
        raise StoreUnavailableError(message) from None
