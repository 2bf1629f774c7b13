"""Steps with their durations: a spinner at a terminal, plain lines in a log."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.status import Status

PLAIN_UPDATE_SECONDS = 15.0
"""In a log, a long step says at most this often that it is still at work."""
NAME_WIDTH = 24


@dataclass
class Step:
    """One step under way."""

    name: str
    result: str = ""
    seconds: float = 0.0
    _progress: Progress | None = field(default=None, repr=False)

    def update(self, detail: str) -> None:
        """Say what the step is doing now."""
        if self._progress is not None:
            self._progress.show(self, detail)

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[Step]:
        """Show a part of this step as what the step is doing now."""
        self.update(name)
        yield Part(name, whole=self)


@dataclass
class Part(Step):
    """A part of a step under way."""

    whole: Step | None = None

    def update(self, detail: str) -> None:
        """Say what the part is doing now."""
        if self.whole is not None:
            self.whole.update(f"{self.name}: {detail}")


class Progress:
    """Prints each step when it is done, with its result and its duration in seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._last_plain = 0.0
        self.steps: list[Step] = []

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time a step; print it when it is done, or with a cross when it fails."""
        step = Step(name, _progress=self)
        started = time.monotonic()
        self._last_plain = started
        done = False
        try:
            if self._console.is_terminal:
                with self._console.status(name) as self._status:
                    yield step
            else:
                yield step
            done = True
        finally:
            self._status = None
            step.seconds = time.monotonic() - started
            self.steps.append(step)
            self._print(step, mark="[green]✓[/]" if done else "[red]✗[/]")

    def show(self, step: Step, detail: str) -> None:
        """Show what a step is doing now: at once at a terminal, now and then in a log."""
        if self._status is not None:
            self._status.update(f"{step.name}: {detail}")
        elif time.monotonic() - self._last_plain >= PLAIN_UPDATE_SECONDS:
            self._last_plain = time.monotonic()
            self._console.print(f"  … {step.name}: {detail}", markup=False)

    def _print(self, step: Step, *, mark: str) -> None:
        self._console.print(
            f"{mark} {step.name:<{NAME_WIDTH}}[dim]{step.seconds:7.1f} s[/]  ", end=""
        )
        self._console.print(step.result, markup=False)
