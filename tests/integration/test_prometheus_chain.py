"""From CloudWatch (the emulator's) over the exporter's rules to the queries of the dashboard."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import promql_parser
import pytest
import yaml

from credit_cli.prometheus.exporter import about, as_yaml, configuration
from credit_cli.prometheus.grafana import dashboard
from credit_cli.prometheus.graphs import read_board
from tests.cloudwatch_exporter import check, page, samples
from tests.infrastructure.test_prometheus import selectors

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient

    from tests.cloudwatch_exporter import Sample
    from tests.integration.conftest import LocalCloud

LATER = timedelta(minutes=10)
"""Until what is written now is of a window that has passed."""


def graph(*metrics: list[Any]) -> dict[str, Any]:
    return {
        "type": "metric",
        "x": 0,
        "y": 0,
        "width": 8,
        "height": 6,
        "properties": {"title": "A graph", "metrics": list(metrics)},
    }


class Watched:
    """Metrics of a product of its own name in the emulator, and what a dashboard draws of them."""

    def __init__(self, cloudwatch: CloudWatchClient) -> None:
        self.cloudwatch = cloudwatch
        self.product = f"loan-{uuid.uuid4().hex[:8]}"
        # One moment for all: a window could end between what is written and when it is asked for.
        self.now = datetime.now(UTC)

    def named(self, product: str | None = None) -> list[str]:
        return ["Product", product or self.product, "Stage", "local"]

    def put(self, metric: str, *values: float, product: str | None = None) -> None:
        pairs = self.named(product)
        self.cloudwatch.put_metric_data(
            Namespace="CreditDecisions",
            MetricData=[
                {
                    "MetricName": metric,
                    "Dimensions": [
                        {"Name": name, "Value": value}
                        for name, value in zip(pairs[::2], pairs[1::2], strict=True)
                    ],
                    "Value": value,
                    "Timestamp": self.now,
                }
                for value in values
            ],
        )

    def answers(self, *metrics: list[Any]) -> list[tuple[str, list[Sample]]]:
        """Return each query of a graph with the series that its selectors find."""
        board = read_board("a-board", {"widgets": [graph(*metrics)]}, region="us-east-1")
        document = yaml.safe_load(as_yaml(configuration(board), about=about(board)))
        check(document)
        found = list(samples(document, self.cloudwatch, now=self.now + LATER))
        page(found)
        queries = [target["expr"] for target in dashboard(board)["panels"][0]["targets"]]
        return [(query, of_query(query, found)) for query in queries]


def of_query(query: str, found: list[Sample]) -> list[Sample]:
    return [
        sample
        for selector in selectors(promql_parser.parse(query))
        for sample in found
        if sample.name == selector.name
        and all(holds(matcher, sample.labels) for matcher in selector.matchers.matchers)
    ]


def holds(matcher: Any, labels: Any) -> bool:
    value = labels.get(matcher.name, "")
    if matcher.op == promql_parser.MatchOp.Equal:
        return bool(value == matcher.value)
    return re.fullmatch(matcher.value, value) is not None


@pytest.fixture
def watched(local_cloud_bare: LocalCloud) -> Watched:
    return Watched(local_cloud_bare.client("cloudwatch"))


def test_a_sum_is_of_a_window_that_has_passed(watched: Watched) -> None:
    watched.put("Decisions", 1, 2, 4)

    drawn = ["CreditDecisions", "Decisions", *watched.named(), {"stat": "Sum", "period": 60}]
    ((query, (sample,)),) = watched.answers(drawn)

    assert sample.value == 7
    assert query.endswith(" / 5")


def test_the_last_level_counts_however_long_ago(watched: Watched) -> None:
    watched.put("ApprovalRate", 0.25)

    drawn = [
        *("CreditDecisions", "ApprovalRate", *watched.named()),
        {"stat": "Maximum", "period": 86_400},
    ]
    board = read_board("a-board", {"widgets": [graph(drawn)]}, region="us-east-1")
    a_day_later = watched.now + timedelta(hours=25)
    (sample,) = (
        sample
        for sample in samples(configuration(board), watched.cloudwatch, now=a_day_later)
        if watched.product in sample.labels.values()
    )

    assert sample.value == 0.25


def test_figures_of_others_do_not_mix_in(watched: Watched) -> None:
    watched.put("Decisions", 1)
    watched.put("Decisions", 100, product=f"{watched.product}-other")

    drawn = ["CreditDecisions", "Decisions", *watched.named(), {"stat": "Sum"}]
    ((_, found),) = watched.answers(drawn)

    assert [sample.value for sample in found] == [1]


def test_a_share_is_asked_as_two_figures(watched: Watched) -> None:
    watched.put("OutcomeRefer", 1)
    watched.put("Decisions", 4)

    share = [{"expression": "FILL(part, 0) / whole", "label": "referred"}]
    part = [
        *("CreditDecisions", "OutcomeRefer", *watched.named()),
        {"id": "part", "visible": False, "stat": "Sum"},
    ]
    whole = [
        *("CreditDecisions", "Decisions", *watched.named()),
        {"id": "whole", "visible": False, "stat": "Sum"},
    ]
    ((query, found),) = watched.answers(share, part, whole)

    assert [sample.value for sample in found] == [1, 4]
    assert " or vector(0)) / sum(" in query


def test_what_is_searched_is_found_by_a_part_of_its_name(watched: Watched) -> None:
    watched.put("Decisions", 3)

    searched = (
        "SEARCH('{CreditDecisions,Product,Stage} "
        f'Product="{watched.product[:-2]}" MetricName="Decisions"\', \'Sum\', 300)'
    )
    ((_, found),) = watched.answers([{"expression": searched, "period": 300}])

    assert [sample.value for sample in found] == [3]


def test_two_windows_of_a_metric_are_two_series(watched: Watched) -> None:
    watched.put("Decisions", 5)

    of_minutes = ["CreditDecisions", "Decisions", *watched.named(), {"stat": "Sum", "label": "a"}]
    of_hours = [
        *("CreditDecisions", "Decisions", *watched.named()),
        {"stat": "Sum", "label": "b", "period": 3_600},
    ]
    (_, minutes), (_, hours) = watched.answers(of_minutes, of_hours)

    assert minutes[0].labels["name"] != hours[0].labels["name"]
