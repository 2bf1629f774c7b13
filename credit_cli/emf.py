"""Metrics that functions write into their logs, taken from there as CloudWatch does on AWS.

The local cloud keeps the lines and makes no metrics of them. What was taken is remembered, so that
each line counts once however often this runs.

Source: Amazon CloudWatch User Guide, "Specification: Embedded metric format".
"""

from __future__ import annotations

import fcntl
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import batched
from typing import TYPE_CHECKING, Any

from credit_cli.log_lines import lines_since

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from io import TextIOWrapper
    from pathlib import Path

    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_cloudwatch.type_defs import MetricDatumTypeDef
    from mypy_boto3_logs import CloudWatchLogsClient

    from credit_cli.aws import Aws

MARK = "CloudWatchMetrics"
MOST_DATA = 1_000
"""Values in one PutMetricData. Source: Amazon CloudWatch API Reference, "PutMetricData"."""

OVERLAP_MS = 10_000
"""How far back a look begins before the last line taken: lines may come out of order."""


@dataclass(frozen=True, slots=True)
class Value:
    """One value of one metric, for each set of dimensions that its line names."""

    namespace: str
    name: str
    unit: str
    value: float
    at: datetime
    dimensions: Mapping[str, str]

    def as_datum(self) -> MetricDatumTypeDef:
        """Return it as CloudWatch takes it."""
        return {
            "MetricName": self.name,
            "Dimensions": [{"Name": name, "Value": of} for name, of in self.dimensions.items()],
            "Timestamp": self.at,
            "Value": self.value,
            "Unit": self.unit,  # type: ignore[typeddict-item]
        }


def values_in(line: str) -> Iterator[Value]:
    """Yield the values in a line of a log; a line that is no embedded metric has none.

    What CloudWatch would leave out is left out here: a metric without a number, a set of
    dimensions of which one is not in the line.

    >>> about = {"Timestamp": 0, "CloudWatchMetrics": [{"Namespace": "N", "Dimensions": [["Stage"]],
    ...     "Metrics": [{"Name": "Decisions", "Unit": "Count"}]}]}
    >>> [(value.name, value.value, value.dimensions) for value in values_in(
    ...     json.dumps({"_aws": about, "Stage": "local", "Decisions": 2}))]
    [('Decisions', 2.0, {'Stage': 'local'})]
    >>> list(values_in("START RequestId: 1"))
    []
    """
    if MARK not in line:
        return
    try:
        document = json.loads(line)
        about = document["_aws"]
        at = datetime.fromtimestamp(about["Timestamp"] / 1_000, UTC)
        directives = list(about[MARK])
    except (ValueError, KeyError, TypeError):
        return
    for directive in directives:
        yield from _directed(document, directive, at)


def _directed(
    document: Mapping[str, Any], directive: Mapping[str, Any], at: datetime
) -> Iterator[Value]:
    for names in directive.get("Dimensions") or [[]]:
        if any(name not in document for name in names):
            continue
        dimensions = {name: str(document[name]) for name in names}
        for metric in directive.get("Metrics", []):
            found = document.get(metric["Name"])
            for value in found if isinstance(found, list) else [found]:
                if isinstance(value, int | float) and not isinstance(value, bool):
                    yield Value(
                        directive["Namespace"],
                        metric["Name"],
                        metric.get("Unit", "None"),
                        float(value),
                        at,
                        dimensions,
                    )


@dataclass
class Taken:
    """What one look at the logs brought."""

    lines: int = 0
    values: int = 0
    metrics: set[str] = field(default_factory=set)


class LogMetrics:
    """The local cloud's logs, and which of their lines are metrics by now.

    Args:
        aws: The local cloud.
        memory: A file that says what was taken; it goes when the local cloud does.
    """

    def __init__(self, aws: Aws, memory: Path) -> None:
        self._logs: CloudWatchLogsClient = aws.client("logs")
        self._cloudwatch: CloudWatchClient = aws.client("cloudwatch")
        self._memory = memory

    def take(self) -> Taken:
        """Publish what came since the last time; who comes meanwhile waits."""
        with self._memory.open("a+", encoding="utf-8") as memory:
            fcntl.flock(memory, fcntl.LOCK_EX)
            taken_before = _remembered(memory)
            taken = Taken()
            values: list[Value] = [
                value
                for page in self._logs.get_paginator("describe_log_groups").paginate()
                for group in page["logGroups"]
                for value in self._new_values(group["logGroupName"], taken_before, taken)
            ]
            self._publish(values)
            memory.seek(0)
            memory.truncate()
            json.dump(taken_before, memory)
        taken.values = len(values)
        taken.metrics = {value.name for value in values}
        return taken

    def _new_values(
        self, group: str, taken_before: dict[str, dict[str, int]], taken: Taken
    ) -> list[Value]:
        """Return the values of a group's new lines, and note their streams as taken.

        The local cloud writes the lines of a run of a function at once, as a stream of their own:
        a stream that was seen has nothing new.
        """
        seen = taken_before.get(group, {})
        newest = max(seen.values(), default=0)
        streams: dict[str, int] = {}
        values: list[Value] = []
        since_ms = max(0, newest - OVERLAP_MS)
        for event in lines_since(self._logs, group, since_ms, pattern=f'"{MARK}"'):
            stream = event["logStreamName"]
            if stream in seen:
                continue
            streams[stream] = event["timestamp"]
            taken.lines += 1
            values += values_in(event["message"])
        kept = seen | streams
        newest = max(kept.values(), default=0)
        taken_before[group] = {
            stream: at for stream, at in kept.items() if at >= newest - OVERLAP_MS
        }
        return values

    def _publish(self, values: Sequence[Value]) -> None:
        for namespace in sorted({value.namespace for value in values}):
            data = [value.as_datum() for value in values if value.namespace == namespace]
            for some in batched(data, MOST_DATA, strict=False):
                self._cloudwatch.put_metric_data(Namespace=namespace, MetricData=some)


def _remembered(memory: TextIOWrapper) -> dict[str, dict[str, int]]:
    """Return the streams taken of each group, with the time of their last line."""
    memory.seek(0)
    try:
        document = json.load(memory)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
