"""Records of decisions as the table holds them, and an archive in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from credit_core.domain.online_store import timestamp_text
from credit_core.domain.receipt_archive import Days, day_of
from credit_core.errors import StoreUnavailableError
from credit_core.ports import FailedBatch, Kept
from tests.builders import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from credit_core.domain.application_records import StoredRecord
    from credit_core.domain.receipt_archive import ArchivedRecord

TODAY = NOW.date()
YESTERDAY = TODAY - timedelta(days=1)
A_DAY = timedelta(days=1)


def a_receipt(
    application_id: str = "application-1", *, at: datetime = NOW, **changes: object
) -> StoredRecord:
    """Return a decision's item; an attribute set to ``...`` is left out."""
    attributes: dict[str, object] = {
        "application_id": application_id,
        "record": "decision",
        "product": "personal_loan",
        "outcome": "approve",
        "decided_at": timestamp_text(at),
        "response": '{"outcome":"approve"}',
        "terms": b"\x78\x9c\x00\xff",
        "revision": 1,
        "retryable": False,
    }
    return {
        name: value  # type: ignore[misc]
        for name, value in (attributes | changes).items()
        if value is not ...
    }


def a_review(application_id: str = "application-1", *, at: datetime = NOW) -> StoredRecord:
    return {
        "application_id": application_id,
        "record": "review/r-1",
        "product": "personal_loan",
        "outcome": "approve",
        "reviewed_at": timestamp_text(at),
        "number": 1,
        "response": "{}",
    }


def an_outcome(application_id: str = "application-1", *, at: datetime = NOW) -> StoredRecord:
    return {
        "application_id": application_id,
        "record": "outcome/repaid",
        "product": "personal_loan",
        "outcome": "repaid",
        "reported_at": timestamp_text(at),
        "number": 2,
        "response": "{}",
    }


@dataclass
class FakeArchive:
    """An archive in memory that refuses the keys that contain one of some words."""

    objects: dict[str, bytes] = field(default_factory=dict)
    refusing: tuple[str, ...] = ()
    writes: int = 0

    def keep(self, records: Sequence[ArchivedRecord]) -> Kept:
        kept = Kept()
        for record in records:
            if any(word in record.key for word in self.refusing):
                kept = replace(kept, failed={**kept.failed, record.key: "AccessDenied"})
            elif record.key in self.objects:
                kept = replace(kept, known=kept.known + 1)
            else:
                self.objects[record.key] = record.body
                self.writes += 1
                kept = replace(kept, new=kept.new + 1)
        return kept

    def keys(self, days: Days) -> Iterator[str]:
        yield from (key for key in sorted(self.objects) if day_of(key) in days)


@dataclass
class FakeRecords:
    """The decisions table, in memory; it gives more than it is asked for, as the real one may."""

    items: list[StoredRecord] = field(default_factory=list)
    asked: list[Days] = field(default_factory=list)
    broken: bool = False

    def of(self, days: Days) -> Iterator[StoredRecord]:
        self.asked.append(days)
        if self.broken:
            raise StoreUnavailableError("the decisions could not be read")
        yield from self.items


@dataclass
class FakeFailedBatches:
    """A queue in memory."""

    waiting: list[FailedBatch] = field(default_factory=list)
    taken: list[FailedBatch] = field(default_factory=list)

    def take(self) -> Sequence[FailedBatch]:
        self.taken, self.waiting = self.waiting, []
        return self.taken

    def forget(self, batches: Sequence[FailedBatch]) -> None:
        self.taken = [batch for batch in self.taken if batch not in batches]

    def put_back(self, batches: Sequence[FailedBatch]) -> None:
        self.waiting += batches


def a_failed_batch(first: datetime = NOW, last: datetime | None = None) -> FailedBatch:
    return FailedBatch(f"handle-{first}", Days(first.date(), (last or first).date()))


def keys_of(records: Mapping[str, bytes]) -> list[str]:
    """Return the keys without what all have in common."""
    return sorted(key.removeprefix("receipts/personal_loan/") for key in records)
