"""What every command says, and how: lines or one JSON object, steps, and Ctrl-C."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credit_cli.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")]


def to_day(text: str) -> date:
    """Read an option that names a day.

    Raises:
        typer.BadParameter: It names none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day; a day is written YYYY-MM-DD") from None


def say(line: str) -> None:
    """Print a line on standard output, as it is."""
    typer.echo(line)


def print_json(document: Mapping[str, Any]) -> None:
    """Print a JSON object on standard output."""
    typer.echo(json.dumps(document, indent=2))


def progress_for(*, as_json: bool) -> Progress:
    """Return where steps are shown: out of the way of a JSON object."""
    return Progress(sys.stderr if as_json else sys.stdout)


@contextmanager
def interruptible_queries() -> Iterator[None]:
    """Let Ctrl-C end the command within a query of DuckDB's, which makes another error of it.

    Raises:
        KeyboardInterrupt: A query was interrupted.
    """
    try:
        yield
    except RuntimeError as error:
        if "interrupted" in str(error).lower():
            raise KeyboardInterrupt from error
        raise
