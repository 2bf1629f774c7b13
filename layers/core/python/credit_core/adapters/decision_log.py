"""What a function that decides says of itself: ids, names, durations and counts, never a value.

A decision is one line. CloudWatch takes its metrics from that line (embedded metric format), and
log queries its ids; a line for each of the two would cost the hot path as much as the model does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from credit_core.domain.metrics import NAMESPACE, Metric, dimensions
from credit_core.errors import loggable

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Mapping


class DecisionLog:
    """The log and the metrics of one function. One thread at a time: its metrics are collected."""

    def __init__(self, *, service: str, stage: str, product: str) -> None:
        self._logger = Logger(service=service, log_uncaught_exceptions=False)
        self._metrics = Metrics(namespace=NAMESPACE)
        self._metrics.set_default_dimensions(**dimensions(stage=stage, product=product))

    def decided(
        self,
        outcomes: Mapping[str, int],
        *,
        about: Mapping[str, object],
        stages_ms: Mapping[str, float],
    ) -> None:
        """Say what was decided.

        Args:
            outcomes: How many decisions had which outcome.
            about: What else the line says.
            stages_ms: Time per stage, each a metric.
        """
        metrics = self._metrics
        metrics.add_metadata("message", "decided")
        for name, value in about.items():
            metrics.add_metadata(name, value)
        for stage, milliseconds in stages_ms.items():
            metrics.add_metric(f"Stage{stage.title()}", MetricUnit.Milliseconds, milliseconds)
        metrics.add_metric(Metric.DECISIONS, MetricUnit.Count, sum(outcomes.values()))
        for outcome, count in outcomes.items():
            metrics.add_metric(f"Outcome{outcome.title()}", MetricUnit.Count, count)
        metrics.flush_metrics()

    def refused(self, error: Exception, *, about: Mapping[str, object]) -> None:
        """Say that a request got no decision, and why."""
        self._logger.warning("refused", extra={**about, "reason": loggable(error)})

    def failed_loads(self, failures: deque[Exception]) -> None:
        """Say which champions could not be loaded; the one in memory goes on serving.

        Args:
            failures: Noted by the thread that loads, and taken out here: metrics are collected by
                one thread.
        """
        while failures:
            self._logger.error("model load failed", extra={"reason": loggable(failures.popleft())})
            self._metrics.add_metric(Metric.MODEL_LOAD_FAILURE, MetricUnit.Count, 1)
            self._metrics.flush_metrics()
