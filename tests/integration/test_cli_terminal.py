"""`credit` as a process: at a terminal, in a pipe, on a full disk, interrupted, and completed."""

from __future__ import annotations

import io
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from credit_cli.live_line import ERASED, LiveLine
from credit_cli.progress import Progress

CREDIT = Path(sys.executable).parent / "credit"
SLOW = """
import signal, sys, threading
# Who runs the tests in the background may ignore it, and so would this.
signal.signal(signal.SIGINT, signal.default_int_handler)
from credit_cli import live_line, local_commands, main
from credit_cli.terminal import say
live_line.PATIENCE_SECONDS = 0.05
shown, write = threading.Event(), live_line.LiveLine._write
def noted(*words):
    write(*words)
    shown.set()
live_line.LiveLine._write = noted
def wait(*_):
    shown.wait({seconds})
    return {{"running": False, "deployed": False}}
local_commands.status_document = wait
sys.exit(main.run({words}))
"""


def environment(**changes: str) -> dict[str, str]:
    return dict(os.environ) | {"TERM": "xterm", "COLUMNS": "80"} | changes


def at_a_terminal(arguments: list[str], **changes: str) -> str:
    """Return what a program shows at a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(**changes)
    )
    os.close(theirs)
    shown = all_of(ours)
    process.wait(timeout=60)
    return shown


def all_of(terminal: int) -> str:
    """Return all that was written to a terminal until its other end was closed."""
    shown = bytearray()
    while True:
        try:
            read = os.read(terminal, 65_536)
        except OSError:  # Linux says so that it was
            break
        if not read:
            break
        shown += read
    os.close(terminal)
    return shown.decode()


def seen(terminal: int, words: str) -> str:
    """Return what was written to a terminal until it shows these words, or for a minute."""
    shown, deadline = bytearray(), time.monotonic() + 60
    while words.encode() not in shown and time.monotonic() < deadline:
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 65_536)
    return shown.decode()


def slow(*words: str, seconds: float = 0.4) -> list[str]:
    """Return a program that answers when it has shown that it is at work, or after a time."""
    return [sys.executable, "-c", SLOW.format(words=list(words), seconds=seconds)]


def test_a_command_that_is_silent_at_a_terminal_shows_that_it_is_at_work() -> None:
    shown = at_a_terminal(slow("local", "status", seconds=60))

    assert "credit local status" in shown
    assert shown.split(ERASED)[-1].startswith("The local cloud is not running.")


@pytest.mark.parametrize("words", [("local", "status", "--json"), ("local", "status", "--help")])
def test_where_a_document_or_help_is_asked_for_nothing_else_is_shown(
    words: tuple[str, ...],
) -> None:
    assert ERASED not in at_a_terminal(slow(*words))


def test_a_terminal_that_can_not_write_over_is_left_alone() -> None:
    assert ERASED not in at_a_terminal(slow("local", "status"), TERM="dumb")


def test_in_a_pipe_nothing_moves_and_nothing_is_coloured() -> None:
    done = subprocess.run(slow("local", "status"), capture_output=True, check=False)

    assert b"\x1b" not in done.stdout + done.stderr


def test_headings_are_bold_at_a_terminal_unless_it_asks_for_no_colour() -> None:
    assert "\x1b[1mStart here" in at_a_terminal([str(CREDIT), "--help"])
    assert "\x1b[1m" not in at_a_terminal([str(CREDIT), "--help"], NO_COLOR="1")


def test_long_lines_are_folded_at_a_terminal_only() -> None:
    said = "'version     ' + 'word ' * 30"
    program = [sys.executable, "-c", f"from credit_cli.terminal import say; say({said})"]

    shown = at_a_terminal(program).splitlines()

    assert len(shown) > 1
    assert max(map(len, shown)) <= 80
    assert all(line.startswith(" " * 12) for line in shown[1:])
    piped = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    assert len(piped.splitlines()) == 1


def test_a_step_shows_what_it_is_doing_and_then_its_result() -> None:
    ours, theirs = pty.openpty()
    with (
        os.fdopen(theirs, "w", encoding="utf-8") as terminal,
        Progress(terminal).step("Layers") as step,
    ):
        step.update("3 of 12")
        meanwhile = seen(ours, "Layers: 3 of 12")
        step.result = "done"
    shown = all_of(ours)

    assert "Layers: 3 of 12" in meanwhile
    assert shown.split(ERASED)[-1].strip().endswith("done")


def test_a_terminal_that_went_away_is_no_failure() -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(5, "Input/output error")

    with LiveLine(Gone(), "at work"):
        time.sleep(0.05)


def test_who_reads_no_further_ends_a_command_in_silence() -> None:
    nobody, pipe = os.pipe()
    os.close(nobody)

    done = subprocess.run([CREDIT, "--help"], stdout=pipe, stderr=subprocess.PIPE, check=False)

    os.close(pipe)
    assert done.returncode == 0
    assert done.stderr == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has this file")
def test_output_that_finds_no_room_is_a_failure_in_two_lines() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [CREDIT, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )

    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "error: the disk is full"
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("words", [["local", "status"], ["--debug", "local", "status"]])
def test_ctrl_c_ends_a_command_in_a_line(words: list[str]) -> None:
    program = SLOW.format(words=words, seconds=60).replace(
        "    shown.wait(60)", "    print('ready', file=sys.stderr, flush=True)\n    shown.wait(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, stdout=subprocess.PIPE
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "ready\n"

    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)

    assert process.returncode == 130
    assert said == "error: interrupted; it can be run again\n"


COMPLETED = """
eval "$(_CREDIT_COMPLETE=source_bash {credit})"
COMP_WORDS=({words}); COMP_CWORD=$(({count} - 1))
_credit_completion credit
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("credit mod", {"models"}),
        ("credit models pro", {"promote"}),
        ("credit --stage ''", {"local", "dev", "prod"}),
        ("credit score --product pers", {"personal_loan"}),
        ("credit logs --query slow", {"slowest"}),
        ("credit queues re", {"redrive"}),
        ("credit models promote --no", {"--now", "--no-wait"}),
    ],
)
def test_bash_completes(words: str, expected: set[str]) -> None:
    bash = shutil.which("bash")
    assert bash
    script = COMPLETED.format(credit=CREDIT, words=words, count=len(words.split()))
    path = f"{CREDIT.parent}{os.pathsep}{os.environ['PATH']}"

    done = subprocess.run(
        [bash, "--norc", "-c", script],
        capture_output=True,
        text=True,
        env=environment(PATH=path),
        check=False,
    )

    assert done.stderr == ""
    assert expected <= set(done.stdout.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_its_script(shell: str) -> None:
    done = subprocess.run(
        [CREDIT],
        capture_output=True,
        text=True,
        env=environment(_CREDIT_COMPLETE=f"source_{shell}"),
        check=True,
    )

    assert "credit" in done.stdout
    if program := shutil.which(shell):
        subprocess.run([program, "-n"], input=done.stdout, text=True, check=True)
