"""Promises of the rollout: what takes a model back, how long a step takes, who may move models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.settings import GuardSettings
from tests.infrastructure.templates import properties, stack_of, statements
from tests.infrastructure.workflows import definition

if TYPE_CHECKING:
    from tests.infrastructure.templates import Deployment

ROLLOUT = "retraining/Rollout/Workflow/StateMachine"
PROMOTER = "retraining/Rollout/Promoter/Function"
APPROVER = "retraining/Rollout/Approver/Function"
GUARD = "retraining/Guard/Guard/Function"
UNDELIVERED = "retraining/Guard/Undelivered"
PAGE, INFORM = "storage/Alarms/Page", "storage/Alarms/Inform"
ALARM, COMPOSITE = "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"
FUNCTION, SUBSCRIPTION, PERMISSION = (
    "AWS::Lambda::Function",
    "AWS::SNS::Subscription",
    "AWS::Lambda::Permission",
)
RULE = "AWS::Events::Rule"
OF_THE_GUARD = {"guard-failed", "guard-not-reached"}
"""Alarms that page because it does not work: it can do nothing about them."""


def alarms_of(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """Return the properties of each alarm by its name."""
    found = (properties(alarm) for alarm in deployment.of_type(ALARM).values())
    return {alarm["AlarmName"]: dict(alarm) for alarm in found}


def guard_settings(deployment: Deployment) -> GuardSettings:
    variables = properties(deployment.at(GUARD, FUNCTION))["Environment"]["Variables"]
    return GuardSettings.from_environment(
        {name: deployment.text(value, stack_of(GUARD)) for name, value in variables.items()}
    )


def paging(deployment: Deployment) -> set[str]:
    """Return the names of the alarms that page, without the stage's prefix."""
    prefix = f"{deployment.stage.prefix}-"
    if composites := deployment.of_type(COMPOSITE):
        ((path, composite),) = composites.items()
        rule = deployment.text(properties(composite)["AlarmRule"], stack_of(path))
        names = {name for name in alarms_of(deployment) if f'ALARM("{name}")' in rule}
    else:
        names = {
            name
            for name, alarm in alarms_of(deployment).items()
            if PAGE in deployment.texts(alarm["AlarmActions"], "operations")
        }
    return {name.removeprefix(prefix) for name in names}


# --- What takes a model back ---------------------------------------------------------------------


def assert_every_page_takes_a_new_model_back(deployment: Deployment) -> None:
    prefix = f"{deployment.stage.prefix}-"
    guarded = {name.removeprefix(prefix) for name in guard_settings(deployment).alarms.split(",")}
    if deployment.stage.alarms.composite:
        assert guarded == paging(deployment) - OF_THE_GUARD
    else:
        # There no alarm tells one function from another.
        assert guarded <= paging(deployment)


def test_every_page_takes_a_new_model_back(deployment: Deployment) -> None:
    assert_every_page_takes_a_new_model_back(deployment)


def test_a_page_that_the_guard_does_not_know_would_be_noticed(prod: Deployment) -> None:
    variables = properties(prod.at(GUARD, FUNCTION))["Environment"]["Variables"]
    alarms = variables["CREDIT_ALARMS"].rpartition(",")[0]
    changed = prod.changed(
        GUARD, FUNCTION, Environment={"Variables": {**variables, "CREDIT_ALARMS": alarms}}
    )

    with pytest.raises(AssertionError):
        assert_every_page_takes_a_new_model_back(changed)


def test_guard_and_rollout_look_at_the_same_alarms_and_each_exists(
    deployment: Deployment,
) -> None:
    """They are known by name alone: another name would never ring."""
    settings = guard_settings(deployment)
    states = definition(deployment, ROLLOUT)["States"]
    look = states["Look"]["Arguments"]

    assert look["StateValue"] == "ALARM"
    assert look["AlarmNames"] == settings.alarms.split(",")
    assert states["Shadow"]["Assign"]["guarding"] == settings.shadow_alarms.split(",")
    assert states["Share"]["Assign"]["guarding"] == look["AlarmNames"]
    assert set(settings.shadow_alarms.split(",")) <= set(look["AlarmNames"])
    assert set(look["AlarmNames"]) <= alarms_of(deployment).keys()
    assert len(look["AlarmNames"]) > 0
    assert settings.baking_seconds == deployment.stage.rollout.watch_seconds


def assert_the_guard_hears_of_its_alarms(deployment: Deployment) -> None:
    subscription = properties(deployment.at("retraining/Guard/Alarms", SUBSCRIPTION))
    (topic,) = deployment.texts(subscription["TopicArn"], "retraining")
    (endpoint,) = deployment.texts(subscription["Endpoint"], "retraining")
    assert (topic, endpoint, subscription["Protocol"]) == (INFORM, GUARD, "lambda")
    # Words to people, its own among them, are none of these.
    assert subscription["FilterPolicyScope"] == "MessageBody"
    assert subscription["FilterPolicy"] == {"NewStateValue": ["ALARM"]}
    permission = properties(deployment.at("retraining/Guard/ByAlarms", PERMISSION))
    assert deployment.texts(permission["SourceArn"], "retraining") == [INFORM]
    for name in guard_settings(deployment).alarms.split(","):
        actions = alarms_of(deployment)[name]["AlarmActions"]
        assert INFORM in deployment.texts(actions, "operations"), name


def test_the_guard_hears_of_each_of_its_alarms_whether_or_not_another_one_rings(
    deployment: Deployment,
) -> None:
    """The composite speaks once, for the first of them."""
    assert_the_guard_hears_of_its_alarms(deployment)


@pytest.mark.parametrize(
    ("path", "type_", "changes"),
    [
        (
            "retraining/Guard/Alarms",
            SUBSCRIPTION,
            {"FilterPolicy": {"NewStateValue": ["OK"]}},
        ),
        ("retraining/Guard/ByAlarms", PERMISSION, {"SourceArn": "arn:aws:sns:::another"}),
        ("operations/Pager/ScorerErrors", ALARM, {"AlarmActions": []}),
    ],
)
def test_a_guard_that_is_not_told_would_be_noticed(
    prod: Deployment, path: str, type_: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(AssertionError):
        assert_the_guard_hears_of_its_alarms(prod.changed(path, type_, **changes))


def test_the_guard_hears_of_rollouts_that_end_without_success(deployment: Deployment) -> None:
    rule = properties(deployment.at("retraining/Guard/Rollouts", RULE))

    assert rule["State"] == "ENABLED"
    pattern = rule["EventPattern"]
    assert pattern["source"] == ["aws.states"]
    assert pattern["detail-type"] == ["Step Functions Execution Status Change"]
    assert set(pattern["detail"]["status"]) == {"ABORTED", "FAILED", "TIMED_OUT"}
    (machine,) = deployment.texts(pattern["detail"]["stateMachineArn"], "retraining")
    assert machine.endswith(f":stateMachine:{deployment.stage.prefix}-rollout")
    (target,) = rule["Targets"]
    assert deployment.texts(target["Arn"], "retraining") == [GUARD]


def test_what_does_not_reach_the_guard_is_kept_and_pages(deployment: Deployment) -> None:
    subscription = properties(deployment.at("retraining/Guard/Alarms", SUBSCRIPTION))
    rule = properties(deployment.at("retraining/Guard/Rollouts", RULE))

    for kept in (
        subscription["RedrivePolicy"]["deadLetterTargetArn"],
        rule["Targets"][0]["DeadLetterConfig"]["Arn"],
    ):
        assert deployment.texts(kept, "retraining") == [UNDELIVERED]
    assert paging(deployment) >= OF_THE_GUARD


def test_a_model_has_its_time_without_a_look_at_anything(deployment: Deployment) -> None:
    """A look after the move, for what rang meanwhile; one before the next; none between."""
    states = definition(deployment, ROLLOUT)["States"]

    for step in ("Shadow", "Share"):
        assert states[step]["Next"] == "Look"
    assert states["Promoted"]["Default"] == "Look"
    assert "$seconds" in states["Watch"]["Seconds"]
    assert "Poll" not in json.dumps(states)


# --- Evidence ------------------------------------------------------------------------------------


def test_prod_moves_no_model_up_of_which_nothing_is_known(prod: Deployment) -> None:
    states = definition(prod, ROLLOUT)["States"]

    assert states["Judge"]["Default"] == "Evidence"
    assert states["Enough"]["Choices"][0]["Next"] == "Patience"
    assert states["Patience"]["Default"] == "Undo"
    (query,) = states["Evidence"]["Arguments"]["MetricDataQueries"]
    metric = query["MetricStat"]["Metric"]
    assert metric["Namespace"] == "CreditDecisions"
    assert metric["Dimensions"] == [
        {"Name": "Stage", "Value": "prod"},
        {"Name": "Product", "Value": "personal_loan"},
    ]


def test_the_way_up_leads_through_the_evidence_alone(deployment: Deployment) -> None:
    states = definition(deployment, ROLLOUT)["States"]
    leading = {
        name
        for name, state in states.items()
        if "StepUp"
        in {
            state.get("Next"),
            state.get("Default"),
            *(choice["Next"] for choice in state.get("Choices", [])),
        }
    }

    assert leading == ({"Enough"} if deployment.stage.rollout.evidence.counts else {"Judge"})


# --- The plan ------------------------------------------------------------------------------------


def test_shares_grow_and_end_before_everybody(deployment: Deployment) -> None:
    shares = deployment.stage.rollout.shares

    assert list(shares) == sorted(set(shares))
    assert all(0 < share < 1 for share in shares)
    check = definition(deployment, ROLLOUT)["States"]["Check"]
    assert check["Assign"]["shares"] == list(shares)


def test_a_retraining_has_time_for_its_rollout(deployment: Deployment) -> None:
    rollout = deployment.stage.rollout
    hours = (rollout.shadow_seconds + rollout.watch_seconds) / 3_600
    hours += len(rollout.shares) * rollout.share_seconds / 3_600 + (rollout.approval_hours or 0)
    hours += (1 + len(rollout.shares)) * rollout.evidence.patience_seconds / 3_600

    assert hours < deployment.stage.retraining.run_hours


def test_prod_alone_waits_for_a_person_before_anybody_is_answered(deployment: Deployment) -> None:
    states = definition(deployment, ROLLOUT)["States"]

    assert ("AskApproval" in states) is (deployment.stage.name == "prod")
    if deployment.stage.name == "prod":
        judged = [choice["Next"] for choice in states["StepUp"]["Choices"]]
        assert judged.index("AskApproval") < judged.index("Share")
        assert states["Begin"]["Choices"][1]["Next"] == "AskApproval"


def test_until_it_is_champion_whatever_fails_takes_a_model_back(deployment: Deployment) -> None:
    states = definition(deployment, ROLLOUT)["States"]

    for name in {"Shadow", "Share", "Promote", "Look", "Evidence"} & states.keys():
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
        *("check", "shadow", "share", "promote", "standing", "withdraw", "rollback"),
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
    partitions = ["personal_loan", "personal_loan#rollout"]
    if deployment.stage.rollout.approval_hours:
        partitions.append("personal_loan#approvals")
    assert [statement["Condition"] for statement in reaching] == [
        {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": [partition]}}
        for partition in partitions
    ]


def test_who_approves_moves_no_model_and_who_moves_models_gives_no_word(
    deployment: Deployment,
) -> None:
    def allowed(role: str) -> dict[str, list[Any]]:
        path = f"retraining/Rollout/{role}/Role/DefaultPolicy"
        document = properties(deployment.at(path, "AWS::IAM::Policy"))["PolicyDocument"]
        found: dict[str, list[Any]] = {}
        for statement in statements(document):
            for action in statement["Action"]:
                found.setdefault(action, []).append(statement)
        return found

    approver, promoter = allowed("Approver"), allowed("Promoter")

    for action in ("states:SendTaskFailure", "states:SendTaskSuccess"):
        assert action in approver
        assert action not in promoter
    (writing,) = approver["dynamodb:PutItem"]
    assert writing["Condition"] == {
        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["personal_loan#approvals"]}
    }
    assert not approver.keys() & {"dynamodb:UpdateItem", "lambda:InvokeFunction", "kms:Sign"}


def test_prod_alone_refuses_what_nobody_approved(deployment: Deployment) -> None:
    variables = properties(deployment.at(PROMOTER, FUNCTION))["Environment"]["Variables"]

    assert variables["CREDIT_NEEDS_APPROVAL"] == str(deployment.stage.name == "prod")


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
