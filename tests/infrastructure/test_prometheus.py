"""What CloudWatch draws, asked for by the exporter and drawn by Grafana: all of it, and alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import grafana_foundation_sdk.cog.plugins as grafana_plugins
import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from credit_cli.prometheus.exporter import about, as_yaml, configuration
from credit_cli.prometheus.grafana import dashboard
from credit_cli.prometheus.graphs import Board, Graph, read_board
from tests import cloudwatch_exporter
from tests.infrastructure.test_dashboard import body, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infrastructure.templates import Deployment

REGION = "eu-central-1"


def board_of(deployment: Deployment) -> Board:
    return read_board(deployment.stage.name, body(deployment), region=REGION)


@pytest.fixture
def board(deployment: Deployment) -> Board:
    return board_of(deployment)


def targets(board: Board) -> list[dict[str, Any]]:
    panels = dashboard(board)["panels"]
    return [target for panel in panels for target in panel.get("targets", ())]


def told(document: dict[str, Any]) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Yield name, job and dimensions of what the exporter tells, by the exporter's rules."""
    for job in document["customNamespace"]:
        dimensions = frozenset(f"dimension_{name}" for name in job["dimensionNameRequirements"])
        for metric in job["metrics"]:
            for statistic in metric["statistics"]:
                name = cloudwatch_exporter.prometheus_name(
                    job["namespace"], metric["name"], statistic
                )
                yield name, job["name"], dimensions


def selectors(expression: Any) -> Iterator[Any]:
    """Yield each selector in a parsed query."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    for part in ("expr", "lhs", "rhs", "args"):
        inner = getattr(expression, part, None)
        for found in inner if isinstance(inner, list) else [inner]:
            if found is not None:
                yield from selectors(found)


def test_every_metric_of_the_dashboard_is_asked_for_and_no_other(
    deployment: Deployment, board: Board
) -> None:
    drawn = {(namespace, name, frozenset(named)) for namespace, name, named in shown(deployment)}

    asked = {(it.namespace, it.metric, frozenset(it.dimensions)) for it in board.asked}

    assert asked == drawn


def test_the_exporter_would_start_with_its_configuration(board: Board) -> None:
    document = configuration(board)

    cloudwatch_exporter.check(document)
    assert {region for job in document["customNamespace"] for region in job["regions"]} == {REGION}


def test_the_configuration_is_the_same_in_yaml(board: Board) -> None:
    document = configuration(board)

    assert yaml.safe_load(as_yaml(document, about=about(board))) == document


def test_every_graph_is_drawn_with_all_its_lines(deployment: Deployment, board: Board) -> None:
    document = body(deployment)
    graphs = [it["properties"] for it in document["widgets"] if it["type"] == "metric"]

    panels = [panel for panel in dashboard(board)["panels"] if panel["type"] == "timeseries"]

    assert len(dashboard(board)["panels"]) == len(document["widgets"])
    assert [panel["title"] for panel in panels] == [graph["title"] for graph in graphs]
    for panel, graph in zip(panels, graphs, strict=True):
        visible = [
            entry
            for entry in graph["metrics"]
            if isinstance(entry[0], dict) or entry[-1].get("visible", True)
        ]
        assert len(panel["targets"]) == len(visible), panel["title"]
        labels = [target["legendFormat"] for target in panel["targets"]]
        assert len(labels) == len(set(labels)), panel["title"]


def test_every_query_is_promql(board: Board) -> None:
    queries = [target["expr"] for target in targets(board)]

    assert len(queries) > 100
    for query in queries:
        promql_parser.parse(query)


def test_a_query_that_is_none_would_be_noticed() -> None:
    with pytest.raises(ValueError, match="unexpected"):
        promql_parser.parse("sum(aws_lambda_errors_sum{name=)")


def test_every_query_asks_for_what_the_exporter_tells(board: Board) -> None:
    """By name, job and all dimensions, so that no other series can slip in."""
    series = set(told(configuration(board)))

    for target in targets(board):
        found = list(selectors(promql_parser.parse(target["expr"])))
        assert found, target["expr"]
        for selector in found:
            labels = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
            job = labels.pop("name")
            of_job = {known[2] for known in series if known[:2] == (selector.name, job)}
            assert of_job, target["expr"]
            (dimensions,) = of_job
            # A search leaves some open.
            assert labels.keys() <= dimensions
            assert labels.keys() == dimensions or "=~" in target["expr"]


def test_grafana_reads_the_dashboard_and_keeps_all_of_it(board: Board) -> None:
    """Read and written again by Grafana's own types nothing is lost and nothing is another."""
    grafana_plugins.register_default_plugins()
    document = dashboard(board)

    again = json.loads(JSONEncoder().encode(Dashboard.from_json(document)))

    assert list(lost(document, again)) == []


def test_what_grafana_does_not_know_would_be_noticed(prod: Deployment) -> None:
    grafana_plugins.register_default_plugins()
    document = dashboard(board_of(prod))
    document["panels"][4]["fieldConfig"]["defaults"]["custom"]["axisLable"] = "ms"

    again = json.loads(JSONEncoder().encode(Dashboard.from_json(document)))

    assert list(lost(document, again)) == [
        "panels.4.fieldConfig.defaults.custom.axisLable",
    ]


def lost(given: Any, again: Any, place: str = "") -> Iterator[str]:
    """Yield where something is absent or another; what was added are defaults."""
    if isinstance(given, dict) and isinstance(again, dict):
        for name, value in given.items():
            inner = f"{place}.{name}".lstrip(".")
            if name in again:
                yield from lost(value, again[name], inner)
            elif value not in ("", None, [], {}):
                yield inner
    elif isinstance(given, list) and isinstance(again, list) and len(given) == len(again):
        for number, (one, other) in enumerate(zip(given, again, strict=True)):
            yield from lost(one, other, f"{place}.{number}")
    elif given != again:
        yield place


def test_no_panel_lies_on_another(board: Board) -> None:
    taken: set[tuple[int, int]] = set()

    for panel in dashboard(board)["panels"]:
        place = panel["gridPos"]
        assert 0 <= place["x"] <= place["x"] + place["w"] <= 24
        cells = {
            (column, row)
            for column in range(place["x"], place["x"] + place["w"])
            for row in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_limits_at_which_alarms_ring_are_drawn(board: Board) -> None:
    limited = [panel for panel in board.panels if isinstance(panel, Graph) and panel.limits]
    drawn = {panel["title"]: panel for panel in dashboard(board)["panels"]}

    assert limited
    for graph in limited:
        defaults = drawn[graph.title]["fieldConfig"]["defaults"]
        assert defaults["custom"]["thresholdsStyle"] == {"mode": "line"}
        values = [step["value"] for step in defaults["thresholds"]["steps"]]
        assert values == [None, *sorted({value for value, _ in graph.limits})]
