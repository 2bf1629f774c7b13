"""What a function that decides says of itself: ids, names, durations and counts, never a value.

A decision is one line. CloudWatch takes its metrics from that line (embedded metric format), and
log queries its ids; a line for each of the two would cost the hot path as much as the model does.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from credit_core.adapters.aws_calls import CALL_ERRORS
from credit_core.domain.metrics import (
    NAMESPACE,
    Metric,
    Unit,
    dimensions,
    outcome_metric,
    stage_metric,
)
from credit_core.errors import fault_location, loggable

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Mapping


class DecisionLog:
    """The log and the metrics of one function."""

    def __init__(self, *, service: str, stage: str, product: str) -> None:
        self._logger = Logger(service=service, log_uncaught_exceptions=False)
        self._dimensions = dimensions(stage=stage, product=product)

    def decided(
        self,
        outcomes: Mapping[str, int],
        *,
        about: Mapping[str, object],
        stages_ms: Mapping[str, float],
        counts: Mapping[Metric, int],
    ) -> None:
        """Say what was decided.

        Args:
            outcomes: How many decisions had which outcome.
            about: What else the line says.
            stages_ms: Time per stage, each a metric.
            counts: What else is counted of them, each a metric, see ``counts_of``.
        """
        times = {stage_metric(stage): milliseconds for stage, milliseconds in stages_ms.items()}
        counted: dict[str, int] = {
            outcome_metric(outcome): count for outcome, count in outcomes.items()
        }
        counted[Metric.DECISIONS] = sum(outcomes.values())
        counted.update({metric.value: count for metric, count in counts.items()})
        units = dict.fromkeys(times, Unit.MILLISECONDS) | dict.fromkeys(counted, Unit.COUNT)
        self._write({"message": "decided", **about, **times, **counted}, units)

    def refused(self, error: Exception, *, about: Mapping[str, object]) -> None:
        """Say that a request got no decision, and why."""
        self._logger.warning("refused", extra={**about, "reason": loggable(error)})

    def failed_loads(self, failures: deque[Exception]) -> None:
        """Say which models could not be loaded; those in memory go on serving.

        Args:
            failures: Noted by the thread that loads, and taken out here.
        """
        while failures:
            self._logger.error("model load failed", extra={"reason": loggable(failures.popleft())})
            self._write({Metric.MODEL_LOAD_FAILURE: 1}, {Metric.MODEL_LOAD_FAILURE: Unit.COUNT})

    def failed_reads(self, failures: deque[Exception]) -> None:
        """Say why stores were not read; whoever was concerned is referred.

        Args:
            failures: Calls that DynamoDB refused or did not answer, taken out here.
        """
        while failures:
            error = failures.popleft()
            said = str(error) if isinstance(error, CALL_ERRORS) else fault_location(error)
            self._logger.error("the stores could not be read", extra={"reason": said})

    def _write(self, line: Mapping[str, object], units: Mapping[str, Unit]) -> None:
        """Write a line, with the metrics that it holds and their units.

        Source: Amazon CloudWatch User Guide, "Specification: Embedded metric format".
        """
        metrics = [{"Name": name, "Unit": unit} for name, unit in units.items()]
        directive = {
            "Namespace": NAMESPACE,
            "Dimensions": [list(self._dimensions)],
            "Metrics": metrics,
        }
        about = {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [directive]}
        print(_json({"_aws": about, **self._dimensions, **line}))  # noqa: T201 (Lambda's log)


_json = json.JSONEncoder(separators=(",", ":")).encode
