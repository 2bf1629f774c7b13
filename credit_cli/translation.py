"""Errors of products, the machine, AWS clients and Typer, in this command's own words."""

from __future__ import annotations

import errno
import re
import sys
import traceback
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer

from credit_cli.errors import CliError, UnreachableError, UsageError, suggestion
from credit_cli.target import target, unless_misspelt
from credit_core.errors import InvalidProductError

OF_PYDANTIC = "Value error, "
"""What Typer's checks put before a sentence of their own."""
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
    words = " ".join(spoken().split()).replace(OF_PYDANTIC, "")
    option = getattr(error, "option_name", None)
    if context is not None and option and words.startswith("No such option"):
        return _of_option(option, path, context)
    return UsageError(words, hint=f"{_choice_meant(words)}see: {path} --help")


def _choice_meant(words: str) -> str:
    """Return which of the choices was meant, if one is like what was typed."""
    typed, among, choices = words.rpartition(" is not one of ")
    alike = get_close_matches(
        typed.rpartition(" ")[2].strip("'"), re.findall("'([^']*)'", choices), n=1
    )
    return f"did you mean {alike[0]}? " if among and alike else ""


def _of_option(option: str, path: str, context: Any) -> UsageError:
    message = f"{path} has no option {option}"
    own, of_all = _options_of(context), _options_of(context.find_root())
    if option in of_all:
        program, _, rest = path.partition(" ")
        return UsageError(message, hint=f"it stands first: {program} {option} {rest} ...")
    among = own if get_close_matches(option, own) else own + get_close_matches(option, of_all)
    meant = suggestion(option, among, kind="options")
    return UsageError(message, hint=f"{meant}; see: {path} --help")


def _options_of(context: Any) -> list[str]:
    """Return the options of a command; what an argument is called is none."""
    names = [name for param in context.command.params for name in param.opts]
    return [name for name in names if name.startswith("-")]


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
    name, hint = "the local cloud" if local else "AWS", where_to_look()
    if isinstance(error, AwsConnectionError | HTTPClientError):
        return UnreachableError(f"{name} does not answer", hint=hint)
    text = " ".join(str(error).split())
    if local or isinstance(error, ClientError):
        return CliError(f"{name} refused a call: {text}", hint=hint)
    return CliError(f"AWS can't be asked: {text}", hint=hint)


def where_to_look() -> str:
    """Return where to look when what this command is about does not answer, or refuses."""
    if not target().is_local:
        return unless_misspelt(WHO_ASKS)
    from credit_cli.checkout import Checkout  # noqa: PLC0415 (only here)
    from credit_cli.local_cloud import LocalCloud  # noqa: PLC0415 (as above)

    return LocalCloud(Checkout()).see_log


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
