"""How the desk writes moments, and reads days."""

from __future__ import annotations

from datetime import UTC, date
from typing import TYPE_CHECKING

from credit_cli.errors import UsageError

if TYPE_CHECKING:
    from datetime import datetime


def moment(at: datetime) -> str:
    """Return a moment to the minute.

    >>> from datetime import datetime
    >>> moment(datetime.fromisoformat("2026-11-22T23:04:05+02:00"))
    '2026-11-22 21:04 UTC'
    """
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def day_in(text: str) -> date:
    """Return the day that a form or an address names.

    Raises:
        UsageError: It names none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError("that is no day", hint="a day is written YYYY-MM-DD") from None
