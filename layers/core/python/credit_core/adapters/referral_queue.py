"""The index of the decisions table by what waits for a person: its parts read as one queue."""

from __future__ import annotations

import heapq
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, groupby
from typing import TYPE_CHECKING

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.adapters.dynamodb_items import from_dynamodb
from credit_core.domain.places import AWAITING_REVIEW
from credit_core.domain.receipt_archive import EXPIRES_AT
from credit_core.domain.referrals import SHARDS, WAITING, Place
from credit_core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

    from credit_core.domain.application_records import StoredRecord

AHEAD = 2
"""How many times its even share a part gives at once, so that a second look is rare."""


class DynamoReferralQueue:
    """What waits, oldest first. The index is a moment behind the table."""

    def __init__(self, dynamodb: DynamoDBClient, table: str) -> None:
        self._dynamodb = dynamodb
        self._table = table

    def waiting(
        self, *, after: Place | None, as_of: datetime, at_once: int
    ) -> Iterator[StoredRecord]:
        """Yield what waits behind a place, oldest first.

        Args:
            after: The last place that is known already; None begins with the oldest.
            as_of: Now. What has ended waits no more, though the table may have it for days.
            at_once: How many will be taken, as a rule.

        Raises:
            StoreUnavailableError: Not all could be read.
        """
        page_size = max(AHEAD, AHEAD * at_once // SHARDS)
        shards = [
            self._pages(str(shard), after, as_of, page_size=page_size) for shard in range(SHARDS)
        ]
        with ThreadPoolExecutor(SHARDS) as pool:
            first = list(pool.map(next, shards))
        yield from heapq.merge(
            *(
                _in_order(chain(page, chain.from_iterable(rest)), after)
                for page, rest in zip(first, shards, strict=True)
            ),
            key=Place.of,
        )

    def _pages(
        self, shard: str, after: Place | None, as_of: datetime, *, page_size: int
    ) -> Iterator[list[StoredRecord]]:
        """Yield a part's records by page, at least one page, from the place's time on."""
        since = "" if after is None else " AND decided_at >= :since"
        values = {":shard": {"S": shard}, ":now": {"N": str(int(as_of.timestamp()))}}
        if after is not None:
            values[":since"] = {"S": after.decided_at}
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=AWAITING_REVIEW,
            KeyConditionExpression=f"{WAITING} = :shard{since}",
            # A release that knew nothing of the queue may have added to a referral.
            FilterExpression=f"{EXPIRES_AT} > :now AND attribute_not_exists(added)",
            ExpressionAttributeValues=values,
            PaginationConfig={"PageSize": page_size},
        )
        try:
            for page in pages:
                yield [from_dynamodb(item) for item in page["Items"]]
        except AWS_ERRORS as error:
            message = f"the referral queue could not be read: {error_code(error)}"
            raise StoreUnavailableError(message) from None


def _in_order(records: Iterator[StoredRecord], after: Place | None) -> Iterator[StoredRecord]:
    """Yield a part's records behind a place in the queue's order.

    An index has no order among records of one time: these are put in order here.
    """
    for _, together in groupby(records, key=lambda record: record["decided_at"]):
        for record in sorted(together, key=Place.of):
            if after is None or Place.of(record) > after:
                yield record
