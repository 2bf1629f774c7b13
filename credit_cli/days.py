"""The days that a command is about."""

from __future__ import annotations

from datetime import date
from typing import Annotated

import typer

from credit_cli.errors import UsageError
from credit_cli.terminal import to_day

FirstDay = Annotated[
    date | None,
    typer.Option(
        "--from", parser=to_day, metavar="YYYY-MM-DD", help="First day, UTC.", show_default=False
    ),
]
LastDay = Annotated[
    date | None,
    typer.Option(
        "--to", parser=to_day, metavar="YYYY-MM-DD", help="Last day, UTC.", show_default=False
    ),
]


def named_days(first: date | None, last: date | None) -> dict[str, str]:
    """Return the days as functions are told them.

    Raises:
        UsageError: The last lies before the first.

    >>> named_days(date(2026, 11, 1), None)
    {'from': '2026-11-01'}
    """
    if first and last and last < first:
        raise UsageError(f"--to {last} lies before --from {first}")
    named = {"from": first, "to": last}
    return {word: str(day) for word, day in named.items() if day}
