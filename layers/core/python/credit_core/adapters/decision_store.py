"""DynamoDB behind the scorer: one BatchGetItem reads everything, one write keeps the receipt."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from credit_core.adapters.aws_calls import CALL_ERRORS, JsonApi, RefusedError, pause
from credit_core.adapters.dynamodb_items import from_dynamodb, to_dynamodb
from credit_core.domain.application_records import DECISION, SUPERSEDED
from credit_core.domain.model_manifest import ROLLOUT_RECORD, RolloutPointer
from credit_core.domain.places import rollout_partition
from credit_core.domain.receipt import receipt_of
from credit_core.domain.receipt_archive import EXPIRES_AT, expires_at
from credit_core.domain.referrals import waiting
from credit_core.errors import ModelUnavailableError, StoreUnavailableError
from credit_core.ports import Readout, StoredFeatures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from credit_core.domain.receipt import Receipt
    from credit_core.ports import Timer

READ_SHARE = 0.6
"""Of the time that is left when reading begins.

What did not come by then is referred, and the referral has to be written: the write keeps 0.4 of
the deadline, its first try half of that. Within the read, half is for the first try. Of 80 ms that
is 24 and 24 for reading, 16 and 16 for writing; DynamoDB answers in about 5.
"""

SMALLEST_READ_SECONDS = 0.002


def dynamodb() -> JsonApi:
    """Return DynamoDB in this region."""
    return JsonApi("dynamodb", target="DynamoDB_20120810", version="1.0")


class DynamoDecisionStore:
    """The decision store on three tables.

    What DynamoDB leaves unprocessed is asked for again until the time for reading is over and is
    then reported as unread, never as absent. Every write is conditional: when one that seemed lost
    is repeated, it finds its own receipt and returns it.
    """

    def __init__(
        self,
        api: JsonApi,
        *,
        product: str,
        online_store_table: str,
        decisions_table: str,
        registry_table: str,
        receipt_days: int,
        on_damaged_pointer: Callable[[Exception], object],
        on_unread: Callable[[Exception], object] = lambda _: None,
    ) -> None:
        self._api = api
        self._online_store = online_store_table
        self._decisions = decisions_table
        self._registry = registry_table
        self._receipt_days = receipt_days
        self._on_damaged_pointer = on_damaged_pointer
        self._on_unread = on_unread
        self._pointer_key = {
            "product": {"S": rollout_partition(product)},
            "record": {"S": ROLLOUT_RECORD},
        }

    def read(
        self, entity_keys: Sequence[str], *, application_id: str, with_pointer: bool, timer: Timer
    ) -> Readout:
        """Read feature rows, an earlier receipt and, if asked, the rollout pointer, at once.

        Raises:
            DamagedReceiptError: There is an earlier receipt, and it cannot be read.
        """
        request: dict[str, Any] = {self._decisions: {"Keys": [_decision_key(application_id)]}}
        if entity_keys:  # DynamoDB refuses a table of which no key is asked for
            request[self._online_store] = {
                "Keys": [{"entity_key": {"S": key}} for key in dict.fromkeys(entity_keys)],
                "ProjectionExpression": "entity_key, recency, #features",
                "ExpressionAttributeNames": {"#features": "features"},
            }
        if with_pointer:
            request[self._registry] = {"Keys": [self._pointer_key]}
        items, unread = self._batch_get(request, _deadline(timer, share=READ_SHARE))
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
            receipt_of(from_dynamodb(receipts[0])) if receipts else None,
            self._pointer(pointers[0]) if pointers else None,
        )

    def read_pointer(self, *, timer: Timer) -> RolloutPointer | None:
        """Return the rollout pointer, or None where nothing was promoted or nothing answered."""
        request = {self._registry: {"Keys": [self._pointer_key]}}
        items, _ = self._batch_get(request, _deadline(timer))
        pointers = items.get(self._registry)
        return self._pointer(pointers[0]) if pointers else None

    def _pointer(self, item: Mapping[str, Any]) -> RolloutPointer | None:
        """Return the pointer, or None if it cannot be read: the known model goes on serving."""
        try:
            return RolloutPointer.model_validate_json(item["pointer"]["S"])
        except (KeyError, ValidationError) as error:
            fault = type(error).__name__
            self._on_damaged_pointer(
                ModelUnavailableError(f"the rollout pointer cannot be read ({fault})")
            )
            return None

    def write(self, receipt: Receipt, *, timer: Timer) -> Receipt | None:
        """Write the receipt unless there is one; return the earlier one in that case.

        Raises:
            DamagedReceiptError: There is an earlier one, and it cannot be read.
            StoreUnavailableError: It is not known to be written.
        """
        put = self._put(receipt, DECISION, "attribute_not_exists(application_id)")
        deadline = _deadline(timer)
        try:
            self._api.call("PutItem", put, deadline=deadline)
        except RefusedError as error:
            if error.code != "ConditionalCheckFailedException":
                raise _not_written(error) from None
            return self._instead(receipt, error.document.get("Item"), deadline)
        except CALL_ERRORS as error:
            raise _not_written(error) from None
        return None

    def supersede(self, receipt: Receipt, earlier: Receipt, *, timer: Timer) -> Receipt | None:
        """Write a receipt in the place of an earlier, retryable one, and keep that one too.

        Return the one that is there instead where somebody else superseded the earlier one, or
        added a review or an outcome to it.

        Raises:
            DamagedReceiptError: What is there instead cannot be read.
            StoreUnavailableError: It is not known to be written.
        """
        put = self._put(receipt, DECISION, "revision = :known AND attribute_not_exists(added)")
        put["ExpressionAttributeValues"] = {":known": {"N": str(earlier.revision)}}
        record = f"{SUPERSEDED}{earlier.revision:04}"
        keep = self._put(earlier, record, "attribute_not_exists(application_id)")
        deadline = _deadline(timer)
        try:
            self._api.call(
                "TransactWriteItems",
                {"TransactItems": [{"Put": put}, {"Put": keep}]},
                deadline=deadline,
            )
        except RefusedError as error:
            # A transaction that lost to another one is cancelled, and not told to whom.
            lost = error.reasons[:1]
            item = lost[0].get("Item") if lost else None
            current = self._instead(receipt, item, deadline)
            if current == earlier:
                raise _not_written(error) from None
            return current
        except CALL_ERRORS as error:
            raise _not_written(error) from None
        return None

    def _put(self, receipt: Receipt, record: str, condition: str) -> dict[str, object]:
        item = receipt.as_record(record)
        item[EXPIRES_AT] = expires_at(receipt.decided_at, days=self._receipt_days)
        if record == DECISION:  # what was superseded waits for nobody
            item |= waiting(item)
        return {
            "TableName": self._decisions,
            "Item": to_dynamodb(item),
            "ConditionExpression": condition,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def _instead(
        self, receipt: Receipt, item: Mapping[str, Any] | None, deadline: float
    ) -> Receipt:
        """Return what is there instead of a receipt that was refused: the item, or read again."""
        if item is None:
            keys = {"Keys": [_decision_key(receipt.application_id)], "ConsistentRead": True}
            items, _ = self._batch_get({self._decisions: keys}, deadline)
            item = next(iter(items.get(self._decisions, ())), None)
        if item is None:
            raise StoreUnavailableError("the receipt was not written, nor was another one read")
        return receipt_of(from_dynamodb(item))

    def _batch_get(
        self, request: dict[str, Any], deadline: float
    ) -> tuple[dict[str, list[dict[str, Any]]], Mapping[str, list[dict[str, Any]]]]:
        """Return the items per table and the keys per table that never arrived."""
        items: dict[str, list[dict[str, Any]]] = {}
        pending, doublings = request, 0
        while pending:
            try:
                answer = self._api.call(
                    "BatchGetItem", {"RequestItems": pending}, deadline=deadline
                )
                for table, found in answer["Responses"].items():
                    items.setdefault(table, []).extend(found)
                pending = answer.get("UnprocessedKeys") or {}
            except (*CALL_ERRORS, AttributeError, KeyError, TypeError) as error:
                self._on_unread(error)
                break  # no answer, or none that is one of DynamoDB's
            if not pending or deadline - time.monotonic() <= SMALLEST_READ_SECONDS:
                break
            pause(deadline, doublings=doublings)
            doublings += 1
        return items, {table: asked["Keys"] for table, asked in pending.items()}


def _deadline(timer: Timer, *, share: float = 1.0) -> float:
    return time.monotonic() + timer.remaining_seconds() * share


def _decision_key(application_id: str) -> dict[str, object]:
    return {"application_id": {"S": application_id}, "record": {"S": DECISION}}


def _not_written(error: Exception) -> StoreUnavailableError:
    return StoreUnavailableError(f"the receipt was not written ({error})")
