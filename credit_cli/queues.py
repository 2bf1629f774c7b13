"""`credit queues`: what waits in a deployment's queues, why, and how it is brought on its way."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credit_cli import pipelines
from credit_cli.completion import queue_names
from credit_cli.default_command import ListsByDefault
from credit_cli.deployment import deployed
from credit_cli.durations import span_text
from credit_cli.errors import CliError, ExitCode, UsageError
from credit_cli.inventory import Inventory, chosen
from credit_cli.invocation import invoked
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct
from credit_cli.target import announce
from credit_cli.terminal import Json, print_json, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment

queues = typer.Typer(
    cls=ListsByDefault,
    help="""Queues and what waits in them.

    Without another word they are listed. What could not be done lies in those for dead letters
    until its cause is mended and it is redriven.

    Examples:
        credit queues
        credit queues show push-dead-letters
        credit queues redrive push-dead-letters
    """,
)

FAILED_BATCHES = "archive-failed-batches"
UNDECRYPTABLE = "push-undecryptable"
UNDELIVERED = "undelivered"
TRIGGERS = "-triggers-dead-letters"
STARTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "features": ("materialization", {"sweep": True}),
    "retraining": ("retraining", {"trigger": "credit queues redrive"}),
    "monitoring": ("monitoring", {"trigger": "credit queues redrive"}),
}
"""What an event should have started, by the queue in which it waits: one run makes up for all."""

LOOK_SECONDS = 20
"""How long a message that was looked at is hidden from others, should this command be cut off."""

HOLD_SECONDS = 120
A_RECEIPT = 10
"""Messages in one ReceiveMessage."""

PLAIN = re.compile(r"[\w.:/=+ -]{1,200}")
"""Names, times and keys of files. What else a field holds is not shown."""

ERROR_ATTRIBUTES = ("ERROR_CODE", "X-Amz-Scheduler-Error-Code", "ErrorCode")


QueueName = Annotated[
    str,
    typer.Argument(help="As the list has it, or its beginning.", autocompletion=queue_names),
]


@dataclass(frozen=True)
class Waiting:
    """How much waits in a queue, and for how long at most; None where that is not known."""

    name: str
    url: str
    messages: int
    in_flight: int
    oldest_seconds: float | None
    dead_letters: str | None
    """ARN of the queue that takes what this one gives up; None if it gives up nothing."""


@queues.command("list")
def list_queues(*, product: DeployedProduct = DEFAULT_PRODUCT, as_json: Json = False) -> None:
    """List every queue: how many messages wait, and the age of the oldest.

    `credit queues` does the same.

    Examples:
        credit queues

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    aws, deployment = deployed(product)
    found = waiting(aws, Inventory(aws, deployment))
    if as_json:
        print_json({"queues": [document(queue) for queue in found]})
        return
    for queue in found:
        age = "" if queue.oldest_seconds is None else f"oldest {span_text(queue.oldest_seconds)}"
        flight = f", {queue.in_flight} being worked on" if queue.in_flight else ""
        say(f"{queue.name:<36}{queue.messages:>7,} waiting{flight}  {age}".rstrip())


@queues.command()
def show(
    name: QueueName,
    *,
    limit: Annotated[int, typer.Option(help="Most messages.", min=1, max=100)] = 10,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Show what lies in a queue for dead letters: kind, time and error, nothing of an applicant.

    Examples:
        credit queues show push-dead-letters

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    aws, deployment = deployed(product)
    inventory = Inventory(aws, deployment)
    queue = chosen_queue(aws, inventory, name)
    if queue.dead_letters is not None:
        raise UsageError(
            f"{queue.name} is worked on: a look would count as a failed try of its messages",
            hint="see: credit queues",
        )
    sqs: SQSClient = aws.client("sqs")
    with_views = known_views(product)
    messages = [about(message, with_views) for message in looked_at(sqs, queue.url, limit)]
    if as_json:
        print_json({"queue": queue.name, "waiting": queue.messages, "messages": messages})
        return
    for message in messages:
        say("  ".join(f"{key}={value}" for key, value in message.items() if value is not None))
    say(f"{len(messages)} of {queue.messages:,} in {queue.name}")


@queues.command()
def redrive(
    name: QueueName,
    *,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Bring what waits in a queue for dead letters on its way again, once the cause is mended.

    Rows that were pushed go back to their queue; receipts are archived from the table; a run that
    an event could not start is started. Each may be done again without harm.

    Examples:
        credit queues redrive push-dead-letters

    Exit codes: 0 done, 1 failed or some are left, 2 used wrongly, 4 not running or unreachable.
    """
    aws, deployment = deployed(product)
    inventory = Inventory(aws, deployment)
    queue = chosen_queue(aws, inventory, name)
    if queue.messages:
        announce(aws, f"redrive {queue.messages:,} messages of {queue.name}")
    done = redriven(aws, deployment, inventory, queue)
    if as_json:
        print_json({"queue": queue.name, **done})
    else:
        say(f"{queue.name}: {done['what']}")
    if not done["complete"]:
        raise typer.Exit(ExitCode.FAILED)


@queues.command()
def clear(
    name: QueueName,
    *,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Remove for good what lies in a queue for dead letters, once it was brought in otherwise.

    Examples:
        credit queues clear push-dead-letters

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    aws, deployment = deployed(product)
    queue = chosen_queue(aws, Inventory(aws, deployment), name)
    if queue.dead_letters is not None:
        raise UsageError(f"{queue.name} is worked on; its messages are nobody's to remove")
    # The count is an estimate: what it has not noticed is removed as well.
    change = f"remove what lies in {queue.name} for good, some {queue.messages:,} messages"
    announce(aws, change, ask=True)
    removed = taken_out(aws.client("sqs"), queue.url)
    if as_json:
        print_json({"queue": queue.name, "removed": removed})
    else:
        say(f"{queue.name}: {removed:,} removed")


def redriven(
    aws: Aws, deployment: Deployment, inventory: Inventory, queue: Waiting
) -> dict[str, Any]:
    """Do what brings a queue's messages on their way; return what it was.

    Raises:
        UsageError: Nothing here can: the hint says who can.
        CliError: It failed.
    """
    sqs: SQSClient = aws.client("sqs")
    if queue.name == FAILED_BATCHES:
        return archived(aws, deployment)
    if queue.name == UNDECRYPTABLE:
        raise UsageError(
            f"nobody can read what lies in {queue.name}: EventBridge could not decrypt it",
            hint="mend the key's policy, have the rows pushed again, then: credit queues clear",
        )
    if queue.name.endswith(UNDELIVERED):
        raise UsageError(
            f"what lies in {queue.name} was urgent when it came, and would move models of today",
            hint="see: credit status; then credit models withdraw, or rollback; then queues clear",
        )
    workflow = queue.name.removesuffix(TRIGGERS)
    if workflow != queue.name and workflow in STARTS:
        return started(aws, inventory, queue, *STARTS[workflow])
    source = next(
        (one for one in waiting(aws, inventory) if one.dead_letters == arn_of(sqs, queue.url)), None
    )
    if source is None:
        raise UsageError(
            f"there is no one way to redrive {queue.name}",
            hint=f"see: credit queues show {queue.name}",
        )
    moved = sum(1 for _ in moved_messages(sqs, queue.url, source.url))
    return {"what": f"{moved:,} moved to {source.name}", "moved": moved, "complete": True}


def archived(aws: Aws, deployment: Deployment) -> dict[str, Any]:
    """Have the archiver archive what failed batches held.

    Raises:
        CliError: It failed.
    """
    done = invoked(aws, deployment, "ArchiverFunction", {"redrive": {}}, called="archiver")
    what = f"{done['batches']:,} failed batches looked into, {done['new']:,} receipts archived"
    return {"what": what, "complete": bool(done["complete"])}


def started(
    aws: Aws, inventory: Inventory, queue: Waiting, workflow: str, asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Start the run that the messages should have started, and take them out of the queue.

    Raises:
        UsageError: There is no such workflow.
    """
    sqs: SQSClient = aws.client("sqs")
    if not queue.messages:
        return {"what": "nothing waits", "complete": True}
    execution = pipelines.start(aws, chosen(workflow, inventory.workflows, "workflow"), asked)
    taken = taken_out(sqs, queue.url)
    run = pipelines.execution_name(execution)
    what = f"{taken:,} taken out; {workflow} run {run} is under way, see: credit runs show {run}"
    return {"what": what, "run": run, "moved": taken, "complete": True}


def waiting(aws: Aws, inventory: Inventory) -> list[Waiting]:
    """Return every queue with what waits in it."""
    sqs: SQSClient = aws.client("sqs")
    found = []
    for name, url in inventory.queues.items():
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        policy = json.loads(attributes.get("RedrivePolicy", "{}"))
        messages = int(attributes["ApproximateNumberOfMessages"])
        found.append(
            Waiting(
                name,
                url,
                messages,
                int(attributes.get("ApproximateNumberOfMessagesNotVisible", 0)),
                oldest_seconds(aws, url) if messages else None,
                policy.get("deadLetterTargetArn"),
            )
        )
    return found


def oldest_seconds(aws: Aws, url: str) -> float | None:
    """Return the age of a queue's oldest message as CloudWatch has measured it last."""
    cloudwatch: CloudWatchClient = aws.client("cloudwatch")
    now = datetime.now(UTC)
    points = cloudwatch.get_metric_statistics(
        Namespace="AWS/SQS",
        MetricName="ApproximateAgeOfOldestMessage",
        Dimensions=[{"Name": "QueueName", "Value": url.rpartition("/")[2]}],
        StartTime=now - timedelta(minutes=15),
        EndTime=now,
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    return max(points, key=lambda point: point["Timestamp"])["Maximum"] if points else None


def chosen_queue(aws: Aws, inventory: Inventory, name: str) -> Waiting:
    """Return the queue of that short name.

    Raises:
        UsageError: There is none.
    """
    url = chosen(name, inventory.queues, "queue")
    return next(queue for queue in waiting(aws, inventory) if queue.url == url)


def arn_of(sqs: SQSClient, url: str) -> str:
    """Return a queue's ARN."""
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]


def received(
    sqs: SQSClient, url: str, hidden_seconds: int, *, most: int | None = None
) -> Iterator[MessageTypeDef]:
    """Yield messages until none comes, or that many have; each is hidden from others meanwhile."""
    left = math.inf if most is None else most
    while left > 0:
        batch = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=int(min(left, A_RECEIPT)),
            VisibilityTimeout=hidden_seconds,
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        if not batch:
            return
        left -= len(batch)
        yield from batch


def looked_at(sqs: SQSClient, url: str, limit: int) -> list[MessageTypeDef]:
    """Return messages of a queue, which stay in it and are there for others again at once."""
    seen: list[MessageTypeDef] = []
    try:
        seen.extend(received(sqs, url, LOOK_SECONDS, most=limit))
    finally:
        for message in seen:
            sqs.change_message_visibility(
                QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
    return seen


def taken_out(sqs: SQSClient, url: str) -> int:
    """Remove every message of a queue; return how many there were."""
    taken = 0
    for message in received(sqs, url, HOLD_SECONDS):
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        taken += 1
    return taken


def moved_messages(sqs: SQSClient, source: str, target: str) -> Iterator[str]:
    """Move each message of a queue to another, unseen; yield the ids of those that arrived.

    One that was sent and not yet deleted is sent again by another try, which does no harm: a row
    is written only over an older one.

    Raises:
        CliError: A message could not be sent; it stays where it is.
    """
    for message in received(sqs, source, HOLD_SECONDS):
        sent = sqs.send_message(QueueUrl=target, MessageBody=message["Body"])
        if "MessageId" not in sent:
            raise CliError("a message was not taken; it stays where it is")
        sqs.delete_message(QueueUrl=source, ReceiptHandle=message["ReceiptHandle"])
        yield message["MessageId"]


def known_views(product: str) -> frozenset[str]:
    """Return the names of a product's views."""
    from credit_cli.known_product import known_product  # noqa: PLC0415 (NumPy takes its time)

    return frozenset(view.name for view in known_product(product).feature_views)


def about(message: Mapping[str, Any], views: frozenset[str]) -> dict[str, Any]:
    """Return what may be shown of a message: what it is, from when, and what went wrong with it.

    A row that was pushed is an applicant's: of it only the view and its time are told.
    """
    attributes = message.get("MessageAttributes", {})
    errors = [
        attributes[name].get("StringValue") for name in ERROR_ATTRIBUTES if name in attributes
    ]
    sent_ms = int(message.get("Attributes", {}).get("SentTimestamp", 0))
    return {
        "sent": datetime.fromtimestamp(sent_ms / 1_000, UTC).isoformat(timespec="seconds"),
        "tries": int(message.get("Attributes", {}).get("ApproximateReceiveCount", 0)),
        **{key: plain(value) for key, value in facts(message.get("Body", ""), views).items()},
        "error": plain(errors[0]) if errors else None,
    }


def facts(body: str, views: frozenset[str]) -> dict[str, object]:
    """Return what a message's body tells of itself, without a value of a row."""
    try:
        document = json.loads(body)
    except ValueError:
        return {"kind": "not JSON"}
    if not isinstance(document, dict):
        return {"kind": "not an object"}
    if "DDBStreamBatchInfo" in document:
        batch, context = document["DDBStreamBatchInfo"], document.get("requestContext", {})
        return {
            "kind": "failed batch",
            "records": batch.get("batchSize"),
            "from": batch.get("approximateArrivalOfFirstRecord"),
            "to": batch.get("approximateArrivalOfLastRecord"),
            "condition": context.get("condition"),
        }
    detail = document.get("detail")
    detail = detail if isinstance(detail, dict) else {}
    if isinstance(detail.get("object"), dict):
        return {"kind": document.get("detail-type"), "key": detail["object"].get("key")}
    view = detail.get("view")
    return {
        "kind": document.get("detail-type") or "schedule",
        "id": document.get("id"),
        "view": view if view in views else None,
        "event_timestamp": instant(detail.get("event_timestamp")),
    }


def instant(value: object) -> object:
    """Return a field if it is an instant, so that nothing else a sender put there is shown."""
    try:
        return datetime.fromisoformat(str(value)).isoformat()
    except ValueError:
        return None


def plain(value: object) -> object:
    """Return a value if it is a number, or text that can be no more than a name, key or time."""
    if value is None or isinstance(value, int | float):
        return value
    return value if isinstance(value, str) and PLAIN.fullmatch(value) else "(not shown)"


def document(queue: Waiting) -> dict[str, Any]:
    """Return the JSON object of a queue."""
    return {
        "queue": queue.name,
        "url": queue.url,
        "waiting": queue.messages,
        "in_flight": queue.in_flight,
        "oldest_seconds": queue.oldest_seconds,
    }
