"""The first three commands of every runbook, typed at the local cloud."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

from credit_cli.errors import ExitCode
from tests.runbooks import FIRST_COMMANDS, runbooks

if TYPE_CHECKING:
    from tests.end_to_end.conftest import Credit

FIRST = {command: None for runbook in runbooks() for command in runbook.commands_of(FIRST_COMMANDS)}
"""Each once, in the order of the pages."""


@pytest.mark.end_to_end
@pytest.mark.parametrize("command", FIRST)
def test_a_first_command_answers(credit: Credit, demo: dict[str, object], command: str) -> None:
    """It finds what it looks for, or says that something is wrong: it was typed because it is."""
    assert demo
    _, *words = shlex.split(command)

    done = credit(*words, check=False)

    said = done.stderr.decode()
    assert done.returncode in {ExitCode.OK, ExitCode.FAILED}, said
    assert "Traceback" not in said
    assert done.stdout.strip() or said.strip()
