"""Add a person's review or a loan's outcome beside a decision, once, and never over it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from credit_core.domain.application_records import OUTCOME, REVIEW, Record, compact_json
from credit_core.domain.loan_outcome import LoanOutcome, date_fault, order_fault
from credit_core.domain.online_store import timestamp_text
from credit_core.domain.policy_definition import Outcome
from credit_core.errors import (
    ApplicationUnknownError,
    DamagedReceiptError,
    RecordConflictError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from credit_core.domain.application_records import ApplicationRecords
    from credit_core.domain.loan_outcome import OutcomeReport
    from credit_core.domain.review import Review
    from credit_core.ports import ApplicationRecordStore

ATTEMPTS = 5
"""How often a record is added anew because somebody else changed the application meanwhile."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The record's text; ``created`` unless an earlier call had recorded it."""

    document: str
    created: bool


def records_of(store: ApplicationRecordStore, application_id: str) -> ApplicationRecords:
    """Return all that is recorded of an application.

    Raises:
        ApplicationUnknownError: Nothing was decided under this id.
        DamagedReceiptError: A record cannot be read.
        StoreUnavailableError: The store did not answer.
    """
    records = store.read(application_id)
    if records is None:
        raise ApplicationUnknownError(application_id)
    return records


def review_decision(
    store: ApplicationRecordStore,
    review: Review,
    *,
    application_id: str,
    client_id: str,
    as_of: datetime,
) -> Recorded:
    """Record what a person decided; the decision itself stays as it is.

    Raises:
        ApplicationUnknownError: Nothing was decided under this id.
        DamagedReceiptError: A record cannot be read.
        RecordConflictError: The review id was used before, for another review; the decision is
            of another revision than the person saw; or what became of the loan is known already.
        StoreUnavailableError: It is not known to be recorded; sending it again is safe.
    """
    given, at = review.as_document(), timestamp_text(as_of)

    def record_beside(records: ApplicationRecords) -> Record:
        check_reviewable(review, records)
        document = {
            "application_id": application_id,
            **given,
            "client_id": client_id,
            "decided_at": records.decision.at,
            "reviewed_at": at,
        }
        return Record(f"{REVIEW}{review.review_id}", review.outcome, at, compact_json(document))

    return _record_once(store, application_id, f"{REVIEW}{review.review_id}", given, record_beside)


def report_outcome(
    store: ApplicationRecordStore, report: OutcomeReport, *, client_id: str, as_of: datetime
) -> Recorded:
    """Record what became of a loan.

    Raises:
        ApplicationUnknownError: Nothing was decided under this id.
        DamagedReceiptError: A record cannot be read.
        RecordConflictError: The date lies before the decision or in the future, another one was
            reported before, or the outcome contradicts what stands: only an approved loan is
            repaid or defaulted, a withdrawn one is neither, and a repaid one defaults no more.
        StoreUnavailableError: It is not known to be recorded; sending it again is safe.
    """
    given, at = report.as_document(), timestamp_text(as_of)
    name = f"{OUTCOME}{report.outcome}"

    def record_beside(records: ApplicationRecords) -> Record:
        check_consistent(report, records, as_of=as_of)
        document = {**given, "client_id": client_id, "reported_at": at}
        return Record(name, report.outcome, at, compact_json(document))

    return _record_once(store, report.application_id, name, given, record_beside)


def check_reviewable(review: Review, records: ApplicationRecords) -> None:
    """Check a review against what is recorded of its application.

    Raises:
        RecordConflictError: It is of another revision of the decision, or comes after an outcome.
    """
    if review.revision != records.revision:
        raise RecordConflictError(
            f"it was decided again meanwhile, and is of revision {records.revision} now; "
            "look at it first"
        )
    if records.outcomes:
        raise RecordConflictError(f"{records.outcomes[-1].outcome} was reported before")


def check_consistent(
    report: OutcomeReport, records: ApplicationRecords, *, as_of: datetime
) -> None:
    """Check an outcome against what is recorded of its application.

    Raises:
        DamagedReceiptError: The decision's time or an earlier outcome cannot be read.
        RecordConflictError: The date or the outcome contradicts what stands.
    """
    try:
        decided_at = datetime.fromisoformat(records.decision.at)
    except ValueError:
        raise DamagedReceiptError("the decision's time cannot be read") from None
    fault = date_fault(report.day, decided_at=decided_at, as_of=as_of)
    if fault is not None:
        # The body is sound by itself: it is what it is compared with that refuses it.
        raise RecordConflictError(f"date {fault}")
    of_loan = report.outcome is not LoanOutcome.WITHDRAWN
    if of_loan and records.standing.outcome != Outcome.APPROVE:
        raise RecordConflictError(
            f"{report.outcome} is of loans, and what stands is {records.standing.outcome}"
        )
    for other in records.outcomes:
        earlier, day = _reported(other)
        fault = order_fault(report, earlier=earlier, day=day)
        if fault is not None:
            raise RecordConflictError(fault)


def _reported(outcome: Record) -> tuple[LoanOutcome, date]:
    try:
        return LoanOutcome(outcome.outcome), date.fromisoformat(outcome.parsed()["date"])
    except (KeyError, TypeError, ValueError):
        raise DamagedReceiptError(f"the document of {outcome.name} cannot be read") from None


def _record_once(
    store: ApplicationRecordStore,
    application_id: str,
    name: str,
    given: dict[str, object],
    record_beside: Callable[[ApplicationRecords], Record],
) -> Recorded:
    """Add a record to what is there now; if somebody was faster, to what is there then."""
    for _ in range(ATTEMPTS):
        records = records_of(store, application_id)
        earlier = records.find(name)
        if earlier is not None:
            recorded = earlier.parsed()
            if any(recorded.get(field) != value for field, value in given.items()):
                raise RecordConflictError(f"{name} was recorded before with other content")
            return Recorded(earlier.document, created=False)
        record = record_beside(records)
        if store.add(record, to=records):
            return Recorded(record.document, created=True)
    raise StoreUnavailableError(f"the application changed {ATTEMPTS} times while {name} was added")
