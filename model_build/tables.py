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
from collections import Counter
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.point_in_time import view_event_column
from credit_core.domain.product import DerivedFeature, DType
from credit_core.errors import TrainingDataError
from model_build.table_files import MOST_LISTED, flat_files, opened
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
    from model_build.training_set import Texts

UNKNOWN = frozenset({"", "na", "n/a", "#n/a", "<na>", "nan", "nat", "null", "none", "?", "."})
"""Texts that stand for null, in either case, where they are no declared category."""

OUTCOMES = {"0": 0, "0.0": 0, "false": 0, "1": 1, "1.0": 1, "true": 1}
TEXT_TYPES = ("VARCHAR", "ENUM")
SIGNED_TYPES = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
WHOLE_TYPES = (*SIGNED_TYPES, *(f"U{name}" for name in SIGNED_TYPES))
FRACTION_TYPES = ("FLOAT", "DOUBLE", "DECIMAL")
INSTANT_TYPES = ("DATE", "TIMESTAMP")
COPIES_TOLD = 0.01
"""Share of rows from which on copies are told of."""

NEVER = np.datetime64("NaT", "us")
FIRST_DAY, LAST_DAY = np.datetime64("1900-01-01"), np.datetime64("2200-01-01")


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
            part = _Part(product, source)
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


class _Part:
    """One file's columns, read."""

    def __init__(self, product: CreditProduct, source: Source) -> None:
        self.file = source.file
        self.faults: list[str] = []
        self.found = _matched(product, source)
        self._places = {name: source.names.index(given) for name, given in self.found.items()}
        self._source = source
        self.rows = len(source.fetch("1")[0])
        if not self.rows:
            raise TrainingDataError(f"{source.file} has no rows below its header")
        self.numbers = {
            feature.name: self._numbers(feature)
            for feature in product.base_features
            if feature.dtype is not DType.CATEGORY
        }
        self.categories = {
            feature.name: self._categories(feature.name, feature.categories)
            for feature in product.base_features
            if feature.dtype is DType.CATEGORY
        }
        self.outcomes = self._outcomes(product.label.name)
        self.applied = self._instants("event_timestamp")
        self.view_events = {
            view.name: self._instants(view_event_column(view)) for view in product.feature_views
        }
        self.groups = {
            group.name: self._categories(group.name, group.values)
            for group in product.monitored_groups
            if group.name in self._places
        }
        self.ids = self._texts("application_id")
        keys = product.entities[0].key_names if product.entities else ()
        texts = [self._texts(name) for name in keys]
        there = [text for text in texts if text is not None]
        self.keys = there if len(there) == len(keys) else []
        if self.applied is not None:
            untimed = np.isnat(self.applied) & (self.outcomes != NOT_LABELLED)
            if untimed.any() and not self.faults:
                self._fault(
                    "event_timestamp", untimed, "is empty", "fill it in, or leave the column out"
                )
        if self.faults:
            raise TrainingDataError(f"{source.file}: " + "; ".join(self.faults))

    def _fault(self, name: str, rows: NDArray[np.bool_], what: str, remedy: str) -> None:
        given = self.found[name]
        count = int(rows.sum())
        others = f" (and {count - 1:,} more)" if count > 1 else ""
        self.faults.append(f"column {given}, row {int(rows.argmax()) + 1}{others} {what}; {remedy}")

    def _is(self, name: str, types: Sequence[str]) -> bool:
        given = self._source.types[self._places[name]]
        # Of DECIMAL(18,2), ENUM(...), TIMESTAMP_NS and TIMESTAMP WITH TIME ZONE the first word.
        return not given.endswith("]") and re.split(r"[ (_]", given)[0] in types

    def _wrong_type(self, name: str, expected: str) -> None:
        given = self._source.types[self._places[name]]
        self.faults.append(f"column {self.found[name]} is of type {given}; expected {expected}")

    def _numbers(self, feature: Feature) -> Numbers:
        place = self._places[feature.name]
        if not self._is(feature.name, (*TEXT_TYPES, *WHOLE_TYPES, *FRACTION_TYPES, "BOOLEAN")):
            self._wrong_type(feature.name, "a number")
            return Numbers(np.full(self.rows, np.nan), np.ones(self.rows, dtype=bool))
        if not self._is(feature.name, TEXT_TYPES):
            (read,) = self._source.fetch(f"CAST(c{place} AS DOUBLE)")
            # Not a number is how pandas writes an unknown one.
            null = np.ma.getmaskarray(read) | np.isnan(np.ma.filled(read, np.nan))
            return Numbers(np.ma.filled(np.ma.masked_array(read, null), np.nan), null)
        text = f"TRIM(c{place})"
        read, unstated = self._source.fetch(
            f"TRY_CAST({text} AS DOUBLE)", f"COALESCE({_is_unknown(text)}, TRUE)"
        )
        unknown = np.asarray(np.ma.filled(unstated, fill_value=True), dtype=np.bool_)
        unread = np.ma.getmaskarray(read) & ~unknown
        if unread.any():
            (texts,) = self._source.fetch(text)
            self._fault(feature.name, unread, *_said_of(str(texts[unread.argmax()])))
        values = np.ma.filled(np.ma.masked_array(read, unknown), np.nan)
        return Numbers(values.astype(np.float64), unknown)

    def _categories(self, name: str, declared: Sequence[str]) -> Texts:
        place = self._places[name]
        if self._is(name, FRACTION_TYPES):
            # What pandas makes of whole numbers when one is unknown.
            whole = f"CAST(TRY_CAST(c{place} AS BIGINT) AS VARCHAR)"
            exact = f"c{place} = TRY_CAST(c{place} AS BIGINT)"
            text = f"CASE WHEN {exact} THEN {whole} ELSE CAST(c{place} AS VARCHAR) END"
        elif self._is(name, (*TEXT_TYPES, *WHOLE_TYPES, "BOOLEAN")):
            text = f"CAST(c{place} AS VARCHAR)"
        else:
            self._wrong_type(name, "text")
            return np.full(self.rows, None, dtype=object)
        (read,) = self._source.fetch(text)
        texts = _texts_of(read)
        known = set(declared)
        meant = {it: _category(it, known) for it in set(texts) if it is not None}
        return np.array([None if it is None else meant[it] for it in texts], dtype=object)

    def _texts(self, name: str) -> Texts | None:
        if name not in self._places:
            return None
        text = f"TRIM(CAST(c{self._places[name]} AS VARCHAR))"
        (read,) = self._source.fetch(f"CASE WHEN {_is_unknown(text)} THEN NULL ELSE {text} END")
        return _texts_of(read)

    def _outcomes(self, name: str) -> NDArray[np.int64]:
        texts = self._texts(name)
        assert texts is not None  # noqa: S101 (a table without the label has been refused)
        held = {it for it in texts if it is not None}
        meant = {it: OUTCOMES.get(it.lower()) for it in held}
        if None in meant.values():
            strange = np.array([it is not None and meant[it] is None for it in texts])
            few = len(held) <= MOST_LISTED and all(np.count_nonzero(texts == it) > 1 for it in held)
            values = f"its values are {', '.join(sorted(held))}" if few else f"{len(held)} values"
            remedy = (
                f"the label must be 1 for a default and 0 for none ({values}); map them first, as "
                "in SQL: CASE WHEN column = 'the bad one' THEN 1 ELSE 0 END"
            )
            self._fault(name, strange, "is neither 0 nor 1", remedy)
        outcomes = [NOT_LABELLED if it is None else meant[it] for it in texts]
        return np.array([NOT_LABELLED if it is None else it for it in outcomes], dtype=np.int64)

    def _instants(self, name: str) -> NDArray[np.datetime64] | None:
        if name not in self._places:
            return None
        column = f"c{self._places[name]}"
        if not self._is(name, (*TEXT_TYPES, *INSTANT_TYPES)):
            self._wrong_type(name, "a timestamp, or text as 2024-01-31 or 2024-01-31T12:00:00Z")
            return np.full(self.rows, NEVER, dtype="datetime64[us]")
        text = f"TRIM(CAST({column} AS VARCHAR))"
        instant = f"CAST(TRY_CAST({text} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS TIMESTAMP)"
        read, null = self._source.fetch(instant, f"COALESCE({_is_unknown(text)}, TRUE)")
        instants = np.ma.filled(read, NEVER).astype("datetime64[us]")
        stated = ~np.asarray(np.ma.filled(null, fill_value=True), dtype=np.bool_)
        if (unread := stated & np.isnat(instants)).any():
            self._fault(name, unread, "is no date", "write 2024-01-31 or 2024-01-31T12:00:00Z")
        elif (strange := stated & ~((instants >= FIRST_DAY) & (instants < LAST_DAY))).any():
            self._fault(name, strange, f"is before {FIRST_DAY} or after {LAST_DAY}", "correct it")
        return instants


def _texts_of(read: NDArray[np.generic]) -> Texts:
    """Return text with None for null. To ``np.ma.filled`` None is no value, and it fills in "?"."""
    texts = np.ma.getdata(read).astype(object)
    texts[np.ma.getmaskarray(read)] = None
    return texts


def _is_unknown(text: str) -> str:
    listed = ", ".join(f"'{word}'" for word in sorted(UNKNOWN))
    return f"LOWER({text}) IN ({listed})"


def _category(text: str, declared: set[str]) -> str | None:
    """Return the declared category that a text means, None for unknown, or the text itself."""
    for meant in (text, text.strip(), re.sub(r"\.0+\Z", "", text.strip())):
        if meant in declared:
            return meant
    return None if text.strip().lower() in UNKNOWN else text


def _said_of(text: str) -> tuple[str, str]:
    """Return what is wrong with a text that should be a number, and what to do about it."""
    signs = (
        (r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?", "has commas in its digits", "write 12345.6"),
        (r"[+-]?[\d.' ]*,\d*", "has a decimal comma", "write 12345.6"),
        (r"\?+|-+|\.+", "is a sign for unknown", "leave what is unknown empty"),
        (r"(?i)true|false|yes|no|y|n|t|f", "is a word for yes or no", "write 1 or 0"),
        (r"\W*[\d.,']+\s*\W*", "has a sign beside its digits", "write digits alone, as 12345.6"),
        (r"[\d.,]+\s*[A-Za-z]+\W*", "has a unit", "write digits alone, as 12345.6"),
    )
    for pattern, what, remedy in signs:
        if re.fullmatch(pattern, text):
            return what, remedy
    return "is text, not a number", "correct it, or declare the feature a category"


def _plain(name: str) -> str:
    """Return what is left of a column's name without case, spaces and signs.

    >>> _plain("Default payment (next month)") == _plain("DefaultPaymentNextMonth")
    True
    """
    return re.sub(r"[^a-z0-9]+", "", name.lower())


def _matched(product: CreditProduct, source: Source) -> dict[str, str]:
    """Return the file's name of each of the product's columns that it has."""
    needed = [*(feature.name for feature in product.base_features), product.label.name]
    optional = [
        "event_timestamp",
        "application_id",
        *(product.entities[0].key_names if product.entities else ()),
        *(view_event_column(view) for view in product.feature_views),
        *(group.name for group in product.monitored_groups),
    ]
    exact = Counter(source.names)
    plain: dict[str, list[str]] = {}
    for given in source.names:
        plain.setdefault(_plain(given), []).append(given)
    found, faults = {}, []
    for name in dict.fromkeys([*needed, *optional]):
        candidates = [name] * exact[name] or plain.get(_plain(name), [])
        if len(candidates) > 1:
            faults.append(f"column {name} is there {len(candidates)} times: keep one")
        elif candidates:
            found[name] = candidates[0]
    missing = [name for name in needed if name not in found and _plain(name) not in plain]
    if len(missing) == len(needed):
        texts = source.fetch(*(f"CAST(c{it} AS VARCHAR)" for it in range(len(source.names))))
        below = (
            len({_plain(str(it[0])) for it in texts if it.size} & {_plain(name) for name in needed})
            > 1
        )
        raise TrainingDataError(
            f"{source.file}: its first line names none of {product.name}'s columns "
            f"({', '.join(needed[:MOST_LISTED])}, ...); "
            + ("its header seems to be line 2" if below else "it needs a header line with them")
        )
    if missing:
        used = set(found.values())
        free = [it for it in source.names if it not in used]
        listed = ", ".join(missing[:MOST_LISTED])
        more = f" and {len(missing) - MOST_LISTED} more" if len(missing) > MOST_LISTED else ""
        alike = get_close_matches(_plain(missing[0]), [_plain(it) for it in free], n=1)
        hint = f"; is {plain[alike[0]][0]} meant for {missing[0]}?" if alike else ""
        label = " (the label)" if product.label.name in missing else ""
        others = f"; not used are {', '.join(free[:MOST_LISTED])}" if free and not hint else ""
        faults.append(f"it lacks column(s) {listed}{more}{label}{hint}{others}")
    if faults:
        raise TrainingDataError(f"{source.file}: " + "; ".join(faults))
    return found


def _remarks(product: CreditProduct, source: Source, part: _Part) -> Iterator[str]:
    if part.applied is None:
        likely = [
            given
            for given, type_ in zip(source.names, source.types, strict=True)
            if type_.startswith(INSTANT_TYPES) or re.search(r"date|time", given.lower())
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


def _require_same(parts: Sequence[_Part]) -> None:
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


def _require_single(parts: Sequence[_Part], files: Sequence[Path], rows: Sequence[int]) -> None:
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


def _joined(parts: Sequence[_Part]) -> ApplicationTable:
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


def _applicants(parts: Sequence[_Part]) -> NDArray[np.int64] | None:
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
        alike = {_plain(category) for category in known}
        odd = np.array([text is not None and text not in known for text in texts])
        nearly = odd & np.array([text is not None and _plain(text) in alike for text in texts])
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
