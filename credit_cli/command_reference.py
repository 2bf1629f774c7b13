"""Every command of `credit` as data: what its help says, for pages and for tests.

Read from the commands themselves, so that it can't differ from them.
"""

from __future__ import annotations

import inspect
import shlex
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from enum import Enum
from io import StringIO
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import typer.main
from typer.core import TyperGroup

from credit_cli.command_help import OTHERS, Example, HelpText, plain_type, read_help
from credit_cli.command_tree import every_command
from credit_cli.errors import ExitCode, UsageError
from credit_cli.main import app, ordered

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "credit"
OTHER_PROGRAMS = frozenset({"|", "<", ">", ">>", "2>", "&&", "||", ";"})
"""With these begins what is the shell's, or another program's."""


@dataclass(frozen=True)
class Parameter:
    """An argument or an option.

    Attributes:
        name: An argument's name in capitals; an option's longest form, ``--product``.
        others: Other forms of an option, ``-x`` or ``--no-x``.
        value: What it takes: ``str``, ``int``, ``YYYY-MM-DD``, or its choices with ``|`` between;
            None for an option that is there or not.
        required: Whether it has to be given.
        repeatable: Whether it may be given several times.
        default: What holds where it is not given, as help says it; None if nothing does.
        variable: The environment variable that gives it, if there is one.
        help: What it is, in a sentence.
    """

    name: str
    others: tuple[str, ...]
    value: str | None
    required: bool
    repeatable: bool
    default: str | None
    variable: str | None
    help: str


@dataclass(frozen=True)
class Command:
    """A command or a group of commands.

    Attributes:
        path: The words that it is called by, ``("credit", "models", "list")``.
        panel: The heading under which the help of the group above names it; None for `credit`.
        summary: What it does, in a sentence.
        paragraphs: When to use it, and what to know.
        usage: How it is written, in one line.
        arguments: In order.
        options: In the order of the help, without ``--help``.
        examples: Commands that can be typed.
        exit_codes: What each means here.
        commands: The last words of the commands below it, in order; empty unless it is a group.
    """

    path: tuple[str, ...]
    panel: str | None
    summary: str
    paragraphs: tuple[str, ...]
    usage: str
    arguments: tuple[Parameter, ...]
    options: tuple[Parameter, ...]
    examples: tuple[Example, ...]
    exit_codes: dict[int, str]
    commands: tuple[str, ...]

    @property
    def name(self) -> str:
        """The words that it is called by."""
        return " ".join(self.path)

    @property
    def is_group(self) -> bool:
        """Whether commands lie below it."""
        return bool(self.commands)

    def as_document(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self) | {"name": self.name}


def reference() -> tuple[Command, ...]:
    """Return `credit` itself and every group and command, each group before what lies below it."""
    return tuple(_described(path, command) for path, command in _commands())


def exit_codes() -> tuple[ExitCode, ...]:
    """Return how `credit` ends, each with its meaning and description."""
    return tuple(ExitCode)


def understood(line: str) -> Command:
    """Return the command that a line calls, its words and options read as when it is typed.

    Args:
        line: As typed in a shell, from ``credit`` on. Nothing is run.

    Raises:
        UsageError: It is no command of `credit`, or has an option or a value that it does not take.
    """
    program, *typed = shlex.split(line, comments=True)
    words = list(takewhile(lambda word: word not in OTHER_PROGRAMS, typed))
    if program != PROGRAM:
        raise UsageError(f"{program!r} is not {PROGRAM}")
    path: tuple[str, ...] = (PROGRAM,)
    command: Any = typer.main.get_command(app)
    rest = ordered(words)
    try:
        while isinstance(command, TyperGroup):
            if command.no_args_is_help and not rest:
                raise UsageError(f"{' '.join(path)} needs a command: {', '.join(command.commands)}")
            context = _read(command, path, rest)
            rest = [*context._protected_args, *context.args]  # noqa: SLF001 (Typer has no other way)
            name, command, rest = command.resolve_command(context, rest)
            path = (*path, str(name))
        _read(command, path, rest)
    except typer.Exit:  # help and version end the reading
        pass
    except typer.TyperException as error:
        raise UsageError(f"{line}: {getattr(error, 'message', error)}") from None
    return _described(path, command)


def _read(command: Any, path: tuple[str, ...], words: list[str]) -> Any:
    """Return the context of a command that takes these words, without running it."""
    with redirect_stdout(StringIO()):  # --help and --version are shown as soon as they are read
        return command.make_context(path[-1], list(words))


def _commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)  # noqa: S101 (it has more than one command)
    yield from every_command(group, (PROGRAM,))


def _described(path: tuple[str, ...], command: Any) -> Command:
    text: HelpText = read_help(command.help or "")
    context = typer.Context(command, info_name=" ".join(path))
    parameters = [(param, _parameter(param, context)) for param in command.params]
    pieces = " ".join(command.collect_usage_pieces(context))
    panel = command.rich_help_panel if isinstance(command.rich_help_panel, str) else OTHERS
    return Command(
        path=path,
        panel=None if len(path) == 1 else str(panel),
        summary=text.summary,
        paragraphs=text.paragraphs,
        usage=f"{' '.join(path)} {pieces}".strip(),
        arguments=tuple(
            found for param, found in parameters if param.param_type_name == "argument"
        ),
        options=tuple(found for param, found in parameters if param.param_type_name == "option"),
        examples=text.examples,
        exit_codes=text.exit_codes,
        commands=tuple(command.commands) if isinstance(command, TyperGroup) else (),
    )


def _parameter(param: Any, context: Any) -> Parameter:
    is_option = param.param_type_name == "option"
    forms = sorted(param.opts, key=len, reverse=True)
    name, *others = forms if is_option else [param.metavar or param.name.upper()]
    takes_value = not (is_option and param.is_flag)
    variable = param.envvar if isinstance(param.envvar, str) else None
    return Parameter(
        name=name,
        others=(*others, *param.secondary_opts),
        value=_value(param, context) if takes_value else None,
        required=bool(param.required),
        repeatable=bool(getattr(param, "multiple", False)) or param.nargs == -1,
        default=_default(param) if takes_value else None,
        variable=variable,
        help=" ".join((param.help or "").split()),
    )


def _value(param: Any, context: Any) -> str:
    if param.param_type_name == "option" and param.metavar:
        return str(param.metavar)
    return plain_type(str(param.display_type(context))).removeprefix("<").removesuffix(">")


def _default(param: Any) -> str | None:
    if isinstance(param.show_default, str):
        return param.show_default
    if param.default is None or not param.show_default or inspect.isfunction(param.default):
        return None
    return str(param.default.value if isinstance(param.default, Enum) else param.default)
