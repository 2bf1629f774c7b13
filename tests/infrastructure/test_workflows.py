from __future__ import annotations

import json
import tracemalloc
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from cfnlint import api as cfnlint  # type: ignore[import-untyped]  # it ships no types

from credit_core.domain.product import load_product
from credit_core.use_cases.plan_materialization import (
    LakeObject,
    PartBounds,
    Plan,
    RowGroup,
    part_document,
    plan_prefix,
)
from credit_core.use_cases.reconcile import REPEATED_AT_ONCE
from tests.infrastructure.templates import properties, stack_of
from tests.infrastructure.workflows import MACHINE, definition, states

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infrastructure.templates import Deployment
    from tests.infrastructure.workflows import State

MATERIALIZATION = "materialization/Features/Workflow/StateMachine"
RETRAINING = "retraining/Retraining/Workflow/StateMachine"
ROLLOUT = "retraining/Rollout/Workflow/StateMachine"
MONITORING = "archive/Monitoring/Workflow/StateMachine"
WORKFLOWS = [MATERIALIZATION, RETRAINING, ROLLOUT, MONITORING]
PLANNER = "materialization/Features/Planner/Function"
MATERIALIZER = "materialization/Features/Materializer/Function"
RECONCILER = "materialization/Features/Reconciler/Function"
TRIGGERS = "materialization/Features/Triggers"
LAKE = "storage/Buckets/Lake"

# Measured, see decision 12.
SECONDS_A_ROW = 200e-6
SECONDS_A_TALLY = 1.6e-3
PARTS_A_RUN = 200_000


@pytest.mark.parametrize("path", WORKFLOWS)
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


@pytest.mark.parametrize("path", WORKFLOWS)
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


@pytest.mark.parametrize("path", WORKFLOWS)
def test_calls_of_functions_are_retried_with_jitter_and_end_in_time(
    deployment: Deployment, path: str
) -> None:
    for state in dict(states(definition(deployment, path))).values():
        if state.get("Resource", "").endswith("lambda:invoke"):
            assert all(retry["JitterStrategy"] == "FULL" for retry in state["Retry"])
            assert_it_waits_for_room(state["Retry"])
            function = properties(
                deployment.at(state["Arguments"]["FunctionName"], "AWS::Lambda::Function")
            )
            assert state["TimeoutSeconds"] > function["Timeout"]


def assert_it_waits_for_room(retries: list[dict[str, Any]]) -> None:
    """Minutes, by a retry of its own: many runs share the concurrency of an account."""
    throttled = "Lambda.TooManyRequestsException"
    (retry,) = (retry for retry in retries if throttled in retry["ErrorEquals"])
    waits = [
        min(retry["IntervalSeconds"] * retry["BackoffRate"] ** number, retry["MaxDelaySeconds"])
        for number in range(retry["MaxAttempts"])
    ]

    assert retry["ErrorEquals"] == [throttled]
    assert retry["MaxDelaySeconds"] <= 60
    # Full jitter takes any time up to each of these: half of it on the average.
    assert sum(waits) / 2 > 600


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
    """A state holds 256 KiB, and a Map that writes no results all answers, if only for a moment."""
    machine = definition(deployment, MATERIALIZATION)
    found = dict(states(machine))

    writer = found["MaterializeParts"]["ResultWriter"]

    assert writer["Resource"].endswith(":states:::s3:putObject")
    assert writer["Parameters"] == {"Bucket.$": "$.bucket", "Prefix": "runs/map-results"}
    assert found["MaterializeParts"]["ResultSelector"] == {"done": True}
    for part in ("MaterializePart", "RepeatPart"):
        assert found[part]["Output"] == {}
    assert found["MaterializePart"]["Catch"][0]["Output"] == {}


def test_a_redriven_run_goes_on_where_parts_are_missing(deployment: Deployment) -> None:
    """A run is redriven from the state that failed. What a Catch has taken did not fail."""
    machine = definition(deployment, MATERIALIZATION)
    repeat = machine["States"]["RepeatParts"]

    (task,) = repeat["ItemProcessor"]["States"].values()

    assert "Catch" not in repeat
    assert "Catch" not in task
    assert repeat["Next"] == "Reconcile"
    assert machine["States"]["Judge"]["Choices"][0]["Next"] == "RepeatParts"


def test_many_missing_parts_go_back_to_the_map_whose_parts_have_histories_of_their_own(
    deployment: Deployment,
) -> None:
    """A history ends at 25,000 events, and all events of the other Map's parts are in it."""
    machine = definition(deployment, MATERIALIZATION)["States"]
    bulk = machine["Judge"]["Choices"][1]

    assert "missing_key != null" in bulk["Condition"]
    assert bulk["Next"] == "MaterializeParts"
    # What is missing is the Map's next plan, and the reconciler learns how it was repeated.
    assert machine["MaterializeParts"]["ItemReader"]["Parameters"]["Key.$"] == "$.key"
    assert "{'key': $states.result.Payload.missing_key}" in machine["Reconcile"]["Output"]
    asked = machine["Reconcile"]["Arguments"]["Payload"]
    assert "$states.input.outcome.missing_key != null" in asked["repeated_in_bulk"]
    (part,) = machine["RepeatParts"]["ItemProcessor"]["States"].values()
    assert REPEATED_AT_ONCE * most_events(part) < 25_000


def most_events(task: State) -> int:
    """Return what a Map's part leaves at most: four events, and three for each of its attempts."""
    retries = (retry for retry in task["Retry"] if retry["ErrorEquals"] != ["Lambda.Unknown"])
    attempts: int = 1 + sum(retry["MaxAttempts"] for retry in retries)
    return 4 + 3 * attempts


def test_a_run_is_judged_by_the_reconciler(deployment: Deployment) -> None:
    machine = definition(deployment, MATERIALIZATION)["States"]
    limits = deployment.stage.materialization
    environment = properties(deployment.at(RECONCILER, "AWS::Lambda::Function"))["Environment"]

    assert machine["Reconcile"]["Arguments"]["FunctionName"] == RECONCILER
    assert machine["Reconcile"]["Next"] == "Judge"
    assert machine["Judge"]["Choices"][2]["Next"] == "NotMaterialized"
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
    made = {
        found["Type"]
        for template in deployment.templates.values()
        for found in template["Resources"].values()
    }
    assert {type_ for type_ in made if type_.startswith("Custom::")} <= {"Custom::EmptyBucket"}


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


def test_what_was_given_up_is_kept_for_as_long_as_sqs_keeps_anything(
    deployment: Deployment,
) -> None:
    """Fourteen days, as the runbook of dead letters says of each queue that gives nothing up."""
    queues = deployment.of_type("AWS::SQS::Queue")
    kept = {
        path: properties(queue).get("MessageRetentionPeriod")
        for path, queue in queues.items()
        if "RedrivePolicy" not in properties(queue)
    }

    assert len(kept) == len(queues) - 1
    assert set(kept.values()) == {1_209_600}, kept


def test_an_unfinished_upload_ends_before_sweeps_stop_to_look_for_it(prod: Deployment) -> None:
    """A file bears the time when its upload began, and appears when that ends."""
    lake = properties(prod.at(LAKE, "AWS::S3::Bucket"))
    (days,) = (
        rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]
        for rule in lake["LifecycleConfiguration"]["Rules"]
        if "AbortIncompleteMultipartUpload" in rule
    )

    # S3 rounds that up to the next midnight, and then takes its time: a day for each.
    assert prod.stage.materialization.sweep_overlap_hours >= 24 * (days + 2)


def test_no_part_takes_longer_than_its_worker_has(deployment: Deployment) -> None:
    """Rows take the time, not bytes: 128 MiB would be up to 13 million rows."""
    function = properties(deployment.at(MATERIALIZER, "AWS::Lambda::Function"))
    planner = properties(deployment.at(PLANNER, "AWS::Lambda::Function"))["Environment"]
    rows = int(planner["Variables"]["CREDIT_SPLIT_ROWS"])

    assert rows == deployment.stage.materialization.split_rows
    assert rows * SECONDS_A_ROW < function["Timeout"]
    if deployment.stage.name != "local":
        assert rows * SECONDS_A_ROW < function["Timeout"] / 2


def test_a_run_of_200_000_parts_fits_who_plans_and_who_reconciles(prod: Deployment) -> None:
    files = 10_000
    plan, peak = planned_with_memory(files)
    grown = peak * PARTS_A_RUN / files

    assert len(plan.parts) == files
    for path in (PLANNER, RECONCILER):
        function = properties(prod.at(path, "AWS::Lambda::Function"))
        assert grown < function["MemorySize"] * 2**20 / 4
        processors = function["MemorySize"] / 1_769
        assert PARTS_A_RUN * SECONDS_A_TALLY / processors < function["Timeout"] / 2


def planned_with_memory(files: int) -> tuple[Plan, int]:
    """Plan that many files; return the plan and the most memory that it and its JSON took."""
    tracemalloc.start()
    try:
        plan = plan_prefix(
            load_product("personal_loan"),
            "personal_loan/features/",
            lake=ALakeOfSmallFiles(files),
            footers=ALakeOfSmallFiles(0),
            bounds=PartBounds(size=16 * 2**20, rows=1_000_000),
        )
        json.dumps([part_document(n, part) for n, part in enumerate(plan.parts)]).encode()
        return plan, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@dataclass(frozen=True)
class ALakeOfSmallFiles:
    files: int

    def objects(self, prefix: str) -> Iterator[LakeObject]:
        for number in range(self.files):
            key = f"{prefix}bureau/day=2026-01-01/part-{number:08}-{uuid.UUID(int=number)}.parquet"
            yield LakeObject(key, 1_000_000, datetime(2026, 1, 1, tzinfo=UTC))

    def row_groups(self, key: str) -> list[RowGroup]:
        raise AssertionError(key)


# --- All of them ----------------------------------------------------------------------------------


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
