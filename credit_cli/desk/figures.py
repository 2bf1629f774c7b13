"""How the desk writes values, times and outcomes."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING

from credit_core.domain.pages.words import MINUS, SPACE, UNKNOWN, decimal, plain, signed

if TYPE_CHECKING:
    from credit_core.domain.product import Value

UNITS = {"count": "", "ratio": "", "percent": f"{SPACE}%"}
"""Units that a value is written without, or otherwise than by their names."""
LARGE, SMALL = 1_000, 1e-4

OUTCOME_WORDS = {"approve": "Approved", "decline": "Declined", "refer": "Referred to a person"}
SHORT_OUTCOMES = {"approve": "approved", "decline": "declined", "refer": "referred"}


def capital(text: str) -> str:
    """Return a text with a capital first, as a sentence or a label begins.

    >>> capital("the API is busy")
    'The API is busy'
    """
    return f"{text[:1].upper()}{text[1:]}"


def small(text: str) -> str:
    """Return a text with a small letter first, as it goes on within a sentence.

    >>> small("Income is too low")
    'income is too low'
    """
    return f"{text[:1].lower()}{text[1:]}"


def outcome_word(outcome: object) -> str:
    """Return an outcome as a word.

    >>> outcome_word("refer"), outcome_word("other")
    ('referred', 'other')
    """
    return SHORT_OUTCOMES.get(str(outcome), str(outcome))


def value_text(value: Value, unit: str | None = None) -> str:
    """Return a value with its unit, as a person reads it.

    >>> value_text(20_000.0, "USD").replace(SPACE, " "), value_text(0.33811), value_text(None)
    ('20,000 USD', '0.338', 'unknown')
    >>> value_text("source_verified"), value_text(51.4, "percent").replace(SPACE, " ")
    ('source verified', '51.4 %')
    """
    if value is None:
        return "unknown"
    if isinstance(value, str):
        return plain(value)
    return f"{number_text(value)}{UNITS.get(unit or '', f'{SPACE}{unit}' if unit else '')}"


def number_text(number: float) -> str:
    """Return a number without digits that say nothing.

    >>> number_text(12_875.0), number_text(0.000012), number_text(51.400001), number_text(1.5)
    ('12,875', '1.2e-05', '51.4', '1.5')
    """
    if not math.isfinite(number):
        return str(number)
    if number == round(number) or abs(number) >= LARGE:
        text = f"{number:,.0f}"
    elif abs(number) < SMALL:
        text = f"{number:.3g}"
    else:
        text = f"{number:.4g}" if abs(number) >= 1 else f"{number:.3g}"
    return text.replace("-", MINUS, 1) if text.startswith("-") else text


def probability_text(share: float | None) -> str:
    """Return a probability of default in percent; only what is certain is 0 or 100.

    >>> [probability_text(share).replace(SPACE, " ") for share in (0.1004864, 0.00004, 0.99996)]
    ['10.05 %', '< 0.01 %', '> 99.99 %']
    """
    if share is None:
        return UNKNOWN
    text = f"{100 * share:.2f}"
    if text == "0.00" and share > 0:
        text = f"<{SPACE}0.01"
    elif text == "100.00" and share < 1:
        text = f">{SPACE}99.99"
    return f"{text}{SPACE}%"


def points_text(points: float | None) -> str:
    """Return points to a hundredth.

    >>> points_text(1_012.5), points_text(-3.0) == f"{MINUS}3.00", points_text(None) == UNKNOWN
    ('1,012.50', True, True)
    """
    return UNKNOWN if points is None else decimal(points, 2)


def signed_points(points: float) -> str:
    """Return points with their sign, to a hundredth.

    >>> signed_points(3.0), signed_points(-0.001)
    ('+3.00', '0.00')
    """
    return signed(points, 2)


def age_text(seconds: float) -> str:
    """Return an age in a unit that suits it.

    >>> age_text(59), age_text(7_200), age_text(796_827)
    ('59 seconds', '2 hours', '9.2 days')
    """
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= length:
            amount = seconds / length
            text = f"{amount:.1f}".removesuffix(".0")
            return f"{text} {unit}{'' if text == '1' else 's'}"
    return f"{seconds:.0f} second{'' if round(seconds) == 1 else 's'}"


def moment_text(timestamp: object) -> str:
    """Return a timestamp of the API to the second, in UTC.

    >>> moment_text("2026-11-22T17:12:29.149Z")
    '2026-11-22 17:12:29 UTC'
    """
    moment = moment_of(timestamp)
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else str(timestamp)


def moment_of(timestamp: object) -> datetime | None:
    """Return what a timestamp of the API says, None if it says nothing."""
    try:
        return datetime.fromisoformat(str(timestamp))
    except ValueError:
        return None
