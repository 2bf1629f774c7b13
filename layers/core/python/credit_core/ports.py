"""What the use cases need from the outside world; the adapters provide it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from credit_core.domain.judgement import Estimator

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime, timedelta

    from credit_core.domain.application_records import ApplicationRecords, Record, StoredRecord
    from credit_core.domain.metrics import Measurement
    from credit_core.domain.model_manifest import ModelManifest, ModelReference, RolloutPointer
    from credit_core.domain.online_store import FeatureRow
    from credit_core.domain.product import FeatureView, Value
    from credit_core.domain.receipt import Receipt
    from credit_core.domain.receipt_archive import ArchivedRecord, Days
    from credit_core.domain.referrals import Place

# --- scoring -------------------------------------------------------------------------------


class Timer(Protocol):
    """Time per stage of one request, and what is left of its deadline."""

    def lap(self, stage: str) -> None:
        """Close the running stage under that name."""

    def stages_ms(self) -> Mapping[str, float]:
        """Return the closed stages in milliseconds, in order."""

    def remaining_seconds(self) -> float:
        """Return the seconds left before the deadline; negative when it has passed."""


@dataclass(frozen=True, slots=True)
class StoredFeatures:
    """A row of the online store as it lies there, not yet checked."""

    recency: str
    features_json: str


@dataclass(frozen=True, slots=True)
class Readout:
    """Everything one BatchGetItem brought.

    ``unread`` holds the entity keys that did not arrive in time; they are not "absent".
    """

    rows: Mapping[str, StoredFeatures] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    receipt: Receipt | None = None
    pointer: RolloutPointer | None = None


class DecisionStore(Protocol):
    """Reads what a decision needs and keeps its receipt."""

    def read(
        self, entity_keys: Sequence[str], *, application_id: str, with_pointer: bool, timer: Timer
    ) -> Readout:
        """Read feature rows, an earlier receipt and, if asked, the rollout pointer, at once."""

    def write(self, receipt: Receipt, *, timer: Timer) -> Receipt | None:
        """Write the receipt unless there is one; return the earlier one in that case.

        Raises:
            DamagedReceiptError: There is an earlier one, and it cannot be read.
            StoreUnavailableError: It is not known to be written.
        """

    def supersede(self, receipt: Receipt, earlier: Receipt, *, timer: Timer) -> Receipt | None:
        """Write a receipt in the place of an earlier, retryable one, and keep that one too.

        Return the one that is there instead where somebody else superseded the earlier one, or
        added a review or an outcome to it.

        Raises:
            DamagedReceiptError: What is there instead cannot be read.
            StoreUnavailableError: It is not known to be written.
        """


class ReferralQueue(Protocol):
    """Knows which decisions wait for a person."""

    def waiting(
        self, *, after: Place | None, as_of: datetime, at_once: int
    ) -> Iterator[StoredRecord]:
        """Yield what waits behind a place, oldest first.

        Args:
            after: The last place that is known already; None begins with the oldest.
            as_of: Now; what has ended waits no more.
            at_once: How many will be taken, as a rule.

        Raises:
            StoreUnavailableError: Not all could be read.
        """


class LoadedModel(Estimator, Protocol):
    """A verified model, ready to run."""

    @property
    def manifest(self) -> ModelManifest:
        """What was registered with it."""

    @property
    def manifest_sha256(self) -> str:
        """The SHA-256 under which that manifest was registered."""


@dataclass(frozen=True, slots=True)
class Lineup:
    """The models that decide now.

    ``share`` is of the applicants whom the challenger answers, 0 in shadow. Where there is a
    challenger, each of the two is asked about every applicant.
    """

    champion: LoadedModel
    challenger: LoadedModel | None = None
    share: float = 0.0


class ModelSource(Protocol):
    """Provides the models that the rollout pointer names."""

    def pointer_is_old(self) -> bool:
        """Whether the known pointer should be read again."""

    def lineup(self, pointer: RolloutPointer | None) -> Lineup:
        """Return the models to score with; ``pointer`` is the one just read, if it was read.

        Raises:
            ModelUnavailableError: There is no champion, or it cannot be loaded.
        """


# --- registry ------------------------------------------------------------------------------


class ModelState(StrEnum):
    """What a registered model does. Whatever is withdrawn is again what it was registered as."""

    REGISTERED = "registered"
    REJECTED = "rejected"
    SHADOW = "shadow"
    LIVE = "live"
    CHAMPION = "champion"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model as the registry lists it, and who brought it into its state."""

    reference: ModelReference
    state: ModelState
    created_at: datetime
    report_sha256: str
    moved_at: datetime
    moved_by: str


@dataclass(frozen=True, slots=True)
class PointerMove:
    """One move of the rollout pointer; ``before`` is None at the first."""

    before: RolloutPointer | None
    after: RolloutPointer


@dataclass(frozen=True, slots=True)
class Approval:
    """A rollout that waits for a person, or the person's word on it.

    ``task_token`` lets the rollout go on. ``approved`` is None while nobody has said anything.
    """

    version: str
    task_token: str
    asked_at: datetime
    asked_by: str
    approved: bool | None = None
    decided_at: datetime | None = None
    decided_by: str | None = None


class ModelRegistry(Protocol):
    """Keeps models with their states, and the pointer to those that answer."""

    def register(
        self,
        manifest: ModelManifest,
        onnx: bytes,
        report: bytes,
        *,
        registered_by: str,
        as_of: datetime | None = None,
    ) -> None:
        """Keep a model for good, signed. Registering the same bytes again changes nothing.

        Raises:
            ArtifactIntegrityError: Other bytes are registered under this version.
            SignatureInvalidError: What lies there as its signature is none.
            StoreUnavailableError: It is not known to be registered; doing it again is safe.
        """

    def find(self, version: str) -> RegisteredModel:
        """Return what is registered under a version.

        Raises:
            ModelUnavailableError: There is no such version.
            StoreUnavailableError: The registry did not answer.
        """

    def load(self, model: ModelReference) -> LoadedModel:
        """Return a registered model, verified, as the scorer would load it.

        Raises:
            ModelUnavailableError: It cannot be loaded, or is not for this product.
        """

    def pointer(self) -> RolloutPointer | None:
        """Return the rollout pointer, or None before the first promotion.

        Raises:
            StoreUnavailableError: The registry did not answer.
        """

    def moves(self) -> Iterator[PointerMove]:
        """Yield the moves of the pointer, the latest first.

        Raises:
            StoreUnavailableError: The registry did not answer.
        """

    def move(self, pointer: RolloutPointer) -> None:
        """Replace the pointer of the revision before this one, and set the models' states.

        Raises:
            RolloutConflictError: The pointer is not of the revision before this one any more, or a
                model that it names was retired.
            StoreUnavailableError: It is not known to be moved; doing it again is safe.
        """

    def retire(self, version: str, *, revision: int, moved_by: str, as_of: datetime) -> None:
        """Take a model out of use for good, if the pointer is still of that revision.

        Args:
            version: A model that the pointer does not name.
            revision: Of the pointer that was read; 0 where there is none.
            moved_by: Who or what asks for it.
            as_of: Now, with time zone.

        Raises:
            RolloutConflictError: The pointer was moved meanwhile.
            StoreUnavailableError: It is not known to be retired; doing it again is safe.
        """

    def keep_approval(self, approval: Approval) -> None:
        """Note that a rollout waits for a person, or what the person said.

        Raises:
            StoreUnavailableError: It is not known to be noted; doing it again is safe.
        """

    def approval(self, version: str) -> Approval | None:
        """Return what is noted of a version's approval, None if nobody was asked.

        Raises:
            StoreUnavailableError: The registry did not answer.
        """


class Promoter(Protocol):
    """Makes the moves of the pointer, and stops the rollout that a move ends."""

    def take_back(self, action: str, version: str, *, moved_by: str) -> str:
        """Withdraw a model or roll it back; return the version of the champion then.

        Args:
            action: ``withdraw`` or ``rollback``.
            version: Whose; where it is not there any more, nothing is moved.
            moved_by: Who or what asks for it.

        Raises:
            RolloutConflictError: It was refused.
            StoreUnavailableError: It is not known to be done; doing it again is safe.
        """


class Channel(Protocol):
    """Where on-call is told something."""

    def tell(self, subject: str, text: str) -> None:
        """Send a message.

        Raises:
            StoreUnavailableError: It is not known to have arrived; sending it again is safe.
        """


class RegisteredModels(Protocol):
    """Loads any model that was registered, for whatever its product defined then."""

    def __call__(self, product: str, /, *, version: str, manifest_sha256: str) -> LoadedModel:
        """Return the model whose manifest has that SHA-256, verified.

        Raises:
            ModelUnavailableError: It cannot be loaded.
        """


# --- materialization -----------------------------------------------------------------------


class FilePart(NamedTuple):
    """A feature file, or some of its row groups where it is too large for one worker.

    ``rows`` are the first and one past the last row, ``span`` the first and one past the last
    byte in which those rows lie; both are None for the whole file.
    """

    key: str
    rows: tuple[int, int] | None = None
    span: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """What it is called in results and messages."""
        return self.key if self.rows is None else f"{self.key}[{self.rows[0]}-{self.rows[1]}]"


class LakeRow(NamedTuple):
    """A row of a feature file as it lies there, not yet checked.

    ``position`` is its place in the file, 0 is the first; ``keys`` and ``values`` are in the
    order in which the view defines them. A timestamp is in whole milliseconds, and None when it is
    null or no date at all.
    """

    position: int
    keys: tuple[str | int | None, ...]
    event_timestamp: datetime | None
    created_timestamp: datetime | None
    values: tuple[Value, ...]


class FeatureFile(Protocol):
    """A part of a feature file whose columns are those that its view defines."""

    @property
    def row_count(self) -> int:
        """Number of rows in the part, as the file itself states it."""

    def rows_by_entity(self) -> Iterator[LakeRow]:
        """Yield every row once, rows with the same keys next to each other.

        Raises:
            InvalidFeatureFileError: The body cannot be read; nothing has been yielded yet.
        """


class FeatureLake(Protocol):
    """Opens feature files."""

    def open(self, part: FilePart, view: FeatureView) -> AbstractContextManager[FeatureFile]:
        """Open a part of a file and check the file's columns against the view.

        Raises:
            InvalidFeatureFileError: It is not a Parquet file with the view's columns; the message
                names file, column and expectation.
            StoreUnavailableError: The lake did not answer.
        """


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the rows of a ``FilePart``, which ``part`` names.

    ``refused`` says why nothing of it was written.
    """

    part: str
    view: str | None = None
    read: int = 0
    written: int = 0
    stale: int = 0
    rejected: int = 0
    refused: str | None = None

    @property
    def adds_up(self) -> bool:
        """Whether every row is accounted for."""
        return self.read == self.written + self.stale + self.rejected


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was not written, and why. It holds no identifier and no value.

    ``position`` finds the row in its file; ``entity_key`` is the hashed one, where there is one.
    """

    position: int
    entity_key: str | None
    faults: tuple[str, ...]


class RejectedRows(Protocol):
    """Keeps rejected rows for whoever has to mend them."""

    def open(self, name: str) -> AbstractContextManager[Callable[[RejectedRow], None]]:
        """Return a function that notes one row; all are kept when the block ends without error.

        Args:
            name: What the rows are rows of, a ``FilePart.name`` for instance.

        Raises:
            StoreUnavailableError: At the end of the block: they could not be kept.
        """


@dataclass(frozen=True, slots=True)
class WriteCounts:
    """What became of rows: ``stale`` ones found a row in the store that is at least as new."""

    written: int
    stale: int


class OnlineStoreWriter(Protocol):
    """Writes feature rows so that the newest one stays, whatever the order of writes.

    Newer is a later recency, which is a total order of different rows; so any order, repetition
    or concurrency of writes ends in one state.
    """

    def write(self, rows: Sequence[FeatureRow], *, ttl: timedelta) -> WriteCounts:
        """Write rows of distinct entity keys, each unless the store holds a newer one.

        Args:
            rows: At most one row per entity key.
            ttl: The time to live of their view; the store forgets them some time after it.

        Raises:
            StoreUnavailableError: Not every row is known to be settled. Writing again is safe.
        """


class ErasedApplicants(Protocol):
    """Knows by their keyed hashes whose features may not come back."""

    def among(self, applicants: Collection[str]) -> frozenset[str]:
        """Return those of these applicants that were erased.

        Raises:
            StoreUnavailableError: They are not known.
        """


# --- push and freshness --------------------------------------------------------------------


class LakeAppender(Protocol):
    """Adds single rows to the lake, where training finds them."""

    def append(self, key: str, row: LakeRow, view: FeatureView) -> None:
        """Put a valid row of a view under that key as a file of its own; again is the same.

        Raises:
            StoreUnavailableError: It is not known to be there; doing it again is safe.
        """


class NewestEvents(Protocol):
    """Tells the newest event of each view."""

    def read(self, keys: Sequence[str]) -> Mapping[str, datetime]:
        """Return the event timestamp under each ``newest_row_key``; one never noted is left out.

        Raises:
            StoreUnavailableError: Not every key was read; none of these is taken for absent.
        """


class Metrics(Protocol):
    """Where figures about the service itself go."""

    def publish(self, measurements: Sequence[Measurement], *, at: datetime) -> None:
        """Publish measurements of one moment.

        Raises:
            StoreUnavailableError: They are not known to have arrived.
        """


# --- records of an application -------------------------------------------------------------


class ApplicationRecordStore(Protocol):
    """Keeps what is recorded of applications; a record is added, never changed."""

    def read(self, application_id: str) -> ApplicationRecords | None:
        """Return all that is recorded of an application, or None where nothing was decided.

        Raises:
            DamagedReceiptError: A record cannot be read.
            StoreUnavailableError: The store did not answer.
        """

    def add(self, record: Record, *, to: ApplicationRecords) -> bool:
        """Add a review or an outcome, unless anything was changed since ``to`` was read.

        Return whether it was added.

        Raises:
            StoreUnavailableError: It is not known to be added.
        """


# --- archive of receipts -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of records on their way into the archive.

    ``known`` ones lay there already; ``failed`` has a cause by the key of each that may not.
    """

    new: int = 0
    known: int = 0
    failed: Mapping[str, str] = field(default_factory=dict)


class ReceiptArchive(Protocol):
    """Keeps records for good; nothing in it is ever replaced."""

    def keep(self, records: Sequence[ArchivedRecord]) -> Kept:
        """Keep each record unless it is there; one that fails doesn't stop the others."""

    def keys(self, days: Days) -> Iterator[str]:
        """Yield the key of each record of these days.

        Raises:
            StoreUnavailableError: Not all are known.
        """


class ArchivedRecords(Protocol):
    """Reads the archive."""

    def keys(self, days: Days) -> Iterator[str]:
        """Yield the key of each record of these days.

        Raises:
            StoreUnavailableError: Not all are known.
        """

    def records(self, keys: Iterable[str]) -> Iterator[StoredRecord | None]:
        """Yield the record under each key, in their order; None where it is no record.

        Raises:
            StoreUnavailableError: One could not be read.
        """


class DecisionRecords(Protocol):
    """Every record of every decision, as the decisions table holds it."""

    def of(self, days: Days) -> Iterator[StoredRecord]:
        """Yield each record made in these days, and each that doesn't say when; perhaps others.

        Raises:
            StoreUnavailableError: Not all could be read.
        """


@dataclass(frozen=True, slots=True)
class FailedBatch:
    """A batch of the table's stream that was given up, and the days in which it was written."""

    receipt_handle: str
    days: Days


class FailedBatches(Protocol):
    """The batches that were given up and wait to be redriven."""

    def take(self) -> Sequence[FailedBatch]:
        """Return all that wait; until they are forgotten or put back nobody else sees them.

        Raises:
            StoreUnavailableError: The queue did not answer.
        """

    def forget(self, batches: Sequence[FailedBatch]) -> None:
        """Remove batches that are archived.

        Raises:
            StoreUnavailableError: The queue did not answer; they may come again.
        """

    def put_back(self, batches: Sequence[FailedBatch]) -> None:
        """Let batches be taken again at once.

        Raises:
            StoreUnavailableError: The queue did not answer; they can be taken later.
        """
