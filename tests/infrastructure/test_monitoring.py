"""The daily monitoring: who starts it, what it does again, and what it is held to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.use_cases.monitor import MOST_PARTS
from tests.infrastructure.templates import properties
from tests.infrastructure.workflows import MACHINE, definition, states

if TYPE_CHECKING:
    from tests.infrastructure.templates import Deployment

MONITORING = "archive/Monitoring/Workflow/StateMachine"
MONITOR = "archive/Monitoring/Monitor/Function"
SCHEDULE = "archive/Monitoring/Triggers/Schedule"
FUNCTION = "AWS::Lambda::Function"
EVENTS_OF_A_HISTORY = 25_000
INLINE_MAP_AT_ONCE = 40
STATE_BYTES = 256 * 1_024
# Measured, see docs/monitoring.md.
RECEIPTS_A_SECOND = 250


def steps(deployment: Deployment) -> dict[str, dict[str, Any]]:
    return {
        state["Arguments"]["Payload"]["action"]: state
        for _, state in states(definition(deployment, MONITORING))
        if state["Type"] == "Task"
    }


def assert_the_clock_starts_it(deployment: Deployment) -> None:
    schedule = properties(deployment.at(SCHEDULE, "AWS::Scheduler::Schedule"))
    assert schedule["State"] == "ENABLED"
    assert schedule["ScheduleExpression"] == deployment.stage.monitoring.schedule
    assert json.loads(schedule["Target"]["Input"]) == {"trigger": "schedule"}
    machine = deployment.text(schedule["Target"]["Arn"], "archive")
    assert machine.endswith(f":stateMachine:{deployment.stage.prefix}-monitoring")


def test_the_clock_starts_it_each_day(deployment: Deployment) -> None:
    assert_the_clock_starts_it(deployment)


def test_a_schedule_that_is_switched_off_would_be_noticed(prod: Deployment) -> None:
    changed = prod.changed(SCHEDULE, "AWS::Scheduler::Schedule", State="DISABLED")

    with pytest.raises(AssertionError):
        assert_the_clock_starts_it(changed)


def test_a_plan_a_tally_a_part_and_a_report(deployment: Deployment) -> None:
    found = steps(deployment)

    assert list(found) == ["plan", "tally", "report"]
    for state in found.values():
        assert state["Arguments"]["FunctionName"] == MONITOR
        assert state["Arguments"]["Payload"]["run_id"] == "{% $states.context.Execution.Name %}"


def test_a_run_that_is_redriven_on_another_day_is_of_the_same_day(deployment: Deployment) -> None:
    for action in ("plan", "report"):
        payload = steps(deployment)[action]["Arguments"]["Payload"]
        assert payload["started_at"] == "{% $states.context.Execution.StartTime %}"


def test_nothing_is_caught_so_that_a_failed_step_fails_the_run(deployment: Deployment) -> None:
    """A failed run rings, and is redriven from the step that failed."""
    for _, state in states(definition(deployment, MONITORING)):
        assert "Catch" not in state
        assert state["Type"] != "Fail"


def test_a_store_that_does_not_answer_is_asked_again(deployment: Deployment) -> None:
    for state in steps(deployment).values():
        retried = [error for retry in state["Retry"] for error in retry["ErrorEquals"]]
        assert "StoreUnavailableError" in retried


def test_the_largest_plan_fits_a_history_and_a_state(deployment: Deployment) -> None:
    """Each part enters and leaves the Map and the task, is scheduled, started and done."""
    task = steps(deployment)["tally"]
    (tally_parts,) = (
        state for _, state in states(definition(deployment, MONITORING)) if state["Type"] == "Map"
    )

    assert tally_parts["MaxConcurrency"] == deployment.stage.monitoring.parts_at_once
    assert tally_parts["MaxConcurrency"] <= INLINE_MAP_AT_ONCE
    assert MOST_PARTS * 8 < EVENTS_OF_A_HISTORY / 2
    assert task["Output"] == {}
    assert len(json.dumps(list(range(MOST_PARTS)))) < STATE_BYTES / 8


def test_a_million_receipts_a_day_fit_the_parts_and_the_night(prod: Deployment) -> None:
    limits, function = prod.stage.monitoring, properties(prod.at(MONITOR, FUNCTION))
    seconds_a_part = limits.decisions_a_part / RECEIPTS_A_SECOND

    assert seconds_a_part < function["Timeout"] / 10
    assert 1_000_000 / RECEIPTS_A_SECOND / limits.parts_at_once < 30 * 60
    # Ten times as many make larger parts of which each still has time.
    seconds_of_a_larger_part = 10_000_000 / MOST_PARTS / RECEIPTS_A_SECOND
    assert seconds_of_a_larger_part < function["Timeout"] / 10


def test_its_limits_are_the_stages(deployment: Deployment) -> None:
    limits = deployment.stage.monitoring
    given = properties(deployment.at(MONITOR, FUNCTION))["Environment"]["Variables"]

    assert int(given["CREDIT_LEAST_DECISIONS"]) == limits.least_decisions
    assert float(given["CREDIT_MOST_DRIFT"]) == limits.most_drift
    assert float(given["CREDIT_MOST_OUTCOME_SHIFT"]) == limits.most_outcome_shift
    assert float(given["CREDIT_MOST_REASON_SHIFT"]) == limits.most_reason_shift
    assert given["CREDIT_DRIFT_PER_FEATURE"] == str(limits.drift_per_feature)
    machine = properties(deployment.at(MONITORING, MACHINE))
    assert machine["StateMachineName"] == f"{deployment.stage.prefix}-monitoring"


def test_a_run_ends_before_the_next_one_begins(deployment: Deployment) -> None:
    assert definition(deployment, MONITORING)["TimeoutSeconds"] <= 24 * 3_600 / 2
