"""Errors of products, the machine, AWS clients and Typer, in this command's own words."""

from __future__ import annotations

import errno
import sys
import traceback
from pathlib import Path

import typer

from credit_cli.errors import CliError, UnreachableError, UsageError, suggestion
from credit_cli.target import target
from credit_core.errors import InvalidProductError

SEE_LOG = "its log: .local/cloud.log"
WHO_ASKS = "who is logged in, and where: AWS_PROFILE and AWS_REGION choose the account"


def translated(error: Exception) -> CliError:
    """Return an error for a person; of one that nobody foresaw, where it came from."""
    if isinstance(error, CliError):
        return error
    if isinstance(error, typer.Abort):
        return UsageError("nothing was done")
    if isinstance(error, typer.TyperException):
        return _of_typer(error)
    if isinstance(error, InvalidProductError):
        return _of_product(error)
    if isinstance(error, OSError):
        return _of_machine(error)
    return _of_cloud(error) or _unforeseen(error)


def _of_typer(error: typer.TyperException) -> CliError:
    spoken = getattr(error, "format_message", error.__str__)
    context = getattr(error, "ctx", None)
    path = context.command_path if context else "credit"
    words = " ".join(spoken().split())
    option = getattr(error, "option_name", None)
    if context is not None and option and words.startswith("No such option"):
        known = [name for param in context.command.params for name in param.opts]
        return UsageError(
            f"{path} has no option {option}",
            hint=f"{suggestion(option, known, kind='options')}; see: {path} --help",
        )
    return UsageError(words, hint=f"see: {path} --help")


def _of_cloud(error: Exception) -> CliError | None:
    if "botocore" not in sys.modules:  # an error of it can't have come, and it takes its time
        return None
    from botocore.exceptions import (  # noqa: PLC0415 (as said)
        BotoCoreError,
        ClientError,
        HTTPClientError,
    )
    from botocore.exceptions import ConnectionError as AwsConnectionError  # noqa: PLC0415 (as said)

    if not isinstance(error, ClientError | BotoCoreError):
        return None
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

    known = product_names()
    hint = (
        f"see: credit products check {error.product}"
        if error.product in known
        else suggestion(error.product, known, kind="products")
    )
    return UsageError(" ".join(str(error).split()), hint=hint)


def _of_machine(error: OSError) -> CliError:
    if error.errno == errno.ENOSPC:
        return CliError("the disk is full", hint="make room, then run the command again")
    where = f": {error.filename}" if error.filename else ""
    return CliError(f"{error.strerror or error}{where}")


def _unforeseen(error: Exception) -> CliError:
    """Say where a fault of this program's own is; its message may hold an applicant's values."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return CliError(
        f"a fault of this program: {type(error).__name__}{where}",
        hint="the whole of it: the same command with --debug",
    )
