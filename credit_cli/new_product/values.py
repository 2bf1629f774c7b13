"""What the texts of a column are: numbers or dates in one of many forms, or text."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from credit_cli.new_product.lexicon import IN_MONTHS, has_word

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

UNKNOWN = frozenset(
    (
        "",
        *("na", "n/a", "#n/a", "<na>", "nan", "nat", "null", "?", ".", "-", "--"),
        *("\\n", "(null)", "#null!", "#div/0!", "#value!", "#ref!", "n.a.", "k.a.", "k. a."),
        *("missing", "(blank)", "(missing)", "not available", "unbekannt", "n/d", "n.d.", "s/d"),
        *("sin dato", "sin datos", "no consta", "keine angabe", "#nv", "non disponible"),
    )
)
"""Texts that stand for nothing known, in either case."""
PERHAPS_UNKNOWN = (
    *("none", "nil", "unknown", "nd", "tbd", "not provided", "not stated", "refused"),
)
"""Unknown among numbers and dates; among texts it is an answer, as in guarantors: none."""

MOST_STRANGE = 0.02
"""Share of a column's texts that may be none of the numbers or dates that the others are."""
LONGEST_NUMBER = 15
"""Digits: longer ones are numbers of accounts and cards, and no double tells them apart."""

_CURRENCIES_WORDS = {
    "USD": "$ us$ usd",
    "EUR": "€ eur euro",
    "GBP": "£ gbp",
    "JPY": "¥ jpy",
    "INR": "₹ inr rs",
    "DM": "dm",
    "CHF": "chf",
    "SEK": "sek",
    "NOK": "nok",
    "DKK": "dkk",
    "kr": "kr",
    "PLN": "pln zł",
    "TWD": "twd nt$",
    "CAD": "cad",
    "AUD": "aud",
    "BRL": "r$ brl",
    "ZAR": "zar",
    "TRY": "try ₺",
    "CNY": "cny rmb",
    "KES": "kes ksh",
    "NGN": "ngn ₦",
    "GHS": "ghs",
    "UGX": "ugx",
    "TZS": "tzs",
    "XOF": "xof fcfa cfa",
    "EGP": "egp",
    "MAD": "mad",
    "AED": "aed",
    "SAR": "sar",
    "ILS": "ils ₪",
    "PKR": "pkr",
    "BDT": "bdt",
    "LKR": "lkr",
    "IDR": "idr rp",
    "PHP": "php ₱",
    "VND": "vnd ₫",
    "THB": "thb",
    "MYR": "myr rm",
    "SGD": "sgd s$",
    "HKD": "hkd hk$",
    "KRW": "krw ₩",
    "NZD": "nzd nz$",
    "MXN": "mxn mx$",
    "COP": "cop",
    "CLP": "clp",
    "PEN": "pen",
    "ARS": "ars",
    "CZK": "czk kč",
    "HUF": "huf",
    "RON": "ron lei",
    "RUB": "rub ₽",
    "UAH": "uah ₴",
}
CURRENCIES = {word: meant for meant, words in _CURRENCIES_WORDS.items() for word in words.split()}
_UNITS_WORDS = {
    "percent": "% pct percent",
    "months": "month months mth mths mo monat monate mes meses mois mesi",
    "years": "year years yr yrs jahr jahre años anos ans anni",
    "days": "day days tag tage días dias jours giorni",
    "times": "x",
}
_LETTERS = {"d": "days", "y": "years"}
"""Units of one letter, behind the digits only."""
UNITS = {word: meant for meant, words in _UNITS_WORDS.items() for word in words.split()}
THOUSANDS = ("k", "K")
"""Behind the digits: as in 2.7k."""
MINUS = "\N{MINUS SIGN}"
_SIGNS = r"[$€£¥₹₺₦₪₱₫₩₽₴]|[A-Za-z]{1,3}\$|[A-Za-złŁñíč]{2,8}\.?"
GROUPING = "'\N{RIGHT SINGLE QUOTATION MARK} \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
_DIGITS = rf"[0-9][0-9.,{GROUPING}]*|[.,][0-9]+"
PLAIN = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?\Z")


def _number(before: str, after: str) -> str:
    """Return the pattern of a number with something before and behind its digits."""
    return (
        rf"(?P<open>\(?)[-+{MINUS}]?\s*(?P<before>{before})?\s*[-+{MINUS}]?\s*(?P<digits>{_DIGITS})"
        rf"(?P<power>[eE][-+]?[0-9]+)?\s*(?P<after>{after})?(?P<close>\)?)-?"
    )


_NUMBER = re.compile(_number(_SIGNS, f"[%xXkKdDyYmM]|{_SIGNS}"))
_IN_GROUPS = re.compile(rf"[0-9]{{1,3}}([{GROUPING}][0-9]{{3}})+([.,][0-9]*)?")


class Kind(StrEnum):
    """What a column's texts are."""

    EMPTY = "empty"
    NUMBER = "number"
    DATE = "date"
    TEXT = "text"


class DayOrder(StrEnum):
    """Which comes first in a date of three numbers."""

    DMY = "dmy"
    MDY = "mdy"


@dataclass(frozen=True, slots=True)
class Form:
    """How the texts of a column are read.

    ``sql`` makes of the text column ``{}`` a number, a timestamp or text, null where it can't.
    ``unit`` is what stood beside the digits. ``is_ambiguous`` marks dates that can be read with
    the day first and with the month first.
    """

    kind: Kind
    sql: str = "{}"
    unit: str | None = None
    told: str | None = None
    is_ambiguous: bool = False
    could_be_grouped: bool = False


def is_plain_number(text: str) -> bool:
    """Whether a text is a number as Python writes one.

    >>> is_plain_number("-1.5e3"), is_plain_number("1,5"), is_plain_number("A11")
    (True, False, False)
    """
    return bool(PLAIN.match(text.strip()))


def number_form(
    texts: Sequence[str], name: str = "", *, comma_decimals: bool = False
) -> Form | None:
    """Return how texts are numbers, None where they are none.

    Args:
        texts: Different texts of one column, none of them unknown.
        name: The column's clean name: 24 M is months where it says so, and may be millions else.
        comma_decimals: Whether other columns of the file have decimal commas.
    """
    if any(re.fullmatch(r"0[0-9]+", text) for text in texts):
        return None  # a code: as a number it would lose its zeros
    plain = sum(map(is_plain_number, texts))
    if plain < (1 - MOST_STRANGE) * len(texts) or _grouped_by_points(
        texts, comma_decimals=comma_decimals
    ):
        letters = _LETTERS | ({"m": "months"} if has_word(IN_MONTHS, name) else {})
        return _dressed_number(texts, letters, comma_decimals=comma_decimals)
    if any(text.isdigit() and len(text) > LONGEST_NUMBER for text in texts):
        return None
    return Form(Kind.NUMBER, _finite("TRY_CAST({} AS DOUBLE)"))


def _dressed_number(
    texts: Sequence[str], letters: Mapping[str, str], *, comma_decimals: bool
) -> Form | None:
    """Return how texts are numbers with signs of money, units, thousands or decimal commas."""
    matched = [found for text in texts if (found := _NUMBER.fullmatch(text))]
    units = Counter(_unit(found, letters) for found in matched)
    digits = [found["digits"].strip(GROUPING) for found in matched]
    blanks = [text for text in digits if set(text) & set(GROUPING)]
    decimal, sure = _decimal_sign(digits, comma_decimals=comma_decimals)
    if (
        len(matched) < (1 - MOST_STRANGE) * len(texts)
        or None in units
        or len({unit for unit in units if unit}) > 1
        or not all(_IN_GROUPS.fullmatch(text) for text in blanks)  # telephone numbers, say
        or decimal is None
    ):
        return None
    signs = GROUPING + ",.".replace(decimal or ";", "")
    words = []
    if decimal == ",":
        words.append("decimal commas")
    if any(sign in text for text in digits for sign in signs):
        words.append("signs between thousands")
    unit = next((unit for unit in units if unit), None)
    if any(found["after"] in THOUSANDS for found in matched):
        words.append("k for thousands")
    if unit:
        words.append(f"written in {unit}")
    return Form(
        Kind.NUMBER,
        _finite(_dressed_sql(decimal, signs, _words_for(unit), _words_for(unit, letters))),
        unit=unit,
        told=" and ".join(words) or None,
        could_be_grouped=not sure,
    )


def _words_for(unit: str | None, letters: Mapping[str, str] | None = None) -> str:
    """Return the pattern of the words for a unit: no text in another one may be read as it."""
    known = CURRENCIES | UNITS | dict(letters or {})
    words = [re.escape(word) for word, meant in known.items() if meant == unit]
    return rf"(?i:{'|'.join(words)})\.?" if words else ""


def _dressed_sql(decimal: str, signs: str, before: str, after: str) -> str:
    """Return the SQL that reads a number without the signs around and within its digits."""
    number = f"regexp_extract({{}}, '({_quoted(_DIGITS)})([eE][-+]?[0-9]+)?', 0)"
    number = f"translate({number}, '{_quoted(signs)}', '')"
    if decimal == ",":
        number = f"replace({number}, ',', '.')"
    thousand = "CASE WHEN {} SIMILAR TO '.*[0-9] ?[kK]' THEN 1000 ELSE 1 END"
    negative = f"({{}} SIMILAR TO '[^0-9]*[-{MINUS}(].*' OR {{}} SIMILAR TO '.*[0-9]-')"
    pattern = _quoted(re.sub(r"\?P<\w+>", "", _number(before, f"[kK]|{after}")))
    return (
        f"CASE WHEN regexp_full_match({{}}, '{pattern}') THEN"
        f" TRY_CAST({number} AS DOUBLE) * {thousand} * CASE WHEN {negative} THEN -1 ELSE 1 END END"
    )


def _quoted(text: str) -> str:
    return text.replace("'", "''")


def _grouped_by_points(texts: Iterable[str], *, comma_decimals: bool) -> bool:
    pointed = [text for text in texts if "." in text]
    return (
        comma_decimals
        and bool(pointed)
        and all(re.fullmatch(r"[-+]?[1-9][0-9]{0,2}(\.[0-9]{3})+", text) for text in pointed)
    )


def _finite(sql: str) -> str:
    return f"CASE WHEN isfinite({sql}) THEN {sql} END"


def _unit(found: re.Match[str], letters: Mapping[str, str]) -> str | None:
    """Return the unit beside the digits, "" for none, None for a word that is no unit."""
    units = set()
    for sign, more in ((found["before"], {}), (found["after"], letters)):
        if sign and sign not in THOUSANDS:
            word = sign.lower().rstrip(".")
            units.add(CURRENCIES.get(word) or UNITS.get(word) or more.get(word))
    if len(units) > 1 or None in units or bool(found["open"]) != bool(found["close"]):
        return None
    return units.pop() if units else ""


def _decimal_sign(  # noqa: PLR0911 (one question after the other)
    digits: Sequence[str], *, comma_decimals: bool
) -> tuple[str | None, bool]:
    """Return which sign parts the fraction ("" for neither), and whether that is sure."""
    commas = [text for text in digits if "," in text]
    points = [text for text in digits if "." in text]
    both = [text for text in commas if "." in text]
    if both:
        decimals = {max(",.", key=text.rfind) for text in both}
        return (decimals.pop(), True) if len(decimals) == 1 else (None, False)
    if not commas and not points:
        return "", True
    if commas and points:
        # Thousands in one sign, fractions in the other, never in one number.
        return ("," if _all_grouped(points, ".") else "."), True
    sign, texts = (",", commas) if commas else (".", points)
    if any(text.count(sign) > 1 for text in texts):
        return "", True
    if not _all_grouped(texts, sign):
        return sign, True
    # 1,234: thousands, unless elsewhere in the file commas are decimal.
    if sign == ",":
        return ("," if comma_decimals else ""), False
    return ("" if comma_decimals else "."), False


def _all_grouped(texts: Iterable[str], sign: str) -> bool:
    return all(re.fullmatch(rf"[0-9]{{1,3}}(\{sign}[0-9]{{3}})+", text) for text in texts)


_TIME = r"([ T]\d{1,2}:\d{2}(:\d{2}(\.\d{1,9})?)?( ?[AaPp][Mm])?)?(Z| ?[+-]\d{2}(:?\d{2})?)?"
_TIMES = ("", " %H:%M:%S.%g", " %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p")
DATE_NAME = re.compile(r"date|datum|time|zeit|day|tag|when|month|issue_d|_dt|_at\Z|(\A|_)d\Z|_on\Z")
ISO = re.compile(rf"\d{{4}}-\d{{1,2}}-\d{{1,2}}{_TIME}\Z")
THREE_NUMBERS = re.compile(rf"(\d{{1,2}})([/.-])(\d{{1,2}})\2(\d{{4}}|\d{{2}}){_TIME}\Z")
SHAPES = (
    (re.compile(rf"\d{{4}}/\d{{1,2}}/\d{{1,2}}{_TIME}\Z"), ("%Y/%m/%d",)),
    (re.compile(rf"\d{{4}}\.\d{{1,2}}\.\d{{1,2}}{_TIME}\Z"), ("%Y.%m.%d",)),
    (re.compile(r"\d{1,2}[- ][A-Za-z]{3}[- ]\d{4}\Z"), ("%d-%b-%Y", "%d %b %Y")),
    (re.compile(r"\d{1,2}[- ][A-Za-z]{3}[- ]\d{2}\Z"), ("%d-%b-%y", "%d %b %y")),
    (re.compile(r"[A-Za-z]{3}[- ]\d{4}\Z"), ("%b-%Y", "%b %Y")),
    (re.compile(r"[A-Za-z]{3}-\d{2}\Z"), ("%b-%y",)),
    (
        re.compile(r"[A-Za-z]{3,9} \d{1,2},? \d{4}\Z"),
        ("%B %d, %Y", "%b %d, %Y", "%B %d %Y", "%b %d %Y"),
    ),
    (re.compile(r"\d{4}-\d{2}\Z"), ("%Y-%m",)),
)
MONTHS = frozenset(
    ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
)
EPOCH_SECONDS = (500_000_000, 4_000_000_000)
EXCEL_DAYS = (20_000, 60_000)


def date_form(texts: Sequence[str], name: str, *, order: DayOrder | None) -> Form | None:
    """Return how texts are dates, None where they are none.

    Args:
        texts: Different texts of one column, none of them unknown.
        name: The column's clean name: numbers are dates only where it says so.
        order: Which comes first, as a person or another column says; None where nobody knows.
    """
    enough = (1 - MOST_STRANGE) * len(texts)
    three = [it for text in texts if (it := THREE_NUMBERS.match(text))]
    found: Form | None = None
    if sum(bool(ISO.match(text)) for text in texts) >= enough:
        found = _instants("CAST(TRY_CAST({} AS TIMESTAMPTZ) AT TIME ZONE 'UTC' AS TIMESTAMP)")
    elif len(three) >= enough:
        found = _of_three_numbers(three, order)
    elif all(text.isdigit() for text in texts):
        found = _of_digits(texts) if DATE_NAME.search(name) else None
    else:
        for shape, formats in SHAPES:
            matched = [text for text in texts if shape.match(text)]
            if len(matched) >= enough and _names_months(matched):
                return _instants(_strptime(formats))
    return found


def day_order(texts: Iterable[str]) -> DayOrder | None:
    """Return which comes first in dates of three numbers, None where they do not show it."""
    found = [match for text in texts if (match := THREE_NUMBERS.match(text))]
    first = any(int(match[1]) > 12 for match in found)  # noqa: PLR2004 (months of a year)
    second = any(int(match[3]) > 12 for match in found)  # noqa: PLR2004 (as above)
    if first == second:
        return None
    return DayOrder.DMY if first else DayOrder.MDY


def _of_three_numbers(found: Sequence[re.Match[str]], order: DayOrder | None) -> Form | None:
    first = any(int(match[1]) > 12 for match in found)  # noqa: PLR2004 (months of a year)
    second = any(int(match[3]) > 12 for match in found)  # noqa: PLR2004 (as above)
    if first and second:
        return None
    ambiguous = False
    if first or second:
        order = DayOrder.DMY if first else DayOrder.MDY
    elif order is None:
        # With points nobody writes the month first.
        ambiguous = found[0][2] != "."
        order = DayOrder.DMY
    sign, year = found[0][2], "%Y" if len(found[0][4]) == 4 else "%y"  # noqa: PLR2004 (digits)
    parts = ("%d", "%m", year) if order is DayOrder.DMY else ("%m", "%d", year)
    words = "the day first" if order is DayOrder.DMY else "the month first"
    form = _instants(_strptime((sign.join(parts),)), told=f"dates with {words}")
    return Form(form.kind, form.sql, told=form.told, is_ambiguous=ambiguous)


def _of_digits(texts: Sequence[str]) -> Form | None:
    numbers = [int(text) for text in texts]
    found: Form | None = None
    if all(
        len(text) == 8 and 1900 <= int(text[:4]) < 2100 and 1 <= int(text[4:6]) <= 12  # noqa: PLR2004 (a date's digits)
        for text in texts
    ):
        found = _instants(_strptime(("%Y%m%d",)))
    elif all(EPOCH_SECONDS[0] <= it < EPOCH_SECONDS[1] for it in numbers):
        sql = "make_timestamp(TRY_CAST({} AS BIGINT) * 1000000)"
        found = _instants(sql, told="seconds of Unix")
    elif all(1_000 * EPOCH_SECONDS[0] <= it < 1_000 * EPOCH_SECONDS[1] for it in numbers):
        sql = "make_timestamp(TRY_CAST({} AS BIGINT) * 1000)"
        found = _instants(sql, told="milliseconds of Unix")
    elif all(EXCEL_DAYS[0] <= it < EXCEL_DAYS[1] for it in numbers):
        sql = "CAST(DATE '1899-12-30' + TRY_CAST({} AS INTEGER) AS TIMESTAMP)"
        found = _instants(sql, told="days of Excel")
    return found


def _names_months(texts: Sequence[str]) -> bool:
    """Whether letters in texts are English names of months."""
    words = {word[:3].lower() for text in texts for word in re.findall(r"[A-Za-z]{3,}", text)}
    return words <= MONTHS


def _strptime(formats: Sequence[str]) -> str:
    times = _TIMES if "%b" not in formats[0] and "%B" not in formats[0] else ("",)
    listed = [f"{it}{time}" for it in formats for time in times]
    listed += [it.replace(" %H", "T%H") for it in listed if " %H" in it]
    quoted = ", ".join(f"'{it}'" for it in listed)
    return f"try_strptime({{}}, [{quoted}])"


def _instants(sql: str, *, told: str | None = None) -> Form:
    in_range = f"{sql} BETWEEN TIMESTAMP '1900-01-01' AND TIMESTAMP '2199-12-31'"
    return Form(Kind.DATE, f"CASE WHEN {in_range} THEN {sql} END", told=told)
