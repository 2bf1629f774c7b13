"""What the exporter does with its configuration, without it: CloudWatch's metrics on its page.

As much of YACE as a job of type "custom namespace" needs, so that configuration and queries can be
tried against each other on a local CloudWatch. Its rules are written anew here, and not taken from
the command that they are to try.

Source: prometheus-community/yet-another-cloudwatch-exporter 0.63: ``pkg/job/custom.go``,
``pkg/job/getmetricdata``, ``pkg/promutil``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import batched
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypy_boto3_cloudwatch import CloudWatchClient

MOST_QUERIES = 500
JOB_FIELDS = {
    *("name", "namespace", "regions", "dimensionNameRequirements", "recentlyActiveOnly"),
    *("period", "length", "delay", "metrics"),
}
METRIC_FIELDS = {"name", "statistics", "period", "length", "nilToZero"}
STATISTIC = re.compile(r"Maximum|Minimum|Sum|SampleCount|Average|p(\d{1,2}(\.\d{0,2})?|100)")
NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")


@dataclass(frozen=True)
class Sample:
    """A line of the exporter's page."""

    name: str
    labels: Mapping[str, str]
    value: float

    def line(self) -> str:
        """Return it in Prometheus's text format."""
        labels = ",".join(f'{name}="{escaped(value)}"' for name, value in self.labels.items())
        value = "NaN" if math.isnan(self.value) else repr(self.value)
        return f"{self.name}{{{labels}}} {value}"


def check(configuration: Mapping[str, Any]) -> None:
    """Check a configuration as the exporter does at its start, and that it has no unknown field.

    Raises:
        AssertionError: The exporter would not start, or would leave something out.
    """
    assert configuration["apiVersion"] == "v1alpha1"
    assert configuration.keys() == {"apiVersion", "customNamespace"}
    names = [job["name"] for job in configuration["customNamespace"]]
    assert len(names) == len(set(names)), "two jobs of a name would be one series"
    for job in configuration["customNamespace"]:
        assert job.keys() <= JOB_FIELDS
        assert job["name"]
        assert job["namespace"]
        assert job["regions"]
        assert job["metrics"]
        assert job["length"] >= job["period"] >= 1
        for metric in job["metrics"]:
            assert metric.keys() <= METRIC_FIELDS
            assert metric["name"]
            assert metric["statistics"]
            assert all(STATISTIC.fullmatch(statistic) for statistic in metric["statistics"])


def samples(
    configuration: Mapping[str, Any], cloudwatch: CloudWatchClient, *, now: datetime
) -> Iterator[Sample]:
    """Yield what the exporter tells at a moment."""
    for job in configuration["customNamespace"]:
        start, end = window(now, job["period"], job["length"], job.get("delay", 0))
        wanted = [
            (metric, statistic, dimensions)
            for metric in job["metrics"]
            for dimensions in listed(cloudwatch, job, metric["name"])
            for statistic in metric["statistics"]
        ]
        for some in batched(wanted, MOST_QUERIES, strict=False):
            queries: list[Any] = [
                {
                    "Id": f"id_{place}",
                    "MetricStat": {
                        "Metric": {
                            "Namespace": job["namespace"],
                            "MetricName": metric["name"],
                            "Dimensions": list(dimensions),
                        },
                        "Period": job["period"],
                        "Stat": statistic,
                    },
                    "ReturnData": True,
                }
                for place, (metric, statistic, dimensions) in enumerate(some)
            ]
            found = cloudwatch.get_metric_data(
                MetricDataQueries=queries,
                StartTime=start,
                EndTime=end,
                ScanBy="TimestampDescending",
            )
            values = {result["Id"]: result["Values"] for result in found["MetricDataResults"]}
            for place, (metric, statistic, dimensions) in enumerate(some):
                points = values.get(f"id_{place}", [])
                nothing = 0.0 if metric.get("nilToZero") else math.nan
                yield Sample(
                    prometheus_name(job["namespace"], metric["name"], statistic),
                    {
                        "name": job["name"],
                        **{f"dimension_{one['Name']}": one["Value"] for one in dimensions},
                        "region": job["regions"][0],
                        "account_id": "000000000000",
                    },
                    points[0] if points else nothing,
                )


def listed(
    cloudwatch: CloudWatchClient, job: Mapping[str, Any], name: str
) -> Iterator[Sequence[Mapping[str, str]]]:
    """Yield the dimensions of each metric of a name that has exactly the job's."""
    pages = cloudwatch.get_paginator("list_metrics").paginate(
        Namespace=job["namespace"], MetricName=name
    )
    for page in pages:
        for metric in page["Metrics"]:
            dimensions: Any = metric.get("Dimensions", [])
            if {one["Name"] for one in dimensions} == set(job["dimensionNameRequirements"]):
                yield dimensions


def window(now: datetime, period: int, length: int, delay: int) -> tuple[datetime, datetime]:
    """Return start and end: now, rounded down to a whole period, less the delay."""
    end = datetime.fromtimestamp(now.timestamp() // period * period - delay, UTC)
    return end - timedelta(seconds=length), end


def prometheus_name(namespace: str, metric: str, statistic: str) -> str:
    """Return the name of a statistic; an underscore before a capital after a small one or digit."""
    space = re.sub(r"[ ,\t/\\.:=@<>()-]", "_", namespace.lower()).lstrip("_")
    named = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", metric).lower()
    for part in space.split("_"):
        named = named.removeprefix(part)
    found = f"{space}_{named.lstrip('_')}_{statistic.lower().replace('.', '_')}"
    found = found if found.startswith("aws") else f"aws_{found}"
    assert NAME.fullmatch(found), found
    return found


def page(found: Sequence[Sample]) -> str:
    """Return the exporter's page.

    Raises:
        AssertionError: Two lines are the same series, of which the exporter drops one.
    """
    series = [(sample.name, frozenset(sample.labels.items())) for sample in found]
    assert len(series) == len(set(series))
    lines = [f"# TYPE {name} gauge" for name in dict.fromkeys(one.name for one in found)]
    by_name = sorted(found, key=lambda sample: sample.name)
    return "\n".join([*sorted(lines), *(sample.line() for sample in by_name)]) + "\n"


def escaped(text: str) -> str:
    """Return a label's value as the text format has it."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
