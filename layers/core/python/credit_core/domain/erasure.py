"""Erasure of an applicant: what is known of it afterwards, and the certificate of it.

An applicant is known here by a keyed hash alone, the one in the keys of its rows.
"""

from __future__ import annotations

import hmac
import json
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from credit_core.domain.application_records import MOMENTS, OUTCOME, REVIEW, compact_json
from credit_core.domain.online_store import keyed_hash, timestamp_text
from credit_core.errors import DamagedReceiptError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from credit_core.domain.application_records import StoredRecord
    from credit_core.domain.product import Entity

TOLD_FILES = 100
"""Files of the lake that a certificate names; the counts are of all."""

DUTY = "12 CFR 1002.12(b) (Regulation B): 25 months from the notice to the applicant"
NOT_REMOVED = (
    "Files that the lender writes to the lake: those that hold the applicant are named above.",
    "Earlier versions of the lender's files, and copies of the lake elsewhere.",
    "Point-in-time backups of the tables, up to 35 days.",
    "Rows on their way in the queue of pushed rows and its dead letters, up to 14 days.",
    "Models and training sets that were made with the applicant's loans before.",
)
"""What a certificate says of what this system does not hold, or can't remove."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Records of an applicant that the law has the lender keep, and when the last of them ends."""

    receipts: int = 0
    reviews: int = 0
    outcomes: int = 0
    until: str | None = None


@dataclass(frozen=True, slots=True)
class LakeSearch:
    """How far the lake has been searched for the applicant, and what was found.

    ``after`` is the key of the last file that was searched, None when all were. ``files`` has the
    first of the lender's own files with their rows of the applicant; ``rows`` counts those of all.
    """

    after: str | None = ""
    searched: int = 0
    unreadable: int = 0
    found: int = 0
    rows: int = 0
    files: tuple[tuple[str, int], ...] = ()

    def with_file(self, key: str, rows: int) -> LakeSearch:
        """Return this with one more of the lender's files that hold the applicant."""
        told = (*self.files, (key, rows))[:TOLD_FILES]
        return replace(self, found=self.found + 1, rows=self.rows + rows, files=told)


@dataclass(frozen=True, slots=True)
class Erasure:
    """What is known of an erasure, begun or done.

    ``features`` says for each view whether there was a row to remove. ``pushed`` counts the rows
    that had been pushed to this service and were removed from the lake. ``certificate`` is the text
    of the last one issued, with ``seal``, its keyed hash; both are empty before.
    """

    applicant: str
    erased_at: str
    features: Mapping[str, bool] = field(default_factory=dict)
    pushed: int = 0
    lake: LakeSearch = field(default_factory=LakeSearch)
    certificate: str = ""
    seal: str = ""

    @property
    def is_certified(self) -> bool:
        """Whether it was done once."""
        return bool(self.certificate)

    def progress(self) -> str:
        """Return as JSON what ``with_progress`` takes."""
        return compact_json(
            {"features": dict(self.features), "pushed": self.pushed, "lake": asdict(self.lake)}
        )

    def with_progress(self, text: str) -> Erasure:
        """Return this with the progress in a text of ``progress``.

        >>> erasure = Erasure("ab", "2026-11-22T10:00:00.000Z", {"bureau": True}, 2)
        >>> Erasure("ab", erasure.erased_at).with_progress(erasure.progress()) == erasure
        True
        """
        found = json.loads(text)
        files = tuple((str(key), int(rows)) for key, rows in found["lake"].pop("files"))
        return replace(
            self,
            features=found["features"],
            pushed=found["pushed"],
            lake=LakeSearch(**found["lake"], files=files),
        )


@dataclass(frozen=True, slots=True)
class Retention:
    """How long records are kept, and how long they have to be."""

    kept: timedelta
    duty: timedelta

    @property
    def for_erased(self) -> timedelta:
        """How long those of an erased applicant are kept: never longer than the others."""
        return min(self.kept, self.duty)


def moment_of(record: StoredRecord) -> datetime:
    """Return when a record was made.

    Raises:
        DamagedReceiptError: It doesn't say.
    """
    name = str(record.get("record"))
    attribute = next((MOMENTS[kind] for kind in MOMENTS if name.startswith(kind)), None)
    try:
        moment = datetime.fromisoformat(str(record[attribute or ""]))
    except (KeyError, ValueError):
        raise DamagedReceiptError(f"{name}: it does not say when it was made") from None
    if moment.tzinfo is None:
        raise DamagedReceiptError(f"{name}: its moment has no time zone")
    return moment


def kept_of(records: Iterable[StoredRecord], *, retention: Retention) -> Kept:
    """Return the count of records by kind, and when the last one ends.

    Raises:
        DamagedReceiptError: One doesn't say when it was made.
    """
    counts = {"receipts": 0, "reviews": 0, "outcomes": 0}
    last: datetime | None = None
    for record in records:
        name, end = str(record["record"]), moment_of(record) + retention.for_erased
        kind = {REVIEW: "reviews", OUTCOME: "outcomes"}
        counts[next((kind[word] for word in kind if name.startswith(word)), "receipts")] += 1
        last = max(last or end, end)
    return Kept(**counts, until=timestamp_text(last) if last else None)


def certificate(
    erasure: Erasure, kept: Kept, *, product: str, stage: str, retention: Retention, at: datetime
) -> str:
    """Return the text of a certificate: JSON that holds no identifier and no value.

    Args:
        erasure: What was done.
        kept: What the lender has to keep for a time.
        product: The product of the deployment.
        stage: Its stage.
        retention: Until when it is kept.
        at: When the certificate is issued.
    """
    document: dict[str, Any] = {
        "certificate": "erasure",
        "product": product,
        "stage": stage,
        "applicant": erasure.applicant,
        "erased_at": erasure.erased_at,
        "issued_at": timestamp_text(at),
        "features": {
            view: "removed" if had_row else "none was stored"
            for view, had_row in sorted(erasure.features.items())
        },
        "materialization": "no later file, push or backfill brings them back",
        "kept": asdict(kept)
        | {"days_each": retention.for_erased.days, "by": DUTY, "then": "they end, in every store"},
        "lake": {
            "searched_files": erasure.lake.searched,
            "unreadable_files": erasure.lake.unreadable,
            "pushed_rows_removed": erasure.pushed,
            "files_with_the_applicant": erasure.lake.found,
            "rows_in_them": erasure.lake.rows,
            "files": [{"key": key, "rows": rows} for key, rows in erasure.lake.files],
        },
        "not_removed": list(NOT_REMOVED),
    }
    return json.dumps(document, separators=(",", ":"))


def says_the_same(one: str, other: str) -> bool:
    """Whether two certificates differ in nothing but when they were issued.

    >>> says_the_same('{"issued_at":"1","n":2}', '{"issued_at":"3","n":2}')
    True
    >>> says_the_same("", "{}")
    False
    """
    if not one or not other:
        return False
    facts, others = json.loads(one), json.loads(other)
    # Files that came since and hold nobody's rows of interest are no other finding.
    for document in (facts, others):
        document.pop("issued_at", None)
        document.get("lake", {}).pop("searched_files", None)
    return bool(facts == others)


def scheme_of(entity: Entity, *, secret: bytes) -> str:
    """Return what tells hashes of applicants that were made in another way, and nothing else.

    A hash follows from the secret, the entity's name and its keys in their order: with any of them
    changed everybody has another one, and tombstones are under keys that nobody writes any more.
    """
    return keyed_hash(secret, "how applicants are known", entity.name, *entity.key_names)


def seal_of(text: str, *, secret: bytes) -> str:
    """Return the keyed hash by which the service knows a certificate as its own."""
    return keyed_hash(secret, "erasure certificate", text)


def is_genuine(text: str, seal: str, *, secret: bytes) -> bool:
    """Whether a certificate is this service's own.

    >>> is_genuine("{}", seal_of("{}", secret=b"k"), secret=b"k")
    True
    >>> is_genuine("{ }", seal_of("{}", secret=b"k"), secret=b"k")
    False
    """
    return hmac.compare_digest(seal_of(text, secret=secret).encode(), seal.encode())
