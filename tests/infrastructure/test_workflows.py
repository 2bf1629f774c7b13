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
            assert "'" in state["Cause"]


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


def test_each_file_of_the_lake_goes_to_the_materializer(deployment: Deployment) -> None:
    machine = definition(deployment, MATERIALIZATION)
    each = machine["States"]["MaterializeEachFile"]
    task = dict(states(machine))["MaterializeFile"]

    assert each["ItemProcessor"]["ProcessorConfig"]["Mode"] == "DISTRIBUTED"
    assert each["ItemReader"]["Resource"].endswith(":states:::s3:listObjectsV2")
    assert each["ItemReader"]["Parameters"] == {"Bucket": LAKE, "Prefix.$": "$.prefix"}
    assert each["MaxConcurrency"] == deployment.stage.materialization.files_at_once
    assert set(each["ItemSelector"]) == {"bucket", "key.$", "run_id.$"}
    assert task["Arguments"] == {"FunctionName": MATERIALIZER, "Payload": "{% $states.input %}"}


def test_one_bad_file_does_not_keep_the_others_out(deployment: Deployment) -> None:
    task = dict(states(definition(deployment, MATERIALIZATION)))["MaterializeFile"]

    (caught,) = task["Catch"]

    assert caught["ErrorEquals"] == ["States.ALL"]
    assert "failed" in caught["Output"]


def test_a_run_is_judged_by_its_counts(deployment: Deployment) -> None:
    judge = definition(deployment, MATERIALIZATION)["States"]["Judge"]
    limits = deployment.stage.materialization

    conditions = {choice["Next"]: choice["Condition"] for choice in judge["Choices"]}

    assert set(conditions) == {"NoFiles", "FilesFailed", "CountsDoNotReconcile", "TooManyRejected"}
    assert f"> {limits.failed_files_share} *" in conditions["FilesFailed"]
    assert f"> {limits.rejected_rows_share} *" in conditions["TooManyRejected"]


def test_the_training_set_is_the_products_own_query(deployment: Deployment) -> None:
    start = definition(deployment, RETRAINING)["States"]["StartQuery"]["Arguments"]

    assert start["QueryString"] == training_set_sql(load_product("personal_loan"))
    assert start["QueryExecutionContext"] == {"Database": f"credit_{deployment.stage.name}"}
    assert start["WorkGroup"] == f"credit-{deployment.stage.name}"


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
