"""Receipts of decisions: what one keeps, in which texts, and how these are read again."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from credit_core.domain.application_records import DECISION, SUPERSEDED, compact_json
from credit_core.domain.decision import FeatureStatus, ServedView
from credit_core.domain.online_store import FeatureRow
from credit_core.errors import DamagedReceiptError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from credit_core.domain.application_records import Attribute, StoredRecord

TYPES = {"str": str, "bytes": bytes, "int": int, "bool": bool}

READ_ERRORS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What reading a receipt that holds anything at all may raise."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A decision as it is kept. ``response`` is the answer's very text.

    ``fingerprint`` is a keyed hash of the application, so that the same id with another body is
    noticed without keeping the body's identifiers. ``model_input`` is a JSON array of G numbers in
    the order of the inputs in ``terms``, null where unknown; with them and the registered model
    whose manifest has ``manifest_sha256`` (empty where none was asked) the decision is recomputed.
    ``shadow`` is the JSON of what the model said that was scored beside and did not answer, as
    ``Shadow.as_receipt`` has it; None where none was. ``added`` counts the reviews and outcomes
    beside it, None before the first: from then on nothing supersedes it. ``applicant`` is the
    keyed hash of who applied, by which an erasure finds it.
    """

    application_id: str
    product: str
    fingerprint: str
    outcome: str
    decided_at: str
    response: str
    request: str
    served: str
    model_input: str
    terms: bytes
    manifest_sha256: str
    stage_ms: str
    retryable: bool
    revision: int
    shadow: str | None = None
    added: int | None = None
    applicant: str | None = None

    def as_record(self, name: str = DECISION) -> dict[str, Attribute]:
        """Return the item of the decisions table that keeps it under that name."""
        kept: dict[str, Attribute] = {"record": name}
        for field in NAMES:
            value = getattr(self, field)
            if value is not None:
                kept[field] = value
        return kept


NAMES = tuple(field.name for field in fields(Receipt))


def is_receipt(record: StoredRecord) -> bool:
    """Whether a record is a receipt, and neither a review nor an outcome."""
    # The archive's name of a receipt is decision/<revision>; one without a name has to show too.
    name = str(record.get("record", DECISION))
    return name.partition("/")[0] == DECISION or name.startswith(SUPERSEDED)


def receipt_of(record: StoredRecord) -> Receipt:
    """Return the receipt in a record.

    Raises:
        DamagedReceiptError: It is none, or none of this release.
    """
    if "response" not in record:
        raise DamagedReceiptError("there is no receipt that can be read")
    if "terms" not in record:
        raise DamagedReceiptError("no terms: it was written before receipts kept them")
    values: dict[str, Any] = {}
    for field in fields(Receipt):
        expected, _, optional = str(field.type).partition(" | ")
        value = record.get(field.name)
        if type(value) is not TYPES[expected] and not (optional and value is None):
            raise DamagedReceiptError(f"its {field.name} is missing or of another type")
        values[field.name] = value
    return Receipt(**values)


def views_of(served: Mapping[str, Mapping[str, Any]]) -> dict[str, ServedView]:
    """Return the views as ``ServedView.as_receipt`` recorded them."""
    return {
        name: ServedView(
            FeatureStatus(view["status"]),
            FeatureRow(
                view["entity_key"],
                datetime.fromisoformat(view["event_timestamp"]),
                datetime.fromisoformat(view["created_timestamp"]),
                view["features"] or {},
                recency="",
            )
            if view["event_timestamp"] is not None
            else None,
            view["age_seconds"],
            view["features"],
            # Receipts were written without it at first.
            view["entity_key"] if view["event_timestamp"] is None else None,
        )
        for name, view in served.items()
    }


def model_input_of(row: NDArray[np.float64]) -> str:
    """Return a JSON array that gives back the same doubles, null for what is unknown.

    >>> model_input_of(np.array([0.1, math.nan]))
    '[0.1,null]'
    """
    numbers = [None if number != number else number for number in row.tolist()]  # noqa: PLR0124 (NaN)
    return compact_json(numbers)


def row_of(model_input: str) -> NDArray[np.float64]:
    """Return the model's input as it was recorded, shape (G,); empty if a fault came before it."""
    numbers = [math.nan if number is None else number for number in json.loads(model_input)]
    return np.array(numbers, dtype=np.float64)
