"""A group of commands of which one is meant when none is named: `credit queues` lists them."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

LIST = "list"


class ListsByDefault(TyperGroup):
    """Commands of which `list` is meant where no other one is named."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` before words that begin with no command."""
        named = args and (args[0] in self.commands or args[0] in ctx.help_option_names)
        return super().parse_args(ctx, args if named else [LIST, *args])
