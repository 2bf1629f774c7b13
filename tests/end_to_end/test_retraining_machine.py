"""The deployed state machine of the retraining, over steps that answer what a test wants.

Only its interpreter shows what its expressions do. Functions, rollout and lock are the tests' own.
"""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment

pytestmark = pytest.mark.end_to_end

LONGEST_SECONDS = 300
ROLE_NAME = "test-machines"
ROLE = f"arn:aws:iam::000000000000:role/{ROLE_NAME}"
ASSUMED_BY_SERVICES = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": ["lambda.amazonaws.com", "states.amazonaws.com"]},
        }
    ],
}
STEPS = """
import json, os, time
ANSWERS = json.loads(os.environ["ANSWERS"])
def handler(event, context):
    if event["action"] == "fit":
        time.sleep(0.5)
    answer = ANSWERS[event["action"]]
    if "raise" in answer:
        raise RuntimeError(answer["raise"])
    return answer | {"asked": event}
"""
CHECKED = {"candidates": ["simple", "better", "best"], "champion": "v1", "failed_gates": []}
JUDGED = {"version": "v2", "gates_passed": True, "failed_gates": []}
A_GATE = {"name": "calibration", "evidence": "ratio 1.50; limit 1.20", "look_at": "the curve"}
ANOTHER_GATE = {"name": "drift", "evidence": "index 0.31; limit 0.25", "look_at": ""}
ROLLS_OUT = {
    "QueryLanguage": "JSONata",
    "StartAt": "Promote",
    "States": {
        "Promote": {
            "Type": "Pass",
            "Output": {
                "champion": "{% $states.input.version %}",
                "moved_by": "{% $states.input.moved_by %}",
            },
            "End": True,
        }
    },
}
TAKES_BACK = {
    "StartAt": "Withdrawn",
    "States": {"Withdrawn": {"Type": "Fail", "Error": "Withdrawn", "Cause": "an alarm rose"}},
}


@dataclass
class Machines:
    """Makes variants of the deployed machine, and removes them."""

    aws: LocalAws
    deployment: Deployment
    made: list[Callable[[], object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stepfunctions: SFNClient = self.aws.client("stepfunctions")
        self.functions: LambdaClient = self.aws.client("lambda")
        self.dynamodb: DynamoDBClient = self.aws.client("dynamodb")
        self.table = self.deployment["RegistryTable"]

    def make(
        self,
        *,
        rollout: dict[str, Any] = ROLLS_OUT,
        sql: str = "SELECT 1 AS loans",
        **answers: dict[str, Any],
    ) -> Machine:
        """Return the deployed machine with steps that answer so; ``sql`` finds the loans."""
        name = f"test-{uuid.uuid4()}"
        steps = {"check": CHECKED, "fit": {}, "judge": JUDGED, "register": JUDGED, **answers}
        deployed = self.stepfunctions.describe_state_machine(
            stateMachineArn=self.deployment["RetrainingStateMachine"]
        )
        definition = json.loads(deployed["definition"].replace("personal_loan#retraining", name))
        states = definition["States"]
        function = self._function(name, steps)
        for state in (
            *(states[step] for step in ("CheckData", "Judge", "Register")),
            states["Candidates"]["ItemProcessor"]["States"]["Fit"],
        ):
            state["Arguments"]["FunctionName"] = function
        states["Rollout"]["Arguments"]["StateMachineArn"] = self._machine(f"{name}-r", rollout)
        query = states["TrainingSet"]["ItemProcessor"]["States"]["StartQuery"]
        query["Arguments"]["QueryString"] = sql
        states["TrainingSet"]["Retry"][0]["IntervalSeconds"] = 1
        return Machine(self, self._machine(name, definition), lock=name)

    def _machine(self, name: str, definition: dict[str, Any]) -> str:
        arn = self.stepfunctions.create_state_machine(
            name=name, definition=json.dumps(definition), roleArn=ROLE
        )["stateMachineArn"]
        self.made.append(lambda: self.stepfunctions.delete_state_machine(stateMachineArn=arn))
        return arn

    def _function(self, name: str, answers: dict[str, Any]) -> str:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("handler.py", STEPS)
        arn = self.functions.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Handler="handler.handler",
            Role=ROLE,
            Code={"ZipFile": archive.getvalue()},
            Timeout=30,
            Environment={"Variables": {"ANSWERS": json.dumps(answers)}},
        )["FunctionArn"]
        self.made.append(lambda: self.functions.delete_function(FunctionName=name))
        return arn


@dataclass(frozen=True)
class Machine:
    """One variant, with a lock of its own."""

    machines: Machines
    arn: str
    lock: str

    def start(self, **asked: str) -> str:
        """Start a run; return its ARN."""
        return self.machines.stepfunctions.start_execution(
            stateMachineArn=self.arn, input=json.dumps(asked)
        )["executionArn"]

    def ended(self, execution: str) -> DescribeExecutionOutputTypeDef:
        """Wait for a run to end."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < deadline:
            found = self.machines.stepfunctions.describe_execution(executionArn=execution)
            if found["status"] != "RUNNING":
                return found
            time.sleep(0.1)
        raise AssertionError(f"{execution} is not done within {LONGEST_SECONDS} s")

    def run(self, **asked: str) -> DescribeExecutionOutputTypeDef:
        """Start a run and wait for its end."""
        return self.ended(self.start(**asked))

    def holder(self) -> str | None:
        """Return which execution holds the lock."""
        item = self.machines.dynamodb.get_item(
            TableName=self.machines.table, Key=self._key, ConsistentRead=True
        ).get("Item")
        return item["holder"]["S"] if item else None

    def hold(self, execution: str) -> None:
        """Give the lock to an execution."""
        self.machines.dynamodb.put_item(
            TableName=self.machines.table, Item=self._key | {"holder": {"S": execution}}
        )

    @property
    def _key(self) -> Any:
        return {"product": {"S": self.lock}, "record": {"S": "lock"}}


@pytest.fixture
def machines(aws: LocalAws, deployment: Deployment) -> Iterator[Machines]:
    machines = Machines(aws, deployment)
    # Where IAM is enforced, it has to be there; nothing that bears it asks for anything.
    iam: Any = aws.client("iam")
    iam.create_role(RoleName=ROLE_NAME, AssumeRolePolicyDocument=json.dumps(ASSUMED_BY_SERVICES))
    yield machines
    for remove in machines.made:
        remove()
    iam.delete_role(RoleName=ROLE_NAME)


def output_of(run: DescribeExecutionOutputTypeDef) -> dict[str, Any]:
    assert run["status"] == "SUCCEEDED", run.get("cause")
    output: dict[str, Any] = json.loads(run["output"])
    return output


def test_a_good_model_is_rolled_out_and_the_lock_given_back(machines: Machines) -> None:
    machine = machines.make()

    run = machine.run()

    name = run["executionArn"].rpartition(":")[2]
    output = output_of(run)
    assert output["version"] == "v2"
    assert output["rollout"] == {"champion": "v2", "moved_by": f"retraining/{name}"}
    assert machine.holder() is None


def test_the_judge_learns_where_the_loans_are_and_who_the_champion_is(machines: Machines) -> None:
    machine = machines.make(register={"gates_passed": False, "version": "v2", "failed_gates": []})

    execution = machine.start(trigger="somebody")
    machine.ended(execution)
    asked = answers_of(machine, execution)["Judge"]["asked"]

    assert asked["champion"] == "v1"
    assert asked["execution"] == execution
    assert asked["output_location"].startswith("s3://")
    assert asked["lineage"]["trigger"] == "somebody"
    assert asked["lineage"]["query"] == machine_query(machine)
    assert asked["lineage"]["query_execution_id"]


def answers_of(machine: Machine, execution: str) -> dict[str, Any]:
    pages = machine.machines.stepfunctions.get_paginator("get_execution_history")
    return {
        left["name"]: json.loads(left["output"])
        for page in pages.paginate(executionArn=execution)
        for event in page["events"]
        if (left := event.get("stateExitedEventDetails"))
    }


def machine_query(machine: Machine) -> str:
    """Return the query as the machine was deployed with it: what it keeps is the product's own."""
    found = machine.machines.stepfunctions.describe_state_machine(stateMachineArn=machine.arn)
    states = json.loads(found["definition"])["States"]["TrainingSet"]["ItemProcessor"]["States"]
    query: str = states["QuerySucceeded"]["Output"]["query"]
    return query


def test_every_candidate_is_fitted(machines: Machines) -> None:
    machine = machines.make()

    execution = machine.start()
    machine.ended(execution)

    fitted = answers_of(machine, execution)["Candidates"]
    assert [each["asked"]["candidate"] for each in fitted] == CHECKED["candidates"]


def test_failed_gates_keep_a_model_out_and_say_why(machines: Machines) -> None:
    kept_out = JUDGED | {"gates_passed": False, "failed_gates": [A_GATE, ANOTHER_GATE]}
    run = machines.make(judge=kept_out, register=kept_out).run()

    assert (run["status"], run["error"]) == ("FAILED", "GatesFailed")
    assert run["cause"] == (
        "model v2 stays out; calibration: ratio 1.50; limit 1.20; look at: the curve"
        " | drift: index 0.31; limit 0.25"
    )


def test_loans_that_fail_a_gate_train_nothing(machines: Machines) -> None:
    machine = machines.make(check=CHECKED | {"failed_gates": [ANOTHER_GATE]})

    execution = machine.start()
    run = machine.ended(execution)

    assert (run["status"], run["error"]) == ("FAILED", "DataRefused")
    assert run["cause"] == "no model was trained; drift: index 0.31; limit 0.25"
    assert "Candidates" not in answers_of(machine, execution)


def test_a_query_that_fails_is_asked_twice_and_quoted(machines: Machines) -> None:
    run = machines.make(sql="SELECT loans FROM nowhere").run()

    assert (run["status"], run["error"]) == ("FAILED", "QueryFailed")
    assert "nowhere" in run["cause"]


@pytest.mark.parametrize("step", ["check", "fit", "judge", "register"])
def test_a_step_that_fails_ends_the_run_in_its_own_words(machines: Machines, step: str) -> None:
    broken: dict[str, Any] = {step: {"raise": "the store is away"}}
    run = machines.make(**broken).run()

    assert run["status"] == "FAILED"
    assert "the store is away" in run["cause"]


def test_a_rollout_that_was_taken_back_fails_the_run_with_its_reason(machines: Machines) -> None:
    run = machines.make(rollout=TAKES_BACK).run()

    assert run["status"] == "FAILED"
    assert "an alarm rose" in run["cause"]


def test_a_run_that_failed_keeps_its_lock_and_the_next_one_takes_it_over(
    machines: Machines,
) -> None:
    machine = machines.make(rollout=TAKES_BACK)

    first, second = machine.start(), None
    machine.ended(first)
    assert machine.holder() == first
    second = machine.start()
    machine.ended(second)

    assert machine.holder() == second


def test_a_lock_whose_holder_nobody_remembers_is_taken_over(machines: Machines) -> None:
    machine = machines.make()
    machine.hold(machine.arn.replace(":stateMachine:", ":execution:") + ":long-ago")

    assert output_of(machine.run())["version"] == "v2"


def test_of_many_that_start_at_once_one_runs_and_the_others_say_which(machines: Machines) -> None:
    machine = machines.make(rollout=TAKES_BACK)
    machine.ended(machine.start())
    assert machine.holder() is not None

    runs = [machine.ended(execution) for execution in [machine.start() for _ in range(6)]]

    (ran,) = (run for run in runs if run["status"] == "FAILED")
    turned_away = [output_of(run)["already_running"] for run in runs if run is not ran]
    assert len(turned_away) == 5
    assert {each["name"] for each in turned_away} == {ran["executionArn"].rpartition(":")[2]}
    assert all(each["since"].startswith("20") for each in turned_away)
