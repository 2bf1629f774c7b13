"""The rollout's state machine on the local cloud's Step Functions, with a promoter that notes."""

from __future__ import annotations

import io
import json
import time
import zipfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from aws_cdk import Aws

from cdk_app.components.rollout_definition import rollout_definition
from cdk_app.stages import LOCAL, Rollout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_stepfunctions import SFNClient

    from tests.integration.conftest import LocalCloud

PROMOTER = """
import json, pathlib

NOTES = pathlib.Path({notes!r})


def handler(event, context):
    with NOTES.open("a") as notes:
        notes.write(json.dumps(event) + "\\n")
    told = json.loads(NOTES.with_suffix(".told").read_text())
    if event["action"] in told.get("failing", []):
        raise ValueError("told to fail")
    champion = told["champion"]
    if event["action"] == "promote":
        champion = event["version"]
    return {{"champion": champion, "challenger": None, "mode": None, "share": None,
             "previous_champion": None, "revision": 1}}
"""
QUICK = Rollout(
    shadow_seconds=0,
    shares=(0.1, 0.5),
    share_seconds=0,
    watch_seconds=0,
    poll_seconds=1,
    approval_hours=None,
    alarms=(),
)
WHOLE = ["check", "shadow", "share", "share", "promote"]
LIMIT_SECONDS = 60


@dataclass
class Machine:
    """A state machine, what its promoter was asked, and an alarm that it watches."""

    stepfunctions: SFNClient
    cloudwatch: CloudWatchClient
    notes: Path
    alarm: str
    role: str
    promoter: str

    def tell(self, champion: str | None = "v1", failing: tuple[str, ...] = ()) -> None:
        """Tell the promoter what to answer."""
        told = {"champion": champion, "failing": failing}
        self.notes.with_suffix(".told").write_text(json.dumps(told))

    def ring(self, state: str) -> None:
        """Set the alarm's state."""
        self.cloudwatch.set_alarm_state(
            AlarmName=self.alarm,
            StateValue=state,  # type: ignore[arg-type]
            StateReason="test",
        )

    def start(self, rollout: Rollout = QUICK) -> str:
        """Start a rollout of v2."""
        definition = rollout_definition(
            stage=replace(LOCAL, rollout=rollout),
            promoter_arn=self.promoter,
            promoter_timeout_seconds=30,
            alarms=[self.alarm, f"{self.alarm}-other"],
        )
        machine = self.stepfunctions.create_state_machine(
            name=f"rollout-{uuid4().hex[:8]}",
            definition=json.dumps(definition).replace(Aws.PARTITION, "aws"),
            roleArn=self.role,
        )["stateMachineArn"]
        asked = json.dumps({"version": "v2", "moved_by": "ada"})
        return self.stepfunctions.start_execution(stateMachineArn=machine, input=asked)[
            "executionArn"
        ]

    def end(self, execution: str) -> Any:
        """Return how an execution ended."""
        return self.until(
            lambda: self.stepfunctions.describe_execution(executionArn=execution),
            lambda found: found["status"] != "RUNNING",
        )

    def asked(self) -> list[dict[str, Any]]:
        """Return what the promoter was asked."""
        if not self.notes.exists():
            return []
        return [json.loads(line) for line in self.notes.read_text().splitlines()]

    def actions(self) -> list[str]:
        """Return the actions that the promoter was asked for."""
        return [event["action"] for event in self.asked()]

    def until[T](self, look: Callable[[], T], enough: Callable[[T], bool]) -> T:
        """Return what is seen as soon as it is enough."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < deadline:
            if enough(found := look()):
                return found
            time.sleep(0.1)
        raise AssertionError(f"after {LIMIT_SECONDS} s: {look()}")


@pytest.fixture
def machine(local_cloud_bare: LocalCloud, tmp_path: Path) -> Iterator[Machine]:
    name = f"promoter-{uuid4().hex[:8]}"
    notes = tmp_path / "notes.jsonl"
    functions: LambdaClient = local_cloud_bare.client("lambda")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("handler.py", PROMOTER.format(notes=str(notes)))
    role = "arn:aws:iam::000000000000:role/any"
    function = functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role,
        Handler="handler.handler",
        Code={"ZipFile": archive.getvalue()},
        Timeout=30,
    )
    cloudwatch: CloudWatchClient = local_cloud_bare.client("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=f"alarm-{name}",
        Namespace="Test",
        MetricName=name,
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    machine = Machine(
        local_cloud_bare.client("stepfunctions"),
        cloudwatch,
        notes,
        f"alarm-{name}",
        role,
        function["FunctionArn"],
    )
    machine.ring("OK")
    machine.tell()
    yield machine
    functions.delete_function(FunctionName=name)


def test_a_model_goes_through_shadow_and_each_share_to_champion(machine: Machine) -> None:
    ended = machine.end(machine.start())

    assert ended["status"] == "SUCCEEDED", ended
    output = json.loads(ended["output"])
    assert (output["version"], output["champion"]) == ("v2", "v2")
    assert machine.actions() == WHOLE
    asked = machine.asked()
    assert [event["share"] for event in asked if "share" in event] == [0.1, 0.5]
    assert asked[-1]["from_trial"] is True
    assert asked[0]["moved_by"] == "ada"
    assert {event["moved_by"] for event in asked[1:]} == {
        f"ada, by rollout {ended['name']}",
    }


def test_the_first_champion_is_promoted_at_once(machine: Machine) -> None:
    machine.tell(champion=None)

    ended = machine.end(machine.start())

    assert ended["status"] == "SUCCEEDED", ended
    assert machine.actions() == ["check", "promote"]
    assert machine.asked()[-1]["from_trial"] is False


def test_the_champion_is_not_rolled_out_again(machine: Machine) -> None:
    machine.tell(champion="v2")

    assert machine.end(machine.start())["status"] == "SUCCEEDED"
    assert machine.actions() == ["check"]


def test_an_alarm_before_anything_moved_keeps_a_model_out(machine: Machine) -> None:
    machine.ring("ALARM")

    ended = machine.end(machine.start())

    assert (ended["status"], ended["error"]) == ("FAILED", "AlarmBefore")
    assert ended["cause"] == f"model v2 was not tried: {machine.alarm} is in alarm already"
    assert machine.actions() == ["check"]


@pytest.mark.parametrize(
    ("during", "slow"),
    [("shadow", replace(QUICK, shadow_seconds=50)), ("share", replace(QUICK, share_seconds=50))],
)
def test_an_alarm_during_a_trial_withdraws_the_model(
    machine: Machine, during: str, slow: Rollout
) -> None:
    execution = machine.start(slow)
    machine.until(machine.actions, lambda actions: actions[-1:] == [during])

    machine.ring("ALARM")

    ended = machine.end(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "Withdrawn")
    assert ended["cause"] == (f"model v2 was withdrawn, v1 answers: {machine.alarm} is in alarm")
    assert machine.actions()[-1] == "withdraw"
    assert "promote" not in machine.actions()


def test_an_alarm_after_the_promotion_rolls_back(machine: Machine) -> None:
    execution = machine.start(replace(QUICK, watch_seconds=50))
    machine.until(machine.actions, lambda actions: actions[-1:] == ["promote"])

    machine.ring("ALARM")

    ended = machine.end(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "RolledBack")
    assert ended["cause"].startswith("model v2 was rolled back, v1 answers again: alarm-")
    assert machine.actions() == [*WHOLE, "rollback"]


@pytest.mark.parametrize(("failing", "after"), [("share", 2), ("promote", 4)])
def test_a_step_that_fails_withdraws_the_model_and_says_why(
    machine: Machine, failing: str, after: int
) -> None:
    machine.tell(failing=(failing,))

    ended = machine.end(machine.start())

    assert (ended["status"], ended["error"]) == ("FAILED", "Withdrawn")
    assert ended["cause"] == "model v2 was withdrawn, v1 answers: told to fail"
    assert machine.actions() == [*WHOLE[:after], failing, "withdraw"]


def test_what_may_not_be_tried_is_told_by_the_first_state(machine: Machine) -> None:
    machine.tell(failing=("check",))

    ended = machine.end(machine.start())

    assert ended["status"] == "FAILED"
    assert "told to fail" in ended["cause"]
    assert machine.actions() == ["check"]


def test_a_person_who_approves_lets_it_answer(machine: Machine) -> None:
    execution = machine.start(replace(QUICK, approval_hours=1))
    machine.until(machine.actions, lambda actions: actions[-1:] == ["ask"])
    assert machine.actions() == ["check", "shadow", "ask"]

    machine.stepfunctions.send_task_success(
        taskToken=machine.asked()[-1]["task_token"], output='{"approved_by": "grace"}'
    )

    assert machine.end(execution)["status"] == "SUCCEEDED"
    assert machine.actions() == ["check", "shadow", "ask", *WHOLE[2:]]


def test_a_person_who_rejects_withdraws_it(machine: Machine) -> None:
    execution = machine.start(replace(QUICK, approval_hours=1))
    machine.until(machine.actions, lambda actions: actions[-1:] == ["ask"])

    machine.stepfunctions.send_task_failure(
        taskToken=machine.asked()[-1]["task_token"],
        error="Rejected",
        cause="model v2 was rejected by grace",
    )

    ended = machine.end(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "Withdrawn")
    assert ended["cause"].endswith("v1 answers: model v2 was rejected by grace")
    assert machine.actions() == ["check", "shadow", "ask", "withdraw"]


def test_even_the_first_champion_is_approved_where_the_stage_wants_it(machine: Machine) -> None:
    machine.tell(champion=None)
    execution = machine.start(replace(QUICK, approval_hours=1))
    machine.until(machine.actions, lambda actions: actions[-1:] == ["ask"])

    machine.stepfunctions.send_task_failure(
        taskToken=machine.asked()[-1]["task_token"], error="Rejected", cause="not now"
    )

    ended = machine.end(execution)
    assert (ended["error"], ended["cause"]) == (
        "NotPromoted",
        "model v2 was not promoted: not now",
    )
    assert machine.actions() == ["check", "ask"]
