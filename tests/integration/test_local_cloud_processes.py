from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from credit_cli import processes


def test_this_process_is_found_with_its_group_and_command() -> None:
    found = processes.find(os.getpid())

    assert found is not None
    assert found.group == os.getpgid(0)
    assert "python" in found.command or "pytest" in found.command


def test_a_process_keeps_its_start_for_life() -> None:
    assert processes.find(os.getpid()) == processes.find(os.getpid())


def test_an_id_that_nobody_has_is_not_found() -> None:
    with subprocess.Popen(["/bin/true"]) as ended:
        ended.wait()

    assert processes.find(ended.pid) is None


def test_a_process_that_ignores_the_request_is_ended_all_the_same() -> None:
    with subprocess.Popen(
        ["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"],
        start_new_session=True,
        stdout=subprocess.PIPE,
    ) as stubborn:
        assert stubborn.stdout is not None
        stubborn.stdout.readline()

        processes.stop_group(stubborn.pid, patience_seconds=0.3)

        assert stubborn.wait(timeout=5) == -9


@pytest.mark.skipif(not Path("/bin/ps").exists(), reason="there is no ps here")
def test_without_proc_the_same_is_read_from_ps() -> None:
    by_id = {process.pid: process for process in processes._from_ps()}

    mine = by_id[os.getpid()]
    assert mine.group == os.getpgid(0)
    assert mine.started.count(" ") == 4
    assert mine == {process.pid: process for process in processes._from_ps()}[os.getpid()]
