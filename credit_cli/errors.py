"""What can go wrong for a person at a terminal. Each shows as one or two lines.

    CliError
    ├── UsageError           the command was given something it can't use
    ├── PreconditionError    this machine or checkout lacks something
    ├── LocalCloudError      the local cloud can't start or can't stop
    │   └── PortTakenError
    ├── DeploymentError      the CDK CLI failed, or what it deployed is incomplete
    ├── PipelineError        a state machine failed, or did not end in time
    ├── UnreachableError     the local cloud is not running, or nothing answers at the API
    └── RefusedError         the API, or its token endpoint, refused the request

A message says what happened, with measured values; a hint says what to do, if there is something.
"""

from __future__ import annotations

from difflib import get_close_matches
from enum import IntEnum
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_ALIKE = 3
MOST_NAMED = 12
"""Names in a hint; where there are more, the rest is counted."""


class ExitCode(IntEnum):
    """How `credit` ends; scripts may rely on it.

    Attributes:
        meaning: In two or three words, as help says it.
        description: When it is given, and what to do then.
    """

    meaning: str
    description: str

    def __new__(cls, code: int, meaning: str, description: str) -> Self:
        """Make a member of a code and its words."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        member.description = description
        return member

    OK = (0, "done", "What was asked for is done; of a check: nothing was found.")
    FAILED = (
        1,
        "failed",
        (
            "It could not be done, or a check found something: a gate that failed, a decision that"
            " differs, an alarm that rings. The message or the output says what."
        ),
    )
    USAGE = (
        2,
        "used wrongly",
        (
            "A word, an option or a file is not what the command takes, or nobody agreed to what it"
            " asks about. Nothing was done; the same words fail again."
        ),
    )
    REFUSED = (
        3,
        "refused by the API",
        (
            "The API, or its token endpoint, refused the request and said why. The same request is"
            " refused again."
        ),
    )
    UNREACHABLE = (
        4,
        "not running or unreachable",
        (
            "The local cloud is not running, nothing is deployed there, or the API does not answer"
            " now. It may be tried again later."
        ),
    )
    INTERRUPTED = (130, "interrupted", "Ctrl-C. It can be run again.")


def suggestion(word: str, among: Iterable[str], *, kind: str) -> str:
    """Return the hint for a name that there is none of: what was meant, or what there is.

    >>> suggestion("monitring", ["retraining", "monitoring"], kind="workflows")
    'did you mean monitoring?'
    >>> suggestion("x", ["b", "a"], kind="queues")
    'queues: b, a'
    >>> suggestion("x", [], kind="queues")
    'there are no queues'
    """
    names = list(among)
    alike = get_close_matches(word, names, n=MOST_ALIKE)
    if alike:
        return f"did you mean {' or '.join(alike)}?"
    if not names:
        return f"there are no {kind}"
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f"{kind}: {', '.join(names[:MOST_NAMED])}{more}"


class CliError(Exception):
    """A failure with words for a person: what happened and, if known, what to do."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CliError):
    """The command was given something it can't use."""

    exit_code = ExitCode.USAGE


class PreconditionError(CliError):
    """This machine or checkout lacks something that the command needs."""


class LocalCloudError(CliError):
    """The local cloud can't start or can't stop."""


class PortTakenError(LocalCloudError):
    """Something else listens where the local cloud should."""

    def __init__(self, port: int) -> None:
        super().__init__(
            f"port {port} of 127.0.0.1 is taken by another program",
            hint=f"stop it, or choose another: CREDIT_LOCAL_PORT={port + 1} make demo",
        )


class DeploymentError(CliError):
    """The CDK CLI failed, or what it deployed is incomplete."""


class PipelineError(CliError):
    """A state machine failed, or did not end in time."""


class UnreachableError(CliError):
    """The local cloud is not running, or nothing answers at the API."""

    exit_code = ExitCode.UNREACHABLE


class RefusedError(CliError):
    """The API, or its token endpoint, refused the request."""

    exit_code = ExitCode.REFUSED
