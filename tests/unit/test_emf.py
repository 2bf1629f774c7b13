"""Metrics of log lines: those that CloudWatch would make, each line once."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli import log_lines
from credit_cli.aws import LocalAws
from credit_cli.emf import LogMetrics, values_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT_MS = 1_795_370_972_123


def a_line(*, dimensions: list[list[str]] | None = None, **values: object) -> str:
    metrics = [{"Name": name, "Unit": "Count"} for name in values]
    directive = {
        "Namespace": "CreditDecisions",
        "Dimensions": [["Stage"]] if dimensions is None else dimensions,
        "Metrics": metrics,
    }
    about = {"Timestamp": AT_MS, "CloudWatchMetrics": [directive]}
    return json.dumps({"_aws": about, "Stage": "local", "message": "decided", **values})


def test_each_number_is_a_value_with_its_time_unit_and_dimensions() -> None:
    first, second = values_in(a_line(Decisions=3, StageRead=1.5))

    assert (first.name, first.value, first.unit) == ("Decisions", 3.0, "Count")
    assert (second.name, second.value) == ("StageRead", 1.5)
    assert first.at.timestamp() == pytest.approx(AT_MS / 1_000)
    assert first.as_datum()["Dimensions"] == [{"Name": "Stage", "Value": "local"}]


def test_a_list_is_as_many_values_and_a_set_of_dimensions_another_metric() -> None:
    line = a_line(dimensions=[["Stage"], []], Latency=[1, 2, 3])

    found = [(value.value, dict(value.dimensions)) for value in values_in(line)]

    assert found == [(1, {"Stage": "local"}), (2, {"Stage": "local"}), (3, {"Stage": "local"})] + [
        (number, {}) for number in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "START RequestId: 1",
        '{"message": "CloudWatchMetrics"}',
        '{"_aws": {"CloudWatchMetrics": []}}',
        "{CloudWatchMetrics",
        '["CloudWatchMetrics"]',
        a_line(Text="many", Truth=True, Nothing=None),
        a_line(dimensions=[["Stage", "NotThere"]], Decisions=1),
    ],
)
def test_what_cloudwatch_would_leave_out_is_no_value(line: str) -> None:
    assert list(values_in(line)) == []


@dataclass
class Cloud:
    """Logs and metrics in memory; the lines of a stream are written at once."""

    streams: list[tuple[str, int, list[str]]] = field(default_factory=list)
    published: list[dict[str, Any]] = field(default_factory=list)
    largest: int = 0

    def write(self, stream: str, at_ms: int, *lines: str) -> None:
        self.streams.append((stream, at_ms, list(lines)))

    def get_paginator(self, name: str) -> Cloud:
        assert name == "describe_log_groups"
        return self

    def paginate(self) -> Iterator[dict[str, Any]]:
        yield {"logGroups": [{"logGroupName": "scorer"}]}

    def filter_log_events(self, **asked: Any) -> dict[str, Any]:
        mark = asked["filterPattern"].strip('"')
        events = [
            {"logStreamName": stream, "timestamp": at_ms, "message": line}
            for stream, at_ms, lines in sorted(self.streams, key=lambda written: written[1])
            for line in lines
            if at_ms >= asked["startTime"] and mark in line
        ]
        return {"events": events[: asked["limit"]]}

    def put_metric_data(self, *, Namespace: str, MetricData: list[dict[str, Any]]) -> None:  # noqa: N803 (boto3's)
        assert Namespace == "CreditDecisions"
        self.largest = max(self.largest, len(MetricData))
        self.published += MetricData


@dataclass(frozen=True)
class Aws(LocalAws):
    """The local cloud, with those logs and metrics."""

    cloud: Cloud

    def client(self, service: str) -> Cloud:
        assert service in {"logs", "cloudwatch"}
        return self.cloud


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def metrics(cloud: Cloud, tmp_path: Path) -> LogMetrics:
    return LogMetrics(Aws("http://127.0.0.1:9", cloud), tmp_path / "metrics.json")


def test_a_line_counts_once_however_often_it_is_looked_for(
    metrics: LogMetrics, cloud: Cloud
) -> None:
    cloud.write("first", AT_MS, a_line(Decisions=1), a_line(Decisions=2), "END")

    taken = metrics.take()
    again = metrics.take()

    assert (taken.lines, taken.values, taken.metrics) == (2, 2, {"Decisions"})
    assert (again.lines, again.values) == (0, 0)
    assert [datum["Value"] for datum in cloud.published] == [1, 2]


def test_lines_that_come_late_or_at_the_same_moment_are_taken_too(
    metrics: LogMetrics, cloud: Cloud
) -> None:
    cloud.write("first", AT_MS, a_line(Decisions=1))
    metrics.take()
    cloud.write("late", AT_MS - 2_000, a_line(Decisions=2))
    cloud.write("same", AT_MS, a_line(Decisions=3))
    cloud.write("next", AT_MS + 60_000, a_line(Decisions=4))

    assert metrics.take().values == 3
    assert metrics.take().values == 0
    assert sorted(datum["Value"] for datum in cloud.published) == [1, 2, 3, 4]


def test_no_line_is_lost_or_doubled_between_pages(
    metrics: LogMetrics, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_lines, "PAGE_LINES", 4)
    for number in range(30):
        cloud.write(f"stream-{number}", AT_MS + number // 3, a_line(Decisions=number))

    assert metrics.take().values == 30
    assert sorted(datum["Value"] for datum in cloud.published) == list(range(30))


def test_as_many_values_go_in_a_call_as_cloudwatch_takes(metrics: LogMetrics, cloud: Cloud) -> None:
    cloud.write("batch", AT_MS, a_line(Latency=list(range(2_500))))

    metrics.take()

    assert len(cloud.published) == 2_500
    assert cloud.largest == 1_000


def test_a_damaged_memory_counts_as_none(metrics: LogMetrics, cloud: Cloud, tmp_path: Path) -> None:
    cloud.write("first", AT_MS, a_line(Decisions=1))
    (tmp_path / "metrics.json").write_text("{")

    assert metrics.take().values == 1
