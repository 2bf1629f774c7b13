"""Promises of the rollout: what is watched, how long, and what may move models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.infrastructure.templates import properties, stack_of, statements
from tests.infrastructure.workflows import definition

if TYPE_CHECKING:
    from tests.infrastructure.templates import Deployment

ROLLOUT = "retraining/Rollout/Workflow/StateMachine"
PROMOTER = "retraining/Rollout/Promoter/Function"
LONGEST_HISTORY = 25_000
EVENTS_A_LOOK = 9
"""Of a Wait and a Choice two each, of a Task five."""


def test_every_alarm_that_is_watched_exists(deployment: Deployment) -> None:
    """They are known by name alone: another name would never ring."""
    look = definition(deployment, ROLLOUT)["States"]["Look"]["Arguments"]
    known = {
        properties(alarm)["AlarmName"]
        for alarm in deployment.of_type("AWS::CloudWatch::Alarm").values()
    }

    assert set(look["AlarmNames"]) <= known
    assert len(look["AlarmNames"]) == len(deployment.stage.rollout.alarms) > 0
    assert look["StateValue"] == "ALARM"


def test_shares_grow_and_end_before_everybody(deployment: Deployment) -> None:
    shares = deployment.stage.rollout.shares

    assert list(shares) == sorted(set(shares))
    assert all(0 < share < 1 for share in shares)
    check = definition(deployment, ROLLOUT)["States"]["Check"]
    assert check["Assign"]["shares"] == list(shares)


def test_a_rollout_fits_the_longest_history(deployment: Deployment) -> None:
    rollout = deployment.stage.rollout
    watched = rollout.shadow_seconds + rollout.watch_seconds
    watched += len(rollout.shares) * rollout.share_seconds

    assert EVENTS_A_LOOK * watched / rollout.poll_seconds < LONGEST_HISTORY * 0.8


def test_what_rang_between_two_looks_still_rings_at_the_next(deployment: Deployment) -> None:
    """An alarm on one minute is over long before a look five minutes later."""
    look = definition(deployment, ROLLOUT)["States"]["Look"]["Arguments"]
    alarms = {
        properties(alarm)["AlarmName"]: properties(alarm)
        for alarm in deployment.of_type("AWS::CloudWatch::Alarm").values()
    }

    for alarm in (alarms[name] for name in look["AlarmNames"]):
        # Until so many periods have passed that too few of those that breached are looked at.
        periods = alarm["EvaluationPeriods"] - alarm["DatapointsToAlarm"] + 1
        assert periods * alarm["Period"] > deployment.stage.rollout.poll_seconds, alarm["AlarmName"]


def test_a_retraining_has_time_for_its_rollout(deployment: Deployment) -> None:
    rollout = deployment.stage.rollout
    hours = (rollout.shadow_seconds + rollout.watch_seconds) / 3_600
    hours += len(rollout.shares) * rollout.share_seconds / 3_600 + (rollout.approval_hours or 0)

    assert hours < deployment.stage.retraining.run_hours


def test_prod_alone_waits_for_a_person_before_anybody_is_answered(deployment: Deployment) -> None:
    states = definition(deployment, ROLLOUT)["States"]

    assert ("AskApproval" in states) is (deployment.stage.name == "prod")
    if deployment.stage.name == "prod":
        judged = [choice["Next"] for choice in states["Judge"]["Choices"]]
        assert judged.index("AskApproval") < judged.index("Share")
        assert states["Begin"]["Choices"][1]["Next"] == "AskApproval"


def test_until_it_is_champion_whatever_fails_takes_a_model_back(deployment: Deployment) -> None:
    states = definition(deployment, ROLLOUT)["States"]

    for name in ("Shadow", "Share", "Promote", "Look"):
        (caught,) = states[name]["Catch"]
        assert (caught["ErrorEquals"], caught["Next"]) == (["States.ALL"], "Undo")
    for name in ("Check", "Withdraw", "RollBack"):
        assert "Catch" not in states[name]


def test_no_words_about_a_failure_keep_a_model_that_has_to_go(deployment: Deployment) -> None:
    """A cause that was cut is no JSON; that it cannot be read must not stop the way back."""
    states = definition(deployment, ROLLOUT)["States"]

    for name in ("Shadow", "Share", "Promote", "Look"):
        (caught,) = states[name]["Catch"]
        assert "$parse" not in caught["Assign"]["reason"]
    for name in ("Withdrawn", "RolledBack", "NotPromoted"):
        assert "$parse($reason)" in states[name]["Cause"]


def test_the_way_back_is_tried_again_whatever_it_failed_with(deployment: Deployment) -> None:
    """Somebody else's move at that very moment, or a function that ran out of time."""
    states = definition(deployment, ROLLOUT)["States"]

    for name in ("Withdraw", "RollBack"):
        last = states[name]["Retry"][-1]
        assert last["ErrorEquals"] == ["States.ALL"]
        assert last["MaxAttempts"] > 1


def test_a_move_that_was_not_answered_is_asked_for_again(deployment: Deployment) -> None:
    """It may have been made: a champion cannot be withdrawn."""
    states = definition(deployment, ROLLOUT)["States"]

    for name in ("Check", "Shadow", "Share", "Promote"):
        retried = {error for retry in states[name]["Retry"] for error in retry["ErrorEquals"]}
        assert {"Lambda.Unknown", "Sandbox.Timedout", "States.Timeout"} <= retried, name
    if "AskApproval" in states:
        # There it is a person's silence.
        asking = {
            error for retry in states["AskApproval"]["Retry"] for error in retry["ErrorEquals"]
        }
        assert "States.Timeout" not in asking


def test_every_move_is_the_promoters(deployment: Deployment) -> None:
    states = definition(deployment, ROLLOUT)["States"]

    moving = {
        name: state["Arguments"]
        for name, state in states.items()
        if "lambda:invoke" in state.get("Resource", "")
    }
    assert {asked["FunctionName"] for asked in moving.values()} == {PROMOTER}
    assert {asked["Payload"]["action"] for asked in moving.values()} - {"ask"} == {
        *("check", "shadow", "share", "promote", "withdraw", "rollback"),
    }


def test_the_promoter_reaches_its_own_products_items_alone(deployment: Deployment) -> None:
    path = "retraining/Rollout/Promoter/Role/DefaultPolicy"
    document = properties(deployment.at(path, "AWS::IAM::Policy"))["PolicyDocument"]

    reaching = [
        statement
        for statement in statements(document)
        if any(action.startswith("dynamodb:") for action in statement["Action"])
    ]

    for statement in reaching:
        reached = deployment.texts(statement["Resource"], stack_of(path))
        assert reached == ["storage/Tables/Registry"]
    assert [statement["Condition"] for statement in reaching] == [
        {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [partition]}}
        for partition in ("personal_loan", "personal_loan#rollout")
    ]


def test_a_registered_artifact_is_neither_replaced_nor_removed(deployment: Deployment) -> None:
    path = "storage/Buckets/Models/Policy"
    document = properties(deployment.at(path, "AWS::S3::BucketPolicy"))["PolicyDocument"]

    denied = {
        action: statement.get("Condition")
        for statement in statements(document)
        if statement["Effect"] == "Deny" and statement["Principal"] == {"AWS": "*"}
        for action in statement["Action"]
    }

    assert denied["s3:PutObject"] == {"Null": {"s3:if-none-match": "true"}}
    assert {"s3:DeleteObject", "s3:DeleteObjectVersion"} <= set(denied)
