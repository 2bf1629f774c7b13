"""The configuration of the exporter that brings CloudWatch's metrics to Prometheus: YACE.

Source: prometheus-community/yet-another-cloudwatch-exporter 0.63, docs/configuration.md, jobs of
type "custom namespace".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from credit_cli.prometheus.graphs import SCRAPE_SECONDS, SUM

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from credit_cli.prometheus.graphs import Asked, Board

VERSION = "v1alpha1"


def configuration(board: Board) -> dict[str, Any]:
    """Return YACE's configuration by which it tells all that a dashboard draws.

    A job is of one namespace, one set of dimensions and one window. It finds every metric of the
    region that has them, those of other stages and products too.
    """
    jobs: dict[str, list[Asked]] = {}
    for asked in board.asked:
        jobs.setdefault(asked.job, []).append(asked)
    return {
        "apiVersion": VERSION,
        "customNamespace": [
            _job(name, of_job, region=board.region) for name, of_job in sorted(jobs.items())
        ],
    }


def _job(name: str, of_job: list[Asked], *, region: str) -> dict[str, Any]:
    first = of_job[0]
    statistics: dict[str, list[str]] = {}
    for asked in of_job:
        statistics.setdefault(asked.metric, []).append(asked.statistic)
    return {
        "name": name,
        "namespace": first.namespace,
        "regions": [region],
        "dimensionNameRequirements": list(first.dimensions),
        "period": first.window.period,
        "length": first.window.length,
        "delay": first.window.delay,
        "metrics": [
            {
                "name": metric,
                "statistics": sorted(of_metric),
                # What was not counted was none; an age or a share that is not there is unknown.
                "nilToZero": of_metric == [SUM],
            }
            for metric, of_metric in sorted(statistics.items())
        ],
    }


def as_yaml(document: Mapping[str, Any], *, about: Iterable[str]) -> str:
    """Return a configuration as YAML.

    Args:
        document: The configuration.
        about: Lines of comment above it.
    """
    lines = [f"# {line}".rstrip() for line in about]
    return "\n".join([*lines, *_members(document, "")]) + "\n"


def about(board: Board) -> list[str]:
    """Return what the configuration says of itself."""
    return [
        f"YACE's configuration for the metrics of {board.name}.",
        "https://github.com/prometheus-community/yet-another-cloudwatch-exporter",
        "",
        f"Made by `credit prometheus exporter`; run it with -scraping-interval={SCRAPE_SECONDS}.",
    ]


def _members(document: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, value in document.items():
        if not isinstance(value, list) or not isinstance(value[0], dict):
            yield f"{indent}{name}: {json.dumps(value)}"
        else:
            yield f"{indent}{name}:"
            for item in value:
                first, *rest = _members(item, f"{indent}    ")
                yield f"{indent}  - {first.strip()}"
                yield from rest
