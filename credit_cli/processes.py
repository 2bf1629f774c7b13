"""Processes by identity, so that nothing of somebody else's is ever stopped.

A process id alone is not an identity: it is given again after its process has ended. The id
together with the moment of start is one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROC = Path("/proc")
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Process:
    """One running process. ``started`` is opaque text, equal only for the same start."""

    pid: int
    group: int
    started: str
    command: str


def running() -> Iterator[Process]:
    """Yield the running processes, zombies left out."""
    if (PROC / "self" / "stat").exists():
        yield from _from_proc()
    else:
        yield from _from_ps()


def find(pid: int) -> Process | None:
    """Return the running process of that id, or None."""
    return next((process for process in running() if process.pid == pid), None)


def stop_group(group: int, *, patience_seconds: float = 5.0) -> None:
    """Ask a process group to end, wait, and end what is left. Returns when none is left."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            return
        except PermissionError:  # macOS answers so for a group of zombies
            pass
        deadline = time.monotonic() + patience_seconds
        while time.monotonic() < deadline:
            if not any(process.group == group for process in running()):
                return
            time.sleep(POLL_SECONDS)


def _from_proc() -> Iterator[Process]:
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            status = (folder / "stat").read_text(encoding="utf-8", errors="replace")
            command = (folder / "cmdline").read_bytes()
        except OSError:  # it has ended meanwhile
            continue
        # pid (name) state ppid pgrp ... and, 22nd of all, the start time in clock ticks: proc(5).
        fields = status.rpartition(")")[2].split()
        if fields[0] in "ZX":
            continue
        words = command.replace(b"\0", b" ").decode(errors="replace").strip()
        yield Process(int(folder.name), int(fields[2]), fields[19], words)


def _from_ps() -> Iterator[Process]:
    listing = subprocess.run(
        ["/bin/ps", "-axww", "-o", "pid=,pgid=,state=,lstart=,command="],
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C"},
    ).stdout
    for line in listing.splitlines():
        pid, group, state, *start_and_command = line.split(None, 8)
        if not state.startswith("Z"):
            # lstart is five words: Sun Nov 22 06:08:18 2026.
            yield Process(
                int(pid), int(group), " ".join(start_and_command[:5]), start_and_command[5]
            )
