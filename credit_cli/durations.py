"""Spans of time as on-call types and reads them."""

from __future__ import annotations

import re
from datetime import timedelta

import typer

SPAN = re.compile(r"(\d{1,5})(s|m|h|d)")
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def to_span(text: str) -> timedelta:
    """Read an option that says how far back.

    >>> to_span("90m")
    datetime.timedelta(seconds=5400)

    Raises:
        typer.BadParameter: It says nothing of the kind.
    """
    found = SPAN.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no span of time, as 30m, 2h and 1d are")
    return timedelta(**{UNITS[found[2]]: int(found[1])})


def span_text(seconds: float) -> str:
    """Say a span of time in its two largest units.

    >>> [span_text(seconds) for seconds in (0.4, 75, 7_300, 200_000)]
    ['0 s', '1 min 15 s', '2 h 1 min', '2 d 7 h']
    """
    whole = round(seconds)
    for unit, length, smaller, part in (
        ("d", 86_400, "h", 3_600),
        ("h", 3_600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole >= length:
            rest = whole % length // part
            return f"{whole // length} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"
