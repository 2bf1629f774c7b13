"""All that is recorded of one application: its decision, and what was added beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from credit_core.errors import DamagedReceiptError

type Attribute = str | int | float | bool | bytes | None
type StoredRecord = Mapping[str, Attribute]
"""An item of the decisions table, by attribute."""

DECISION = "decision"
SUPERSEDED = "superseded/"
REVIEW = "review/"
OUTCOME = "outcome/"
"""Sort keys of an application's records, or what they begin with."""

MOMENTS = {
    DECISION: "decided_at",
    SUPERSEDED: "decided_at",
    REVIEW: "reviewed_at",
    OUTCOME: "reported_at",
}
"""The attribute that says when a record was made, by what the record's name begins with."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record. ``document`` is the very text that a client was answered with."""

    name: str
    outcome: str
    at: str
    document: str

    def parsed(self) -> dict[str, Any]:
        """Return the document.

        Raises:
            DamagedReceiptError: It is no JSON object.
        """
        try:
            document = json.loads(self.document)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise DamagedReceiptError(f"the document of {self.name} cannot be read")
        return document


@dataclass(frozen=True, slots=True)
class ApplicationRecords:
    """The records of one application, each kind oldest first.

    ``revision`` is the decision's, and ``added`` how many reviews and outcomes lie beside it: they
    tell whether anything was changed since.
    """

    application_id: str
    decision: Record
    revision: int
    added: int = 0
    superseded: tuple[Record, ...] = ()
    reviews: tuple[Record, ...] = ()
    outcomes: tuple[Record, ...] = ()

    @property
    def standing(self) -> Record:
        """The record whose outcome stands: the last person's, else the decision."""
        return (self.decision, *self.reviews)[-1]

    def find(self, name: str) -> Record | None:
        """Return the review or outcome of that name, or None."""
        return next((found for found in self.reviews + self.outcomes if found.name == name), None)

    def as_text(self) -> str:
        """Return the JSON document of all records, with each recorded text as it is.

        Raises:
            DamagedReceiptError: One of them is no JSON object.
        """
        standing = {
            "outcome": self.standing.outcome,
            "by": "person" if self.reviews else "model",
            "at": self.standing.at,
        }
        members = {
            "application_id": compact_json(self.application_id),
            "standing": compact_json(standing),
            "decision": _text(self.decision),
            "superseded": _texts(self.superseded),
            "reviews": _texts(self.reviews),
            "outcomes": _texts(self.outcomes),
        }
        return "{" + ",".join(f'"{name}":{text}' for name, text in members.items()) + "}"


compact_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
"""Returns JSON without spaces, as receipts keep it."""


def _text(record: Record) -> str:
    record.parsed()
    return record.document


def _texts(records: tuple[Record, ...]) -> str:
    return f"[{','.join(map(_text, records))}]"
