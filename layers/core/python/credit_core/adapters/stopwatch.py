"""Time per stage of a request, against a deadline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Stopwatch:
    """Laps in milliseconds since construction.

    Args:
        deadline_ms: From construction, how long the whole request may wait for others.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, *, deadline_ms: float, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._clock = clock
        self._started = self._lap_started = clock()
        self._deadline = self._started + deadline_ms / 1_000
        self._stages: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        """Close the running stage under that name; a name used again adds up."""
        now = self._clock()
        elapsed_ms = (now - self._lap_started) * 1_000
        self._stages[stage] = round(self._stages.get(stage, 0.0) + elapsed_ms, 3)
        self._lap_started = now

    def stages_ms(self) -> dict[str, float]:
        """Return the closed stages in milliseconds, in order."""
        return dict(self._stages)

    def total_ms(self) -> float:
        """Return the milliseconds since construction."""
        return round((self._clock() - self._started) * 1_000, 3)

    def remaining_seconds(self) -> float:
        """Return the seconds left before the deadline; negative when it has passed."""
        return self._deadline - self._clock()

    def server_timing(self) -> str:
        """Return the value of the Server-Timing header (W3C Server Timing)."""
        laps = [*self._stages.items(), ("total", self.total_ms())]
        return ", ".join(f"{stage};dur={milliseconds:g}" for stage, milliseconds in laps)
