"""A line at a terminal that is written over: what goes on now, and for how long it has."""

from __future__ import annotations

import os
import shutil
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from typing import TextIO

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
FRAME_SECONDS = 0.1
ERASED = "\r\x1b[K"
PATIENCE_SECONDS = 1.0
"""After how long without a word a command shows that it is at work."""


def is_live(stream: TextIO) -> bool:
    """Whether a stream is a terminal on which a line can be written over."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class LiveLine:
    """Shows a text with a moving sign, until it is ended and nothing of it is left.

    Args:
        stream: A terminal.
        text: What goes on.
        after_seconds: How long it waits before it shows itself.
    """

    def __init__(self, stream: TextIO, text: str, *, after_seconds: float = 0.0) -> None:
        self.text = text
        self._stream = stream
        self._after_seconds = after_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it and remove it from the terminal."""
        self.end()

    def end(self) -> None:
        """End it and remove it from the terminal; once it is ended this does nothing."""
        if not self._ended.is_set():
            self._ended.set()
            self._thread.join()

    def _show(self) -> None:
        started = time.monotonic()
        if self._ended.wait(self._after_seconds):
            return
        shown = 0
        while True:
            seconds = f"{time.monotonic() - started:4.0f} s"
            room = shutil.get_terminal_size().columns - len(seconds) - 5
            line = f"{FRAMES[shown % len(FRAMES)]} {self.text[:room]} {seconds}"
            self._write(f"{ERASED}{line}")
            shown += 1
            if self._ended.wait(FRAME_SECONDS):
                self._write(ERASED)
                return

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # the terminal went away; whoever speaks next is told
            self._ended.set()


_patient: LiveLine | None = None


def be_patient(stream: TextIO, text: str) -> None:
    """Show at a terminal that a command is at work which has not said a word for a second."""
    global _patient  # noqa: PLW0603 (a process has one terminal)
    hush()
    if is_live(stream):
        _patient = LiveLine(stream, text, after_seconds=PATIENCE_SECONDS).__enter__()


def hush() -> None:
    """End that: something is said now, or asked."""
    if _patient is not None:
        _patient.end()
