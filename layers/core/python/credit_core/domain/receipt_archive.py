"""Records of decisions as the archive keeps them: where each lies, and its bytes."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote

from credit_core.domain.application_records import DECISION, MOMENTS, SUPERSEDED
from credit_core.domain.places import receipts_prefix
from credit_core.errors import DamagedReceiptError

if TYPE_CHECKING:
    from credit_core.domain.application_records import StoredRecord

LATER = frozenset({"added"})
"""What is written into a receipt after its decision, when something is recorded beside it."""

DAY = "day="
"""Begins the part of a key that names the day; query engines know this form as a partition."""

APPLICATION = "application="
"""Begins the part of a key that names the application; all of its records lie under it."""


@dataclass(frozen=True, slots=True)
class Days:
    """All days from the first to the last, both included, in UTC."""

    first: date = date.min
    last: date = date.max

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def since(self, first: date) -> Days:
        """Return those of these days that are not before another.

        >>> days = Days(date(2026, 11, 1), date(2026, 11, 22))
        >>> days.since(date(2026, 11, 20)).first
        datetime.date(2026, 11, 20)
        >>> days.since(date(2026, 10, 20)) == days
        True
        """
        return Days(max(first, self.first), self.last)


@dataclass(frozen=True, slots=True)
class ArchivedRecord:
    """An object of the archive: the same record gives the same key and the same bytes."""

    key: str
    day: date
    body: bytes


def archived_record(record: StoredRecord, *, product: str) -> ArchivedRecord:
    r"""Return what the archive keeps of a record.

    A receipt lies under its revision, because its name changes when another supersedes it, and
    without what it gets later. The day is that on which the record was made, so that it is known
    from the record alone, whenever it arrives.

    Raises:
        DamagedReceiptError: It doesn't say what it is or when it was made.

    >>> receipt = {"application_id": "a:1", "record": "decision", "revision": 1,
    ...     "decided_at": "2026-11-22T10:55:03.193Z", "terms": b"\x00"}
    >>> found = archived_record(receipt, product="personal_loan")
    >>> found.key
    'receipts/personal_loan/day=2026-11-22/application=a%3A1/decision/0001.json'
    >>> found == archived_record(receipt | {"record": "superseded/0001"}, product="personal_loan")
    True
    >>> print(found.body.decode()[:58])
    {"application_id":"a:1","decided_at":"2026-11-22T10:55:03.
    """
    application, name = record.get("application_id"), record.get("record")
    if not isinstance(application, str) or not isinstance(name, str):
        raise DamagedReceiptError("a record without application_id and record")
    kind = next((known for known in MOMENTS if name.startswith(known)), None)
    if kind is None:
        raise DamagedReceiptError(f"{label(record)}: there is no such kind of record")
    day = _day(record, MOMENTS[kind])
    kept = dict(record)
    if kind in {DECISION, SUPERSEDED}:
        kept = {attribute: record[attribute] for attribute in record if attribute not in LATER}
        kept["record"] = name = f"{DECISION}/{_revision(record):04d}"
    return ArchivedRecord(
        key=f"{receipts_prefix(product)}{DAY}{day}/{APPLICATION}{quote(application, safe='')}"
        f"/{quote(name)}.json",
        day=day,
        body=_canonical(kept),
    )


def label(record: StoredRecord) -> str:
    """Return what a record is called in messages."""
    return " ".join(str(record.get(attribute)) for attribute in ("application_id", "record"))


def day_of(key: str) -> date:
    """Return the day under which an object of the archive lies.

    >>> day_of("receipts/personal_loan/day=2026-11-22/application=a/decision/0001.json")
    datetime.date(2026, 11, 22)
    """
    return date.fromisoformat(key.split(f"/{DAY}", 1)[1][: len("2026-11-22")])


def _day(record: StoredRecord, attribute: str) -> date:
    try:
        moment = datetime.fromisoformat(str(record[attribute]))
    except (KeyError, ValueError):
        raise DamagedReceiptError(f"{label(record)}: {attribute} is no moment") from None
    if moment.tzinfo is None:
        raise DamagedReceiptError(f"{label(record)}: {attribute} has no time zone")
    return moment.astimezone(UTC).date()


def _revision(record: StoredRecord) -> int:
    # The first receipts were written without: each was the only one of its application.
    revision = record.get("revision", 1)
    if not isinstance(revision, int) or revision < 1:
        raise DamagedReceiptError(f"{label(record)}: revision is no number from 1")
    return revision


def _canonical(document: StoredRecord) -> bytes:
    """Return JSON on one line, its names sorted, bytes in base64."""
    text = json.dumps(
        document,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
        default=lambda value: b64encode(value).decode(),
    )
    return text.encode() + b"\n"
