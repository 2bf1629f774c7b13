"""What on-call asks of the logs: the same rows from lines as from Logs Insights' own text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.adapters.decision_log import DecisionLog
from credit_core.domain.log_queries import (
    ACCESS,
    LOG,
    MESSAGE,
    QUERIES,
    STAGES,
    TIMESTAMP,
    read_line,
)
from layers.build import FUNCTION_LAYERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from credit_core.domain.log_queries import Row

ACCESS_LINE = {
    "request_id": "call-1",
    "client": "desk",
    "method": "POST",
    "resource": "/v1/decisions",
    "status": "200",
    "function_request_id": "lambda-1",
}


def a_decision(**said: Any) -> dict[str, Any]:
    return {
        "message": "decided",
        "request_id": "call-1",
        "application_id": "app-1",
        "outcome": "approve",
        "total_ms": 10.0,
        **said,
    }


def asked(name: str, lines: Iterable[dict[str, Any] | str], wanted: str | None = None) -> list[Row]:
    """Return the rows of a query from lines that were written a second apart."""
    return QUERIES[name].answer(
        [
            read_line(
                line if isinstance(line, str) else json.dumps(line),
                timestamp=f"2026-01-01 00:00:{second:02}.000",
                log="a-log-group",
            )
            for second, line in enumerate(lines)
        ],
        wanted,
    )


def test_a_request_is_found_in_each_log_by_its_own_ids() -> None:
    """The gateway's id is in our lines, Lambda's own in its lines; the access log has both."""
    lines = [
        a_decision(),
        a_decision(request_id="call-2"),
        ACCESS_LINE,
        {"type": "platform.report", "record": {"requestId": "lambda-1", "status": "timeout"}},
    ]

    by_call = asked("request", lines, "call-1")
    by_lambda = asked("request", lines, "lambda-1")

    assert [json.loads(str(row[MESSAGE])) for row in by_call] == [lines[2], lines[0]]
    assert [json.loads(str(row[MESSAGE])) for row in by_lambda] == [lines[3], lines[2]]
    assert by_call[0][LOG] == "a-log-group"


def test_an_application_is_found_alone_and_in_a_batch() -> None:
    lines = [
        a_decision(),
        {"message": "decided", "application_ids": " app-1 app-2 "},
        {"message": "decided", "application_ids": " app-10 app-2 "},
    ]

    found = asked("application", lines, "app-1")

    assert [json.loads(str(row[MESSAGE])) for row in found] == [lines[1], lines[0]]


def test_lines_of_one_moment_keep_their_order() -> None:
    lines = [a_decision(message=f"line {number}") for number in range(3)]
    at = "2026-01-01 00:00:00.000"

    rows = QUERIES["application"].answer(
        [read_line(json.dumps(line), timestamp=at, log="a-log-group") for line in lines], "app-1"
    )

    assert [json.loads(str(row[MESSAGE]))["message"][-1] for row in rows] == ["2", "1", "0"]


def test_the_slowest_decision_comes_first_with_its_stages() -> None:
    lines = [a_decision(total_ms=9.5), a_decision(total_ms=120, StageRead=100.0)]

    slowest, other = asked("slowest", lines)

    assert (slowest["total_ms"], slowest["StageRead"]) == (120, 100.0)
    assert other["total_ms"] == 9.5
    assert "StageRead" not in other


def test_stages_are_told_by_median_p99_and_the_highest() -> None:
    (row,) = asked("stages", [a_decision(StageRead=float(ms)) for ms in range(1, 101)])

    assert row == {
        "lines": 100,
        "StageRead_p50": 50.0,
        "StageRead_p99": 99.0,
        "StageRead_max": 100.0,
    }
    assert asked("stages", []) == []


def test_referrals_are_counted_by_cause_the_most_frequent_first() -> None:
    referred = {"outcome": "refer", "model": "m-1"}
    lines = [
        a_decision(),
        a_decision(**referred, cause="cutoff"),
        *[a_decision(**referred, cause="features_stale")] * 2,
    ]

    assert asked("referrals", lines) == [
        {"cause": "features_stale", "model": "m-1", "lines": 2},
        {"cause": "cutoff", "model": "m-1", "lines": 1},
    ]


def test_refusals_are_counted_by_reason() -> None:
    refused = {"message": "refused", "status": 409, "reason": "was decided before"}

    assert asked("refused", [refused, refused, a_decision()]) == [
        {"status": 409, "reason": "was decided before", "lines": 2}
    ]


@pytest.mark.parametrize(
    "line",
    [
        {"level": "ERROR", "message": "model load failed"},
        {"level": "ERROR", "errorType": "KeyError", "requestId": "lambda-1"},
        {"type": "platform.report", "record": {"status": "timeout"}},
        {"message": "refused", "level": "WARNING", "status": 503},
        "2026-01-01 Task timed out after 28.00 seconds",
        "Traceback (most recent call last):",
    ],
)
def test_what_failed_is_found_however_it_is_written(line: dict[str, Any] | str) -> None:
    assert len(asked("errors", [a_decision(), line, {"message": "refused", "status": 409}])) == 1


def test_callers_are_counted_by_status() -> None:
    denied = {**ACCESS_LINE, "status": "429"}

    first, second = asked("callers", [ACCESS_LINE, denied, denied])

    assert (first["status"], first["lines"]) == ("429", 2)
    assert (second["status"], second["client"]) == ("200", "desk")
    assert asked("server-errors", [ACCESS_LINE, {**ACCESS_LINE, "status": "503"}]) == [
        {
            TIMESTAMP: "2026-01-01 00:00:01.000",
            **ACCESS_LINE,
            "status": "503",
        }
    ]


def test_disagreements_and_the_challengers_faults_are_found() -> None:
    lines = [
        a_decision(ShadowDisagreements=1, shadow_model="m-2"),
        a_decision(ShadowDisagreements=0, shadow_model="m-2"),
        a_decision(challenger_fault="model_output", shadow_model="m-2"),
    ]

    assert len(asked("disagreements", lines)) == 1
    assert asked("challenger", lines) == [
        {"challenger_fault": "model_output", "shadow_model": "m-2", "lines": 1}
    ]


def test_cold_starts_come_the_longest_first() -> None:
    report = {"record": {"requestId": "lambda-1", "metrics": {"initDurationMs": 900.0}}}
    longer = {"record": {"requestId": "lambda-2", "metrics": {"initDurationMs": 1_900.0}}}

    rows = asked("cold-starts", [report, longer, {"record": {"metrics": {"durationMs": 5.0}}}])

    assert [row["record.requestId"] for row in rows] == ["lambda-2", "lambda-1"]


def test_what_the_decision_log_writes_is_what_the_queries_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = DecisionLog(service="scorer", stage="local", product="personal_loan")
    log.decided(
        {"refer": 1},
        about={"request_id": "call-1", "outcome": "refer", "cause": "cutoff", "model": "m-1"},
        stages_ms={stage.removeprefix("Stage").lower(): 1.0 for stage in STAGES},
        counts={},
    )
    written = capsys.readouterr().out.splitlines()

    assert asked("referrals", written) == [{"cause": "cutoff", "model": "m-1", "lines": 1}]
    assert set(asked("stages", written)[0]) >= {f"{stage}_p99" for stage in STAGES}
    assert len(asked("request", written, "call-1")) == 1


def test_true_is_one_as_in_logs_insights() -> None:
    line = read_line('{"replayed": true, "cause": null}', timestamp="", log="")

    assert line["replayed"] == 1
    assert "cause" not in line


@pytest.mark.parametrize("wanted", ['x" or 1 = 1', "a b", "", "x" * 201, "x\n| fields @message"])
def test_nothing_but_an_id_gets_into_a_query(wanted: str) -> None:
    for query in (QUERIES["request"], QUERIES["application"]):
        with pytest.raises(ValueError, match="must match"):
            query.text(wanted)
        with pytest.raises(ValueError, match="must match"):
            query.answer([], wanted)


def test_a_query_asks_for_what_it_needs_and_for_nothing_else() -> None:
    with pytest.raises(ValueError, match="request takes a request_id"):
        QUERIES["request"].answer([])
    with pytest.raises(ValueError, match="errors takes no value"):
        QUERIES["errors"].text("call-1")


def test_queries_are_written_in_the_language_of_logs_insights() -> None:
    assert QUERIES["referrals"].text() == (
        'filter (message = "decided") and (outcome = "refer")\n'
        "| stats count(*) as lines by cause, model\n"
        "| sort lines desc\n"
        "| limit 100"
    )
    assert QUERIES["application"].text("app-1") == (
        "fields @timestamp, @log, @message\n"
        '| filter (application_id = "app-1" or application_ids like " app-1 ")\n'
        "| sort @timestamp desc\n"
        "| limit 100"
    )
    # Saved, its value is a parameter of Logs Insights'.
    assert '(application_id = "{{application_id}}" or' in QUERIES["application"].text()


def test_a_query_names_functions_that_there_are() -> None:
    for name, query in QUERIES.items():
        assert name == query.name
        assert set(query.logs) <= {*FUNCTION_LAYERS, ACCESS}
        # CloudFormation takes no more.
        assert len(query.text()) <= 10_000
