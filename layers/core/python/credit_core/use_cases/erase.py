"""Erase an applicant: features at once and for good, receipts when the law lets them go.

In the place of each row of the applicant's views a tombstone is put, newer than any row. So the
guarded write of every file, push and backfill loses to it, also of one that is under way, at no
cost to any of them. The list of erased applicants comes first: whoever brings in a view that is new
puts its tombstones by that list before the first row.

Each step may be repeated, and is, when a call ends before all of the lake is searched.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import batched
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from credit_core.domain.erasure import (
    Kept,
    LakeSearch,
    certificate,
    kept_of,
    moment_of,
    says_the_same,
    scheme_of,
    seal_of,
)
from credit_core.domain.online_store import hashed_entity, row_key
from credit_core.domain.places import pushed_prefix
from credit_core.domain.receipt_archive import archived_record
from credit_core.errors import (
    ConfigurationError,
    InvalidErasureError,
    InvalidFeatureFileError,
)
from credit_core.ports import ErasedApplicants
from credit_core.use_cases.materialize import is_hidden
from credit_core.use_cases.plan_materialization import Footers, LakeListing, parts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from credit_core.domain.application_records import StoredRecord
    from credit_core.domain.erasure import Erasure, Retention
    from credit_core.domain.product import CreditProduct
    from credit_core.ports import FilePart
    from credit_core.use_cases.plan_materialization import LakeObject, PartBounds

ARCHIVED_WITHIN = timedelta(days=2)
"""A record this young may not have come into the archive yet; an older one that lacks has ended."""

FILES_AT_ONCE = 64
"""Files that are searched between two looks at the clock."""

THREADS = 8
"""Files that are read at once; a part of a large one takes 16 MB of temporary storage."""


class Coverage(NamedTuple):
    """Views whose tombstones somebody set out to put, and those where all of them are there.

    ``scheme`` is that of the hashes on the list, None before the first of them.
    """

    announced: frozenset[str]
    covered: frozenset[str]
    scheme: str | None = None


class Erasures(ErasedApplicants, Protocol):
    """The list of erased applicants of one product."""

    def begin(self, applicant: str, *, at: datetime) -> Erasure:
        """Put an applicant on the list, unless it is there; return what is known of it.

        Raises:
            StoreUnavailableError: It is not known to be there.
        """

    def keep(self, erasure: Erasure) -> None:
        """Keep how far an erasure has come.

        Raises:
            StoreUnavailableError: It is not known to be kept; doing it again is safe.
        """

    def everybody(self) -> Iterator[str]:
        """Yield every applicant that was on the list when this began.

        Raises:
            StoreUnavailableError: Not all could be read.
        """

    def coverage(self) -> Coverage:
        """Return which views have their tombstones.

        Raises:
            StoreUnavailableError: It is not known.
        """

    def announce(self, views: Collection[str]) -> None:
        """Say that tombstones of these views are about to be put.

        Raises:
            StoreUnavailableError: It is not known to be said.
        """

    def cover(self, views: Collection[str]) -> None:
        """Say that all tombstones of these views are there.

        Raises:
            StoreUnavailableError: It is not known to be said.
        """

    def hash_by(self, scheme: str) -> None:
        """Say how the hashes on the list are made, unless that is said.

        Raises:
            StoreUnavailableError: It is not known to be said.
        """


class Tombstones(Protocol):
    """What stands in the online store for erased rows."""

    def put(self, keys: Iterable[str]) -> Mapping[str, bool]:
        """Put a tombstone under each key; return for each whether a row was there.

        Raises:
            StoreUnavailableError: Not each is known to be there; doing it again is safe.
        """


class ApplicantRecords(Protocol):
    """The table of decisions, asked for one applicant."""

    def of_applicant(self, applicant: str) -> Iterator[StoredRecord]:
        """Yield each record of each of the applicant's applications, without its contents.

        Raises:
            StoreUnavailableError: Not all could be read.
        """

    def shorten(self, record: StoredRecord, *, to: datetime) -> None:
        """Let a record end at that moment, unless it ends before.

        Raises:
            StoreUnavailableError: It is not known to be done; doing it again is safe.
        """


class EndingReceipts(Protocol):
    """The archive, told which receipts end with the duty to keep them."""

    def mark(self, keys: Sequence[str]) -> frozenset[str]:
        """Mark these objects; return the keys under which there is none.

        Raises:
            StoreUnavailableError: Not all could be marked; doing it again is safe.
        """


class ErasableLake(LakeListing, Footers, Protocol):
    """The files of the lake, asked for one applicant by several threads."""

    def count(self, part: FilePart, keys: Mapping[str, str | int]) -> tuple[int, int]:
        """Return how many rows of a part have these keys, and how many it has.

        Raises:
            InvalidFeatureFileError: It is no Parquet file, or has no such columns.
            StoreUnavailableError: The lake did not answer.
        """

    def remove(self, key: str) -> None:
        """Remove every version of an object.

        Raises:
            StoreUnavailableError: It is not known to be removed; doing it again is safe.
        """


@dataclass(frozen=True, slots=True)
class Erased:
    """What one call came to.

    ``erasure`` bears the certificate once ``is_complete``. ``already`` says that the applicant had
    been erased before, and ``is_new`` that this certificate was issued now: the first, or one with
    something in it that the last had not. ``on_their_way`` counts records that the archive lacks
    yet: their turn comes when it has them.
    """

    erasure: Erasure
    is_complete: bool
    already: bool
    is_new: bool
    on_their_way: int

    def document(self) -> dict[str, Any]:
        """Return the JSON object in which a caller receives it."""
        lake = self.erasure.lake
        return {
            "complete": self.is_complete,
            "already": self.already,
            "new": self.is_new,
            "applicant": self.erasure.applicant,
            "erased_at": self.erasure.erased_at,
            "on_their_way": self.on_their_way,
            "searched_files": lake.searched,
            "lake_searched": lake.after is None,
            "certificate": self.erasure.certificate if self.is_complete else "",
            "seal": self.erasure.seal if self.is_complete else "",
        }


@dataclass(frozen=True, kw_only=True)
class EraseApplicant:
    """Erases applicants of one product in one deployment."""

    product: CreditProduct
    stage: str
    secret: bytes
    retention: Retention
    bounds: PartBounds
    erasures: Erasures
    tombstones: Tombstones
    records: ApplicantRecords
    archive: EndingReceipts
    lake: ErasableLake

    def __call__(
        self, keys: Mapping[str, object], *, as_of: datetime, has_time: Callable[[], bool]
    ) -> Erased:
        """Erase the applicant with these keys, as far as the time allows.

        Args:
            keys: Value of each key of the product's applicant.
            as_of: Now.
            has_time: Whether the search of the lake may go on; call again when it could not.

        Raises:
            InvalidErasureError: These are not the keys of an applicant of this product.
            StoreUnavailableError: A store did not answer; doing it again is safe.
            DamagedReceiptError: A receipt of the applicant doesn't say when it was made.
        """
        known = applicant_keys(self.product, keys)
        assert self.product.applicant is not None  # noqa: S101 (for mypy: it has keys)
        applicant = hashed_entity(self.product.applicant, known, secret=self.secret)
        erasure = self.erasures.begin(applicant, at=as_of)
        already = erasure.is_certified
        erasure = replace(erasure, features=self._bury(erasure))
        records = list(self.records.of_applicant(applicant))
        on_their_way = self._shorten(records, as_of)
        if erasure.lake.after is None and already:
            erasure = replace(erasure, lake=LakeSearch())
        erasure = self._search(erasure, known, has_time)
        is_complete, is_new = erasure.lake.after is None and not on_their_way, False
        if is_complete:
            kept = kept_of(records, retention=self.retention)
            is_new = (issued := self._certified(erasure, kept, as_of)) != erasure
            erasure = issued
        self.erasures.keep(erasure)
        return Erased(erasure, is_complete, already, is_new, on_their_way)

    def _bury(self, erasure: Erasure) -> Mapping[str, bool]:
        """Put the tombstones; return for each view whether there was a row, now or before."""
        own = {view.name for view in self.product.views_of_applicant}
        # Asked after the applicant is on the list: who announces a view later finds it there.
        coverage = self.erasures.coverage()
        views = own | coverage.announced
        if coverage.scheme is None:
            assert self.product.applicant is not None  # noqa: S101 (for mypy: it has keys)
            self.erasures.hash_by(scheme_of(self.product.applicant, secret=self.secret))
        keys = {row_key(self.product.name, view, erasure.applicant): view for view in views}
        found = self.tombstones.put(keys)
        return {view: found[key] or erasure.features.get(view, False) for key, view in keys.items()}

    def _shorten(self, records: Sequence[StoredRecord], as_of: datetime) -> int:
        """Let records end with the duty to keep them; return how many the archive lacks yet."""
        if self.retention.duty >= self.retention.kept:
            return 0
        ends = {
            archived_record(record, product=self.product.name).key: record for record in records
        }
        for record in records:
            self.records.shorten(record, to=moment_of(record) + self.retention.duty)
        lacking = self.archive.mark(sorted(ends))
        return sum(as_of - moment_of(ends[key]) < ARCHIVED_WITHIN for key in lacking)

    def _search(
        self, erasure: Erasure, keys: Mapping[str, str | int], has_time: Callable[[], bool]
    ) -> Erasure:
        """Go on through the lake's files from where an earlier call ended."""
        after = erasure.lake.after
        if after is None:
            return erasure
        with ThreadPoolExecutor(THREADS) as pool:
            for number, files in enumerate(
                batched(self._files(after), FILES_AT_ONCE, strict=False)
            ):
                # A call gets on in any case, however little time it has.
                if number and not has_time():
                    return erasure
                counts = pool.map(lambda file: self._count(file, keys), files)
                for file, count in zip(files, counts, strict=True):
                    erasure = self._found(erasure, file, count)
        return replace(erasure, lake=replace(erasure.lake, after=None))

    def _found(self, erasure: Erasure, file: LakeObject, count: tuple[int, int] | None) -> Erasure:
        """Note what a file holds of the applicant; one that this service wrote of it is removed."""
        own = tuple(pushed_prefix(self.product, view) for view in self.product.views_of_applicant)
        search = replace(erasure.lake, after=file.key, searched=erasure.lake.searched + 1)
        if count is None:
            return replace(erasure, lake=replace(search, unreadable=search.unreadable + 1))
        matching, rows = count
        if matching and matching == rows and file.key.startswith(own):
            # A row that was pushed lies in a file of its own.
            self.lake.remove(file.key)
            return replace(erasure, pushed=erasure.pushed + matching, lake=search)
        return replace(erasure, lake=search.with_file(file.key, matching) if matching else search)

    def _files(self, after: str) -> Iterator[LakeObject]:
        """Yield the files that may hold the applicant, behind a key, in order of their keys."""
        prefixes = [
            self.product.applications_prefix,
            *(self.product.view_prefix(view) for view in self.product.views_of_applicant),
        ]
        for prefix in sorted(prefixes):
            for file in self.lake.objects(prefix):
                if file.key > after and file.size and not is_hidden(file.key):
                    yield file

    def _count(self, file: LakeObject, keys: Mapping[str, str | int]) -> tuple[int, int] | None:
        """Return how many rows are the applicant's, and how many there are; None if unreadable."""
        matching = rows = 0
        try:
            for part in parts_of(file, footers=self.lake, bounds=self.bounds):
                found, of = self.lake.count(part, keys)
                matching, rows = matching + found, rows + of
        except InvalidFeatureFileError:
            return None
        return matching, rows

    def _certified(self, erasure: Erasure, kept: Kept, as_of: datetime) -> Erasure:
        text = certificate(
            erasure,
            kept,
            product=self.product.name,
            stage=self.stage,
            retention=self.retention,
            at=as_of,
        )
        if says_the_same(text, erasure.certificate):
            return erasure
        return replace(erasure, certificate=text, seal=seal_of(text, secret=self.secret))


def applicant_keys(product: CreditProduct, keys: Mapping[str, object]) -> dict[str, str | int]:
    """Return the applicant's keys in order of definition.

    Raises:
        InvalidErasureError: One is missing, unknown or no such key; no message repeats a value.
    """
    applicant = product.applicant
    if applicant is None:
        raise InvalidErasureError(f"{product.name} has no entity: nothing is kept by applicant")
    faults = [f"{name} is missing" for name in applicant.key_names if name not in keys]
    # Not repeated: what is no name of ours may be somebody's.
    unknown = len(set(keys) - set(applicant.key_names))
    if unknown:
        expected = ", ".join(applicant.key_names)
        faults.append(f"{unknown} other {'key' if unknown == 1 else 'keys'} than {expected}")
    found: dict[str, str | int] = {}
    for key in applicant.keys:
        value = keys.get(key.name)
        fault = key.value_fault(value) if key.name in keys else None
        if fault:
            faults.append(f"{key.name} {fault}")
        elif isinstance(value, str | int):
            found[key.name] = value
    if faults:
        raise InvalidErasureError("; ".join(faults))
    return found


def cover_erasures(
    product: CreditProduct, *, secret: bytes, erasures: Erasures, tombstones: Tombstones
) -> int:
    """Put the tombstones of views that are new since applicants were erased.

    It comes before a process writes its first row. Announced first, then read: an erasure at the
    same time is on the list that is read here, or reads the announcement.

    Returns:
        How many tombstones were put; 0 where nothing was to be done.

    Raises:
        ConfigurationError: Applicants have other hashes now than when some were erased: nothing
            may be written, or these came back under their new ones.
        StoreUnavailableError: Not all are known to be there; nothing may be written yet.
    """
    views = {view.name for view in product.views_of_applicant}
    coverage = erasures.coverage()
    if coverage.scheme is not None and (
        product.applicant is None or coverage.scheme != scheme_of(product.applicant, secret=secret)
    ):
        raise ConfigurationError(
            "applicants were erased under another secret, entity or order of keys; this would"
            " bring them back: see docs/erasure.md"
        )
    new = views - coverage.covered
    if not new:
        return 0
    erasures.announce(new)
    keys = (row_key(product.name, view, hashed) for hashed in erasures.everybody() for view in new)
    put = tombstones.put(keys)
    erasures.cover(new)
    return len(put)
