"""The rollout's state machine on the local cloud's Step Functions, with a promoter that notes."""

from __future__ import annotations

import io
import json
import time
import zipfile
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from aws_cdk import Aws

from cdk_app.components.rollout_definition import rollout_definition
from cdk_app.stages import Evidence, Rollout
from credit_core.domain.metrics import NAMESPACE, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_stepfunctions import SFNClient

    from tests.integration.conftest import LocalCloud

PROMOTER = """
import json, pathlib, time

NOTES = pathlib.Path({notes!r})


def handler(event, context):
    with NOTES.open("a") as notes:
        notes.write(json.dumps(event) + "\\n")
    told = json.loads(NOTES.with_suffix(".told").read_text())
    while event["action"] == told["held"] and not NOTES.with_suffix(".let-go").exists():
        time.sleep(0.05)
    if event["action"] in told["failing"]:
        raise ValueError("told to fail")
    champion = told["champion"]
    if event["action"] == "promote" or event["action"] == "standing" and not told["moved"]:
        champion = event["version"]
    return {{"champion": champion, "challenger": None, "mode": None, "share": None,
             "previous_champion": None, "revision": 1, "moved_by": "eve"}}
"""
QUICK = Rollout(
    shadow_seconds=0,
    shares=(0.1, 0.5),
    share_seconds=0,
    watch_seconds=0,
    evidence=Evidence(least_compared=0, least_answered=0, again_seconds=1, patience_seconds=50),
    approval_hours=None,
    alarms=("Its", "Other"),
    shadow_alarms=("Its",),
)
WHOLE = ["check", "shadow", "share", "share", "promote"]
TO_THE_END = [*WHOLE, "standing"]
LIMIT_SECONDS = 60


@dataclass
class Machine:
    """A state machine, what its promoter was asked, and the alarms that it looks at."""

    stepfunctions: SFNClient
    cloudwatch: CloudWatchClient
    notes: Path
    alarm: str
    role: str
    promoter: str

    @property
    def other(self) -> str:
        """An alarm that a model in shadow does not cause."""
        return f"{self.alarm}-other"

    @property
    def dimensions(self) -> dict[str, str]:
        """Of the figures that count as evidence: no other test's."""
        return {"Stage": self.alarm, "Product": "loans"}

    def tell(
        self,
        champion: str | None = "v1",
        failing: tuple[str, ...] = (),
        *,
        moved: bool = False,
        held: str = "",
    ) -> None:
        """Tell the promoter what to answer, whether somebody moved it on, and what to hold."""
        told = {"champion": champion, "failing": failing, "moved": moved, "held": held}
        self.notes.with_suffix(".told").write_text(json.dumps(told))

    def let_go(self) -> None:
        """Have the promoter answer what it holds."""
        self.notes.with_suffix(".let-go").touch()

    def decide(self, metric: Metric, count: int) -> None:
        """Count decisions, as the scorer does."""
        dimensions = [{"Name": name, "Value": value} for name, value in self.dimensions.items()]
        self.cloudwatch.put_metric_data(
            Namespace=NAMESPACE,
            MetricData=[
                {
                    "MetricName": metric.value,
                    "Dimensions": dimensions,  # type: ignore[typeddict-item]
                    "Timestamp": datetime.now(UTC),
                    "Value": 1,
                }
                for _ in range(count)
            ],
        )

    def ring(self, state: str, alarm: str | None = None) -> None:
        """Set an alarm's state."""
        self.cloudwatch.set_alarm_state(
            AlarmName=alarm or self.alarm,
            StateValue=state,  # type: ignore[arg-type]
            StateReason="test",
        )

    def start(self, rollout: Rollout = QUICK) -> str:
        """Start a rollout of v2."""
        definition = rollout_definition(
            rollout,
            promoter_arn=self.promoter,
            promoter_timeout_seconds=30,
            alarms={"Its": self.alarm, "Other": self.other},
            dimensions=self.dimensions,
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

    def made(self, execution: str, step: str, *, times: int = 1) -> None:
        """Wait until the promoter has answered: what counts for a step begins then."""
        history = self.stepfunctions.get_paginator("get_execution_history")

        def left() -> int:
            return sum(
                event.get("stateExitedEventDetails", {}).get("name") == step
                for page in history.paginate(executionArn=execution)
                for event in page["events"]
            )

        self.until(left, lambda count: count == times)

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
    for alarm in (f"alarm-{name}", f"alarm-{name}-other"):
        cloudwatch.put_metric_alarm(
            AlarmName=alarm,
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
    machine.ring("OK", machine.other)
    machine.tell()
    yield machine
    functions.delete_function(FunctionName=name)


def test_a_model_goes_through_shadow_and_each_share_to_champion(machine: Machine) -> None:
    ended = machine.end(machine.start())

    assert ended["status"] == "SUCCEEDED", ended
    output = json.loads(ended["output"])
    assert (output["version"], output["champion"]) == ("v2", "v2")
    assert machine.actions() == TO_THE_END
    asked = machine.asked()
    assert [event["share"] for event in asked if "share" in event] == [0.1, 0.5]
    assert asked[4]["from_trial"] is True
    assert {event["execution"] for event in asked} == {ended["executionArn"]}
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


def test_nothing_is_asked_while_a_model_has_its_time(machine: Machine) -> None:
    """Two looks a step: after the move, for what rang meanwhile, and before the next."""
    ended = machine.end(machine.start(replace(QUICK, shadow_seconds=3)))

    assert ended["status"] == "SUCCEEDED", ended
    history = machine.stepfunctions.get_execution_history(
        executionArn=ended["executionArn"], maxResults=1_000
    )["events"]
    entered = [
        event["stateEnteredEventDetails"]["name"]
        for event in history
        if "stateEnteredEventDetails" in event
    ]
    in_shadow = entered[entered.index("Shadow") + 1 : entered.index("Share")]
    assert in_shadow == ["Look", "Judge", "Watch", "Look", "Judge", "StepUp"]


@pytest.mark.parametrize(
    ("during", "slow"),
    [("shadow", replace(QUICK, shadow_seconds=3)), ("share", replace(QUICK, share_seconds=3))],
)
def test_an_alarm_that_the_guard_did_not_hear_withdraws_the_model_before_the_next_step(
    machine: Machine, during: str, slow: Rollout
) -> None:
    execution = machine.start(slow)
    machine.until(machine.actions, lambda actions: actions[-1:] == [during])

    machine.ring("ALARM")

    ended = machine.end(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "Withdrawn")
    assert ended["cause"] == (f"model v2 was withdrawn, v1 answers: {machine.alarm} is in alarm")
    assert machine.actions()[-2:] == [during, "withdraw"]


def test_an_alarm_that_rang_while_a_step_was_made_is_seen_right_after_it(
    machine: Machine,
) -> None:
    """The guard may have heard it when the model was not there yet; the step takes 10 minutes."""
    machine.tell(held="share")
    execution = machine.start(replace(QUICK, share_seconds=600))
    machine.until(machine.actions, lambda actions: actions[-1:] == ["share"])

    machine.ring("ALARM")
    machine.let_go()

    ended = machine.end(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "Withdrawn")
    assert machine.actions() == ["check", "shadow", "share", "withdraw"]


def test_what_a_model_in_shadow_does_not_cause_only_keeps_it_there(machine: Machine) -> None:
    machine.tell(held="shadow")
    execution = machine.start(replace(QUICK, shadow_seconds=1))
    machine.until(machine.actions, lambda actions: actions[-1:] == ["shadow"])
    machine.ring("ALARM", machine.other)
    machine.let_go()
    time.sleep(4)
    assert machine.actions()[-1] == "shadow"

    machine.ring("OK", machine.other)

    assert machine.end(execution)["status"] == "SUCCEEDED"
    assert machine.actions() == TO_THE_END


def test_it_is_not_kept_there_for_ever(machine: Machine) -> None:
    impatient = replace(QUICK.evidence, patience_seconds=2)
    machine.tell(held="shadow")
    execution = machine.start(replace(QUICK, shadow_seconds=1, evidence=impatient))
    machine.until(machine.actions, lambda actions: actions[-1:] == ["shadow"])

    machine.ring("ALARM", machine.other)
    machine.let_go()

    ended = machine.end(execution)
    assert (ended["error"], ended["cause"]) == (
        "Withdrawn",
        f"model v2 was withdrawn, v1 answers: {machine.other} is in alarm",
    )


def test_an_alarm_after_the_promotion_rolls_back(machine: Machine) -> None:
    execution = machine.start(replace(QUICK, watch_seconds=4))
    machine.until(machine.actions, lambda actions: actions[-1:] == ["promote"])

    machine.ring("ALARM")

    ended = machine.end(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "RolledBack")
    assert ended["cause"].startswith("model v2 was rolled back, v1 answers again: alarm-")
    assert machine.actions() == [*WHOLE, "rollback"]


def test_a_champion_that_was_moved_away_is_no_success(machine: Machine) -> None:
    machine.tell(moved=True)

    ended = machine.end(machine.start())

    assert (ended["status"], ended["error"]) == ("FAILED", "Superseded")
    assert ended["cause"] == "model v2 is not the champion any more, v1 answers: moved by eve"


# --- Evidence ------------------------------------------------------------------------------------

WANTING = replace(
    QUICK,
    evidence=Evidence(least_compared=3, least_answered=2, again_seconds=1, patience_seconds=50),
)


def test_a_model_goes_up_when_it_was_compared_and_has_answered_often_enough(
    machine: Machine,
) -> None:
    execution = machine.start(WANTING)
    machine.made(execution, "Shadow")
    machine.decide(Metric.SHADOW_DECISIONS, 2)
    time.sleep(3)
    assert machine.actions()[-1] == "shadow"

    machine.decide(Metric.SHADOW_DECISIONS, 1)
    machine.made(execution, "Share")
    time.sleep(3)
    assert machine.actions().count("share") == 1

    # Each share by itself.
    machine.decide(Metric.CHALLENGER_DECISIONS, 2)
    machine.made(execution, "Share", times=2)
    machine.decide(Metric.CHALLENGER_DECISIONS, 2)

    assert machine.end(execution)["status"] == "SUCCEEDED"
    assert machine.actions() == TO_THE_END


@pytest.mark.parametrize(
    ("compared", "words"),
    [(0, "it was compared in 0 decisions, not in"), (3, "it made 0 decisions, not in the 2")],
)
def test_a_model_of_which_too_little_is_known_is_withdrawn_in_the_end(
    machine: Machine, compared: int, words: str
) -> None:
    impatient = replace(WANTING.evidence, patience_seconds=3)
    execution = machine.start(replace(WANTING, evidence=impatient))
    if compared:
        machine.made(execution, "Shadow")
        machine.decide(Metric.SHADOW_DECISIONS, compared)

    ended = machine.end(execution)

    assert (ended["status"], ended["error"]) == ("FAILED", "Withdrawn")
    assert words in ended["cause"]
    assert machine.actions()[-1] == "withdraw"


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
    assert machine.actions() == ["check", "shadow", "ask", *TO_THE_END[2:]]


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
