"""How a page writes numbers."""

from __future__ import annotations

import math
import re
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from credit_core.domain.model_manifest import Estimate

UNKNOWN = "\N{EN DASH}"
SPACE = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
LARGE = 1_000
"""From here on fractions say nothing."""
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def count(number: float) -> str:
    """Return a whole number.

    >>> count(7_500)
    '7,500'
    """
    return f"{number:,.0f}".replace("-", MINUS)


def decimal(value: float, digits: int = 3) -> str:
    """Return a number with so many digits after the point.

    >>> decimal(0.68449), decimal(float("nan")) == UNKNOWN
    ('0.684', True)
    """
    if not math.isfinite(value):
        return UNKNOWN
    text = f"{value:,.{digits}f}"
    return text.replace("-", MINUS) if float(text.replace(",", "")) else text.lstrip("-")


def signed(value: float, digits: int = 0) -> str:
    """Return a number with its sign; what rounds to nothing has none.

    >>> signed(3.2), signed(-3.2).replace(MINUS, "-"), signed(-0.2)
    ('+3', '-3', '0')
    """
    text = decimal(value, digits)
    return f"+{text}" if math.isfinite(value) and float(f"{value:.{digits}f}") > 0 else text


def percent(share: float, digits: int = 1) -> str:
    """Return a share in percent.

    >>> percent(0.0536).replace(SPACE, " ")
    '5.4 %'
    """
    return f"{decimal(share * 100, digits)}{SPACE}%" if math.isfinite(share) else UNKNOWN


def compact(value: float) -> str:
    """Return a value of an input as shortly as it can be told.

    >>> compact(45_000.0), compact(0.125), compact(3_200_000.0), compact(7.0), compact(2_319.4)
    ('45k', '0.125', '3.2M', '7', '2,319')
    """
    if not math.isfinite(value):
        return UNKNOWN
    size = abs(value)
    for least, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= least:
            divisor = 1e3 if letter == "k" else least
            return f"{value / divisor:.3g}{letter}".replace("-", MINUS)
    text = f"{value:,.0f}" if value == round(value) or size >= LARGE else f"{value:.3g}"
    return text.replace("-", MINUS)


def interval(low: float, high: float, digits: int = 3) -> str:
    """Return the ends of an interval.

    >>> interval(0.652, 0.716)
    '0.652 to 0.716'
    """
    return f"{decimal(low, digits)} to {decimal(high, digits)}"


def estimate(found: Estimate, digits: int = 3) -> str:
    """Return a value with its interval."""
    return f"{decimal(found.value, digits)} ({interval(found.low, found.high, digits)})"


def percent_interval(low: float, high: float) -> str:
    """Return the ends of an interval of shares.

    >>> percent_interval(0.04, 0.06).replace(SPACE, " ")
    '4.0 to 6.0 %'
    """
    return f"{decimal(low * 100, 1)} to {percent(high, 1)}"


def plural(number: int, one: str) -> str:
    """Return a number of things.

    >>> plural(1, "gate"), plural(2, "gate")
    ('1 gate', '2 gates')
    """
    return f"{count(number)} {one if number == 1 else one + 's'}"


def day(event: str | None) -> str:
    """Return the day of a timestamp.

    >>> day("2016-02-20T00:00:00.000000Z")
    '2016-02-20'
    """
    return event[:10] if event else UNKNOWN


def listed(names: list[str]) -> str:
    """Return names in a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    *others, last = names or ["none"]
    return f"{', '.join(others)} and {last}" if others else last


def plain(name: str) -> str:
    """Return a name as words.

    >>> plain("no_future_features")
    'no future features'
    """
    return name.replace("_", " ")


def readable(label: str) -> str:
    """Return the label of a bin with its numbers shortened.

    >>> readable("above 4164.25 to 0.019607844")
    'above 4,164 to 0.01961'
    """
    return NUMBER.sub(lambda found: _readable_number(float(found[0])), label)


def _readable_number(number: float) -> str:
    if number == round(number) or abs(number) >= LARGE:
        return f"{number:,.0f}"
    return f"{number:.4g}"


def breakable(name: str) -> str:
    """Return a name as HTML that may be broken after each underscore.

    >>> breakable("NEW_ACCOUNTS")
    'NEW_<wbr>ACCOUNTS'
    """
    return escape(name).replace("_", "_<wbr>")
