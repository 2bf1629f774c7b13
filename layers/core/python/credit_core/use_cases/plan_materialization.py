"""Decide which files a run of the materialization takes, and into which parts they are cut.

One run is a list of parts that workers take in any order. Small files are a part each. A large one
is cut between row groups, so that no worker needs more time, memory or disk than a function has.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from credit_core.errors import InvalidFeatureFileError
from credit_core.ports import FilePart
from credit_core.use_cases.materialize import is_hidden

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import timedelta

    from credit_core.domain.product import CreditProduct


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


def feature_prefix(product: CreditProduct) -> str:
    """Return the prefix below which all feature files of a product lie."""
    return f"{product.name}/features/"


def plan_prefix(
    product: CreditProduct, prefix: str, *, lake: LakeListing, footers: Footers, split_bytes: int
) -> Plan:
    """Plan all files below a prefix; a file of exactly that name is taken alone.

    Args:
        product: Whose features they are.
        prefix: A file's key, or the beginning of several.
        lake: Where they lie.
        footers: Reads the footers of the large ones.
        split_bytes: Files above this size are cut into parts of about this size.

    Raises:
        InvalidFeatureFileError: No feature file of this product has such a key.
        StoreUnavailableError: The lake did not answer.
    """
    root = feature_prefix(product)
    if not prefix.startswith(root):
        raise InvalidFeatureFileError(f"{prefix}: expected a prefix that begins with {root}")
    found = list(lake.objects(prefix))
    if found and found[0].key == prefix:
        # An uploaded `part-1` is not `part-10` as well.
        found = found[:1]
    return _plan(prefix, found, footers=footers, split_bytes=split_bytes, watermark=None)


def plan_sweep(
    product: CreditProduct,
    *,
    lake: LakeListing,
    footers: Footers,
    split_bytes: int,
    watermark: Watermark,
    overlap: timedelta,
    as_of: datetime,
) -> Plan:
    """Plan every file that came since the last successful sweep, whoever missed it.

    A file uploaded in pieces bears the time when its upload began, but shows only when it is
    complete. So a sweep looks back ``overlap`` further than the watermark; what was done before is
    done again and changes nothing.

    Raises:
        StoreUnavailableError: The lake or the watermark did not answer.
    """
    moved_to = watermark.read()
    root = feature_prefix(product)
    since = moved_to - overlap if moved_to else datetime.min.replace(tzinfo=UTC)
    found = [file for file in lake.objects(root) if file.last_modified >= since]
    return _plan(root, found, footers=footers, split_bytes=split_bytes, watermark=as_of)


def _plan(
    prefix: str,
    found: Sequence[LakeObject],
    *,
    footers: Footers,
    split_bytes: int,
    watermark: datetime | None,
) -> Plan:
    files = [file for file in found if not is_hidden(file.key)]
    parts = tuple(
        part for file in files for part in parts_of(file, footers=footers, split_bytes=split_bytes)
    )
    return Plan(prefix, parts, len(files), len(found) - len(files), watermark)


def parts_of(file: LakeObject, *, footers: Footers, split_bytes: int) -> Iterator[FilePart]:
    """Yield the parts of a file: itself, or runs of row groups of about ``split_bytes``."""
    if file.size <= split_bytes:
        yield FilePart(file.key)
        return
    try:
        groups = footers.row_groups(file.key)
    except InvalidFeatureFileError:
        # Whoever takes it refuses it, and says why in the run's results.
        yield FilePart(file.key)
        return
    runs = list(runs_of(groups, split_bytes=split_bytes))
    if len(runs) < 2:  # noqa: PLR2004 (one run is the whole file)
        yield FilePart(file.key)
        return
    first_row = 0
    for run in runs:
        past_last_row = first_row + sum(group.rows for group in run)
        span = min(group.first_byte for group in run), max(group.past_last_byte for group in run)
        yield FilePart(file.key, (first_row, past_last_row), span)
        first_row = past_last_row


def runs_of(groups: Iterable[RowGroup], *, split_bytes: int) -> Iterator[list[RowGroup]]:
    """Yield runs of row groups in order, each as long as it stays within ``split_bytes``.

    >>> groups = [RowGroup(10, 0, 40), RowGroup(10, 40, 80), RowGroup(5, 80, 300)]
    >>> [[group.past_last_byte for group in run] for run in runs_of(groups, split_bytes=100)]
    [[40, 80], [300]]
    """
    run: list[RowGroup] = []
    size = 0
    for group in groups:
        if not group.rows:
            continue
        length = group.past_last_byte - group.first_byte
        if run and size + length > split_bytes:
            yield run
            run, size = [], 0
        run.append(group)
        size += length
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
