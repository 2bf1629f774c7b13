"""Help as plain text: a sentence, when to use it, options, examples and exit codes.

A docstring says all of it. Its last parts are lists: `Examples:` with indented lines, each a
command that can be typed, and `Exit codes:` where they differ from those of every command. Nothing
is drawn around it, so that it reads the same at a terminal, in a pipe and in a page.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from credit_cli.errors import ExitCode
from credit_cli.progress import styled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EXAMPLES = "Examples:"
EXIT_CODES = "Exit codes:"
BEFORE_A_CODE = re.compile(r"[,;] (?=\d+ )")
COMMENT = "  # "
OTHERS = "Commands"
GENERAL = {int(code): code.meaning for code in ExitCode if code is not ExitCode.INTERRUPTED}
"""What a command's exit codes mean that says nothing of its own."""


@dataclass(frozen=True)
class Example:
    """A command that can be typed, and what it is an example of."""

    command: str
    comment: str = ""

    def __str__(self) -> str:
        """Return the line of the help."""
        return f"{self.command}{COMMENT}{self.comment}" if self.comment else self.command


@dataclass(frozen=True)
class HelpText:
    """What a docstring tells of a command."""

    summary: str
    paragraphs: tuple[str, ...]
    examples: tuple[Example, ...]
    exit_codes: dict[int, str]


def read_help(text: str) -> HelpText:
    r"""Return the parts of a docstring.

    Args:
        text: The docstring; its first paragraph is the summary.

    >>> found = read_help("Do it.\n\nNow and\nthen.\n\nExamples:\n    credit do 1  # one\n\n"
    ...     "Exit codes: 0 it is done, for now; 1 it is not.")
    >>> found.summary, found.paragraphs, found.exit_codes
    ('Do it.', ('Now and then.',), {0: 'it is done, for now', 1: 'it is not'})
    >>> found.examples
    (Example(command='credit do 1', comment='one'),)
    """
    paragraphs: list[str] = []
    examples: tuple[Example, ...] = ()
    codes = GENERAL
    for part in re.split(r"\n\s*\n", inspect.cleandoc(text)):
        words = " ".join(part.split())
        if words.startswith(EXAMPLES):
            examples = tuple(map(_example, part.splitlines()[1:]))
        elif words.startswith(EXIT_CODES):
            codes = exit_codes_of(words)
        elif words:
            paragraphs.append(words)
    summary, *others = paragraphs or [""]
    return HelpText(summary, tuple(others), examples, codes)


def exit_codes_of(words: str) -> dict[int, str]:
    """Return the meaning of each code of a paragraph that lists them.

    >>> exit_codes_of("Exit codes: 0 done, 1 failed, or worse, 2 used wrongly.")
    {0: 'done', 1: 'failed, or worse', 2: 'used wrongly'}
    """
    listed = words.removeprefix(EXIT_CODES).strip().removesuffix(".")
    pairs = (part.split(" ", 1) for part in BEFORE_A_CODE.split(listed))
    return {int(code): meaning for code, meaning in pairs}


def _example(line: str) -> Example:
    command, _, comment = line.strip().partition(COMMENT)
    return Example(command.strip(), comment.strip())


class TaughtCommand(TyperCommand):
    """A command whose help is plain text, its arguments in capitals."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        for parameter in self.params:
            if isinstance(parameter, TyperArgument):
                parameter.metavar = parameter.metavar or parameter.name.upper()

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return how it is written: what has to be given stands there by its name alone."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and options."""
        write_parameters(self, ctx, formatter)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        write_help(self, ctx, formatter)


class TaughtGroup(TyperGroup):
    """Commands in panels, with help in plain text."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Show the help where no command is named."""
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            raise typer.Exit(ExitCode.USAGE)
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help."""
        write_help(self, ctx, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, then the options: who asks a group for help looks for a command."""
        for panel, commands in in_panels(self):
            with formatter.section(heading(panel)):
                formatter.write_dl([(name, summary_of(command)) for name, command in commands])
        write_parameters(self, ctx, formatter)


def in_panels(group: TyperGroup) -> Iterator[tuple[str, Sequence[tuple[str, Any]]]]:
    """Yield the panels of a group in order, each with its commands by name."""
    panels: dict[str, list[tuple[str, Any]]] = {}
    for name, command in group.commands.items():
        if not command.hidden:
            panel = getattr(command, "rich_help_panel", None)
            panels.setdefault(panel if isinstance(panel, str) else OTHERS, []).append(
                (name, command)
            )
    yield from panels.items()


def summary_of(command: Any) -> str:
    """Return what a command does, in a sentence."""
    return command.short_help or read_help(command.help or "").summary


def write_help(command: Any, ctx: Any, formatter: Any) -> None:
    """Write a command's help into a formatter of Typer's."""
    text = read_help(command.help or "")
    command.format_usage(ctx, formatter)
    for paragraph in (text.summary, *text.paragraphs):
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(paragraph)
    command.format_options(ctx, formatter)
    if text.examples:
        with formatter.section(heading("Examples")):
            for example in text.examples:
                formatter.write(f"{'':{formatter.current_indent}}{example}\n")
    with formatter.section(heading("Exit codes")):
        formatter.write_dl([(str(code), meaning) for code, meaning in text.exit_codes.items()])


def write_parameters(command: Any, ctx: Any, formatter: Any) -> None:
    """Write the arguments and options of a command into a formatter of Typer's."""
    arguments: list[tuple[str, str]] = []
    options: list[tuple[str, str]] = []
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None and isinstance(parameter, TyperArgument):
            arguments.append((str(parameter.metavar), record[1]))
        elif record is not None:
            options.append((plain_type(record[0]), record[1]))
    for title, rows in (("Arguments", arguments), ("Options", options)):
        if rows:
            with formatter.section(heading(title)):
                formatter.write_dl(rows)


def plain_type(shown: str) -> str:
    """Return what Typer says that an option takes: of one value, whose limits its help names.

    >>> plain_type("--code <list[str]>"), plain_type("--port <int range>")
    ('--code <str>', '--port <int>')
    """
    return shown.replace("<list[", "<").replace("]>", ">").replace(" range>", ">")


def heading(words: str) -> str:
    """Return a heading."""
    return styled(words, bold=True)
