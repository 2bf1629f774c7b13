"""Errors that a page meets, in the command line's own words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from credit_cli.errors import CliError
from credit_cli.translation import translated
from credit_core.errors import CreditScoringError

if TYPE_CHECKING:
    from collections.abc import Callable


def foreseen(error: Exception) -> CliError | None:
    """Return an error for a person, or None for a fault of the desk itself.

    What nobody foresaw may hold an applicant's value in its message.
    """
    if isinstance(error, CreditScoringError):
        return CliError(str(error))
    if isinstance(error, CliError | BotoCoreError | ClientError | OSError):
        return translated(error)
    return None


def tried[T](ask: Callable[[], T]) -> T | CliError:
    """Return what is answered, or the error in words: a page shows what it can."""
    try:
        return ask()
    except Exception as error:
        known = foreseen(error)
        if known is None:
            raise
        return known
