"""`credit monitor`, with Step Functions and S3 played by a script."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli import monitor
from credit_cli.aws import LocalAws
from credit_cli.deployment import Deployment
from credit_cli.main import run
from credit_core.use_cases.monitor import in_short
from tests.builders_monitoring import A_DAY, Applicants, MonitoredDays

if TYPE_CHECKING:
    from pathlib import Path

MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:credit-local-monitoring"
EXECUTION = "arn:aws:states:us-east-1:000000000000:execution:credit-local-monitoring:run-1"
PAGE = b"<!doctype html>"


@dataclass
class Cloud:
    """One run of the state machine, which ends at once, and the page that it left."""

    status: str = "SUCCEEDED"
    output: dict[str, Any] = field(default_factory=dict)
    cause: str = ""
    started: list[dict[str, Any]] = field(default_factory=list)

    def client(self, _service: str) -> Cloud:
        return self

    def start_execution(self, **asked: Any) -> dict[str, str]:
        assert asked["stateMachineArn"] == MACHINE
        self.started.append(json.loads(asked["input"]))
        return {"executionArn": EXECUTION}

    def describe_execution(self, **asked: Any) -> dict[str, Any]:
        assert asked == {"executionArn": EXECUTION}
        return {"status": self.status, "output": json.dumps(self.output), "cause": self.cause}

    def get_object(self, **asked: Any) -> dict[str, io.BytesIO]:
        assert asked == {"Bucket": "results", "Key": "monitoring/report.html"}
        return {"Body": io.BytesIO(PAGE)}


def an_output(**applicants: Any) -> dict[str, Any]:
    days = MonitoredDays()
    days.decide(A_DAY, 150, model=days.trained(), applicants=Applicants(**applicants))
    summary = days.monitor()
    return {
        "product": summary["product"],
        "day": summary["day"],
        "summary": "s3://results/monitoring/summary.json",
        "report": "s3://results/monitoring/report.html",
        "figures": in_short(summary["figures"]),
    }


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    cloud = Cloud()
    deployment = Deployment(LocalAws("http://127.0.0.1:1"), {"MonitoringStateMachine": MACHINE})
    monkeypatch.setattr(monitor, "deployed", lambda _product, **_: (cloud, deployment))
    return cloud


def test_yesterday_is_monitored_unless_a_day_is_named(cloud: Cloud) -> None:
    cloud.output = an_output()

    assert run(["monitor"]) == 0
    assert run(["monitor", "--day", "2026-11-19"]) == 0

    yesterday = str(datetime.now(UTC).date() - timedelta(days=1))
    assert [asked["day"] for asked in cloud.started] == [yesterday, "2026-11-19"]
    assert {asked["trigger"] for asked in cloud.started} == {"credit monitor"}


def test_the_figures_are_printed_and_where_the_page_lies(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.output = an_output()

    assert run(["monitor", "--day", "2026-11-19"]) == 0

    said = capsys.readouterr().out
    assert "150 decisions" in said
    assert "drift from training" in said
    assert said.splitlines()[-1] == "page: s3://results/monitoring/report.html"


def test_a_figure_beyond_its_limit_fails_the_command(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.output = an_output(income=9_000)

    assert run(["monitor", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["figures"]["findings"]
    assert document["report"].endswith("report.html")


def test_the_page_is_written_where_it_is_wanted(cloud: Cloud, tmp_path: Path) -> None:
    cloud.output = an_output()
    out = tmp_path / "day.html"

    assert run(["monitor", "--out", str(out)]) == 0
    assert out.read_bytes() == PAGE
    assert run(["monitor", "--out", str(out)]) == 2
    assert run(["monitor", "--out", str(out), "--force"]) == 0


def test_a_failed_run_says_why_in_a_line(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    cloud.status, cloud.cause = "FAILED", '{"errorMessage": "the archive could not be listed"}'

    assert run(["monitor"]) == 1
    assert "the archive could not be listed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["--day", "2999-01-01"],
        ["--day", "yesterday"],
        ["--out", "page.pdf"],
        ["--out", "no/x.html"],
    ],
)
def test_wrong_use_is_said_in_a_line_before_anything_runs(
    cloud: Cloud, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["monitor", *words]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert cloud.started == []
