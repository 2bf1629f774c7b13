"""The promoter on S3, DynamoDB and KMS (moto), and its word to Step Functions."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from credit_core.adapters.waiting_rollouts import WaitingRollouts
from credit_core.domain.model_manifest import manifest_key
from credit_core.errors import (
    ArtifactIntegrityError,
    InvalidRequestError,
    ModelUnavailableError,
    RolloutConflictError,
)
from credit_core.ports import Approval
from tests.builders import NOW, PRODUCT
from tests.builders_registry import Cloud, moto_cloud, registered
from tests.example_environments import EXAMPLE_ENVIRONMENTS
from tests.handlers import started

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def test_nobody_approves_what_nobody_asked_for(promoter: Any) -> None:
    with pytest.raises(RolloutConflictError, match="no rollout of model v2 waits"):
        asked(promoter, "approve")


def test_an_unknown_version_is_named(promoter: Any) -> None:
    with pytest.raises(ModelUnavailableError, match="model v9 is not registered"):
        asked(promoter, "promote", "v9")


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
