"""CloudWatch's dashboards read as graphs: what is understood, and what is an error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from credit_cli import main, prometheus_command
from credit_cli.errors import DeploymentError
from credit_cli.prometheus.graphs import Graph, Window, Words, parsed, read_board
from credit_cli.prometheus.naming import metric_name, selector


def widget(type_: str = "metric", **properties: Any) -> dict[str, Any]:
    about = {"title": "A graph", "metrics": [], **properties}
    return {"type": type_, "x": 0, "y": 2, "width": 8, "height": 6, "properties": about}


def read(*widgets: dict[str, Any]) -> Any:
    return read_board("a-board", {"widgets": list(widgets)}, region="us-east-1")


@pytest.mark.parametrize(
    ("namespace", "metric", "statistic", "name"),
    [
        ("AWS/DynamoDB", "ReadThrottleEvents", "Sum", "dynamodb_read_throttle_events_sum"),
        ("AWS/S3", "BucketSizeBytes", "Average", "s3_bucket_size_bytes_average"),
        ("AWS/Usage", "CallCount", "Sum", "usage_call_count_sum"),
        # What repeats the namespace is left out.
        ("AWS/Glue", "glue.driver.memory", "p99.9", "glue_driver_memory_p99_9"),
        ("Team/Loans", "a=b (c)", "Sum", "team_loans_a_b__c__sum"),
    ],
)
def test_names_are_those_of_the_exporter(
    namespace: str, metric: str, statistic: str, name: str
) -> None:
    assert metric_name(namespace, metric, statistic) == f"aws_{name}"


def test_a_value_with_quotes_is_no_end_of_a_selector() -> None:
    assert selector("a", {"b": 'x"y\\'}) == 'a{b="x\\"y\\\\"}'


@pytest.mark.parametrize("period", [1, 60, 300, 900, 3_600, 86_400])
@pytest.mark.parametrize("statistic", ["Sum", "Maximum", "Average", "p50"])
def test_a_window_holds_a_whole_period_that_has_passed(period: int, statistic: str) -> None:
    window = Window.of(period=period, statistic=statistic)

    assert window.length % window.period == 0
    assert window.length >= period
    # Else the exporter rounds to no whole period.
    assert window.delay % window.period == 0


def test_words_and_alarms_become_words() -> None:
    arn = "arn:aws:cloudwatch:us-east-1:1:alarm:credit-prod-scorer-latency"
    text = widget("text", markdown="# Is it up?")
    alarms = widget("alarm", title="These wake somebody", alarms=[arn])

    first, second = read(text, alarms).panels

    assert (first.markdown, first.title) == ("# Is it up?", "")
    assert isinstance(second, Words)
    assert second.title == "These wake somebody"
    assert "- `credit-prod-scorer-latency`" in second.markdown


def test_a_metric_that_only_others_are_made_of_is_no_line() -> None:
    hidden = ["N", "M", "Stage", "x", {"id": "a", "visible": False, "stat": "Sum"}]
    made = [{"expression": "a * 1024 / 1000", "label": "made"}]

    (panel,) = read(widget(metrics=[hidden, made])).panels

    assert isinstance(panel, Graph)
    (line,) = panel.lines
    assert line.promql.startswith("sum(aws_n_m_sum{")
    assert line.promql.endswith(") * 1024 / 1000")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (widget("explorer"), "holds a explorer"),
        (widget(metrics=[[{"expression": "ANOMALY_DETECTION_BAND(a)", "label": "x"}]]), "ANOMALY"),
        (widget(metrics=[[{"expression": "1 + 1", "label": "x"}]]), "1 \\+ 1"),
        (widget(metrics=[[{"expression": "b > 1", "label": "x"}]]), "b > 1"),
    ],
)
def test_what_is_not_known_is_an_error_and_never_left_out(found: Any, said: str) -> None:
    with pytest.raises(DeploymentError, match=said):
        read(found)


def test_a_body_that_is_no_json_is_an_error() -> None:
    with pytest.raises(DeploymentError, match="no JSON"):
        parsed("{")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["exporter", "--out", "yace.txt"], "does not end in .yml or .yaml"),
        (["dashboard", "--out", "no-folder/dashboard.json"], "there is no folder no-folder"),
    ],
)
def test_a_file_that_can_not_be_written_is_told_before_anything_is_asked(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["prometheus", *words]) == 2

    assert said in capsys.readouterr().err


@pytest.mark.parametrize("word", ["exporter", "dashboard"])
def test_what_is_printed_is_what_is_written(
    word: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    line = ["CreditDecisions", "Decisions", "Stage", "local", {"stat": "Sum"}]
    board = read(widget(metrics=[line]))
    monkeypatch.setattr(prometheus_command, "deployed_board", lambda _: board)
    out = tmp_path / ("yace.yml" if word == "exporter" else "dashboard.json")

    assert main.run(["prometheus", word]) == 0
    printed = capsys.readouterr().out
    assert main.run(["prometheus", word, "--out", str(out)]) == 0

    assert out.read_text(encoding="utf-8") == printed
    assert main.run(["prometheus", word, "--out", str(out)]) == 2
    if word == "exporter":
        main.run(["prometheus", word, "--json"])
        capsys.readouterr()
    else:
        assert json.loads(printed)["title"] == "a-board"
