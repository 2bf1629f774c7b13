"""Steps with their durations: a spinner at a terminal, plain lines in a log."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from credit_cli.live_line import LiveLine, hush, is_live

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

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
        self._stream = stream
        self._line: LiveLine | None = None
        self._last_plain = 0.0
        self.steps: list[Step] = []

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time a step; print it when it is done, or with a cross when it fails."""
        hush()
        step = Step(name, _progress=self)
        started = time.monotonic()
        self._last_plain = started
        done = False
        try:
            if is_live(self._stream):
                with LiveLine(self._stream, name) as self._line:
                    yield step
            else:
                yield step
            done = True
        finally:
            self._line = None
            step.seconds = time.monotonic() - started
            self.steps.append(step)
            self._print(step, done=done)

    def show(self, step: Step, detail: str) -> None:
        """Show what a step is doing now: at once at a terminal, now and then in a log."""
        if self._line is not None:
            self._line.text = f"{step.name}: {detail}"
        elif time.monotonic() - self._last_plain >= PLAIN_UPDATE_SECONDS:
            self._last_plain = time.monotonic()
            typer.echo(f"  … {step.name}: {detail}", file=self._stream)

    def _print(self, step: Step, *, done: bool) -> None:
        mark, colour = ("✓", typer.colors.GREEN) if done else ("✗", typer.colors.RED)
        duration = styled(f"{step.seconds:7.1f} s", dim=True)
        line = f"{styled(mark, fg=colour)} {step.name:<{NAME_WIDTH}}{duration}  {step.result}"
        typer.echo(line.rstrip(), file=self._stream)


def styled(text: str, *, fg: str | None = None, dim: bool = False, bold: bool = False) -> str:
    """Return a text in colour or weight; Typer takes it away where it is no terminal."""
    if "NO_COLOR" in os.environ:
        return text
    return typer.style(text, fg=fg, dim=dim or None, bold=bold or None)
