"""Erased applicants: their list in the registry, and their tombstones in the online store.

::

    <product>#erased   <keyed hash>   erased_at, progress, certificate, seal
    <product>#erased   views          announced, covered: sets of names; scheme, of all the hashes
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from typing import TYPE_CHECKING, Any

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.domain.erasure import Erasure
from credit_core.domain.online_store import ERASED, timestamp_text
from credit_core.domain.places import erased_partition
from credit_core.errors import StoreUnavailableError
from credit_core.use_cases.erase import Coverage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        KeysAndAttributesOutputTypeDef,
        KeysAndAttributesTypeDef,
    )

    from credit_core.errors import CreditScoringError

VIEWS = "views"
"""Sort key of the item that says which views have their tombstones; no hash is such a word."""

KEYS_A_READ = 100
"""Limit of BatchGetItem."""

MOST_ROUNDS = 5
"""How often what a busy table left out is asked for again."""

TOMBSTONES_AT_ONCE = 256


class DynamoErasures:
    """The list of one product's erased applicants.

    Args:
        dynamodb: The client.
        table: The registry.
        product: Name of the product.
    """

    def __init__(self, dynamodb: DynamoDBClient, table: str, *, product: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._partition = erased_partition(product)

    def begin(self, applicant: str, *, at: datetime) -> Erasure:
        """Put an applicant on the list, unless it is there; return what is known of it.

        Raises:
            StoreUnavailableError: It is not known to be there.
        """
        try:
            found = self._dynamodb.update_item(
                TableName=self._table,
                Key=self._key(applicant),
                UpdateExpression="SET erased_at = if_not_exists(erased_at, :now)",
                ExpressionAttributeValues={":now": {"S": timestamp_text(at)}},
                ReturnValues="ALL_NEW",
            )["Attributes"]
        except AWS_ERRORS as error:
            raise _unavailable("an erasure could not be begun", error) from None
        text = {name: value.get("S", "") for name, value in found.items()}
        erasure = Erasure(
            applicant,
            text["erased_at"],
            certificate=text.get("certificate", ""),
            seal=text.get("seal", ""),
        )
        return erasure.with_progress(text["progress"]) if "progress" in text else erasure

    def keep(self, erasure: Erasure) -> None:
        """Keep how far an erasure has come.

        Raises:
            StoreUnavailableError: It is not known to be kept; doing it again is safe.
        """
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=self._key(erasure.applicant),
                UpdateExpression="SET progress = :progress, certificate = :text, seal = :seal",
                ExpressionAttributeValues={
                    ":progress": {"S": erasure.progress()},
                    ":text": {"S": erasure.certificate},
                    ":seal": {"S": erasure.seal},
                },
            )
        except AWS_ERRORS as error:
            raise _unavailable("an erasure could not be kept", error) from None

    def among(self, applicants: Collection[str]) -> frozenset[str]:
        """Return those of these applicants that were erased.

        Raises:
            StoreUnavailableError: They are not known.
        """
        found: set[str] = set()
        for some in batched(sorted(set(applicants)), KEYS_A_READ, strict=False):
            found |= self._among(some)
        return frozenset(found)

    def everybody(self) -> Iterator[str]:
        """Yield every applicant that was on the list when this began.

        Raises:
            StoreUnavailableError: Not all could be read.
        """
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="product = :partition",
            ExpressionAttributeValues={":partition": {"S": self._partition}},
            ProjectionExpression="#record",
            ExpressionAttributeNames={"#record": "record"},
            ConsistentRead=True,
        )
        try:
            for page in pages:
                for item in page["Items"]:
                    if item["record"]["S"] != VIEWS:
                        yield item["record"]["S"]
        except AWS_ERRORS as error:
            raise _unavailable("the erased applicants could not be read", error) from None

    def coverage(self) -> Coverage:
        """Return which views have their tombstones.

        Raises:
            StoreUnavailableError: It is not known.
        """
        try:
            answer = self._dynamodb.get_item(
                TableName=self._table, Key=self._key(VIEWS), ConsistentRead=True
            )
        except AWS_ERRORS as error:
            raise _unavailable("the views of erased applicants are not known", error) from None
        item = answer.get("Item", {})
        announced, covered = (
            frozenset(item.get(name, {}).get("SS", ())) for name in ("announced", "covered")
        )
        return Coverage(announced, covered, item.get("scheme", {}).get("S"))

    def announce(self, views: Collection[str]) -> None:
        """Say that tombstones of these views are about to be put.

        Raises:
            StoreUnavailableError: It is not known to be said.
        """
        self._add("announced", views)

    def cover(self, views: Collection[str]) -> None:
        """Say that all tombstones of these views are there.

        Raises:
            StoreUnavailableError: It is not known to be said.
        """
        self._add("covered", views)

    def hash_by(self, scheme: str) -> None:
        """Say how the hashes on the list are made, unless that is said.

        Raises:
            StoreUnavailableError: It is not known to be said.
        """
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=self._key(VIEWS),
                UpdateExpression="SET scheme = if_not_exists(scheme, :scheme)",
                ExpressionAttributeValues={":scheme": {"S": scheme}},
            )
        except AWS_ERRORS as error:
            raise _unavailable("how applicants are known is not kept", error) from None

    def _add(self, name: str, views: Collection[str]) -> None:
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=self._key(VIEWS),
                UpdateExpression=f"ADD {name} :views",
                ExpressionAttributeValues={":views": {"SS": sorted(views)}},
            )
        except AWS_ERRORS as error:
            raise _unavailable("the views of erased applicants are not kept", error) from None

    def _among(self, applicants: Sequence[str]) -> set[str]:
        request: Mapping[str, KeysAndAttributesTypeDef | KeysAndAttributesOutputTypeDef] = {
            self._table: {
                "Keys": [self._key(applicant) for applicant in applicants],
                "ProjectionExpression": "#record",
                "ExpressionAttributeNames": {"#record": "record"},
                "ConsistentRead": True,
            }
        }
        found: set[str] = set()
        for _ in range(MOST_ROUNDS):
            try:
                answer = self._dynamodb.batch_get_item(RequestItems=request)
            except AWS_ERRORS as error:
                raise _unavailable("the erased applicants could not be read", error) from None
            found |= {item["record"]["S"] for item in answer["Responses"].get(self._table, [])}
            request = answer.get("UnprocessedKeys", {})
            if not request:
                return found
        raise StoreUnavailableError("the erased applicants were not read completely")

    def _key(self, record: str) -> dict[str, Any]:
        return {"product": {"S": self._partition}, "record": {"S": record}}


class DynamoTombstones:
    """Tombstones in the online store: the key, a recency that none exceeds, and nothing else.

    Each is put unconditionally, in the place of whatever is there, and has no end.

    Args:
        dynamodb: The client, with at least ``connections`` connections.
        table: The online store's table.
        connections: How many are put at once.
    """

    def __init__(self, dynamodb: DynamoDBClient, table: str, *, connections: int = 4) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._connections = connections

    def put(self, keys: Iterable[str]) -> dict[str, bool]:
        """Put a tombstone under each key; return for each whether a row was there.

        Raises:
            StoreUnavailableError: Not each is known to be there; doing it again is safe.
        """
        done: dict[str, bool] = {}
        with ThreadPoolExecutor(self._connections) as pool:
            for some in batched(keys, TOMBSTONES_AT_ONCE, strict=False):
                done.update(zip(some, pool.map(self._put, some), strict=True))
        return done

    def _put(self, key: str) -> bool:
        try:
            before = self._dynamodb.put_item(
                TableName=self._table,
                Item={"entity_key": {"S": key}, "recency": {"S": ERASED}},
                ReturnValues="ALL_OLD",
            )
        except AWS_ERRORS as error:
            raise _unavailable("a tombstone could not be put", error) from None
        return "features" in before.get("Attributes", {})


def _unavailable(what: str, error: Any) -> CreditScoringError:
    return StoreUnavailableError(f"{what}: {error_code(error)}")
