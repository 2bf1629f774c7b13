"""The dashboard as Grafana's JSON: the same sections, graphs and limits, asked of Prometheus.

Source: Grafana, "Dashboard JSON model", schema version 39.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from credit_cli.prometheus.graphs import Words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from credit_cli.prometheus.graphs import Board, Graph, Place

SCHEMA_VERSION = 39
LONGEST_UID = 40
DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
"""The reader chooses it: Grafana shows a list of all that are of Prometheus."""

SOFT = "rgba(128, 128, 128, 0.2)"


def dashboard(board: Board) -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    return {
        "title": board.name,
        "uid": board.name[:LONGEST_UID],
        "description": "What CloudWatch's dashboard of the same name draws.",
        "tags": ["credit-decisions"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "utc",
        "refresh": "5m",
        "time": {"from": "now-24h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "label": "Prometheus",
                    "type": "datasource",
                    "query": "prometheus",
                    "refresh": 1,
                    "hide": 0,
                }
            ]
        },
        "annotations": {"list": []},
        "links": [],
        "panels": [
            {"id": number, "gridPos": grid(panel.place)}
            | (_words(panel) if isinstance(panel, Words) else _graph(panel))
            for number, panel in enumerate(board.panels, 1)
        ],
    }


def grid(place: Place) -> dict[str, int]:
    """Return a place in Grafana's units, which are as wide and two thirds as high.

    Edges are moved, so that what does not overlap there does not overlap here.
    """
    top, bottom = -(-place.y * 3 // 2), -(-(place.y + place.height) * 3 // 2)
    return {"x": place.x, "y": top, "w": place.width, "h": bottom - top}


def _words(panel: Words) -> dict[str, Any]:
    return {
        "type": "text",
        "title": panel.title,
        "transparent": not panel.title,
        "options": {"mode": "markdown", "content": panel.markdown},
    }


def _graph(graph: Graph) -> dict[str, Any]:
    right = [line.label for line in graph.lines if line.right]
    return {
        "type": "timeseries",
        "title": graph.title,
        "description": "\n".join(dict.fromkeys(said for _, said in graph.limits)),
        "datasource": DATA_SOURCE,
        "fieldConfig": {
            "defaults": {
                "min": 0,
                "custom": {
                    "axisLabel": graph.unit,
                    "drawStyle": "line",
                    "fillOpacity": 30 if graph.is_stacked else 0,
                    "showPoints": "auto",
                    "stacking": {
                        "mode": "normal" if graph.is_stacked else "none",
                        "group": "A",
                    },
                    "thresholdsStyle": {"mode": "line" if graph.limits else "off"},
                },
                "thresholds": {"mode": "absolute", "steps": _steps(graph.limits)},
            },
            "overrides": [_on_the_right(label, graph.right_unit) for label in right],
        },
        "options": {
            "legend": {
                "displayMode": "list",
                "placement": "bottom",
                "showLegend": True,
                "calcs": [],
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {
                "refId": _ref_id(number),
                "datasource": DATA_SOURCE,
                "expr": line.promql,
                "legendFormat": line.label,
                "range": True,
            }
            for number, line in enumerate(graph.lines)
        ],
    }


def _steps(limits: Sequence[tuple[float, str]]) -> list[dict[str, Any]]:
    values = sorted({value for value, _ in limits})
    return [{"color": SOFT, "value": None}, *({"color": "red", "value": at} for at in values)]


def _on_the_right(label: str, unit: str) -> dict[str, Any]:
    return {
        "matcher": {"id": "byName", "options": label},
        "properties": [
            {"id": "custom.axisPlacement", "value": "right"},
            {"id": "custom.axisLabel", "value": unit},
        ],
    }


def _ref_id(number: int) -> str:
    """Return the id of a query: A to Z, then AA and so on.

    >>> _ref_id(0), _ref_id(25), _ref_id(26)
    ('A', 'Z', 'AA')
    """
    letters = ""
    number += 1
    while number:
        number, place = divmod(number - 1, 26)
        letters = chr(ord("A") + place) + letters
    return letters
