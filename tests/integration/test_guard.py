"""The guard's handler: SNS' and EventBridge's events, a registry and a topic of moto's."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from credit_core.adapters.sns_channel import SnsChannel
from credit_core.use_cases.guard_rollout import Guard, GuardRules
from credit_core.use_cases.rollout import Rollout
from tests.builders import PRODUCT
from tests.builders_registry import Cloud, moto_cloud, registered
from tests.example_environments import EXAMPLE_ENVIRONMENTS
from tests.handlers import started

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_sqs import SQSClient

SUBJECT = "credit-local-personal-loan: a model was withdrawn"


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with moto_cloud(monkeypatch, EXAMPLE_ENVIRONMENTS["guard"]) as cloud:
        registered(cloud, "v1")
        registered(cloud, "v2")
        moves(cloud).promote("v1")
        moves(cloud).shadow("v2")
        moves(cloud).share("v2", 0.25)
        yield cloud


def moves(cloud: Cloud, *, by: str = "ada, by rollout 7f3c") -> Rollout:
    return Rollout(PRODUCT.name, cloud.registry, moved_by=by, as_of=datetime.now(UTC))


class Promoter:
    """Moves the pointer; a Lambda function in between is the local cloud's part."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def take_back(self, action: str, version: str, *, moved_by: str) -> str:
        assert action == "withdraw"
        return moves(self._cloud, by=moved_by).withdraw(version).champion.version


@pytest.fixture
def told(cloud: Cloud) -> Callable[[], list[str]]:
    """Return the subjects of what on-call was told."""
    del cloud  # moto is on
    sns = boto3.client("sns")
    topic = sns.create_topic(Name="page")["TopicArn"]
    sqs: SQSClient = boto3.client("sqs")
    queue = sqs.create_queue(QueueName="page")["QueueUrl"]
    sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:page"
    )

    def subjects() -> list[str]:
        found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        return [json.loads(message["Body"])["Subject"] for message in found.get("Messages", [])]

    return subjects


@pytest.fixture
def guard(cloud: Cloud, told: Callable[[], list[str]]) -> Any:
    """The handler with all that is its own but the call of the other function."""
    del told  # the topic is there
    module = started("guard")
    module.guard = Guard(
        cloud.registry,
        Promoter(cloud),
        SnsChannel(boto3.client("sns"), module.settings.page_topic),
        rules=GuardRules.of(module.settings),
        deployment=module.settings.deployment,
    )
    return module


def handled(guard: Any, event: dict[str, Any]) -> list[dict[str, str]]:
    return list(guard.handler(event, SimpleNamespace()))


def an_sns_event(*messages: object) -> dict[str, Any]:
    texts = [text if isinstance(text, str) else json.dumps(text) for text in messages]
    return {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": text}} for text in texts]}


def an_alarm(name: str, state: str = "ALARM") -> dict[str, str]:
    return {
        "AlarmName": name,
        "NewStateValue": state,
        "NewStateReason": "Threshold Crossed",
        "StateChangeTime": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000+0000}",
    }


def test_an_alarm_withdraws_the_challenger_and_tells_on_call(
    guard: Any, cloud: Cloud, told: Callable[[], list[str]]
) -> None:
    taken = handled(guard, an_sns_event(an_alarm("scorer-errors")))

    assert taken == [{"action": "withdraw", "version": "v2"}]
    assert cloud.registry.champion().challenger is None
    assert told() == [SUBJECT]


@pytest.mark.parametrize(
    "message",
    [
        "a model was withdrawn",
        an_alarm("scorer-errors", "OK"),
        an_alarm("freshness-bureau"),
        {"AlarmName": "scorer-errors"},
    ],
    ids=["words", "over", "another", "cut"],
)
def test_what_is_no_page_is_left_alone(
    guard: Any, cloud: Cloud, told: Callable[[], list[str]], message: object
) -> None:
    before = cloud.registry.champion()

    assert handled(guard, an_sns_event(message)) == []
    assert (cloud.registry.champion(), told()) == (before, [])


@pytest.mark.parametrize(("name", "version"), [("7f3c", "v2"), ("0000", None)])
def test_a_rollout_that_was_stopped_leaves_no_model_of_its_own(
    guard: Any, cloud: Cloud, name: str, version: str | None
) -> None:
    event = {
        "source": "aws.states",
        "detail-type": "Step Functions Execution Status Change",
        "detail": {"name": name, "status": "ABORTED", "input": '{"version": "v2"}'},
    }

    taken = handled(guard, event)

    assert [found["version"] for found in taken] == ([version] if version else [])
    assert (cloud.registry.champion().challenger is None) is (version is not None)
