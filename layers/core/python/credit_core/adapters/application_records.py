"""The decisions table behind reviews and outcomes: records lie beside the decision, in order.

Each addition is one transaction with the decision's item, whose ``revision`` and ``added`` (the
number of additions so far) are its condition. So additions are in one order, a decision that was
reviewed is not superseded, nothing is added to what the caller did not see, and with the first
addition a referral waits for nobody any more: where an outcome is known, a review is refused.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from credit_core.adapters.aws_calls import PASSING_CODES
from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.adapters.decision_records import DynamoDecisionRecords
from credit_core.adapters.dynamodb_items import to_dynamodb
from credit_core.domain.application_records import (
    DECISION,
    MOMENTS,
    OUTCOME,
    REVIEW,
    SUPERSEDED,
    ApplicationRecords,
    Record,
)
from credit_core.domain.receipt_archive import EXPIRES_AT, expires_at
from credit_core.domain.referrals import WAITING
from credit_core.errors import DamagedReceiptError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import PutTypeDef, UpdateTypeDef

    from credit_core.domain.application_records import StoredRecord

LOST_RACES = PASSING_CODES | {"ConditionalCheckFailed"}
"""Why DynamoDB cancels a transaction that may be tried again, after another look."""

WAIT_SECONDS = 0.02
READ = ("record", "outcome", "response", "revision", "added", "number", *set(MOMENTS.values()))
"""The attributes that are read. A decision's model input and terms stay where they are."""


class DynamoApplicationRecords:
    """The records of one product's applications.

    Args:
        dynamodb: Client for the decisions table.
        product: Name of the product.
        table: The decisions table.
        receipt_days: How long a record is kept there.
    """

    def __init__(
        self, dynamodb: DynamoDBClient, *, product: str, table: str, receipt_days: int
    ) -> None:
        self._dynamodb = dynamodb
        self._product = product
        self._table = table
        self._receipt_days = receipt_days
        self._records = DynamoDecisionRecords(dynamodb, table)

    def read(self, application_id: str) -> ApplicationRecords | None:
        """Return all that is recorded of an application, or None where nothing was decided.

        Raises:
            DamagedReceiptError: A record cannot be read.
            StoreUnavailableError: The store did not answer.
        """
        items = {
            str(record["record"]): record
            for record in self._records.of_application(application_id, attributes=READ)
        }
        if DECISION not in items:
            return None
        try:
            return _records(application_id, items)
        except KeyError as error:
            raise DamagedReceiptError(f"a record misses {error}") from None

    def add(self, record: Record, *, to: ApplicationRecords) -> bool:
        """Add a review or an outcome, unless anything was changed since ``to`` was read.

        Return whether it was added.

        Raises:
            StoreUnavailableError: It is not known to be added.
        """
        try:
            self._dynamodb.transact_write_items(
                TransactItems=[{"Put": self._put(record, to)}, {"Update": self._update(to)}]
            )
        except self._dynamodb.exceptions.TransactionCanceledException as error:
            reasons = {reason.get("Code") for reason in error.response["CancellationReasons"]}
            if not reasons - {"None"} <= LOST_RACES:
                raise StoreUnavailableError(
                    f"{record.name} was not added: {sorted(map(str, reasons))}"
                ) from None
            time.sleep(WAIT_SECONDS * (1 + random.random()))  # noqa: S311 (jitter, no secret)
            return False
        except AWS_ERRORS as error:
            raise StoreUnavailableError(
                f"{record.name} is not known to be added: {error_code(error)}"
            ) from None
        return True

    def _put(self, record: Record, to: ApplicationRecords) -> PutTypeDef:
        return {
            "TableName": self._table,
            "Item": to_dynamodb(
                {
                    "application_id": to.application_id,
                    "record": record.name,
                    "product": self._product,
                    "outcome": record.outcome,
                    _moment(record.name): record.at,
                    "number": _next(to),
                    "response": record.document,
                    EXPIRES_AT: expires_at(record.at, days=self._receipt_days),
                }
            ),
            "ConditionExpression": "attribute_not_exists(application_id)",
        }

    def _update(self, to: ApplicationRecords) -> UpdateTypeDef:
        unchanged = "#added = :added" if to.added else "attribute_not_exists(#added)"
        names = {"#revision": "revision", "#added": "added", "#waiting": WAITING}
        values = {":revision": to.revision, ":next": _next(to)}
        if to.added:
            values[":added"] = to.added
        return {
            "TableName": self._table,
            "Key": {"application_id": {"S": to.application_id}, "record": {"S": DECISION}},
            "UpdateExpression": "SET #added = :next REMOVE #waiting",
            "ConditionExpression": f"#revision = :revision AND {unchanged}",
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": to_dynamodb(values),
        }


def _next(to: ApplicationRecords) -> int:
    return len(to.reviews) + len(to.outcomes) + 1


def _records(application_id: str, items: Mapping[str, StoredRecord]) -> ApplicationRecords:
    """Return the records in an application's items.

    Raises:
        KeyError: An attribute is missing, or of another type.
    """
    decision = items[DECISION]

    def beginning_with(prefix: str) -> tuple[Record, ...]:
        found = [item for name, item in items.items() if name.startswith(prefix)]
        return tuple(map(_record, sorted(found, key=_place)))

    return ApplicationRecords(
        application_id,
        _record(decision),
        revision=_attribute(decision, "revision", int),
        added=_attribute(decision, "added", int) if "added" in decision else 0,
        superseded=beginning_with(SUPERSEDED),
        reviews=beginning_with(REVIEW),
        outcomes=beginning_with(OUTCOME),
    )


def _place(item: StoredRecord) -> int:
    """Return an item's place among its kind: a decision's revision, an addition's number."""
    return _attribute(item, "revision" if "revision" in item else "number", int)


def _record(item: StoredRecord) -> Record:
    name, outcome, at, document = (
        _attribute(item, attribute, str)
        for attribute in ("record", "outcome", _moment(str(item["record"])), "response")
    )
    return Record(name, outcome, at, document)


def _attribute[Kind: (str, int)](item: StoredRecord, name: str, kind: type[Kind]) -> Kind:
    value = item[name]
    if type(value) is not kind:
        raise KeyError(name)
    return value


def _moment(name: str) -> str:
    return next(moment for prefix, moment in MOMENTS.items() if name.startswith(prefix))
