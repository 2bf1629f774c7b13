from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cfnlint import api as cfnlint  # type: ignore[import-untyped]  # it ships no types

from credit_core.domain.point_in_time import training_set_sql
from credit_core.domain.product import load_product
from tests.infrastructure.templates import properties, stack_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infrastructure.templates import Deployment

MACHINE = "AWS::StepFunctions::StateMachine"
MATERIALIZATION = "materialization/Features/Workflow/StateMachine"
RETRAINING = "retraining/Retraining/Workflow/StateMachine"
MATERIALIZER = "materialization/Features/Materializer/Function"
RECONCILER = "materialization/Features/Reconciler/Function"
TRIGGERS = "materialization/Features/Triggers"
TRAINER = "retraining/Retraining/Trainer/Function"
PROMOTER = "retraining/Retraining/Promoter/Function"
LAKE = "storage/Buckets/Lake"

type State = dict[str, Any]


def definition(deployment: Deployment, path: str) -> dict[str, Any]:
    text = properties(deployment.at(path, MACHINE))["DefinitionString"]
    return dict(json.loads(deployment.text(text, stack_of(path))))


def states(machine: dict[str, Any]) -> Iterator[tuple[str, State]]:
    """Yield each state by name, those inside of a Map included."""
    for name, state in machine["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from states(state["ItemProcessor"])


@pytest.mark.parametrize("path", [MATERIALIZATION, RETRAINING])
def test_each_state_has_only_fields_of_its_query_language(prod: Deployment, path: str) -> None:
    """In the template the definition is text with references, which cfn-lint doesn't look into."""
    machine = {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "RoleArn": "arn:aws:iam::111122223333:role/workflow",
            "Definition": definition(prod, path),
        },
    }
    template = json.dumps({"Resources": {"Machine": machine}}).replace("<Partition>", "aws")

    found = cfnlint.lint(template, regions=["us-east-1"])

    assert [str(match) for match in found] == []


@pytest.mark.parametrize("path", [MATERIALIZATION, RETRAINING])
def test_every_next_state_exists_and_every_failure_says_why(
    deployment: Deployment, path: str
) -> None:
    machine = definition(deployment, path)
    found = dict(states(machine))

    for state in found.values():
        following = [state.get("Next"), state.get("Default")]
        following += [choice["Next"] for choice in state.get("Choices", [])]
        following += [caught["Next"] for caught in state.get("Catch", [])]
        assert {name for name in following if name} <= set(found)
        if state["Type"] == "Fail":
            assert state["Error"]
            # A sentence, or the one that a function has composed.
            assert "'" in state["Cause"] or ".cause" in state["Cause"]


@pytest.mark.parametrize("path", [MATERIALIZATION, RETRAINING])
def test_calls_of_functions_are_retried_with_jitter_and_end_in_time(
    deployment: Deployment, path: str
) -> None:
    for state in dict(states(definition(deployment, path))).values():
        if state.get("Resource", "").endswith("lambda:invoke"):
            assert all(retry["JitterStrategy"] == "FULL" for retry in state["Retry"])
            function = properties(
                deployment.at(state["Arguments"]["FunctionName"], "AWS::Lambda::Function")
            )
            assert state["TimeoutSeconds"] > function["Timeout"]


def test_each_planned_part_goes_to_the_materializer(deployment: Deployment) -> None:
    machine = definition(deployment, MATERIALIZATION)
    each = machine["States"]["MaterializeParts"]
    task = dict(states(machine))["MaterializePart"]

    assert each["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
    assert each["ItemReader"]["Resource"].endswith(":states:::s3:getObject")
    assert each["ItemReader"]["Parameters"] == {"Bucket.$": "$.bucket", "Key.$": "$.key"}
    assert each["MaxConcurrency"] == deployment.stage.materialization.parts_at_once
    assert set(each["ItemSelector"]) == {"run_id.$", "part.$"}
    assert task["Arguments"] == {"FunctionName": MATERIALIZER, "Payload": "{% $states.input %}"}


def test_one_failed_part_does_not_keep_the_others_out(deployment: Deployment) -> None:
    task = dict(states(definition(deployment, MATERIALIZATION)))["MaterializePart"]

    (caught,) = task["Catch"]

    assert caught["ErrorEquals"] == ["States.ALL"]


def test_what_the_parts_answer_fits_one_state_however_many_there_are(
    deployment: Deployment,
) -> None:
    """A state holds 256 KiB: each answer is two characters, and the Map hands none of them on."""
    machine = definition(deployment, MATERIALIZATION)
    task = dict(states(machine))["MaterializePart"]

    assert task["Output"] == {}
    assert task["Catch"][0]["Output"] == {}
    assert machine["States"]["MaterializeParts"]["ResultSelector"] == {"done": True}


def test_a_redriven_run_goes_on_where_parts_are_missing(deployment: Deployment) -> None:
    """A run is redriven from the state that failed. What a Catch has taken did not fail."""
    machine = definition(deployment, MATERIALIZATION)
    repeat = machine["States"]["RepeatParts"]

    (task,) = repeat["ItemProcessor"]["States"].values()

    assert "Catch" not in repeat
    assert "Catch" not in task
    assert repeat["Next"] == "Reconcile"
    assert machine["States"]["Judge"]["Choices"][0]["Next"] == "RepeatParts"


def test_a_run_is_judged_by_the_reconciler(deployment: Deployment) -> None:
    machine = definition(deployment, MATERIALIZATION)["States"]
    limits = deployment.stage.materialization
    environment = properties(deployment.at(RECONCILER, "AWS::Lambda::Function"))["Environment"]

    assert machine["Reconcile"]["Arguments"]["FunctionName"] == RECONCILER
    assert machine["Reconcile"]["Next"] == "Judge"
    assert machine["Judge"]["Choices"][1]["Next"] == "NotMaterialized"
    given = environment["Variables"]
    assert float(given["CREDIT_REJECTED_ROWS_SHARE"]) == limits.rejected_rows_share
    assert float(given["CREDIT_FAILED_FILES_SHARE"]) == limits.failed_files_share


def test_every_run_ends_in_time(deployment: Deployment) -> None:
    machine = definition(deployment, MATERIALIZATION)

    assert machine["TimeoutSeconds"] == deployment.stage.materialization.run_hours * 3_600


# --- Triggers -----------------------------------------------------------------------------------


def test_the_lake_announces_uploads_without_a_custom_resource(deployment: Deployment) -> None:
    lake = properties(deployment.at(LAKE, "AWS::S3::Bucket"))

    assert lake["NotificationConfiguration"] == {
        "EventBridgeConfiguration": {"EventBridgeEnabled": True}
    }
    assert not [
        found
        for template in deployment.templates.values()
        for found in template["Resources"].values()
        if found["Type"].startswith("Custom::")
    ]


def test_an_upload_of_features_starts_the_machine_with_its_key(deployment: Deployment) -> None:
    rule = properties(deployment.at(f"{TRIGGERS}/Uploads", "AWS::Events::Rule"))
    detail = rule["EventPattern"]["detail"]
    (target,) = rule["Targets"]

    assert rule["EventPattern"]["source"] == ["aws.s3"]
    assert rule["EventPattern"]["detail-type"] == ["Object Created"]
    assert deployment.texts(detail["bucket"]["name"], "materialization") == [LAKE]
    # Loans are for training. Pushed rows are in the store before their file is in the lake.
    assert detail["object"]["key"] == [
        {"anything-but": {"wildcard": ["*/applications/*", "*/pushed/*"]}}
    ]
    assert target["InputTransformer"] == {
        "InputPathsMap": {"key": "$.detail.object.key"},
        "InputTemplate": '{"prefix": <key>}',
    }
    assert_it_starts_the_machine(deployment, target)


def test_the_clock_starts_a_sweep(deployment: Deployment) -> None:
    schedule = properties(deployment.at(f"{TRIGGERS}/Sweeps", "AWS::Scheduler::Schedule"))

    assert schedule["State"] == "ENABLED"
    assert schedule["ScheduleExpression"] == deployment.stage.materialization.sweep_schedule
    assert json.loads(schedule["Target"]["Input"]) == {"sweep": True}
    assert_it_starts_the_machine(deployment, schedule["Target"])


def assert_it_starts_the_machine(deployment: Deployment, target: dict[str, Any]) -> None:
    """Patiently, with a role of its own; what could not be started is kept."""
    machine = deployment.text(target["Arn"], "materialization")
    assert machine.endswith(f":stateMachine:{deployment.stage.prefix}-materialization")
    assert deployment.text(target["RoleArn"], "materialization").startswith(TRIGGERS)
    assert target["RetryPolicy"]["MaximumRetryAttempts"] > 0
    queue = deployment.text(target["DeadLetterConfig"]["Arn"], "materialization")
    found = properties(deployment.at(queue, "AWS::SQS::Queue"))
    assert found["SqsManagedSseEnabled"] is True


def test_an_unfinished_upload_ends_before_sweeps_stop_to_look_for_it(prod: Deployment) -> None:
    """A file bears the time when its upload began, and appears when that ends."""
    lake = properties(prod.at(LAKE, "AWS::S3::Bucket"))
    (rule,) = lake["LifecycleConfiguration"]["Rules"]

    days = rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]

    assert prod.stage.materialization.sweep_overlap_hours >= 24 * days


# --- Retraining ---------------------------------------------------------------------------------


def test_the_training_set_is_the_products_own_query(deployment: Deployment) -> None:
    start = definition(deployment, RETRAINING)["States"]["StartQuery"]["Arguments"]

    assert start["QueryString"] == training_set_sql(load_product("personal_loan"))
    assert start["QueryExecutionContext"] == {
        "Database": f"credit_{deployment.stage.name}_personal_loan"
    }
    assert start["WorkGroup"] == deployment.stage.prefix


def test_a_query_that_takes_too_long_is_stopped(deployment: Deployment) -> None:
    machine = definition(deployment, RETRAINING)["States"]
    limit_ms = deployment.stage.retraining.query_timeout_seconds * 1_000

    (late,) = (
        choice["Condition"]
        for choice in machine["QueryDone"]["Choices"]
        if choice["Next"] == "StopQuery"
    )

    assert f"> {limit_ms} " in late
    assert machine["StopQuery"]["Next"] == "QueryTimedOut"


def test_nothing_is_promoted_past_the_gates(deployment: Deployment) -> None:
    machine = definition(deployment, RETRAINING)["States"]

    leading_to_promotion = [
        name
        for name, state in machine.items()
        if "Promote" in json.dumps([state.get("Next"), state.get("Default"), state.get("Choices")])
    ]

    assert leading_to_promotion == ["GatesPassed"]
    assert machine["GatesPassed"]["Choices"] == [
        {"Condition": "{% $states.input.gates_passed %}", "Next": "Promote"}
    ]
    assert machine["GatesPassed"]["Default"] == "GatesFailed"
    assert machine["Train"]["Arguments"]["FunctionName"] == TRAINER
    assert machine["Promote"]["Arguments"]["FunctionName"] == PROMOTER


def test_workflows_leave_a_log_without_data(deployment: Deployment) -> None:
    for machine in deployment.of_type(MACHINE).values():
        logging = properties(machine)["LoggingConfiguration"]
        assert logging["Level"] == "ALL"
        assert logging["IncludeExecutionData"] is False


def test_a_log_that_was_retained_is_in_no_later_stacks_way(deployment: Deployment) -> None:
    for path, group in deployment.of_type("AWS::Logs::LogGroup").items():
        if path.endswith("/Workflow/Logs"):
            name = deployment.text(properties(group)["LogGroupName"], stack_of(path))
            assert name.startswith(f"/aws/vendedlogs/states/credit-{deployment.stage.name}-")
            assert "<StackId>" in name


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
