"""A run's history, told as the states it went through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from credit_cli.runs import failure_in, visited

STARTED = datetime(2026, 11, 22, 3, tzinfo=UTC)


def history(*happened: tuple[float, str, str]) -> list[dict[str, Any]]:
    """Return events: after how many seconds, what, and of which state or with which cause."""
    found = []
    for number, (seconds, kind, word) in enumerate(happened, 1):
        event: dict[str, Any] = {"id": number, "timestamp": STARTED + timedelta(seconds=seconds)}
        match kind:
            case "entered":
                event |= {"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": word}}
            case "left":
                event |= {"type": "TaskStateExited", "stateExitedEventDetails": {"name": word}}
            case "failed":
                details = {"error": "States.TaskFailed", "cause": word}
                event |= {"type": "TaskFailed", "taskFailedEventDetails": details}
            case _:
                event |= {"type": kind}
        found.append(event)
    return found


def test_states_come_in_order_with_their_times_and_the_failure_where_it_was() -> None:
    states = visited(
        history(
            (0, "ExecutionStarted", ""),
            (0, "entered", "Plan"),
            (2, "left", "Plan"),
            (2, "entered", "Train"),
            (5, "failed", '{"errorMessage": "out of memory", "errorType": "E"}'),
            (65, "entered", "Release"),
            (66, "left", "Release"),
            (66, "ExecutionFailed", ""),
        )
    )

    assert [(state["state"], state["seconds"]) for state in states] == [
        ("Plan", 2.0),
        ("Train", 64.0),
        ("Release", 1.0),
    ]
    assert [state["failure"] for state in states] == [
        None,
        "States.TaskFailed: out of memory",
        None,
    ]


def test_a_state_that_is_entered_again_is_a_visit_of_its_own() -> None:
    states = visited(
        history(
            (0, "entered", "Wait"),
            (10, "left", "Wait"),
            (10, "entered", "Look"),
            (11, "left", "Look"),
            (11, "entered", "Wait"),
            (31, "left", "Wait"),
        )
    )

    assert [(state["state"], state["seconds"]) for state in states] == [
        ("Wait", 10.0),
        ("Look", 1.0),
        ("Wait", 20.0),
    ]


def test_nothing_happened_is_no_state() -> None:
    assert visited([]) == []


def test_a_time_out_is_a_failure_and_a_scheduled_task_is_none() -> None:
    timed_out = {"type": "TaskTimedOut", "taskTimedOutEventDetails": {"error": "States.Timeout"}}

    assert failure_in(timed_out) == "States.Timeout"
    assert failure_in({"type": "TaskScheduled", "taskScheduledEventDetails": {"x": 1}}) == ""
