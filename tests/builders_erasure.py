"""Fakes of what an erasure touches, in memory, with faults on demand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from credit_core.domain.erasure import Erasure, Retention
from credit_core.domain.online_store import ERASED, FeatureRow, hashed_entity, timestamp_text
from credit_core.errors import InvalidFeatureFileError, StoreUnavailableError
from credit_core.ports import StoredFeatures
from credit_core.use_cases.erase import Coverage, EraseApplicant, Erased
from credit_core.use_cases.plan_materialization import LakeObject, PartBounds, RowGroup
from tests.builders import NOW, PRODUCT, SECRET
from tests.feature_rows import FakeStore
from tests.pushes import FakeErased

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from credit_core.domain.application_records import Attribute, StoredRecord
    from credit_core.domain.product import CreditProduct
    from credit_core.ports import FilePart

APPLICANT = {"applicant_id": "applicant-1"}
DUTY, KEPT = timedelta(days=853), timedelta(days=3 * 365)


def hash_of(applicant_id: str = "applicant-1", product: CreditProduct = PRODUCT) -> str:
    """Return the keyed hash of an applicant."""
    assert product.applicant is not None
    return hashed_entity(product.applicant, {"applicant_id": applicant_id}, secret=SECRET)


@dataclass
class FakeErasures(FakeErased):
    """A list of erased applicants, with what is known of each."""

    known: dict[str, Erasure] = field(default_factory=dict)
    announced: set[str] = field(default_factory=set)
    covered: set[str] = field(default_factory=set)
    scheme: str | None = None
    before_coverage: Callable[[], object] = lambda: None

    def begin(self, applicant: str, *, at: datetime) -> Erasure:
        """Put an applicant on the list."""
        self.applicants.add(applicant)
        return self.known.setdefault(applicant, Erasure(applicant, timestamp_text(at)))

    def keep(self, erasure: Erasure) -> None:
        """Keep how far it has come, as the table does: as text."""
        bare = replace(erasure, features={}, pushed=0)
        self.known[erasure.applicant] = bare.with_progress(erasure.progress())

    def everybody(self) -> Iterator[str]:
        """Yield every applicant."""
        yield from sorted(self.known)

    def coverage(self) -> Coverage:
        """Return which views have their tombstones."""
        self.before_coverage()
        return Coverage(frozenset(self.announced), frozenset(self.covered), self.scheme)

    def announce(self, views: Collection[str]) -> None:
        """Announce views."""
        self.announced.update(views)

    def cover(self, views: Collection[str]) -> None:
        """Cover views."""
        self.covered.update(views)

    def hash_by(self, scheme: str) -> None:
        """Keep the first scheme."""
        self.scheme = self.scheme or scheme


@dataclass
class FakeTombstones:
    """Puts tombstones into an online store in memory."""

    store: FakeStore
    available: bool = True

    def put(self, keys: Iterable[str]) -> dict[str, bool]:
        """Put a tombstone under each key."""
        if not self.available:
            raise StoreUnavailableError("a tombstone could not be put: Throttling")
        found: dict[str, bool] = {}
        for key in keys:
            before = self.store.rows.get(key)
            found[key] = before is not None and before.recency != ERASED
            self.store.rows[key] = FeatureRow(key, NOW, NOW, {}, ERASED)
        return found


def read(store: FakeStore) -> dict[str, StoredFeatures]:
    """Return what the scorer reads of a store in memory."""
    return {
        key: StoredFeatures(row.recency, "" if row.recency == ERASED else row.features_json())
        for key, row in store.rows.items()
    }


@dataclass
class FakeApplicantRecords:
    """The decisions of applicants in memory."""

    records: list[dict[str, Attribute]] = field(default_factory=list)

    def of_applicant(self, applicant: str) -> Iterator[StoredRecord]:
        """Yield each record of the applicant's applications."""
        ids = {
            record["application_id"]
            for record in self.records
            if record.get("applicant") == applicant
        }
        yield from (record for record in self.records if record["application_id"] in ids)

    def shorten(self, record: StoredRecord, *, to: datetime) -> None:
        """Let a record end earlier."""
        for kept in self.records:
            if kept is record:
                end = kept.get("expires_at")
                new = int(to.timestamp())
                kept["expires_at"] = min(end, new) if isinstance(end, int) else new


@dataclass
class FakeEnding:
    """An archive in memory that knows which objects end with their duty."""

    keys: set[str] = field(default_factory=set)
    marked: set[str] = field(default_factory=set)

    def mark(self, keys: Sequence[str]) -> frozenset[str]:
        """Mark those that are there."""
        self.marked.update(self.keys.intersection(keys))
        return frozenset(set(keys) - self.keys)


@dataclass
class FakeErasableLake:
    """Files of the lake in memory, each with the applicants in its rows; None is no Parquet."""

    files: dict[str, list[str] | None] = field(default_factory=dict)
    searched: list[str] = field(default_factory=list)

    def objects(self, prefix: str) -> Iterator[LakeObject]:
        """Yield the objects below a prefix."""
        for key in sorted(self.files):
            if key.startswith(prefix):
                yield LakeObject(key, 100, NOW)

    def row_groups(self, key: str) -> list[RowGroup]:
        """Return none: all files are small."""
        raise AssertionError(key)

    def count(self, part: FilePart, keys: Mapping[str, str | int]) -> tuple[int, int]:
        """Return how many rows are the applicant's, and how many there are."""
        self.searched.append(part.key)
        rows = self.files[part.key]
        if rows is None:
            raise InvalidFeatureFileError(f"{part.key} could not be searched")
        return rows.count(str(keys["applicant_id"])), len(rows)

    def remove(self, key: str) -> None:
        """Remove an object."""
        del self.files[key]


@dataclass
class AnEraser:
    """The use case on fakes: call it with keys."""

    product: CreditProduct = PRODUCT
    store: FakeStore = field(default_factory=FakeStore)
    erasures: FakeErasures = field(default_factory=FakeErasures)
    records: FakeApplicantRecords = field(default_factory=FakeApplicantRecords)
    archive: FakeEnding = field(default_factory=FakeEnding)
    lake: FakeErasableLake = field(default_factory=FakeErasableLake)
    duty: timedelta = DUTY

    @property
    def tombstones(self) -> FakeTombstones:
        """What puts tombstones into the store."""
        return FakeTombstones(self.store)

    def __call__(
        self,
        keys: Mapping[str, object] = APPLICANT,
        *,
        at: datetime = NOW,
        has_time: Callable[[], bool] = lambda: True,
    ) -> Erased:
        """Erase an applicant."""
        erase = EraseApplicant(
            product=self.product,
            stage="test",
            secret=SECRET,
            retention=Retention(kept=KEPT, duty=self.duty),
            bounds=PartBounds(2**24, 2**20),
            erasures=self.erasures,
            tombstones=self.tombstones,
            records=self.records,
            archive=self.archive,
            lake=self.lake,
        )
        return erase(keys, as_of=at, has_time=has_time)
