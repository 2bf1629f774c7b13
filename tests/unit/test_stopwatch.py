"""Time per stage, by a clock that the test moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credit_core.adapters.stopwatch import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator


def a_clock(*seconds: float) -> Iterator[float]:
    return iter(seconds)


def test_laps_add_up_and_are_told_in_milliseconds() -> None:
    clock = a_clock(10.0, 10.002, 10.005, 10.006, 10.006)
    watch = Stopwatch(deadline_ms=80, clock=lambda: next(clock))

    watch.lap("read")
    watch.lap("infer")
    watch.lap("read")

    assert watch.stages_ms() == {"read": 3.0, "infer": 3.0}
    assert watch.server_timing() == "read;dur=3, infer;dur=3, total;dur=6"


def test_the_deadline_runs_from_the_start_and_may_be_passed() -> None:
    clock = a_clock(10.0, 10.05, 10.09)
    watch = Stopwatch(deadline_ms=80, clock=lambda: next(clock))

    assert round(watch.remaining_seconds(), 6) == 0.03
    assert round(watch.remaining_seconds(), 6) == -0.01
