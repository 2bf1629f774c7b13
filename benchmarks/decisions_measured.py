"""Stands between Lambda's runtime client and the scorer's handler, in the function's process.

It takes the CPU time of the handler's thread, which waiting for an answer uses none of: for each
decision as a whole and for each of its stages, which the stopwatch's laps part. With
``MEASURE_SPANS`` it also times what the initialization does. Only the standard library is imported
before the handler, so that the handler's own imports cost what they cost in Lambda.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from types import CodeType

SPANS = {
    ("settings.py", "EnvironmentSettings.from_environment"): "configuration",
    ("product.py", "load_product"): "product",
    ("aws_calls.py", "_Service.__init__"): "clients",
    ("entity_key_secret.py", "entity_key_secret"): "secret",
    ("decision_store.py", "DynamoDecisionStore.read_pointer"): "pointer",
    ("model_artifacts.py", "ModelArtifacts.load"): "model",
    ("verifying.py", "kms_verifier.<locals>.is_signed"): "signature",
    ("onnx_model.py", "OnnxClassifier.__init__"): "session",
    ("score.py", "ScoreApplication.__init__"): "schema",
}
"""Functions by file and name, and the part of the initialization that each is."""


class Spans:
    """Times some functions, each without those of them that it calls."""

    def __init__(self) -> None:
        self.milliseconds: dict[str, float] = {}
        # By thread, of each that runs: its name, its start, milliseconds of those inside.
        self._running: dict[int, list[tuple[str, float, list[float]]]] = {}

    def __enter__(self) -> Self:
        monitoring, tool = sys.monitoring, sys.monitoring.PROFILER_ID
        monitoring.use_tool_id(tool, "decisions")
        monitoring.register_callback(tool, monitoring.events.PY_START, self._enter)
        monitoring.register_callback(tool, monitoring.events.PY_RETURN, self._leave)
        monitoring.set_events(tool, monitoring.events.PY_START | monitoring.events.PY_RETURN)
        return self

    def __exit__(self, *_: object) -> None:
        sys.monitoring.set_events(sys.monitoring.PROFILER_ID, 0)
        sys.monitoring.free_tool_id(sys.monitoring.PROFILER_ID)

    def _enter(self, code: CodeType, _: int) -> Any:
        name = span_of(code)
        if name is None:
            return sys.monitoring.DISABLE
        running = self._running.setdefault(threading.get_ident(), [])
        running.append((name, time.perf_counter(), []))
        return None

    def _leave(self, code: CodeType, _: int, __: object) -> Any:
        if span_of(code) is None:
            return sys.monitoring.DISABLE
        running = self._running[threading.get_ident()]
        name, entered, inside = running.pop()
        took = (time.perf_counter() - entered) * 1_000
        self.milliseconds[name] = self.milliseconds.get(name, 0.0) + took - sum(inside)
        if running:
            running[-1][2].append(took)
        return None


def span_of(code: CodeType) -> str | None:
    """Return which part of the initialization a function is, None if it is none."""
    return SPANS.get((code.co_filename.rpartition("/")[2], code.co_qualname))


class Measured:
    """CPU nanoseconds of each decision, and of each of its stages."""

    def __init__(self) -> None:
        self.cpu_ns: list[int] = []
        self.stages_cpu_ns: dict[str, list[int]] = {}
        self._last = 0

    def begin(self) -> int:
        """Begin a decision's first stage; return the CPU time so far."""
        self._last = time.thread_time_ns()
        return self._last

    def end(self, stage: str) -> int:
        """End a stage; return the CPU time so far."""
        now = time.thread_time_ns()
        self.stages_cpu_ns.setdefault(stage, []).append(now - self._last)
        self._last = now
        return now

    def told(self) -> dict[str, Any]:
        """Return all of it, and forget it."""
        told = {"cpu_ns": self.cpu_ns, "stages_cpu_ns": self.stages_cpu_ns}
        self.cpu_ns, self.stages_cpu_ns = [], {}
        return told


ENTERED = time.monotonic()
spans = Spans()
if os.environ.get("MEASURE_SPANS"):
    with spans:
        function = importlib.import_module("handler")
else:
    function = importlib.import_module("handler")
IMPORTED = time.monotonic()

measured = Measured()
stopwatch = importlib.import_module("credit_core.adapters.stopwatch").Stopwatch
lap = stopwatch.lap


def measured_lap(timer: Any, stage: str) -> None:
    """Close a stage as the stopwatch does, and note its CPU time."""
    lap(timer, stage)
    measured.end(stage)


stopwatch.lap = measured_lap


def handler(event: dict[str, Any], context: object) -> object:
    """Answer as the scorer's handler does; or, asked for it, say what was measured."""
    if "measured" in event:
        times = {"entered": ENTERED, "imported": IMPORTED, "spans_ms": spans.milliseconds}
        return measured.told() | times
    began = measured.begin()
    answer = function.handler(event, context)
    measured.cpu_ns.append(measured.end("answer") - began)
    return answer
