"""Errors that a page meets, in the command line's own words."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from credit_cli.errors import CliError
from credit_cli.translation import translated
from credit_core.errors import CreditScoringError


def foreseen(error: Exception) -> CliError | None:
    """Return an error for a person, or None for a fault of the desk itself.

    What nobody foresaw may hold an applicant's value in its message.
    """
    if isinstance(error, CreditScoringError):
        return CliError(str(error))
    if isinstance(error, CliError | BotoCoreError | ClientError | OSError):
        return translated(error)
    return None
