"""Decisions on the local cloud, seen as Prometheus would see them."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.cloudwatch_exporter import check, samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from credit_cli.aws import LocalAws
    from tests.end_to_end.conftest import Client, Credit

pytestmark = pytest.mark.end_to_end

LATER = timedelta(minutes=10)
"""Until what is decided now is of a window that has passed."""
LONGEST_SECONDS = 30


def test_decisions_come_out_of_the_exporter_by_the_name_that_grafana_asks_for(
    credit: Credit,
    client: Client,
    aws: LocalAws,
    an_application: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    configuration, board = tmp_path / "yace.yml", tmp_path / "dashboard.json"
    credit("prometheus", "exporter", "--out", str(configuration))
    credit("prometheus", "dashboard", "--out", str(board))
    outcome = client(an_application()).document()["outcome"]
    document = yaml.safe_load(configuration.read_text(encoding="utf-8"))
    check(document)
    (panel,) = (
        panel
        for panel in json.loads(board.read_bytes())["panels"]
        if panel.get("title") == "Outcomes"
    )
    (query,) = (target["expr"] for target in panel["targets"] if target["legendFormat"] == outcome)

    def counted() -> float:
        decision = client(an_application()).document()
        decided_at = datetime.fromisoformat(decision["decided_at"])
        credit("local", "metrics")
        found = samples(document, aws.client("cloudwatch"), now=decided_at + LATER)
        (one,) = (
            sample
            for sample in found
            if query.startswith(f"{sample.name}{{")
            and f'name="{sample.labels["name"]}"' in query
            and sample.labels["dimension_Product"] == "personal_loan"
        )
        return one.value

    # A function's words may reach its log group with those of its next decision only; and a
    # decision may lie before the end of a window, and its count behind it.
    ends = time.monotonic() + LONGEST_SECONDS
    while not (found := counted()) and time.monotonic() < ends:
        pass
    assert found >= 1
