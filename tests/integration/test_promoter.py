"""Promoter and approver on S3, DynamoDB, KMS, SNS and Step Functions (moto), and a real wait."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config

from credit_core.adapters.lambda_promoter import LambdaPromoter
from credit_core.adapters.running_rollouts import RunningRollouts
from credit_core.adapters.sns_channel import SnsChannel
from credit_core.adapters.waiting_rollouts import WaitingRollouts
from credit_core.domain.model_manifest import manifest_key
from credit_core.errors import (
    ArtifactIntegrityError,
    InvalidRequestError,
    ModelUnavailableError,
    RolloutConflictError,
    StoreUnavailableError,
)
from credit_core.ports import Approval
from credit_core.use_cases.rollout import Rollout
from tests.builders import NOW, PRODUCT
from tests.builders_registry import Cloud, moto_cloud, registered
from tests.example_environments import EXAMPLE_ENVIRONMENTS
from tests.handlers import started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

    from tests.integration.conftest import LocalCloud

NOBODY = {"challenger": None, "mode": None, "share": None, "previous_champion": None}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with moto_cloud(monkeypatch, EXAMPLE_ENVIRONMENTS["promoter"]) as cloud:
        yield cloud


@pytest.fixture
def promoter(cloud: Cloud) -> Any:
    registered(cloud, "v1")
    registered(cloud, "v2")
    return started("promoter")


def asked(promoter: Any, action: str, version: str = "v2", **more: object) -> dict[str, Any]:
    """Return what answers then; the time of the move is left out."""
    event = {"action": action, "version": version, "moved_by": "ada", **more}
    answer = dict(promoter.handler(event, SimpleNamespace()))
    moved_at, moved_by = answer.pop("moved_at"), answer.pop("moved_by")
    assert (moved_at is None, moved_by) in {(True, None), (False, "ada")}
    return answer


def test_a_model_is_tried_promoted_and_rolled_back_and_each_answer_says_who_answers(
    promoter: Any, cloud: Cloud
) -> None:
    """Each is asked for twice, as a retried invocation does."""
    first = {"champion": "v1", **NOBODY}
    tried = {**first, "challenger": "v2"}
    second = {"champion": "v2", **NOBODY, "previous_champion": "v1"}
    steps: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
        ("check", "v1", {}, {"champion": None, **NOBODY, "revision": 0}),
        ("promote", "v1", {}, {**first, "revision": 1}),
        ("shadow", "v2", {}, {**tried, "mode": "shadow", "share": 0.0, "revision": 2}),
        ("share", "v2", {"share": 0.2}, {**tried, "mode": "live", "share": 0.2, "revision": 3}),
        ("promote", "v2", {"from_trial": True}, {**second, "revision": 4}),
        ("rollback", "v2", {}, {**first, "revision": 5}),
        ("withdraw", "v2", {}, {**first, "revision": 5}),
        ("retire", "v2", {}, {**first, "revision": 5}),
    ]
    for action, version, more, expected in steps:
        for _ in range(2):
            assert asked(promoter, action, version, **more) == expected, action
    assert (cloud.state("v1"), cloud.state("v2")) == ("champion", "retired")
    assert len(list(cloud.registry.moves())) == 5


def test_what_was_changed_since_its_registration_is_not_promoted(
    promoter: Any, cloud: Cloud
) -> None:
    cloud.s3.put_object(Bucket="models", Key=manifest_key(PRODUCT.name, "v2"), Body=b"{}")

    with pytest.raises(ArtifactIntegrityError):
        asked(promoter, "promote")
    assert cloud.registry.pointer() is None


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({}, "version: must be text; moved_by: must be text; action: must be one of check, "),
        ({"action": "promote", "version": 2, "moved_by": "ada"}, "version: must be text"),
        ({"action": "demote", "version": "v2", "moved_by": "ada"}, "action: must be one of"),
    ],
)
def test_an_event_that_asks_for_nothing_is_refused(
    promoter: Any, event: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        promoter.handler(event, SimpleNamespace())


def test_an_unknown_version_is_named(promoter: Any) -> None:
    with pytest.raises(ModelUnavailableError, match="model v9 is not registered"):
        asked(promoter, "promote", "v9")


# --- Rollouts that end with their model -----------------------------------------------------------


@dataclass(frozen=True)
class Rollouts:
    """The rollout's state machine, and a queue that hears what on-call is told."""

    stepfunctions: SFNClient
    machine: str
    sqs: SQSClient
    queue: str

    def start(self, name: str) -> str:
        """Begin a rollout of that name; return its ARN."""
        return self.stepfunctions.start_execution(stateMachineArn=self.machine, name=name)[
            "executionArn"
        ]

    def state(self, execution: str) -> str:
        """Return how a rollout stands."""
        return self.stepfunctions.describe_execution(executionArn=execution)["status"]

    def told(self) -> list[dict[str, Any]]:
        """Return what on-call was told."""
        found = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in found.get("Messages", [])]


@pytest.fixture
def rollouts(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Rollouts:
    del cloud  # moto is on
    stepfunctions: SFNClient = boto3.client("stepfunctions")
    machine = stepfunctions.create_state_machine(
        name="rollout",
        definition=json.dumps(
            {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}}
        ),
        roleArn="arn:aws:iam::123456789012:role/any",
    )["stateMachineArn"]
    topic = boto3.client("sns").create_topic(Name="inform")["TopicArn"]
    sqs: SQSClient = boto3.client("sqs")
    queue = sqs.create_queue(QueueName="inform")["QueueUrl"]
    boto3.client("sns").subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:inform"
    )
    monkeypatch.setenv("CREDIT_ROLLOUT_MACHINE", machine)
    monkeypatch.setenv("CREDIT_INFORM_TOPIC", topic)
    monkeypatch.setenv("CREDIT_NEEDS_APPROVAL", "True")
    return Rollouts(stepfunctions, machine, sqs, queue)


@pytest.fixture
def tried(cloud: Cloud, rollouts: Rollouts) -> Any:
    """A promoter where v1 answers and a rollout, 7f3c, has brought v2 into shadow."""
    del rollouts  # the environment is set
    registered(cloud, "v1")
    registered(cloud, "v2")
    first = Rollout(PRODUCT.name, cloud.registry, moved_by="ada", as_of=NOW)
    first.promote("v1")
    promoter = started("promoter")
    asked_by(promoter, "shadow", "ada, by rollout 7f3c")
    return promoter


def asked_by(promoter: Any, action: str, by: str, **more: object) -> dict[str, Any]:
    event = {"action": action, "version": "v2", "moved_by": by, **more}
    return dict(promoter.handler(event, SimpleNamespace()))


def test_whoever_takes_a_model_back_ends_its_rollout_and_no_other(
    tried: Any, rollouts: Rollouts
) -> None:
    its, other = rollouts.start("7f3c"), rollouts.start("0000")

    for _ in range(2):
        asked_by(tried, "withdraw", "eve")

    assert (rollouts.state(its), rollouts.state(other)) == ("ABORTED", "RUNNING")


def test_a_rollout_that_takes_its_model_back_is_left_to_say_why(
    tried: Any, rollouts: Rollouts
) -> None:
    its = rollouts.start("7f3c")

    asked_by(tried, "withdraw", "ada, by rollout 7f3c", execution=its)

    assert rollouts.state(its) == "RUNNING"


def test_a_rollback_ends_the_rollout_that_is_still_watching(
    cloud: Cloud, tried: Any, rollouts: Rollouts
) -> None:
    its = rollouts.start("7f3c")
    earlier = Rollout(
        PRODUCT.name, cloud.registry, moved_by="ada, by rollout 7f3c", as_of=datetime.now(UTC)
    )
    earlier.promote("v2", from_trial=True)

    answer = asked_by(tried, "rollback", "alarm scorer-errors of today")

    assert answer["champion"] == "v1"
    assert rollouts.state(its) == "ABORTED"


def test_a_rollout_that_is_over_is_no_fault(tried: Any, rollouts: Rollouts) -> None:
    del rollouts  # none was started
    assert asked_by(tried, "withdraw", "eve")["challenger"] is None


# --- Approval -------------------------------------------------------------------------------------


def test_who_can_approve_is_told_how(tried: Any, rollouts: Rollouts) -> None:
    asked_by(tried, "ask", "ada, by rollout 7f3c", task_token="token", hours=168)

    (message,) = rollouts.told()
    assert message["Subject"] == "personal_loan in local: model v2 waits for approval"
    assert "asked for by ada, by rollout 7f3c" in message["Message"]
    assert "within 168 hours" in message["Message"]
    approve = "credit --stage local models approve v2 --product personal_loan"
    assert approve in message["Message"]


def test_an_unapproved_model_answers_nobody(tried: Any) -> None:
    for action in ("share", "promote"):
        with pytest.raises(RolloutConflictError, match="v2 answers nobody until it is approved"):
            asked_by(tried, action, "ada", share=0.1)


@pytest.fixture
def approver(tried: Any) -> Any:
    del tried  # a model is in shadow
    return started("approver")


def test_nobody_approves_what_nobody_asked_for(approver: Any) -> None:
    with pytest.raises(RolloutConflictError, match="no rollout of model v2 waits"):
        asked_by(approver, "approve", "grace")


def test_who_asked_for_a_rollout_does_not_approve_it(tried: Any, approver: Any) -> None:
    asked_by(tried, "ask", "ada, by rollout 7f3c", task_token="token", hours=1)

    with pytest.raises(RolloutConflictError, match="somebody else has to approve it"):
        asked_by(approver, "approve", "ada")


@pytest.mark.parametrize("action", ["promote", "withdraw", "share", "ask", None])
def test_the_approver_moves_nothing(approver: Any, action: str) -> None:
    with pytest.raises(InvalidRequestError, match="action: must be one of approve, reject"):
        asked_by(approver, action, "grace")


@pytest.mark.parametrize("action", ["approve", "reject"])
def test_the_promoter_approves_nothing(tried: Any, action: str) -> None:
    with pytest.raises(InvalidRequestError, match="action: must be one of check"):
        asked_by(tried, action, "grace")


# --- What does not answer -------------------------------------------------------------------------


def test_what_cannot_be_stopped_told_or_asked_is_an_error_that_may_be_tried_again(
    rollouts: Rollouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    del rollouts  # moto is on
    with pytest.raises(StoreUnavailableError, match="the promoter did not answer: Resource"):
        LambdaPromoter(boto3.client("lambda"), "nobody").take_back("withdraw", "v2", moved_by="x")
    topic = "arn:aws:sns:us-east-1:123456789012:none"
    with pytest.raises(StoreUnavailableError, match="on-call was not told: NotFound"):
        SnsChannel(boto3.client("sns"), topic).tell("A line\nand another", "text")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    unreachable = boto3.client("stepfunctions", config=Config(retries={"max_attempts": 0}))
    machine = "arn:aws:states:us-east-1:123456789012:stateMachine:rollout"
    with pytest.raises(StoreUnavailableError, match="Step Functions did not answer: Endpoint"):
        RunningRollouts(unreachable, machine).stop("7f3c", cause="test")


# --- A person's word ----------------------------------------------------------------------------


@pytest.fixture
def waiting(local_cloud_bare: LocalCloud) -> tuple[SFNClient, str, str]:
    """A state machine that waits for a word that is asked for through a queue."""
    stepfunctions: SFNClient = local_cloud_bare.client("stepfunctions")
    sqs = local_cloud_bare.client("sqs")
    queue = sqs.create_queue(QueueName=f"asked-{uuid4().hex[:8]}")["QueueUrl"]
    ask = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue, "MessageBody": {"token.$": "$$.Task.Token"}},
        "TimeoutSeconds": 60,
        "End": True,
    }
    machine = stepfunctions.create_state_machine(
        name=f"waiting-{uuid4().hex[:8]}",
        definition=json.dumps({"StartAt": "Ask", "States": {"Ask": ask}}),
        roleArn="arn:aws:iam::000000000000:role/any",
    )["stateMachineArn"]
    execution = stepfunctions.start_execution(stateMachineArn=machine, input="{}")["executionArn"]
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20)["Messages"]
    return stepfunctions, execution, json.loads(message["Body"])["token"]


@pytest.mark.parametrize(
    ("approved", "ended"),
    [
        (True, {"status": "SUCCEEDED", "output": '{"approved_by": "grace"}'}),
        (False, {"status": "FAILED", "cause": "model v2 was rejected by grace"}),
    ],
)
def test_a_word_ends_the_waiting_once(
    waiting: tuple[SFNClient, str, str], *, approved: bool, ended: dict[str, str]
) -> None:
    stepfunctions, execution, token = waiting
    word = Approval("v2", token, NOW, "ada", approved=approved, decided_by="grace")

    assert WaitingRollouts(stepfunctions).resume(word)

    found: Any = {"status": "RUNNING"}
    deadline = time.monotonic() + 30
    while found["status"] == "RUNNING" and time.monotonic() < deadline:
        found = stepfunctions.describe_execution(executionArn=execution)
        time.sleep(0.1)
    assert {name: found[name] for name in ended} == ended
    assert not WaitingRollouts(stepfunctions).resume(word)
