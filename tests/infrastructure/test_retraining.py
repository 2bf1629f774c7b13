from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from credit_core.domain.point_in_time import training_set_sql
from credit_core.domain.product import load_product
from tests.infrastructure.templates import properties, stack_of, statements
from tests.infrastructure.workflows import definition, states

if TYPE_CHECKING:
    from tests.infrastructure.templates import Deployment
    from tests.infrastructure.workflows import State

RETRAINING = "retraining/Retraining/Workflow/StateMachine"
ROLLOUT = "retraining/Rollout/Workflow/StateMachine"
TRAINER = "retraining/Retraining/Trainer/Function"
SERVED_SET = "archive/Evidence/ServedSet/Function"
TRIGGERS = "retraining/Retraining/Triggers"
LAKE = "storage/Buckets/Lake"
REGISTRY = "storage/Tables/Registry"
LOCK = {"product": {"S": "personal_loan#retraining"}, "record": {"S": "lock"}}


def top(deployment: Deployment) -> dict[str, State]:
    found: dict[str, State] = definition(deployment, RETRAINING)["States"]
    return found


def following(state: State) -> set[str]:
    """Return the states that one leads to, however it ends."""
    found = [state.get("Next"), state.get("Default")]
    found += [choice["Next"] for choice in state.get("Choices", [])]
    found += [caught["Next"] for caught in state.get("Catch", [])]
    return {name for name in found if name}


def leading_to(deployment: Deployment, target: str) -> set[str]:
    return {name for name, state in top(deployment).items() if target in following(state)}


# --- The loans ----------------------------------------------------------------------------------


def test_the_training_set_is_the_products_own_query(deployment: Deployment) -> None:
    inner = top(deployment)["TrainingSet"]["ItemProcessor"]["States"]
    start = inner["StartQuery"]["Arguments"]

    assert start["QueryString"] == training_set_sql(load_product("personal_loan"))
    assert start["QueryExecutionContext"] == {
        "Database": f"credit_{deployment.stage.name}_personal_loan"
    }
    assert start["WorkGroup"] == deployment.stage.prefix


def test_a_query_that_takes_too_long_is_stopped(deployment: Deployment) -> None:
    inner = top(deployment)["TrainingSet"]["ItemProcessor"]["States"]
    limit_ms = deployment.stage.retraining.query_timeout_seconds * 1_000

    (late,) = (
        choice["Condition"]
        for choice in inner["QueryDone"]["Choices"]
        if choice["Next"] == "StopQuery"
    )

    assert f"> {limit_ms} " in late
    assert inner["StopQuery"]["Next"] == "QueryTimedOut"


def test_a_query_that_failed_is_asked_anew_by_the_run_and_by_its_redrive(
    deployment: Deployment,
) -> None:
    """A redriven run is back at the Fail state within the Map; the Map's own retry leads out."""
    (retry,) = top(deployment)["TrainingSet"]["Retry"]
    inner = top(deployment)["TrainingSet"]["ItemProcessor"]["States"]

    errors = {state["Error"] for state in inner.values() if state["Type"] == "Fail"}

    assert set(retry["ErrorEquals"]) == errors
    assert retry["MaxAttempts"] > 0


def test_what_was_served_takes_the_place_of_the_lake_when_asked_for(
    deployment: Deployment,
) -> None:
    machine = top(deployment)

    assert machine["WhichLoans"]["Default"] == "TrainingSet"
    (choice,) = machine["WhichLoans"]["Choices"]
    assert choice["Next"] == "ServedTrainingSet"
    assert machine["ServedTrainingSet"]["Arguments"]["FunctionName"] == SERVED_SET
    for source in ("TrainingSet", "ServedTrainingSet"):
        assert machine[source]["Next"] == "CheckData"
        assert set(machine[source]["Assign"]) == {"output_location", "lineage"}


def test_training_sets_are_encrypted_whatever_the_caller_asks(deployment: Deployment) -> None:
    (found,) = deployment.of_type("AWS::Athena::WorkGroup").values()
    workgroup = properties(found)["WorkGroupConfiguration"]

    assert workgroup["EnforceWorkGroupConfiguration"] is True
    result = workgroup["ResultConfiguration"]
    location = deployment.text(result["OutputLocation"], "retraining")
    assert location == "s3://storage/Buckets/Results/training-sets/"
    assert result["EncryptionConfiguration"]["EncryptionOption"] == "SSE_KMS"
    key = result["EncryptionConfiguration"]["KmsKey"]
    assert deployment.text(key, "retraining") == "storage/Data/Key"


# --- The steps ----------------------------------------------------------------------------------


def test_each_step_is_one_call_of_the_trainer(deployment: Deployment) -> None:
    machine = definition(deployment, RETRAINING)
    found = dict(states(machine))

    for name, action in (
        ("CheckData", "check"),
        ("Fit", "fit"),
        ("Judge", "judge"),
        ("Register", "register"),
    ):
        asked = found[name]["Arguments"]
        assert asked["FunctionName"] == TRAINER
        assert asked["Payload"]["action"] == action
        # Each step claims the lock for its run.
        assert asked["Payload"]["execution"] == "{% $states.context.Execution.Id %}"


def test_candidates_are_fitted_side_by_side(deployment: Deployment) -> None:
    candidates = top(deployment)["Candidates"]

    assert candidates["Type"] == "Map"
    assert candidates["Items"] == "{% $candidates %}"
    assert candidates["MaxConcurrency"] == deployment.stage.retraining.candidates_at_once
    (fit,) = candidates["ItemProcessor"]["States"].values()
    assert fit["Arguments"]["Payload"]["candidate"] == "{% $states.input %}"


def test_nothing_is_trained_on_loans_that_failed_a_check(deployment: Deployment) -> None:
    machine = top(deployment)

    assert leading_to(deployment, "Candidates") == {"DataSound"}
    assert machine["DataSound"]["Default"] == "DataRefused"
    assert machine["DataRefused"]["Type"] == "Fail"


def test_nothing_is_rolled_out_past_the_gates(deployment: Deployment) -> None:
    machine = top(deployment)

    assert leading_to(deployment, "Rollout") == {"GatesPassed"}
    assert machine["GatesPassed"]["Choices"] == [
        {"Condition": "{% $states.input.gates_passed %}", "Next": "Rollout"}
    ]
    assert machine["GatesPassed"]["Default"] == "GatesFailed"
    # Why a model was kept out is worth keeping, too.
    assert leading_to(deployment, "GatesPassed") == {"Register"}


def test_a_failure_at_a_gate_says_which_by_how_much_and_what_to_look_at(
    deployment: Deployment,
) -> None:
    machine = top(deployment)

    for name in ("DataRefused", "GatesFailed"):
        for word in ("name", "evidence", "look_at"):
            assert word in machine[name]["Cause"]


def test_no_catch_hides_a_failed_step(deployment: Deployment) -> None:
    """A run is redriven from the state that failed. What a Catch has taken did not fail."""
    caught = {
        name: {error for caught in state["Catch"] for error in caught["ErrorEquals"]}
        for name, state in states(definition(deployment, RETRAINING))
        if "Catch" in state
    }

    condition = {"DynamoDB.ConditionalCheckFailedException"}
    forgotten = {"Sfn.ExecutionDoesNotExist", "Sfn.ExecutionDoesNotExistException"}
    assert caught == {
        "Lock": condition,
        "TakeOver": condition,
        "Release": condition,
        "AskHolder": forgotten,
    }


def test_every_task_is_retried_and_ends_in_time(deployment: Deployment) -> None:
    machine = definition(deployment, RETRAINING)

    assert machine["TimeoutSeconds"] == deployment.stage.retraining.run_hours * 3_600
    for name, state in states(machine):
        if state["Type"] == "Task":
            assert state["Retry"], name
            assert state["TimeoutSeconds"] > 0, name
            assert all(retry["JitterStrategy"] == "FULL" for retry in state["Retry"]), name


def test_a_run_has_time_for_its_rollout(deployment: Deployment) -> None:
    rollout, hours = deployment.stage.rollout, deployment.stage.retraining.run_hours

    watched = (
        rollout.shadow_seconds
        + len(rollout.shares) * rollout.share_seconds
        + rollout.watch_seconds
        + 3_600 * (rollout.approval_hours or 0)
    )

    assert hours * 3_600 > watched + 6 * deployment.stage.trainer.timeout_seconds


# --- One at a time ------------------------------------------------------------------------------


def test_the_lock_is_taken_by_who_finds_it_free(deployment: Deployment) -> None:
    machine = definition(deployment, RETRAINING)
    lock = machine["States"]["Lock"]["Arguments"]

    assert machine["StartAt"] == "Lock"
    assert lock["TableName"] == REGISTRY
    assert lock["Item"] == LOCK | {"holder": {"S": "{% $states.context.Execution.Id %}"}}
    assert lock["ConditionExpression"] == "attribute_not_exists(holder) OR holder = :me"


def test_nothing_is_done_without_the_lock(deployment: Deployment) -> None:
    assert leading_to(deployment, "WhichLoans") == {"Lock", "TakeOver"}
    assert top(deployment)["Lock"]["Catch"][0]["Next"] == "ReadLock"


def test_a_lock_is_taken_over_from_a_run_that_has_ended_and_from_no_other(
    deployment: Deployment,
) -> None:
    machine = top(deployment)

    assert leading_to(deployment, "TakeOver") == {"AskHolder", "HolderRuns"}
    assert machine["HolderRuns"]["Choices"] == [
        {"Condition": "{% $states.input.status = 'RUNNING' %}", "Next": "AlreadyRunning"}
    ]
    # Two that meet the same dead holder: one of them is too late.
    over = machine["TakeOver"]["Arguments"]
    assert over["ConditionExpression"] == "holder = :before"
    assert over["ExpressionAttributeValues"] == {":before": {"S": "{% $states.input.holder %}"}}


def test_a_run_that_finds_itself_the_holder_goes_on(deployment: Deployment) -> None:
    """A try to take over whose answer was lost: asked about itself, it would turn itself away."""
    (choice,) = top(deployment)["Locked"]["Choices"]

    assert choice["Next"] == "Lock"
    assert "$states.context.Execution.Id" in choice["Condition"]


def test_a_throttled_lock_is_tried_again_by_the_name_that_aws_gives_it(
    deployment: Deployment,
) -> None:
    for name in ("Lock", "ReadLock", "TakeOver", "Release"):
        retried = {
            error for retry in top(deployment)[name]["Retry"] for error in retry["ErrorEquals"]
        }
        assert "DynamoDB.AmazonDynamoDBException" in retried, name


def test_a_run_that_is_turned_away_says_which_one_runs_and_wakes_nobody(
    deployment: Deployment,
) -> None:
    turned_away = top(deployment)["AlreadyRunning"]

    assert turned_away["Type"] == "Pass"
    assert turned_away["End"] is True
    assert set(turned_away["Output"]["already_running"]) == {"name", "since"}


def test_a_run_gives_back_its_own_lock_only(deployment: Deployment) -> None:
    release = top(deployment)["Release"]["Arguments"]

    assert leading_to(deployment, "Release") == {"Rollout"}
    assert release["Key"] == LOCK
    assert release["ConditionExpression"] == "holder = :me"


def test_the_trainer_writes_models_and_its_lock_and_can_only_look_at_the_rollout_pointer(
    deployment: Deployment,
) -> None:
    path = "retraining/Retraining/Trainer/Role/DefaultPolicy"
    policy = properties(deployment.at(path, "AWS::IAM::Policy"))["PolicyDocument"]

    allowed = {
        partition: set(statement["Action"])
        for statement in statements(policy)
        if any(action.startswith("dynamodb:") for action in statement["Action"])
        for partition in statement["Condition"]["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"]
    }

    assert allowed == {
        "personal_loan#rollout": {"dynamodb:GetItem"},
        "personal_loan": {"dynamodb:GetItem", "dynamodb:PutItem"},
        "personal_loan#retraining": {"dynamodb:GetItem", "dynamodb:PutItem"},
    }


def test_who_holds_the_lock_cannot_move_the_rollout_pointer(deployment: Deployment) -> None:
    path = "retraining/Retraining/Workflow/Role/DefaultPolicy"
    policy = properties(deployment.at(path, "AWS::IAM::Policy"))["PolicyDocument"]
    (statement,) = (
        found
        for found in statements(policy)
        if any(action.startswith("dynamodb:") for action in found["Action"])
    )

    assert statement["Condition"] == {
        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["personal_loan#retraining"]}
    }


# --- Triggers -----------------------------------------------------------------------------------


def test_the_clock_starts_a_retraining(deployment: Deployment) -> None:
    schedule = properties(deployment.at(f"{TRIGGERS}/Schedule", "AWS::Scheduler::Schedule"))

    assert schedule["State"] == "ENABLED"
    assert schedule["ScheduleExpression"] == deployment.stage.retraining.schedule
    assert json.loads(schedule["Target"]["Input"]) == {"trigger": "schedule"}
    assert_it_starts_the_machine(deployment, schedule["Target"])


def test_loans_that_are_all_there_start_a_retraining(deployment: Deployment) -> None:
    rule = properties(deployment.at(f"{TRIGGERS}/Arrivals", "AWS::Events::Rule"))
    detail = rule["EventPattern"]["detail"]
    (target,) = rule["Targets"]

    assert rule["EventPattern"]["detail-type"] == ["Object Created"]
    assert deployment.texts(detail["bucket"]["name"], "retraining") == [LAKE]
    assert detail["object"]["key"] == [
        {"wildcard": "personal_loan/applications/_SUCCESS"},
        {"wildcard": "personal_loan/applications/*/_SUCCESS"},
    ]
    assert target["InputTransformer"]["InputTemplate"] == '{"trigger": <key>}'
    assert_it_starts_the_machine(deployment, target)


def assert_it_starts_the_machine(deployment: Deployment, target: dict[str, Any]) -> None:
    """Patiently, with a role of its own; what could not be started is kept."""
    machine = deployment.text(target["Arn"], "retraining")
    assert machine.endswith(f":stateMachine:{deployment.stage.prefix}-retraining")
    assert deployment.text(target["RoleArn"], "retraining").startswith(TRIGGERS)
    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
    queue = deployment.text(target["DeadLetterConfig"]["Arn"], stack_of(TRIGGERS))
    assert properties(deployment.at(queue, "AWS::SQS::Queue"))["SqsManagedSseEnabled"] is True


def test_a_retraining_rolls_out_by_the_machine_that_can_take_it_back(
    deployment: Deployment,
) -> None:
    rollout = top(deployment)["Rollout"]

    assert rollout["Resource"].endswith(":states:startExecution.sync:2")
    assert rollout["Arguments"]["StateMachineArn"].endswith(
        f":stateMachine:{deployment.stage.prefix}-rollout"
    )
    assert "Catch" not in rollout
