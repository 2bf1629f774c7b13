"""What every command says, and how: lines or one JSON object, steps, and Ctrl-C."""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credit_cli.live_line import hush
from credit_cli.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GAP = re.compile(r"(?<=\S)\s{2,}(?=\S)")
"""What stands between two columns."""
HANGING = "    "
ROOM_SHARE = 0.3
"""Of a terminal's width, so that a column is folded where it stands and not put below."""
COMMANDS = ("credit ", "curl ", "cdk ", "make ", "--")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def to_day(text: str) -> date:
    """Read an option that names a day.

    Raises:
        typer.BadParameter: It names none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day; a day is written YYYY-MM-DD") from None


def say(text: str) -> None:
    """Print a line on standard output, or several: as they are, but folded at a narrow terminal."""
    hush()
    if sys.stdout.isatty():
        columns = shutil.get_terminal_size().columns
        text = "\n".join(folded(line, columns) for line in text.split("\n"))
    typer.echo(text)


def folded(line: str, columns: int) -> str:
    r"""Return a line in several that fit a terminal: between its columns, then between words.

    What a person might copy, a command or an address, stays in one piece.

    >>> print(folded("scorecard  champion  2026-11-22 by retraining after a rollout", 40))
    scorecard  champion  2026-11-22 by
                         retraining after a
                         rollout
    >>> print(folded("materialization  succeeded  24c01f62-e065-4dbf-9d14-f362be9458f7", 50))
    materialization  succeeded
        24c01f62-e065-4dbf-9d14-f362be9458f7
    """
    if len(line) <= columns or line.lstrip().startswith(COMMANDS):
        return line
    lines = [""]
    cells = GAP.split(line)
    for gap, cell in zip(["", *GAP.findall(line)], cells, strict=True):
        if len(lines[-1]) + len(gap) + len(cell) <= columns:
            lines[-1] += gap + cell
            continue
        column = len(lines[-1]) + len(gap)
        room = columns - column
        if room < max(ROOM_SHARE * columns, len(max(cell.split(), key=len))):
            lines.append("")
            column, room = len(HANGING), columns - len(HANGING)
        parts = textwrap.wrap(cell, room, break_long_words=False, break_on_hyphens=False)
        lines[-1] += " " * (column - len(lines[-1])) + parts[0]
        lines += [" " * column + part for part in parts[1:]]
    return "\n".join(lines)


def print_json(document: Mapping[str, Any]) -> None:
    """Print a JSON object on standard output."""
    hush()
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
