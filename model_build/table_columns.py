"""The columns of one file of a lender's table, read as the product defines them."""

from __future__ import annotations

import re
from collections import Counter
from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.point_in_time import view_event_column
from credit_core.domain.product import DType
from credit_core.errors import TrainingDataError
from model_build.table_files import MOST_LISTED
from model_build.training_set import NOT_LABELLED, Numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from credit_core.domain.product import CreditProduct, Feature
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
NEVER = np.datetime64("NaT", "us")
FIRST_DAY, LAST_DAY = np.datetime64("1900-01-01"), np.datetime64("2200-01-01")


class FileColumns:
    """One file's columns, each read as what it is needed for.

    Raises:
        TrainingDataError: A column is missing, or a field cannot be read; all such are listed.
    """

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


def plain_name(name: str) -> str:
    """Return what is left of a column's name without case, spaces and signs.

    >>> plain_name("Default payment (next month)") == plain_name("DefaultPaymentNextMonth")
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
        plain.setdefault(plain_name(given), []).append(given)
    found, faults = {}, []
    for name in dict.fromkeys([*needed, *optional]):
        candidates = [name] * exact[name] or plain.get(plain_name(name), [])
        if len(candidates) > 1:
            faults.append(f"column {name} is there {len(candidates)} times: keep one")
        elif candidates:
            found[name] = candidates[0]
    missing = [name for name in needed if name not in found and plain_name(name) not in plain]
    if len(missing) == len(needed):
        texts = source.fetch(*(f"CAST(c{it} AS VARCHAR)" for it in range(len(source.names))))
        below = (
            len(
                {plain_name(str(it[0])) for it in texts if it.size}
                & {plain_name(name) for name in needed}
            )
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
        alike = get_close_matches(plain_name(missing[0]), [plain_name(it) for it in free], n=1)
        hint = f"; is {plain[alike[0]][0]} meant for {missing[0]}?" if alike else ""
        label = " (the label)" if product.label.name in missing else ""
        others = f"; not used are {', '.join(free[:MOST_LISTED])}" if free and not hint else ""
        faults.append(f"it lacks column(s) {listed}{more}{label}{hint}{others}")
    if faults:
        raise TrainingDataError(f"{source.file}: " + "; ".join(faults))
    return found
