"""Decide which files a run of the materialization takes, and into which parts they are cut.

One run is a list of parts that workers take in any order. Small files are a part each. A large one
is cut between row groups, and a long row group between rows, so that no worker needs more time,
memory or disk than a function has.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from credit_core.domain.places import pushed_prefix
from credit_core.errors import InvalidFeatureFileError
from credit_core.ports import FilePart
from credit_core.use_cases.materialize import is_hidden

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from credit_core.domain.product import CreditProduct

PUSHED_OVERLAP = timedelta(hours=1)
"""How far a sweep looks back for pushed rows, each a small file of one request.

S3 dates such a file exactly; an hour is for the request itself and for clocks that differ. With the
overlap of uploads in pieces each sweep would repeat all rows pushed in some days.
"""
LEAST_BYTES_A_ROW = 4
"""A row takes more than that, however well packed: it has keys and two timestamps.

So the footer of a file that is too small for too many rows need not be read.
"""


class LakeObject(NamedTuple):
    """A file as a listing of the lake shows it."""

    key: str
    size: int
    last_modified: datetime


class RowGroup(NamedTuple):
    """A row group of a Parquet file: how many rows, and in which bytes they lie."""

    rows: int
    first_byte: int
    past_last_byte: int


class PartBounds(NamedTuple):
    """How much one part may hold: bytes for a worker's disk, rows for its time."""

    size: int
    rows: int

    @property
    def never_cut_size(self) -> int:
        """Up to which size a file is within both bounds, whatever its footer says."""
        return min(self.size, self.rows * LEAST_BYTES_A_ROW)


class LakeListing(Protocol):
    """Lists the lake."""

    def objects(self, prefix: str) -> Iterable[LakeObject]:
        """Yield the objects below a prefix in the order of their keys.

        Raises:
            StoreUnavailableError: The lake did not answer.
        """


class Footers(Protocol):
    """Reads the footers of Parquet files, and nothing else of them."""

    def row_groups(self, key: str) -> Sequence[RowGroup]:
        """Return a file's row groups in order.

        Raises:
            InvalidFeatureFileError: It is no whole Parquet file.
            StoreUnavailableError: The lake did not answer.
        """


class Watermark(Protocol):
    """Remembers up to which moment all files of the lake have been materialized."""

    def read(self) -> datetime | None:
        """Return the moment, or None before the first successful sweep.

        Raises:
            StoreUnavailableError: It is not known.
        """

    def move(self, to: datetime) -> bool:
        """Move it forward; return False when it is there or further already.

        Raises:
            StoreUnavailableError: It is not known to be moved; moving it again is safe.
        """


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is going to do.

    ``hidden`` counts the files that are passed over as Athena passes over them. ``watermark`` is
    where a sweep moves the watermark to once all its parts are done; other runs have none.
    """

    prefix: str
    parts: tuple[FilePart, ...]
    files: int
    hidden: int = 0
    watermark: datetime | None = None


def plan_prefix(
    product: CreditProduct, prefix: str, *, lake: LakeListing, footers: Footers, bounds: PartBounds
) -> Plan:
    """Plan all files below a prefix; a file of exactly that name is taken alone.

    Args:
        product: Whose features they are.
        prefix: A file's key, or the beginning of several.
        lake: Where they lie.
        footers: Reads the footers of the large ones.
        bounds: Files beyond these are cut into parts within them.

    Raises:
        InvalidFeatureFileError: No feature file of this product has such a key.
        StoreUnavailableError: The lake did not answer.
    """
    root = product.features_prefix
    if not prefix.startswith(root):
        raise InvalidFeatureFileError(f"{prefix}: expected a prefix that begins with {root}")
    found = list(lake.objects(prefix))
    if found and found[0].key == prefix:
        # An uploaded `part-1` is not `part-10` as well.
        found = found[:1]
    return _plan(prefix, found, footers=footers, bounds=bounds, watermark=None)


def plan_sweep(
    product: CreditProduct,
    *,
    lake: LakeListing,
    footers: Footers,
    bounds: PartBounds,
    watermark: Watermark,
    overlap: timedelta,
    as_of: datetime,
) -> Plan:
    """Plan every file that came since the last successful sweep, whoever missed it.

    A file uploaded in pieces bears the time when its upload began, but shows only when it is
    complete. So a sweep looks back ``overlap`` further than the watermark; what was done before is
    done again and changes nothing. For pushed rows it looks back ``PUSHED_OVERLAP`` at the most.

    Raises:
        StoreUnavailableError: The lake or the watermark did not answer.
    """
    moved_to = watermark.read()
    root = product.features_prefix
    long_ago = datetime.min.replace(tzinfo=UTC)
    since = moved_to - overlap if moved_to else long_ago
    pushed_since = moved_to - min(overlap, PUSHED_OVERLAP) if moved_to else long_ago
    pushed = tuple(pushed_prefix(product, view) for view in product.feature_views)
    found = [
        file
        for file in lake.objects(root)
        if file.last_modified >= (pushed_since if file.key.startswith(pushed) else since)
    ]
    return _plan(root, found, footers=footers, bounds=bounds, watermark=as_of)


def _plan(
    prefix: str,
    found: Sequence[LakeObject],
    *,
    footers: Footers,
    bounds: PartBounds,
    watermark: datetime | None,
) -> Plan:
    files = [file for file in found if not is_hidden(file.key)]
    parts = tuple(part for file in files for part in parts_of(file, footers=footers, bounds=bounds))
    return Plan(prefix, parts, len(files), len(found) - len(files), watermark)


def parts_of(file: LakeObject, *, footers: Footers, bounds: PartBounds) -> Iterator[FilePart]:
    """Yield the parts of a file: itself, runs of its row groups, or pieces of one of these."""
    if file.size <= bounds.never_cut_size:
        yield FilePart(file.key)
        return
    try:
        groups = footers.row_groups(file.key)
    except InvalidFeatureFileError:
        # Whoever takes it refuses it, and says why in the run's results.
        yield FilePart(file.key)
        return
    parts = []
    first_row = 0
    for run in runs_of(groups, bounds=bounds):
        rows = sum(group.rows for group in run)
        span = min(group.first_byte for group in run), max(group.past_last_byte for group in run)
        pieces = -(-rows // bounds.rows)
        edges = [first_row + rows * piece // pieces for piece in range(pieces + 1)]
        parts += [FilePart(file.key, between, span) for between in pairwise(edges)]
        first_row += rows
    if len(parts) > 1:
        yield from parts
    else:
        yield FilePart(file.key)


def runs_of(groups: Iterable[RowGroup], *, bounds: PartBounds) -> Iterator[list[RowGroup]]:
    """Yield runs of row groups in order, each as long as it stays within the bounds.

    A row group that is beyond them by itself is a run of its own.

    >>> groups = [RowGroup(10, 0, 40), RowGroup(10, 40, 80), RowGroup(5, 80, 300)]
    >>> bounds = PartBounds(size=100, rows=20)
    >>> [[group.past_last_byte for group in run] for run in runs_of(groups, bounds=bounds)]
    [[40, 80], [300]]
    """
    run: list[RowGroup] = []
    size = rows = 0
    for group in groups:
        if not group.rows:
            continue
        length = group.past_last_byte - group.first_byte
        if run and (size + length > bounds.size or rows + group.rows > bounds.rows):
            yield run
            run, size, rows = [], 0, 0
        run.append(group)
        size += length
        rows += group.rows
    if run:
        yield run


# --- As JSON ---------------------------------------------------------------------------------


def part_document(number: int, part: FilePart) -> dict[str, Any]:
    """Return a part as it lies in a plan; ``part_of_document`` reads it back."""
    return {"n": number, "key": part.key, "rows": part.rows, "span": part.span}


def part_of_document(document: Mapping[str, Any]) -> FilePart:
    """Return the part that a plan's entry describes.

    >>> part_of_document({"n": 3, "key": "k", "rows": [5, 9], "span": [4, 80]})
    FilePart(key='k', rows=(5, 9), span=(4, 80))
    """
    rows, span = (
        (int(pair[0]), int(pair[1])) if pair else None
        for pair in (document["rows"], document["span"])
    )
    return FilePart(str(document["key"]), rows, span)
