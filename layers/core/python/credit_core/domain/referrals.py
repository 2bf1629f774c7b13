"""The referral queue: which decisions wait for a person, their order, and what is told of each."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from credit_core.domain.application import APPLICATION_ID_PATTERN
from credit_core.domain.policy_definition import Outcome
from credit_core.domain.rehearsal import is_rehearsal

if TYPE_CHECKING:
    from credit_core.domain.application_records import Attribute, StoredRecord

WAITING = "awaiting_review"
"""Attribute of a referral that nobody has reviewed: its shard. No other record has it, so that an
index by it holds those alone.
"""

SHARDS = 8
"""Parts of the queue. A fault may refer everybody at once, and one part of an index takes only
about 1,000 KB a second; beyond that the writes of the decisions themselves would be refused.
"""

USUAL_PAGE, LARGEST_PAGE = 25, 100
"""Referrals of an answer, where nothing else is asked for, and at most."""

TIME_PATTERN = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z"
CURSOR_PATTERN = rf"{TIME_PATTERN}_{APPLICATION_ID_PATTERN}"
"""That of a cursor: when a referral was decided, and its application."""

SAME_AS_DECIDED = (
    *("cause", "decided_by", "probability_of_default", "points", "risk_band"),
    "policy_version",
)
"""What the queue tells as the decision has it."""


class Place(NamedTuple):
    """A referral's place in the queue; the order of these tuples is the queue's."""

    decided_at: str
    application_id: str

    @classmethod
    def of(cls, record: StoredRecord) -> Place:
        """Return the place of a record of the decisions table."""
        return cls(str(record.get("decided_at", "")), str(record["application_id"]))

    @classmethod
    def at(cls, cursor: str) -> Place | None:
        """Return the place that a cursor names, or None if it is no cursor.

        >>> Place.at("2026-11-22T10:55:03.193Z_loan-1")
        Place(decided_at='2026-11-22T10:55:03.193Z', application_id='loan-1')
        >>> Place.at("loan-1")
        """
        # A day that no calendar has is a place too: texts are compared.
        return cls(*cursor.split("_", 1)) if re.fullmatch(CURSOR_PATTERN, cursor) else None

    @property
    def cursor(self) -> str:
        """The place as clients hand it back."""
        return "_".join(self)


def shard_of(application_id: str) -> str:
    """Return the part of the queue in which an application waits.

    >>> shard_of("loan-1"), shard_of("loan-2")
    ('7', '5')
    """
    return str(crc32(application_id.encode()) % SHARDS)


def waiting(decision: StoredRecord) -> dict[str, Attribute]:
    """Return the attribute by which a new decision waits for a person; nothing if it does not.

    Nobody has to decide about a rehearsal.

    >>> waiting({"application_id": "loan-1", "outcome": "refer"})
    {'awaiting_review': '7'}
    >>> waiting({"application_id": "loan-1", "outcome": "approve"})
    {}
    >>> waiting({"application_id": "/rehearsal/golden-1", "outcome": "refer"})
    {}
    """
    if decision["outcome"] != Outcome.REFER or is_rehearsal(decision):
        return {}
    return {WAITING: shard_of(str(decision["application_id"]))}


def referral(record: StoredRecord) -> dict[str, Any]:
    """Return what the queue tells of a record: ids, times and what was judged, no applicant's data.

    What can't be read is null: a person has to see it all the same.
    """
    decided: Any = None
    with suppress(ValueError, RecursionError):
        decided = json.loads(str(record.get("response")))
    known: dict[str, Any] = decided if isinstance(decided, dict) else {}
    model = known.get("model")
    return {
        "application_id": record["application_id"],
        "revision": record.get("revision"),
        "decided_at": record.get("decided_at"),
        **{name: known.get(name) for name in SAME_AS_DECIDED},
        "model_version": model.get("version") if isinstance(model, dict) else None,
    }
