"""The first three commands of every runbook, typed at the local cloud."""

from __future__ import annotations

import shlex
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from credit_cli.errors import ExitCode
from tests.runbooks import FIRST_COMMANDS, runbooks

if TYPE_CHECKING:
    import subprocess

    from tests.end_to_end.conftest import Credit

FIRST = {command: None for runbook in runbooks() for command in runbook.commands_of(FIRST_COMMANDS)}
"""Each once, in the order of the pages."""


AT_ONCE = 3
"""Each takes longer to start than to ask."""


@pytest.fixture(scope="module")
def answers(
    credit: Credit, demo: dict[str, object]
) -> dict[str, subprocess.CompletedProcess[bytes]]:
    """What each command said, several typed at once."""
    assert demo
    with ThreadPoolExecutor(AT_ONCE) as typing:
        done = typing.map(lambda command: credit(*shlex.split(command)[1:], check=False), FIRST)
        return dict(zip(FIRST, done, strict=True))


@pytest.mark.end_to_end
@pytest.mark.parametrize("command", FIRST)
def test_a_first_command_answers(
    answers: dict[str, subprocess.CompletedProcess[bytes]], command: str
) -> None:
    """It finds what it looks for, or says that something is wrong: it was typed because it is."""
    done = answers[command]

    said = done.stderr.decode()
    assert done.returncode in {ExitCode.OK, ExitCode.FAILED}, said
    assert "Traceback" not in said
    assert done.stdout.strip() or said.strip()
