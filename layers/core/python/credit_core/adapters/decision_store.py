"""DynamoDB behind the scorer: one BatchGetItem reads everything, one PutItem keeps the receipt."""

from __future__ import annotations

import random
import time
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from credit_core.adapters.clients import AWS_ERRORS, error_code, may_pass
from credit_core.domain.decision import Receipt
from credit_core.domain.model_manifest import ROLLOUT_RECORD, RolloutPointer
from credit_core.errors import StoreUnavailableError
from credit_core.ports import Readout, StoredFeatures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient

    from credit_core.ports import Timer

DECISION = "decision"
SMALLEST_WAIT_SECONDS = 0.002
RECEIPT_FIELDS = tuple(field.name for field in fields(Receipt))


class DynamoDecisionStore:
    """The decision store on three tables; the client's retries must be off.

    Every call here carries what it needs in one round trip; what DynamoDB leaves unprocessed is
    asked for again until the deadline and is then reported as unread, never as absent.
    """

    def __init__(
        self,
        dynamodb: DynamoDBClient,
        *,
        product: str,
        online_store_table: str,
        decisions_table: str,
        registry_table: str,
    ) -> None:
        self._dynamodb = dynamodb
        self._online_store = online_store_table
        self._decisions = decisions_table
        self._registry = registry_table
        self._pointer_key = {"product": {"S": product}, "record": {"S": ROLLOUT_RECORD}}

    def read(
        self, entity_keys: Sequence[str], *, application_id: str, with_pointer: bool, timer: Timer
    ) -> Readout:
        """Read feature rows, an earlier receipt and, if asked, the rollout pointer, at once."""
        request: dict[str, Any] = {
            self._online_store: {
                "Keys": [{"entity_key": {"S": key}} for key in dict.fromkeys(entity_keys)],
                "ProjectionExpression": "entity_key, recency, #features",
                "ExpressionAttributeNames": {"#features": "features"},
            },
            self._decisions: {
                "Keys": [{"application_id": {"S": application_id}, "record": {"S": DECISION}}]
            },
        }
        if with_pointer:
            request[self._registry] = {"Keys": [self._pointer_key]}
        items, unread = self._batch_get(request, timer)
        rows = {
            item["entity_key"]["S"]: StoredFeatures(
                item.get("recency", {}).get("S", ""), item.get("features", {}).get("S", "")
            )
            for item in items.get(self._online_store, [])
        }
        receipts = items.get(self._decisions)
        pointers = items.get(self._registry)
        return Readout(
            rows,
            frozenset(key["entity_key"]["S"] for key in unread.get(self._online_store, [])),
            _receipt(receipts[0]) if receipts else None,
            _pointer(pointers[0]) if pointers else None,
        )

    def read_pointer(self, *, timer: Timer) -> RolloutPointer | None:
        """Return the rollout pointer, or None where nothing was promoted or nothing answered."""
        items, _ = self._batch_get({self._registry: {"Keys": [self._pointer_key]}}, timer)
        pointers = items.get(self._registry)
        return _pointer(pointers[0]) if pointers else None

    def write(self, receipt: Receipt, *, timer: Timer) -> Receipt | None:
        """Write the receipt unless there is one; return the earlier one in that case.

        A call that timed out may have written; asking again finds that receipt and returns it.

        Raises:
            StoreUnavailableError: It is not known to be written.
        """
        item = {name: {"S": getattr(receipt, name)} for name in RECEIPT_FIELDS}
        while True:
            try:
                self._dynamodb.put_item(
                    TableName=self._decisions,
                    Item=item | {"record": {"S": DECISION}},
                    ConditionExpression="attribute_not_exists(application_id)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except self._dynamodb.exceptions.ConditionalCheckFailedException as error:
                return _receipt(error.response["Item"])  # type: ignore[typeddict-item]
            except AWS_ERRORS as error:
                if not may_pass(error) or timer.remaining_seconds() <= SMALLEST_WAIT_SECONDS:
                    raise StoreUnavailableError(
                        f"the receipt was not written ({error_code(error)})"
                    ) from None
                _wait()
            else:
                return None

    def _batch_get(
        self, request: dict[str, Any], timer: Timer
    ) -> tuple[dict[str, list[dict[str, Any]]], Mapping[str, list[dict[str, Any]]]]:
        """Return the items per table and the keys per table that never arrived."""
        items: dict[str, list[dict[str, Any]]] = {}
        pending = request
        while pending:
            try:
                response = self._dynamodb.batch_get_item(RequestItems=pending)
            except AWS_ERRORS as error:
                if not may_pass(error):
                    break
            else:
                for table, found in response["Responses"].items():
                    items.setdefault(table, []).extend(found)
                pending = response.get("UnprocessedKeys", {})
            if not pending or timer.remaining_seconds() <= SMALLEST_WAIT_SECONDS:
                break
            _wait()
        return items, {table: asked["Keys"] for table, asked in pending.items()}


def _wait() -> None:
    time.sleep(SMALLEST_WAIT_SECONDS * (1 + random.random()))  # noqa: S311 (jitter, no secret)


def _receipt(item: Mapping[str, Any]) -> Receipt:
    return Receipt(**{name: item[name]["S"] for name in RECEIPT_FIELDS})


def _pointer(item: Mapping[str, Any]) -> RolloutPointer | None:
    """Return the pointer, or None if it cannot be read: the known model goes on serving."""
    try:
        return RolloutPointer.model_validate_json(item["pointer"]["S"])
    except (KeyError, ValidationError):
        return None
