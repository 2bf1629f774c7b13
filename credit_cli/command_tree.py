"""The words of `credit`, each imported when it is typed: help and completion don't wait for all."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import typer
from typer.core import TyperGroup
from typer.main import get_group

from credit_cli.command_help import TaughtCommand, TaughtGroup

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Panel(StrEnum):
    """Under which heading `credit --help` names a command, in this order."""

    START_HERE = "Start here"
    DECIDE = "Decide"
    MODELS = "Models"
    FEATURES = "Features"
    WATCH = "Watch"
    KEEP_AND_ERASE = "Keep and erase"
    CLOUD = "Cloud"


@dataclass(frozen=True)
class Word:
    """A word after `credit`.

    Attributes:
        name: The word.
        panel: Where the help names it.
        place: Module and name of the function, or of the `typer.Typer` of a group of commands.
        summary: The first sentence of its own help, here so that it need not be imported for that.
    """

    name: str
    panel: Panel
    place: str
    summary: str

    def read(self) -> Any:
        """Import the command and return it as Typer runs it."""
        module, _, attribute = self.place.partition(":")
        found = getattr(import_module(module), attribute)
        made: Any
        if isinstance(found, typer.Typer):
            made = taught_group(found)
        else:
            alone = typer.Typer()
            alone.command(self.name)(found)
            made = taught_group(alone).commands[self.name]
        made.name, made.rich_help_panel = self.name, self.panel
        return made


class Unread(TaughtCommand):
    """A word whose command was not imported yet, and is where it is needed."""

    def __init__(self, word: Word) -> None:
        super().__init__(word.name, short_help=word.summary, rich_help_panel=word.panel)
        self._word = word

    @cached_property
    def command(self) -> Any:
        """The command itself."""
        return self._word.read()


class LazyGroup(TaughtGroup):
    """The words of a command, none of them imported before it is typed."""

    words: ClassVar[Sequence[Word]] = ()

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        panels = list(Panel)
        for word in sorted(self.words, key=lambda word: panels.index(word.panel)):
            self.commands[word.name] = Unread(word)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Import the command that is named."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, read(command), rest


def read(command: Any) -> Any:
    """Return a command, imported if it was not."""
    return command.command if isinstance(command, Unread) else command


def taught_group(app: typer.Typer) -> TyperGroup:
    """Return a group as Typer runs it, with help in plain text for it and all below."""
    _teach(app)
    return get_group(app)


def _teach(app: typer.Typer) -> None:
    for command in app.registered_commands:
        if command.cls is None or not issubclass(command.cls, TaughtCommand):
            command.cls = TaughtCommand
    if not (isinstance(app.info.cls, type) and issubclass(app.info.cls, TaughtGroup)):
        app.info.cls = TaughtGroup
    for below in app.registered_groups:
        if below.typer_instance is not None:
            _teach(below.typer_instance)


def every_command(
    group: TyperGroup, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each group and command with the words it is called by, the group itself first.

    Args:
        group: Where to begin.
        path: The words that it is called by itself.
    """
    yield path, group
    for name, command in group.commands.items():
        found = read(command)
        if isinstance(found, TyperGroup):
            yield from every_command(found, (*path, name))
        else:
            yield (*path, name), found
