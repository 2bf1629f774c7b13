"""One alarm driven from end to end: it is made to ring, and a queue waits for what on-call gets.

The queue is made for it, subscribes to the topic that the alarm tells, and goes again, as does the
alarm's state, whatever happens in between.
"""

from __future__ import annotations

import json
import time
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from credit_cli.errors import PreconditionError
from credit_cli.watched import PAGE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment
    from credit_cli.watched import Alarm, Watched

KEEP_SECONDS = 3_600
"""For how long the queue keeps a message, should the queue itself outlive the trial."""
POLL_SECONDS = 1


@dataclass(frozen=True)
class Trial:
    """What became of a trial; ``seconds`` until the message came, None if none did."""

    alarm: str
    told_by: str
    topic: str
    subscribers: int
    seconds: float | None

    @property
    def arrived(self) -> bool:
        """Whether the message came."""
        return self.seconds is not None

    def as_document(self) -> dict[str, Any]:
        """Return the JSON object of `credit alarms test --json`."""
        return {
            "alarm": self.alarm,
            "told_by": self.told_by,
            "topic": self.topic,
            "subscribers": self.subscribers,
            "arrived": self.arrived,
            "seconds": None if self.seconds is None else round(self.seconds, 2),
        }


def who_tells(alarm: Alarm, alarms: Sequence[Alarm]) -> Alarm:
    """Return the alarm whose message comes when another rings: the composite, or itself."""
    composite = next((found for found in alarms if found.name == PAGE), None)
    return composite if composite is not None and alarm.pages else alarm


def require_quiet(told_by: Alarm, alarm: Alarm) -> None:
    """Check that a message would come: an alarm that rings already says nothing more.

    Raises:
        PreconditionError: It would not, or the alarm cannot be driven.
    """
    if alarm.behind:
        raise PreconditionError(
            f"{alarm.name} rings by those behind it", hint=f"test one of them: {alarm.behind[0]}"
        )
    for found in {told_by.name: told_by, alarm.name: alarm}.values():
        if found.rings:
            raise PreconditionError(
                f"{found.name} rings already, so that nothing would be sent",
                hint=f"see: credit alarms show {found.name}",
            )


def require_no_rollout(aws: Aws, deployment: Deployment) -> None:
    """Check that no model is being rolled out: a page would take it back.

    Raises:
        PreconditionError: One is.
    """
    stepfunctions: SFNClient = aws.client("stepfunctions")
    running = stepfunctions.list_executions(
        stateMachineArn=deployment["RolloutStateMachine"], statusFilter="RUNNING", maxResults=1
    )["executions"]
    if running:
        raise PreconditionError(
            f"the rollout {running[0]['name']} is under way, and a page would take its model back",
            hint="test an alarm that only informs, or wait until it is over",
        )


def require_no_new_model(aws: Aws, deployment: Deployment, alarm: Alarm) -> None:
    """Check that the guard would take no model back for this alarm, whoever moved it there.

    Raises:
        PreconditionError: It would: one is on trial, or champion for a short time.
    """
    from credit_cli.registered_models import RegisteredModels, registry_errors  # noqa: PLC0415 (NumPy takes its time)
    from credit_core.domain.alarm_change import RINGS, AlarmChange  # noqa: PLC0415 (as above)
    from credit_core.settings import GuardSettings  # noqa: PLC0415 (as above)
    from credit_core.use_cases.guard_rollout import GuardRules, suspect  # noqa: PLC0415 (as above)

    functions: LambdaClient = aws.client("lambda")
    guard = functions.get_function_configuration(FunctionName=deployment["GuardFunction"])
    settings = GuardSettings.from_environment(guard["Environment"]["Variables"])
    with registry_errors():
        moves = list(RegisteredModels.of(aws, deployment, settings.product).registry.moves())
    ringing = AlarmChange(alarm.full_name, RINGS, datetime.now(UTC))
    found = suspect(moves, ringing, GuardRules.of(settings))
    if found is not None:
        raise PreconditionError(
            f"the guard would take model {found.version} back for it: {found.place}",
            hint="test an alarm that only informs, or wait until no model is on trial or new",
        )


def tried(
    aws: Aws,
    deployment: Deployment,
    watched: Watched,
    alarm: Alarm,
    told_by: Alarm,
    *,
    wait_seconds: float,
    settle_seconds: float = 0,
    told: Callable[[str], None] = lambda _: None,
) -> Trial:
    """Drive an alarm and return whether its message came.

    Args:
        aws: Where.
        deployment: Whose alarm it is.
        watched: The alarms.
        alarm: The one that is made to ring.
        told_by: The one whose message is waited for.
        wait_seconds: For how long.
        settle_seconds: How long the subscription is left alone before.
        told: Takes what is being done.
    """
    topic = deployment["PageTopic" if alarm.pages else "InformTopic"]
    sns: SNSClient = aws.client("sns")
    subscribers = sum(
        len(page["Subscriptions"])
        for page in sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
    )
    reason = f"Test of the alarm by credit alarms test, {uuid.uuid4()}"
    with listener(aws, topic, name=f"{deployment.prefix}-alarm-test-{uuid.uuid4().hex[:8]}") as (
        sqs,
        queue_url,
    ):
        time.sleep(settle_seconds)
        told("the alarm is made to ring")
        started = time.monotonic()
        try:
            watched.set_state(alarm, "ALARM", reason=reason)
            told("waiting for the message")
            came = _comes(sqs, queue_url, told_by.full_name, until=started + wait_seconds)
            seconds = time.monotonic() - started if came else None
        finally:
            watched.set_state(alarm, alarm.state, reason="The test is over")
    return Trial(alarm.name, told_by.name, topic, subscribers, seconds)


@contextmanager
def listener(aws: Aws, topic: str, *, name: str) -> Iterator[tuple[SQSClient, str]]:
    """Make a queue that hears a topic; both queue and subscription go again.

    SNS itself decrypts what the topic's key encrypts, and a queue under SQS's own key takes what
    its policy lets in.

    Args:
        aws: Where.
        topic: ARN of the topic.
        name: The queue's name.
    """
    sqs: SQSClient = aws.client("sqs")
    sns: SNSClient = aws.client("sns")
    subscription = None
    queue_url = sqs.create_queue(
        QueueName=name,
        Attributes={"SqsManagedSseEnabled": "true", "MessageRetentionPeriod": str(KEEP_SECONDS)},
    )["QueueUrl"]
    try:
        arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
        queue_arn = arn["Attributes"]["QueueArn"]
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": queue_arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": json.dumps(policy)})
        subscription = sns.subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint=queue_arn,
            Attributes={"RawMessageDelivery": "true"},
            ReturnSubscriptionArn=True,
        )["SubscriptionArn"]
        yield sqs, queue_url
    finally:
        if subscription is not None:
            sns.unsubscribe(SubscriptionArn=subscription)
        sqs.delete_queue(QueueUrl=queue_url)


def messages(sqs: SQSClient, queue_url: str) -> Iterator[dict[str, Any]]:
    """Yield what came to a listener's queue meanwhile, and take it out of there."""
    found = sqs.receive_message(
        QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=POLL_SECONDS
    )
    for message in found.get("Messages", []):
        sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
        try:
            document = json.loads(message["Body"])
        except ValueError:
            continue
        if isinstance(document, dict):
            yield document


def _comes(sqs: SQSClient, queue_url: str, full_name: str, *, until: float) -> bool:
    """Tell whether a message of that alarm's comes until then."""
    while time.monotonic() < until:
        for message in messages(sqs, queue_url):
            if (message.get("AlarmName"), message.get("NewStateValue")) == (full_name, "ALARM"):
                return True
    return False
