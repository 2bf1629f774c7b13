"""What each column of a lender's file holds: its form, its range, what is missing."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from credit_cli.errors import UsageError
from credit_cli.new_product.lender_file import TABLE
from credit_cli.new_product.names import clean_names
from credit_cli.new_product.values import (
    MOST_STRANGE,
    PERHAPS_UNKNOWN,
    THREE_NUMBERS,
    UNKNOWN,
    Form,
    Kind,
    date_form,
    day_order,
    number_form,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from credit_cli.new_product.lender_file import LenderFile
    from credit_cli.new_product.values import DayOrder

SAMPLED_TEXTS = 2_000
"""Different texts of a column that its form is told from."""
MOST_STRANGE_WORDS = 3
MOST_VALUES = 200
"""Different values of a column that are counted one by one."""
SENTINELS = (
    *(-1, -2, -9, -99, -999, -9_999, -99_999, -999_999),
    *(999_999, 9_999_999, 99_999_999, 365_243),
)
"""Numbers that stand for unknown where they are far from all others and come again and again."""
FAR = 10
"""So many times the nearest other number, a sentinel is far."""
CLEANED = "cleaned"


@dataclass(frozen=True, slots=True)
class Profile:
    """One column: its names, its form, and what its rows hold.

    ``sql`` is its value in the table ``cleaned``: a number, a timestamp or text. ``values`` has its
    texts with their counts, the most frequent first, where there are ``MOST_VALUES`` at most.
    ``unread`` counts rows whose text is not of the column's form; they count as unknown. Where
    they are many, ``strange`` has the few words that they hold, as N/D among incomes.
    """

    place: int
    given: str
    name: str
    form: Form
    rows: int
    missing: int
    unread: int
    distinct: int
    values: tuple[tuple[str, int], ...]
    samples: tuple[str, ...]
    low: float | None = None
    high: float | None = None
    median: float | None = None
    is_whole: bool = False
    sentinels: tuple[float, ...] = ()
    strange: tuple[str, ...] = ()

    @property
    def column(self) -> str:
        """Its text in the table ``cleaned``, null where unknown."""
        return f"c{self.place}"

    @property
    def sql(self) -> str:
        """Its value in the table ``cleaned``."""
        read = self.form.sql.replace("{}", self.column)
        if not self.sentinels:
            return read
        listed = ", ".join(f"{it:g}" for it in self.sentinels)
        return f"CASE WHEN ({read}) NOT IN ({listed}) THEN {read} END"

    @property
    def unknown(self) -> int:
        """Rows whose value is not known."""
        return self.missing + self.unread

    @property
    def known(self) -> int:
        """Rows whose value is known."""
        return self.rows - self.unknown

    @property
    def is_unique(self) -> bool:
        """Whether each row has another text."""
        return self.distinct == self.rows - self.missing and self.rows > 1


def profiles_of(
    file: LenderFile,
    *,
    unknown: Collection[str],
    order: DayOrder | None,
    texts: Collection[str],
    progress: Callable[[str], None],
) -> tuple[Profile, ...]:
    """Look at every column of a file.

    Args:
        file: The file.
        unknown: Texts that stand for unknown beside the usual ones; COLUMN=TEXT for one column.
        order: Which comes first in dates, where a person said.
        texts: Clean names of columns that a person wants to be taken as text.
        progress: Told which column is looked at.
    """
    _clean(file, unknown)
    names = clean_names(file.names)
    sampled = []
    for place in range(len(names)):
        progress(f"column {place + 1} of {len(names)}")
        sampled.append(_sample(file, place))
    order = order or day_order(text for column in sampled for text in column)
    comma_decimals = _has_comma_decimals(sampled)
    found = []
    for place, (name, sample) in enumerate(zip(names, sampled, strict=True)):
        progress(f"column {place + 1} of {len(names)}: its values")
        form = Form(Kind.TEXT if sample else Kind.EMPTY)
        telling = [text for text in sample if text.lower() not in PERHAPS_UNKNOWN]
        if telling and name not in texts:
            form = _form(telling, name, order=order, comma_decimals=comma_decimals)
        found.append(_profile(file, place, name, form, sample))
    return tuple(found)


def _clean(file: LenderFile, unknown: Collection[str]) -> None:
    """Make the table ``cleaned``: no blanks and quotes around texts, null for unknown."""
    of_all, of_one = _missing_words(file.names, unknown)
    blanks = "E' \\t\\r\\n\N{NO-BREAK SPACE}\"'"
    columns = []
    for place in range(len(file.names)):
        words = sorted({*UNKNOWN, *of_all, *of_one.get(place, ())})
        listed = ", ".join("'" + word.replace("'", "''") + "'" for word in words)
        text = f"trim(c{place}, {blanks})"
        quoted = f"{text} LIKE '''%''' AND length({text}) > 2"
        bare = f"CASE WHEN {quoted} THEN {text}[2:-2] ELSE {text} END"
        columns.append(f"CASE WHEN lower({text}) NOT IN ({listed}) THEN {bare} END AS c{place}")
    file.query(f"CREATE TABLE {CLEANED} AS SELECT {', '.join(columns)} FROM {TABLE}")  # noqa: S608 (made of positions)
    file.query(f"DROP TABLE {TABLE}")


def _missing_words(
    names: Sequence[str], unknown: Collection[str]
) -> tuple[set[str], dict[int, set[str]]]:
    """Return the words that stand for unknown in all columns, and those of one, by its place.

    Raises:
        UsageError: A word names a column that is not there.
    """
    of_all: set[str] = set()
    of_one: dict[int, set[str]] = {}
    cleaned = clean_names(names)
    for word in unknown:
        column, sign, value = word.rpartition("=")
        places = [
            place
            for place, name in enumerate(names)
            if sign and (name.strip() == column.strip() or cleaned[place] == column.strip())
        ]
        if places:
            of_one.setdefault(places[0], set()).add(value.strip().lower())
        elif column.strip():
            raise UsageError(
                f"--missing {word}: the file has no column {column.strip()}",
                hint=f"there are {', '.join(name.strip() for name in names[:10])}",
            )
        else:
            of_all.add(word.strip().lower())
    return of_all, of_one


def _sample(file: LenderFile, place: int) -> tuple[str, ...]:
    column = f"c{place}"
    # In order of their hashes: any of them, and the same ones each time.
    rows = file.query(
        f"SELECT {column} FROM (SELECT DISTINCT {column} FROM {CLEANED} WHERE {column} IS NOT NULL)"  # noqa: S608 (made of positions)
        f" ORDER BY hash({column}) LIMIT {SAMPLED_TEXTS}"
    )
    return tuple(str(row[0]) for row in rows)


def _has_comma_decimals(sampled: Sequence[Sequence[str]]) -> bool:
    for texts in sampled:
        form = number_form(texts) if texts else None
        if form and not form.could_be_grouped and "decimal commas" in (form.told or ""):
            return True
    return False


def _form(texts: Sequence[str], name: str, *, order: DayOrder | None, comma_decimals: bool) -> Form:
    dates = date_form(texts, name, order=order)
    if dates is None or (not any(map(THREE_NUMBERS.match, texts)) and texts[0].isalpha()):
        return number_form(texts, name, comma_decimals=comma_decimals) or Form(Kind.TEXT)
    return dates


def _profile(
    file: LenderFile, place: int, name: str, form: Form, samples: tuple[str, ...]
) -> Profile:
    column = f"c{place}"
    read = form.sql.replace("{}", column)
    ((rows, there, good, distinct),) = file.query(
        f"SELECT count(*), count({column}), count({read}), count(DISTINCT {column}) FROM {CLEANED}"  # noqa: S608 (made of positions)
    )
    if form.kind in {Kind.NUMBER, Kind.DATE} and good < there:
        unknown = ", ".join(f"'{word}'" for word in PERHAPS_UNKNOWN)
        ((there,),) = file.query(
            f"SELECT count({column}) FROM {CLEANED} WHERE lower({column}) NOT IN ({unknown})"  # noqa: S608 (as above)
        )
        strange: tuple[str, ...] = ()
        if there - good > MOST_STRANGE * there:
            strange = _strange_words(file, column, read)
        if there - good > MOST_STRANGE * there and not strange:
            return _profile(file, place, name, Form(Kind.TEXT), samples)
    else:
        strange = ()
    values: tuple[tuple[str, int], ...] = ()
    if distinct <= MOST_VALUES:
        counted = file.query(
            f"SELECT {column}, count(*) FROM {CLEANED} WHERE {column} IS NOT NULL"  # noqa: S608 (as above)
            f" GROUP BY 1 ORDER BY 2 DESC, 1"
        )
        values = tuple((str(value), int(count)) for value, count in counted)
    found = Profile(
        place, file.names[place], name, form, rows, rows - there, there - good, distinct, values,
        samples, strange=strange,
    )  # fmt: skip
    return _ranged(file, found) if form.kind is Kind.NUMBER and good else found


def _strange_words(file: LenderFile, column: str, read: str) -> tuple[str, ...]:
    """Return the few words without digits, each of many rows, that no number or date is in."""
    found = file.query(
        f"SELECT {column}, count(*) FROM {CLEANED} WHERE {column} IS NOT NULL AND ({read}) IS NULL"  # noqa: S608 (made of positions)
        f" GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {MOST_STRANGE_WORDS + 1}"
    )
    words = tuple(str(text) for text, count in found if count > 1)
    few = 0 < len(words) == len(found) <= MOST_STRANGE_WORDS
    return words if few and not any(it.isdigit() for word in words for it in word) else ()


def _ranged(file: LenderFile, profile: Profile) -> Profile:
    """Add the range of a column of numbers, without what stands for unknown in it."""
    sentinels = _sentinels(file, profile)
    lost = 0
    if sentinels:
        listed = ", ".join(f"{it:g}" for it in sentinels)
        ((lost,),) = file.query(
            f"SELECT count(*) FROM {CLEANED} WHERE ({profile.sql}) IN ({listed})"  # noqa: S608 (made of positions)
        )
    profile = replace(profile, sentinels=sentinels, missing=profile.missing + lost)
    ((low, high, median, whole),) = file.query(
        f"SELECT min(v), max(v), quantile_disc(v, 0.5), bool_and(v = floor(v)) FROM"  # noqa: S608 (as above)
        f" (SELECT {profile.sql} AS v FROM {CLEANED})"
    )
    return replace(profile, low=low, high=high, median=median, is_whole=bool(whole))


def _sentinels(file: LenderFile, profile: Profile) -> tuple[float, ...]:
    found: list[float] = []
    listed = ", ".join(map(str, SENTINELS))
    counted: list[tuple[Any, ...]] = file.query(
        f"SELECT v, count(*) FROM (SELECT {profile.sql} AS v FROM {CLEANED})"  # noqa: S608 (made of positions)
        f" WHERE v IN ({listed}) GROUP BY v HAVING count(*) > 1 ORDER BY v"
    )
    if not counted:
        return ()
    ((low, high),) = file.query(
        f"SELECT min(v), max(v) FROM (SELECT {profile.sql} AS v FROM {CLEANED})"  # noqa: S608 (as above)
        f" WHERE v NOT IN ({listed})"
    )
    if low is None:
        return ()
    for value, _ in counted:
        # Below a score of 300, -1 is no score; where other values are small, it may be one.
        below = value < 0 <= low and (value < -FAR or low >= FAR * FAR)
        if below or (value > FAR * max(high, 1)):
            found.append(float(value))
    return tuple(found)


def spellings(profile: Profile) -> dict[str, tuple[str, ...]]:
    """Return the texts of a column by the category that they mean, the most frequent first."""
    found: dict[str, list[str]] = {}
    meant: dict[str, str] = {}
    for text, _ in profile.values:
        shown = " ".join("".join(it if it.isprintable() else " " for it in text).split())
        if profile.form.kind is Kind.NUMBER:
            shown = re.sub(r"\.0+\Z", "", shown)
        same = re.sub(r"(?<=[^\W\d])[-_ ]+(?=[^\W\d])", " ", shown.lower())
        category = meant.setdefault(same, shown)
        found.setdefault(category, []).append(text)
    return {category: tuple(texts) for category, texts in found.items() if category}
