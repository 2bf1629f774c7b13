"""Errors of products, the machine, AWS clients and Typer, in this command's own words."""

from __future__ import annotations

import errno

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as AwsConnectionError

from credit_cli.errors import CliError, UnreachableError, UsageError
from credit_cli.target import target
from credit_core.errors import InvalidProductError

SEE_LOG = "its log: .local/cloud.log"
WHO_ASKS = "who is logged in, and where: AWS_PROFILE and AWS_REGION choose the account"


def translated(error: Exception) -> CliError | None:
    """Return an error for a person, or None for one that is a fault of this command."""
    spoken = getattr(error, "format_message", None)
    known: CliError | None = None
    if isinstance(error, CliError):
        known = error
    elif spoken is not None:  # Typer's; its base class has no public name
        context = getattr(error, "ctx", None)
        known = UsageError(
            spoken(), hint=f"see: {context.command_path if context else 'credit'} --help"
        )
    elif isinstance(error, InvalidProductError):
        known = _of_product(error)
    elif isinstance(error, ClientError | BotoCoreError):
        known = _of_cloud(error)
    elif isinstance(error, OSError):
        known = _of_machine(error)
    return known


def _of_cloud(error: ClientError | BotoCoreError) -> CliError:
    local = target().is_local
    name, hint = ("the local cloud", SEE_LOG) if local else ("AWS", WHO_ASKS)
    if isinstance(error, AwsConnectionError | HTTPClientError):
        return UnreachableError(f"{name} does not answer", hint=hint)
    text = " ".join(str(error).split())
    if local or isinstance(error, ClientError):
        return CliError(f"{name} refused a call: {text}", hint=hint)
    return CliError(f"AWS can't be asked: {text}", hint=hint)


def _of_product(error: InvalidProductError) -> CliError:
    from credit_core.domain.product import product_names  # noqa: PLC0415 (NumPy takes its time)

    hint = f"products: {', '.join(product_names())}"
    return UsageError(" ".join(str(error).split()), hint=hint)


def _of_machine(error: OSError) -> CliError:
    if error.errno == errno.ENOSPC:
        return CliError("the disk is full", hint="make room, then run the command again")
    where = f": {error.filename}" if error.filename else ""
    return CliError(f"{error.strerror or error}{where}")
