"""Records of an application, and a store that keeps them as the real one does."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from credit_core.domain.application_records import REVIEW, ApplicationRecords, Record
from credit_core.domain.online_store import timestamp_text
from tests.builders import NOW

if TYPE_CHECKING:
    from collections.abc import Callable

A_REVIEW: dict[str, object] = {
    "review_id": "review-1",
    "revision": 1,
    "outcome": "approve",
    "reviewer": "a.smith",
    "reason": "Pay slips show a higher income",
}


def a_review_body(**changes: object) -> str:
    """Return the JSON of a review; a field set to ``...`` is left out."""
    fields = A_REVIEW | changes
    return json.dumps({name: value for name, value in fields.items() if value is not ...})


def an_outcome_body(**changes: object) -> str:
    """Return the JSON of an outcome's report."""
    fields = {"application_id": "application-1", "outcome": "repaid", "date": "2026-11-20"}
    return json.dumps(fields | changes)


def recorded_decision(outcome: str = "refer", *, application_id: str = "application-1") -> Record:
    """Return a decision as it is recorded at NOW; its document has a space, as no other has."""
    at = timestamp_text(NOW)
    document = json.dumps(
        {"application_id": application_id, "outcome": outcome, "decided_at": at, "points": 512.10}
    )
    return Record("decision", outcome, at, document)


@dataclass
class FakeRecordStore:
    """A record store in memory; ``before_add`` is what others do just before an addition."""

    applications: dict[str, ApplicationRecords] = field(default_factory=dict)
    before_add: Callable[[], object] = lambda: None

    def decide(
        self, outcome: str = "refer", *, application_id: str = "application-1", revision: int = 1
    ) -> None:
        """Record a decision."""
        self.applications[application_id] = ApplicationRecords(
            application_id,
            recorded_decision(outcome, application_id=application_id),
            revision=revision,
        )

    def read(self, application_id: str) -> ApplicationRecords | None:
        """Return the records, or None."""
        return self.applications.get(application_id)

    def add(self, record: Record, *, to: ApplicationRecords) -> bool:
        """Add a record unless anything changed."""
        self.before_add()
        found = self.applications[to.application_id]
        if (found.revision, found.added) != (to.revision, to.added):
            return False
        is_review = record.name.startswith(REVIEW)
        self.applications[to.application_id] = replace(
            found,
            added=found.added + 1,
            reviews=(*found.reviews, record) if is_review else found.reviews,
            outcomes=found.outcomes if is_review else (*found.outcomes, record),
        )
        return True
