"""Reference: the command line, from the commands themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credit_cli.command_help import GENERAL
from credit_cli.command_reference import reference
from docs_site.markdown import code, page, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from credit_cli.command_reference import Command, Parameter


def command_page() -> str:
    """Return the page of the whole command line, in the order of its help."""
    (root, *commands) = reference()
    panels: dict[str, list[Command]] = {}
    for command in commands:
        if len(command.path) == 2:  # noqa: PLR2004 (directly below `credit`)
            panels.setdefault(str(command.panel), []).append(command)
    blocks = []
    for panel, below in panels.items():
        blocks.append(f"## {panel}")
        for top in below:
            blocks += [
                _described(command)
                for command in commands
                if command.path[: len(top.path)] == top.path
            ]
    return page(
        "Commands",
        "`credit` lies in `.venv/bin` of a checkout; `credit --help` and `credit COMMAND --help` "
        "say the same as this page. How it ends is on the page of [exit codes](errors.md).",
        _contents(panels),
        "## Every command",
        *root.paragraphs,
        _parameters("Option", root.options),
        *blocks,
    )


def _contents(panels: dict[str, list[Command]]) -> str:
    return table(
        ("", "Command", "What it does"),
        (
            (
                panel if place == 0 else "",
                f"[{code(command.name)}](#{_anchor(command)})",
                command.summary,
            )
            for panel, commands in panels.items()
            for place, command in enumerate(commands)
        ),
    )


def _anchor(command: Command) -> str:
    return "-".join(command.path)


def _described(command: Command) -> str:
    level = "###" if len(command.path) == 2 else "####"  # noqa: PLR2004 (as above)
    blocks = [
        f"{level} {command.name} {{#{_anchor(command)}}}",
        command.summary,
        *command.paragraphs,
    ]
    if command.is_group:
        return "\n\n".join(blocks)
    blocks.append(f"```text\n{command.usage}\n```")
    if command.examples:
        blocks.append("```sh\n{}\n```".format("\n".join(map(str, command.examples))))
    if command.arguments:
        blocks.append(_parameters("Argument", command.arguments))
    if command.options:
        blocks.append(_parameters("Option", command.options))
    if command.exit_codes != GENERAL:
        told = "; ".join(f"{number} {words}" for number, words in command.exit_codes.items())
        blocks.append(f"Exit codes: {told}.")
    return "\n\n".join(blocks)


def _parameters(kind: str, parameters: Sequence[Parameter]) -> str:
    return table(
        (kind, "Takes", "If not given", "What it is"),
        (
            (
                ", ".join(map(code, (parameter.name, *parameter.others))),
                (code(parameter.value) if parameter.value else "")
                + (", repeatedly" if parameter.repeatable else ""),
                "required" if parameter.required else code(parameter.default or ""),
                parameter.help
                + (f" Environment: `{parameter.variable}`." if parameter.variable else ""),
            )
            for parameter in parameters
        ),
    )
