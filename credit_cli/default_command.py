"""A group of commands of which one is meant when none is named: `credit queues` lists them."""

from __future__ import annotations

from typing import Any

from typer.core import TyperArgument

from credit_cli.command_help import TaughtGroup

LIST = "list"


class ListsByDefault(TaughtGroup):
    """Commands of which `list` is meant where no other one is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` before words that begin with no command."""
        if ctx.resilient_parsing and not args:  # a shell asks what may follow: any of them may
            return super().parse_args(ctx, args)
        named = args and (
            args[0] in self.commands
            or args[0] in ctx.help_option_names
            or not (args[0].startswith("-") or self._list_arguments())  # a misspelt command
        )
        return super().parse_args(ctx, args if named else [LIST, *args])

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """Return the commands, and what may follow `list`, which need not be typed."""
        found = super().shell_complete(ctx, incomplete)
        listed = self._list_arguments()
        return found + [item for one in listed for item in one.shell_complete(ctx, incomplete)]

    def _list_arguments(self) -> list[TyperArgument]:
        return [one for one in self.commands[LIST].params if isinstance(one, TyperArgument)]
