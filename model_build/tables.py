"""A lender's own table of past applications, CSV or Parquet, as training reads it.

One row is one application, with what was known when it was made, and its outcome. The columns are
the product's features by name; upper case, spaces and signs in a file's names do not matter. What
cannot be read is said with file, column, a row to look at, and what to do; never with a value,
which may be a person's.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.product import DerivedFeature, DType
from credit_core.errors import TrainingDataError
from model_build.table_columns import INSTANT_TYPES, FileColumns, plain_name
from model_build.table_files import flat_files, opened
from model_build.training_set import (
    NOT_LABELLED,
    ApplicationTable,
    Numbers,
    served_of,
    training_set_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from credit_core.domain.product import CreditProduct, Feature
    from model_build.loans import TrainingSet
    from model_build.table_files import Source

COPIES_TOLD = 0.01
"""Share of rows from which on copies are told of."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Rows that scoring would refuse for one column: how many, why, and where the first one is."""

    column: str
    rows: int
    why: str
    first: str


@dataclass(frozen=True, slots=True)
class FlatTable:
    """What was read, and from where.

    ``sha256`` is of the files' bytes in order of their names. ``renamed`` has the file's name of
    each column that has another than the product's, ``remarks`` what a person may want to know.
    """

    table: ApplicationTable
    files: tuple[Path, ...]
    rows_per_file: tuple[int, ...]
    sha256: str
    renamed: Mapping[str, str]
    remarks: tuple[str, ...]

    def training_set(self, product: CreditProduct) -> TrainingSet:
        """Return the applications that have an outcome and could have been scored.

        Raises:
            TrainingDataError: None could.
        """
        found = training_set_of(product, self.table, sha256=self.sha256)
        if not len(found.loans):
            reasons = "; ".join(
                f"{it.column}: {it.rows:,} row(s) {it.why}" for it in self.left_out(product)
            )
            raise TrainingDataError(
                f"no row of {found.rows:,} can be trained on: {found.not_labelled:,} have no"
                f" outcome, {found.referred:,} would be referred"
                + (f"; {reasons}" if reasons else "")
            )
        return found

    def left_out(self, product: CreditProduct) -> tuple[LeftOut, ...]:
        """Return which columns cost labelled rows, the worst first."""
        served = served_of(product, self.table)
        scored = (self.table.outcomes != NOT_LABELLED) & ~served.referred
        found = []
        for feature in product.model_features:
            lost = served.faulty[feature.name] & scored
            for why, mask in _faults(feature, self.table) if lost.any() else ():
                rows = np.flatnonzero(mask & lost)
                if rows.size:
                    found.append(LeftOut(feature.name, rows.size, why, self.place(int(rows[0]))))
        return tuple(sorted(found, key=lambda it: -it.rows))

    def place(self, row: int) -> str:
        """Say where a row lies, counted from 1 below the header."""
        return _place(self.files, self.rows_per_file, row)


def read_flat_table(
    product: CreditProduct, path: Path, *, progress: Callable[[str], None] = lambda _: None
) -> FlatTable:
    """Read a table of past applications.

    Needed are all of the product's base features and its label, 1 for a default. Used where they
    are there: ``event_timestamp`` (when the application was made), ``application_id``, the keys of
    the product's first entity, the views' event timestamps and the monitored groups. Other columns
    are passed over.

    Args:
        product: Whose applications these are.
        path: A file, or a folder of files with the same columns.
        progress: Told which file is being read.

    Raises:
        TrainingDataError: A column is missing, or a field cannot be read; all such columns of a
            file are listed.
    """
    files = flat_files(path)
    parts, renamed, remarks = [], dict[str, str](), dict[str, None]()
    for number, file in enumerate(files, start=1):
        progress(f"file {number} of {len(files)}")
        with opened(file) as source:
            part = FileColumns(product, source)
            parts.append(part)
            renamed |= {name: given for name, given in part.found.items() if name != given}
            remarks |= dict.fromkeys(_remarks(product, source, part))
    _require_same(parts)
    fingerprints = [hashlib.sha256(file.read_bytes()).digest() for file in files]
    _require_different(files, fingerprints)
    rows = tuple(part.rows for part in parts)
    _require_single(parts, files, rows)
    sha256 = (
        hashlib.sha256(b"".join(fingerprints)).hexdigest()
        if len(files) > 1
        else fingerprints[0].hex()
    )
    table = _joined(parts)
    if table.applicants is None:
        table, copies = _grouped(table)
        if copies > COPIES_TOLD * len(table.outcomes):
            remarks[
                f"{copies:,} rows are the same as another in every input: no fold parts them, but "
                "if they are copies, to weigh defaults more say, take them out"
            ] = None
    return FlatTable(table, files, rows, sha256, renamed, tuple(remarks))


def _remarks(product: CreditProduct, source: Source, part: FileColumns) -> Iterator[str]:
    if part.applied is None:
        likely = [
            given
            for given, type_ in zip(source.names, source.types, strict=True)
            if type_.startswith(INSTANT_TYPES)
            or (type_ == "VARCHAR" and re.search(r"date|time", given.lower()))
        ]
        named = f"; if {likely[0]} is it, name it event_timestamp" if likely else ""
        yield (
            "there is no column event_timestamp, when each application was made: models are"
            f" cross-validated, not tested out of time{named}"
        )
    if not part.keys and product.entities:
        yield (
            f"there is no column {', '.join(product.entities[0].key_names)}: each row counts as"
            " another applicant"
        )
    for group in product.monitored_groups:
        if group.name not in part.groups:
            yield f"there is no column {group.name}: this group's outcomes cannot be compared"


def _require_same(parts: Sequence[FileColumns]) -> None:
    """Check that optional columns are in all files or in none."""
    for part in parts[1:]:
        odd = sorted(set(parts[0].found) ^ set(part.found))
        if odd:
            raise TrainingDataError(
                f"{parts[0].file.name} and {part.file.name} do not have the same columns: "
                f"{', '.join(odd)} is in one only"
            )


def _require_different(files: Sequence[Path], fingerprints: Sequence[bytes]) -> None:
    """Check that no file is there twice."""
    for place, fingerprint in enumerate(fingerprints):
        first = fingerprints.index(fingerprint)
        if first < place:
            raise TrainingDataError(
                f"{files[first].name} and {files[place].name} have the same bytes: keep one"
            )


def _grouped(table: ApplicationTable) -> tuple[ApplicationTable, int]:
    """Make one applicant of rows with the same inputs; return how many repeat another."""
    columns = [np.nan_to_num(it.values, nan=-np.inf) for it in table.numbers.values()]
    for texts in table.categories.values():
        codes = {text: float(code) for code, text in enumerate(dict.fromkeys(texts))}
        columns.append(np.array([codes[text] for text in texts]))
    rows, applicants = np.unique(np.column_stack(columns), axis=0, return_inverse=True)
    copies = len(applicants) - len(rows)
    return (replace(table, applicants=applicants.reshape(-1)) if copies else table), copies


def _require_single(
    parts: Sequence[FileColumns], files: Sequence[Path], rows: Sequence[int]
) -> None:
    """Check that no application is there twice."""
    ids = [it for part in parts if part.ids is not None for it in part.ids]
    first: dict[str, int] = {}
    again = [row for row, it in enumerate(ids) if it and first.setdefault(it, row) != row]
    if again:
        place = _place(files, rows, again[0])
        raise TrainingDataError(
            f"{place}: its application_id has come before, and {len(again) - 1:,} more rows' have:"
            " keep one row of each application"
        )


def _place(files: Sequence[Path], rows: Sequence[int], row: int) -> str:
    """Say where a row lies, counted from 1 below the header."""
    starts = [0, *np.cumsum(rows).tolist()]
    number = bisect_right(starts, row) - 1
    return f"{files[number].name}, row {row - starts[number] + 1}"


def _joined(parts: Sequence[FileColumns]) -> ApplicationTable:
    first = parts[0]

    def all_of[Kind: np.generic](columns: Sequence[NDArray[Kind]]) -> NDArray[Kind]:
        return np.concatenate(columns)

    return ApplicationTable(
        numbers={
            name: Numbers(
                all_of([part.numbers[name].values for part in parts]),
                all_of([part.numbers[name].null for part in parts]),
            )
            for name in first.numbers
        },
        categories={
            name: all_of([part.categories[name] for part in parts]) for name in first.categories
        },
        outcomes=all_of([part.outcomes for part in parts]),
        event_timestamps=None
        if first.applied is None
        else all_of([part.applied for part in parts if part.applied is not None]),
        view_events={
            name: all_of([it for part in parts if (it := part.view_events[name]) is not None])
            for name, events in first.view_events.items()
            if events is not None
        },
        applicants=_applicants(parts),
        groups={name: all_of([part.groups[name] for part in parts]) for name in first.groups},
    )


def _applicants(parts: Sequence[FileColumns]) -> NDArray[np.int64] | None:
    """Return a number per applicant; who has no key is one alone."""
    if not parts[0].keys:
        return None
    numbers: dict[tuple[object, ...], int] = {}
    found = []
    keys = (key for part in parts for key in zip(*part.keys, strict=True))
    for row, key in enumerate(keys):
        found.append(numbers.setdefault((row,) if None in key else key, len(numbers)))
    return np.array(found, dtype=np.int64)


def _faults(feature: Feature, table: ApplicationTable) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield why scoring would refuse values of a column, and in which rows."""
    if isinstance(feature, DerivedFeature):
        yield "are infinite, as derived", np.ones(len(table.outcomes), dtype=bool)
        return
    if feature.dtype is DType.CATEGORY:
        texts = table.categories[feature.name]
        null = np.array([text is None for text in texts])
        known = set(feature.categories)
        alike = {plain_name(category) for category in known}
        odd = np.array([text is not None and text not in known for text in texts])
        nearly = odd & np.array([text is not None and plain_name(text) in alike for text in texts])
        yield "are one of its categories in other letters or signs only", nearly
        yield "are none of its declared categories", odd & ~nearly
    else:
        column = table.numbers[feature.name]
        null, values = column.null, column.values
        finite = np.isfinite(values)
        yield "are not finite", ~finite & ~null
        if feature.minimum is not None:
            yield f"are below its minimum {feature.minimum:g}", finite & (values < feature.minimum)
        if feature.maximum is not None:
            yield f"are above its maximum {feature.maximum:g}", finite & (values > feature.maximum)
        if feature.dtype is DType.INTEGER:
            yield "are not whole, as its dtype says", finite & (values != np.floor(values))
    if not feature.nullable:
        yield "are empty, and it is not declared nullable", null
