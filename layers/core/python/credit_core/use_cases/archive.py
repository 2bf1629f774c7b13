"""Bring every record of every decision into the archive, once, and find those that lack."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import batched, islice
from typing import TYPE_CHECKING, Any

from credit_core.domain.receipt_archive import Days, archived_record, day_of, has_ended, label
from credit_core.domain.rehearsal import is_rehearsal
from credit_core.errors import DamagedReceiptError, StoreUnavailableError
from credit_core.ports import Kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date, datetime

    from credit_core.domain.application_records import StoredRecord
    from credit_core.domain.receipt_archive import ArchivedRecord
    from credit_core.ports import DecisionRecords, FailedBatches, ReceiptArchive

KEPT_AT_ONCE = 1_000
"""Records that are in memory together; one has some 10 KB."""
TOLD = 20
"""Keys that an answer names; the counts are of all."""


@dataclass(frozen=True, slots=True)
class DayCounts:
    """Records made on a day: those of the table, and those of them that the archive has."""

    recorded: int
    archived: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """How table and archive agree.

    ``missing`` are the keys of records that the archive lacks, ``unknown`` counts what it has and
    the table doesn't; ``damaged`` has a cause by each record that can't be archived as it is.
    """

    days: Mapping[date, DayCounts] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    unknown: int = 0
    damaged: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """Return the JSON object in which a caller receives it."""
        return {
            "days": {
                str(day): {"recorded": counts.recorded, "archived": counts.archived}
                for day, counts in sorted(self.days.items())
            },
            "missing": len(self.missing),
            "missing_keys": sorted(self.missing)[:TOLD],
            "unknown": self.unknown,
            "damaged": dict(islice(self.damaged.items(), TOLD)),
        }


@dataclass(frozen=True, slots=True)
class Redriven:
    """What a redrive came to: the batches it took, what lacked before, and what it kept."""

    batches: int
    before: Comparison = field(default_factory=Comparison)
    kept: Kept = field(default_factory=Kept)

    @property
    def is_complete(self) -> bool:
        """Whether all that lacked is in the archive now."""
        return not self.kept.failed and not self.before.damaged

    def document(self) -> dict[str, Any]:
        """Return the JSON object in which a caller receives it."""
        return {
            "batches": self.batches,
            "complete": self.is_complete,
            "before": self.before.document(),
            "new": self.kept.new,
            "known": self.kept.known,
            "failed": dict(islice(self.kept.failed.items(), TOLD)),
        }


def archive(
    records: Iterable[StoredRecord], *, as_of: datetime, product: str, into: ReceiptArchive
) -> Kept:
    """Archive records as they come from the table's stream.

    Each is tried, whatever becomes of the others; doing it again changes nothing. One that has
    ended is passed over: it was in the archive, and its time there is over too.

    Raises:
        StoreUnavailableError: Not every record is known to be archived.
    """
    damaged: dict[str, str] = {}
    kept = into.keep([*_readable(records, product, damaged, as_of)])
    failed = damaged | dict(kept.failed)
    if failed:
        total = kept.new + kept.known + len(failed)
        told = "; ".join(f"{name}: {cause}" for name, cause in islice(failed.items(), TOLD))
        raise StoreUnavailableError(f"{len(failed)} of {total} records were not archived: {told}")
    return kept


def compare(
    days: Days,
    *,
    as_of: datetime,
    kept_since: date,
    product: str,
    records: DecisionRecords,
    archive: ReceiptArchive,
) -> Comparison:
    """Compare table and archive over these days.

    Args:
        days: These days.
        as_of: Now. A record that has ended does not lack, though the table may have it for days.
        kept_since: The first day of which the archive still has everything; older ones are left
            out.
        product: The product whose decisions they are.
        records: The decisions table.
        archive: The archive.

    Raises:
        StoreUnavailableError: One of them could not be read.
    """
    days = days.since(kept_since)
    damaged: dict[str, str] = {}
    recorded = {
        found.key
        for found in _readable(records.of(days), product, damaged, as_of)
        if found.day in days
    }
    # Listed last: what was on its way during the long look at the table has arrived by now.
    archived = set(archive.keys(days))
    made = Counter(map(day_of, recorded))
    there = Counter(map(day_of, recorded & archived))
    return Comparison(
        days={day: DayCounts(count, there[day]) for day, count in made.items()},
        missing=frozenset(recorded - archived),
        unknown=len(archived - recorded),
        damaged=damaged,
    )


def redrive(
    days: Days | None,
    *,
    as_of: datetime,
    kept_since: date,
    product: str,
    records: DecisionRecords,
    archive: ReceiptArchive,
    failed_batches: FailedBatches,
) -> Redriven:
    """Archive what lacks of the days of all failed batches, then forget these.

    From the table and not from its stream, which says in which batch a record was but keeps it for
    a day only: no record is deleted from the table before its end.

    Args:
        days: These days too, whether or not a batch of theirs failed.
        as_of: Now; what has ended is not written again.
        kept_since: The first day of which the archive still has everything; nothing older is
            written again.
        product: The product whose decisions they are.
        records: The decisions table.
        archive: The archive.
        failed_batches: The queue of what was given up.

    Raises:
        StoreUnavailableError: A store did not answer; doing it again is safe.
    """
    batches = failed_batches.take()
    asked = [batch.days for batch in batches] + ([days] if days else [])
    if not asked:
        return Redriven(batches=0)
    done = Redriven(len(batches))
    complete = False
    try:
        span = Days(min(some.first for some in asked), max(some.last for some in asked))
        before = compare(
            span,
            as_of=as_of,
            kept_since=kept_since,
            product=product,
            records=records,
            archive=archive,
        )
        kept = Kept()
        if before.missing:
            lacking = (
                found
                for found in _readable(records.of(span), product, {}, as_of)
                if found.key in before.missing
            )
            for some in batched(lacking, KEPT_AT_ONCE, strict=False):
                kept = _sum(kept, archive.keep(some))
        done = Redriven(len(batches), before, kept)
        complete = done.is_complete
    finally:
        settle = failed_batches.forget if complete else failed_batches.put_back
        settle(batches)
    return done


def _readable(
    records: Iterable[StoredRecord], product: str, damaged: dict[str, str], as_of: datetime
) -> Iterator[ArchivedRecord]:
    """Yield what the archive keeps of each record; note those that it can't keep."""
    for record in records:
        if has_ended(record, as_of=as_of):
            continue
        if is_rehearsal(record):
            continue  # nobody applied
        try:
            yield archived_record(record, product=product)
        except DamagedReceiptError as error:
            damaged[label(record)] = str(error)


def _sum(one: Kept, other: Kept) -> Kept:
    return Kept(one.new + other.new, one.known + other.known, {**one.failed, **other.failed})
