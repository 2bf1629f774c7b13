"""Records of decisions as the archive keeps them: where each lies, and its bytes."""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote

from credit_core.domain.application_records import DECISION, MOMENTS, SUPERSEDED
from credit_core.domain.places import receipts_prefix
from credit_core.domain.referrals import WAITING
from credit_core.errors import DamagedReceiptError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credit_core.domain.application_records import Attribute, StoredRecord

EXPIRES_AT = "expires_at"
"""Of a record in the table: when it ends there, in seconds since 1970."""

LATER = frozenset({"added", EXPIRES_AT, WAITING})
"""What is no part of a record in the archive: how much was recorded beside a receipt later, when it
ends in the table, which an erasure may bring forward, and whether it still waits for a person.
"""

SECONDS_A_DAY = 86_400

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

    @classmethod
    def named(cls, asked: Mapping[str, str]) -> Days:
        """Return the days of ``{"from": "2026-11-01", "to": "2026-11-22"}``; each may be absent.

        Raises:
            ValueError: One is no day.

        >>> Days.named({"to": "2026-11-22"}).last
        datetime.date(2026, 11, 22)
        """
        first, last = asked.get("from"), asked.get("to")
        return cls(
            date.fromisoformat(first) if first else date.min,
            date.fromisoformat(last) if last else date.max,
        )

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
    kept = {attribute: record[attribute] for attribute in record if attribute not in LATER}
    if kind in {DECISION, SUPERSEDED}:
        kept["record"] = name = f"{DECISION}/{_revision(record):04d}"
    return ArchivedRecord(
        key=f"{receipts_prefix(product)}{DAY}{day}/{APPLICATION}{quote(application, safe='')}"
        f"/{quote(name)}.json",
        day=day,
        body=_canonical(kept),
    )


def has_ended(record: StoredRecord, *, as_of: datetime) -> bool:
    """Whether a record is past its end; DynamoDB removes it only some days later.

    The archive has ended its own copy, and must not receive it again.

    >>> has_ended({"record": "decision", "expires_at": 60}, as_of=datetime(1970, 1, 2, tzinfo=UTC))
    True
    >>> has_ended({"record": "decision"}, as_of=datetime(1970, 1, 2, tzinfo=UTC))
    False
    """
    end = record.get(EXPIRES_AT)
    return isinstance(end, int) and end <= as_of.timestamp()


def expires_at(made_at: str, *, days: int) -> int:
    """Return when a record ends in the table: so many days after it was made, in epoch seconds.

    >>> expires_at("1970-01-01T00:00:00.500Z", days=1)
    86401
    """
    return math.ceil(datetime.fromisoformat(made_at).timestamp()) + days * SECONDS_A_DAY


def record_in(body: bytes) -> StoredRecord | None:
    r"""Return the record whose archived bytes these are, None if they are none.

    >>> record_in(b'{"record":"decision/0001","terms":"AA=="}')
    {'record': 'decision/0001', 'terms': b'\x00'}
    >>> record_in(b"[]")
    """
    try:
        document: dict[str, Attribute] = json.loads(body)
        terms = document.get("terms")
        if isinstance(terms, str):
            document["terms"] = b64decode(terms, validate=True)
    except (AttributeError, ValueError, RecursionError):
        return None
    return document


def label(record: StoredRecord) -> str:
    """Return what a record is called in messages."""
    return " ".join(str(record.get(attribute)) for attribute in ("application_id", "record"))


def day_of(key: str) -> date:
    """Return the day under which an object of the archive lies.

    >>> day_of("receipts/personal_loan/day=2026-11-22/application=a/decision/0001.json")
    datetime.date(2026, 11, 22)
    """
    return date.fromisoformat(key.split(f"/{DAY}", 1)[1][: len("2026-11-22")])


class ArchivedName(NamedTuple):
    """What the key of an object of the archive tells; ``record`` is ``decision/0001``, say."""

    day: date
    application_id: str
    record: str


def archived_name(key: str) -> ArchivedName:
    """Return what a key that ``archived_record`` made tells.

    >>> archived_name("receipts/loan/day=2026-11-22/application=a%3A1/outcome/defaulted.json")
    ArchivedName(day=datetime.date(2026, 11, 22), application_id='a:1', record='outcome/defaulted')
    """
    application, _, record = key.split(f"/{APPLICATION}", 1)[1].partition("/")
    return ArchivedName(day_of(key), unquote(application), unquote(record.removesuffix(".json")))


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
