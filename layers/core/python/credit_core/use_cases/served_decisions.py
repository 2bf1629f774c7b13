"""Decisions as they were served, read back from the archive with what became of each."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import date
from heapq import nsmallest
from itertools import batched, chain
from typing import TYPE_CHECKING

from credit_core.domain.application_records import DECISION, OUTCOME, REVIEW
from credit_core.domain.loan_outcome import LoanOutcome
from credit_core.domain.receipt_archive import Days, archived_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from credit_core.domain.application_records import StoredRecord
    from credit_core.ports import ArchivedRecords

APPLICATIONS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class ServedDecision:
    """An application's last decision, as its receipt has it, and what became of it.

    ``standing`` is the outcome that stands, a person's where there is a review. ``reported`` has
    the day of each outcome that was reported of the loan. ``sampled`` is whether chance took it,
    where not all decisions are read: those with an outcome are read beside the sample.
    """

    application_id: str
    receipt: StoredRecord
    standing: str
    reported: Mapping[LoanOutcome, date]
    sampled: bool


@dataclass
class ServedDecisions:
    """The decisions of some days; iterating reads them.

    ``made`` counts them, ``unread`` those that were left out because more than ``most`` would have
    been read, and ``damaged`` the applications of which a record could not be read.

    Raises:
        StoreUnavailableError: The archive did not answer.
    """

    archive: ArchivedRecords
    days: Days
    most: int
    damaged: int = field(default=0, init=False)
    made: int = field(default=0, init=False)
    unread: int = field(default=0, init=False)
    _chosen: Sequence[_Application] = field(default=(), init=False, repr=False)

    def __post_init__(self) -> None:
        found: dict[str, _Application] = {}
        # What became of a decision, or took its place, lies on later days.
        for key in self.archive.keys(Days(self.days.first)):
            name = archived_name(key)
            application = found.setdefault(name.application_id, _Application(name.application_id))
            application.add(key, name.record, name.day)
        made = [each for each in found.values() if each.decision and each.day in self.days]
        self.made = len(made)
        sample = made if len(made) <= self.most else nsmallest(self.most, made, key=_chance)
        for application in sample:
            application.sampled = True
        reported = [each for each in made if each.is_reported and not each.sampled]
        self._chosen = [*sample, *nsmallest(self.most, reported, key=_chance)]
        self.unread = self.made - len(self._chosen)

    @property
    def sampled(self) -> int:
        """How many decisions chance took."""
        return min(self.made, self.most)

    def __iter__(self) -> Iterator[ServedDecision]:
        """Yield each decision that is read."""
        self.damaged = 0
        for some in batched(self._chosen, APPLICATIONS_AT_ONCE, strict=False):
            keys = chain.from_iterable((each.decision, *each.others) for each in some)
            records = self.archive.records(keys)
            for application in some:
                receipt, *others = (next(records) for _ in range(1 + len(application.others)))
                served = _served(application, receipt, others)
                if served is None:
                    self.damaged += 1
                else:
                    yield served


@dataclass(slots=True)
class _Application:
    """Where the records of an application lie: its last decision, and what lies beside it."""

    application_id: str
    decision: str = ""
    record: str = ""
    day: date = date.min
    others: list[str] = field(default_factory=list)
    is_reported: bool = False
    sampled: bool = False

    def add(self, key: str, record: str, day: date) -> None:
        if record.startswith(f"{DECISION}/"):
            # Revisions have four digits, so that they sort as text.
            if record > self.record:
                self.decision, self.record, self.day = key, record, day
        elif record.startswith((OUTCOME, REVIEW)):
            self.others.append(key)
            self.is_reported |= record.startswith(OUTCOME)


def _chance(application: _Application) -> bytes:
    """Return what orders applications by chance, and the same each time."""
    return hashlib.sha256(application.application_id.encode()).digest()


def _served(
    application: _Application,
    receipt: StoredRecord | None,
    others: Sequence[StoredRecord | None],
) -> ServedDecision | None:
    """Return the decision in an application's records, None if one of them cannot be read."""
    if receipt is None:
        return None
    try:
        standing = str(receipt["outcome"])
        reported: dict[LoanOutcome, date] = {}
        for record in sorted(filter(None, others), key=_number):
            if str(record["record"]).startswith(REVIEW):
                standing = str(record["outcome"])
            else:
                document = json.loads(str(record["response"]))
                reported[LoanOutcome(document["outcome"])] = date.fromisoformat(document["date"])
    except (KeyError, TypeError, ValueError):
        return None
    if None in others:
        return None
    return ServedDecision(
        application.application_id, receipt, standing, reported, application.sampled
    )


def _number(record: StoredRecord) -> int:
    """Return the place of a record among those beside its decision."""
    return int(str(record["number"]))
