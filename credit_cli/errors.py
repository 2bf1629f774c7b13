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

from enum import IntEnum

EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 used wrongly, 3 refused by the API, 4 not running or"
    " unreachable."
)


class ExitCode(IntEnum):
    """How `credit` ends; scripts may rely on it."""

    OK = 0
    FAILED = 1
    USAGE = 2
    REFUSED = 3
    UNREACHABLE = 4


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
