"""Models tried, promoted and taken back on the local cloud, while applicants are answered."""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.domain.product import load_product
from tests.end_to_end.model_variants import move, register_variant, registry_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from credit_core.adapters.model_registry import S3DynamoModelRegistry
    from credit_core.domain.model_manifest import ModelReference
    from tests.end_to_end.conftest import Client, Credit

pytestmark = [pytest.mark.end_to_end, pytest.mark.usefixtures("no_trial_ends")]

PRODUCT = load_product("personal_loan")
SWITCH_SECONDS = 10
PATIENCE_SECONDS = 60
GUARD_SECONDS = 10
"""From an alarm to the pointer of the former champion, by a guard that was started before: to start
a function takes the local cloud seconds, more on a busy machine, and says nothing of AWS.
"""
ALARM = "credit-local-personal-loan-model-load-failure"


@pytest.fixture(scope="module")
def registry(aws: LocalAws, deployment: Deployment) -> S3DynamoModelRegistry:
    return registry_of(aws, deployment, PRODUCT.name)


@pytest.fixture
def challenger(
    aws: LocalAws, deployment: Deployment, registry: S3DynamoModelRegistry
) -> Iterator[ModelReference]:
    """A registered model like the champion; the champion is one again at the end."""
    before = registry.champion()
    yield register_variant(aws, deployment, registry, PRODUCT.name)
    if registry.champion().champion != before.champion or registry.champion().challenger:
        move(registry, before.champion, challenger=before.challenger)


@pytest.fixture
def ring(aws: LocalAws, deployment: Deployment) -> Iterator[Callable[[str], None]]:
    """Set the state of an alarm that takes models back; it is in order again at the end."""
    cloudwatch: CloudWatchClient = aws.client("cloudwatch")
    functions: LambdaClient = aws.client("lambda")
    guard = deployment["GuardFunction"]
    assert "FunctionError" not in functions.invoke(FunctionName=guard, Payload=b"{}")

    def to(state: Any) -> None:
        cloudwatch.set_alarm_state(AlarmName=ALARM, StateValue=state, StateReason="test")

    yield to
    to("OK")


@pytest.fixture
def told(aws: LocalAws, deployment: Deployment) -> Iterator[Callable[[], str]]:
    """Wait for what on-call is told of a model, and return it."""
    sqs: SQSClient = aws.client("sqs")
    sns: SNSClient = aws.client("sns")
    queue = sqs.create_queue(QueueName=f"on-call-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    subscription = sns.subscribe(
        TopicArn=deployment["PageTopic"],
        Protocol="sqs",
        Endpoint=arn["QueueArn"],
        ReturnSubscriptionArn=True,
    )["SubscriptionArn"]

    def wait() -> str:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            found = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1)
            for message in found.get("Messages", []):
                body = json.loads(message["Body"])
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
                if "a model " in body.get("Subject", ""):
                    return f"{body['Subject']}\n{body['Message']}"
        pytest.fail(f"on-call was told nothing within {PATIENCE_SECONDS} s")

    yield wait
    sns.unsubscribe(SubscriptionArn=subscription)
    sqs.delete_queue(QueueUrl=queue)


def until(look: Callable[[], bool], what: str) -> float:
    """Return how long it took until something was so."""
    started = time.monotonic()
    while time.monotonic() < started + PATIENCE_SECONDS:
        if look():
            return time.monotonic() - started
        time.sleep(0.1)
    pytest.fail(f"{what} is not so after {PATIENCE_SECONDS} s")


def answering(client: Client, an_application: Callable[..., dict[str, Any]]) -> str:
    """Return the version that answers a new applicant, who must be answered."""
    answer = client(an_application(application_id=f"rollout-{uuid.uuid4()}"))
    assert answer.status == 200
    return str(answer.document()["model"]["version"])


def seconds_until(look: Callable[[], str], wanted: str) -> float:
    """Return how long it took until that version answered."""
    started = time.monotonic()
    while time.monotonic() < started + PATIENCE_SECONDS:
        if look() == wanted:
            return time.monotonic() - started
    pytest.fail(f"{wanted} does not answer after {PATIENCE_SECONDS} s")


def test_a_model_becomes_champion_step_by_step_and_is_rolled_back_within_seconds(
    credit: Credit,
    client: Client,
    registry: S3DynamoModelRegistry,
    challenger: ModelReference,
    an_application: Callable[..., dict[str, Any]],
) -> None:
    before = registry.champion().champion.version

    done = credit.json("models", "promote", challenger.version, "--by", "ada")

    assert (done["champion"], done["previous_champion"]) == (challenger.version, before)
    shares = [
        found.after.challenger.share
        for found in registry.moves()
        if found.after.challenger and found.after.challenger.model == challenger
    ]
    assert shares == [0.5, 0.2, 0.0]

    def look() -> str:
        return answering(client, an_application)

    seconds_until(look, challenger.version)
    credit.json("models", "rollback", "--by", "ada")
    assert seconds_until(look, before) < SWITCH_SECONDS
    assert registry.find(challenger.version).state == "registered"


def test_a_page_while_a_challenger_answers_brings_the_champion_back_within_seconds(
    credit: Credit,
    client: Client,
    *,
    registry: S3DynamoModelRegistry,
    challenger: ModelReference,
    ring: Callable[[str], None],
    told: Callable[[], str],
    an_application: Callable[..., dict[str, Any]],
) -> None:
    before = registry.champion().champion
    credit.json("models", "shadow", challenger.version, "--by", "ada")
    credit.json("models", "share", challenger.version, "1", "--by", "ada")
    seconds_until(lambda: answering(client, an_application), challenger.version)

    ring("ALARM")

    waited = until(lambda: registry.champion().challenger is None, "the trial's end")
    assert waited < GUARD_SECONDS
    switched = seconds_until(lambda: answering(client, an_application), before.version)
    assert switched < SWITCH_SECONDS
    assert registry.champion().champion == before
    words = told()
    assert f"Model {challenger.version} (answering 100% of the applicants) was withdrawn" in words
    assert f"{before.version} answers" in words
    assert ALARM in words


def test_a_page_while_a_champion_is_new_brings_the_one_before_back_within_seconds(
    credit: Credit,
    registry: S3DynamoModelRegistry,
    challenger: ModelReference,
    ring: Callable[[str], None],
    told: Callable[[], str],
) -> None:
    before = registry.champion().champion
    with ThreadPoolExecutor(1) as beside:
        # A champion is new for three seconds, of which the command's own end may take some.
        promoted = beside.submit(
            credit.json, "models", "promote", challenger.version, "--now", "--by", "ada"
        )
        until(lambda: registry.champion().champion == challenger, "the new champion")

        ring("ALARM")

        waited = until(lambda: registry.champion().champion == before, "the former champion")
        promoted.result()
    assert waited < GUARD_SECONDS
    assert registry.champion().moved_by.startswith(f"alarm {ALARM} of ")
    words = told()
    assert "a model was rolled back" in words
    assert f"{before.version} answers again" in words


def test_an_alarm_takes_a_model_back_that_is_rolled_out_and_stops_its_rollout(
    credit: Credit,
    aws: LocalAws,
    deployment: Deployment,
    *,
    registry: S3DynamoModelRegistry,
    challenger: ModelReference,
    ring: Callable[[str], None],
    told: Callable[[], str],
) -> None:
    """Guard and state machine may see it at once; whoever is first, it is told and done once."""
    before = registry.champion().champion
    started = credit.json("models", "promote", challenger.version, "--no-wait")
    until(lambda: registry.champion().challenger is not None, "the trial")

    ring("ALARM")

    until(lambda: registry.champion().challenger is None, "the trial's end")
    assert registry.champion().champion == before
    assert challenger.version in told()
    ended = ended_rollout(aws, deployment, started["execution"])
    assert (ended["status"], ended["error"]) in {("ABORTED", "TakenBack"), ("FAILED", "Withdrawn")}
    assert challenger.version in ended["cause"]


def test_a_rollout_that_is_stopped_leaves_no_model_under_trial(
    credit: Credit,
    aws: LocalAws,
    deployment: Deployment,
    *,
    registry: S3DynamoModelRegistry,
    challenger: ModelReference,
    told: Callable[[], str],
) -> None:
    before = registry.champion().champion
    started = credit.json("models", "promote", challenger.version, "--no-wait")
    until(lambda: registry.champion().challenger is not None, "the trial")

    stepfunctions: SFNClient = aws.client("stepfunctions")
    stepfunctions.stop_execution(executionArn=rollout_arn(deployment, started["execution"]))

    until(lambda: registry.champion().challenger is None, "the trial's end")
    assert registry.champion().champion == before
    words = told()
    assert f"rollout {started['execution']} aborted; nobody went on with it" in words


def test_whoever_withdraws_a_model_by_hand_ends_its_rollout(
    credit: Credit,
    aws: LocalAws,
    deployment: Deployment,
    registry: S3DynamoModelRegistry,
    challenger: ModelReference,
) -> None:
    started = credit.json("models", "promote", challenger.version, "--no-wait")
    until(lambda: registry.champion().challenger is not None, "the trial")

    def withdrawn() -> bool:
        # Whom a step of the rollout forestalls at the same moment tries again.
        return credit("models", "withdraw", "--by", "grace", check=False).returncode == 0

    until(withdrawn, "the withdrawal")

    assert registry.champion().moved_by == "grace"
    ended = ended_rollout(aws, deployment, started["execution"])
    if ended["error"] == "Withdrawn":
        # A step that came between the withdrawal and the stop found its model gone.
        assert (ended["status"], challenger.version in ended["cause"]) == ("FAILED", True)
        return
    assert (ended["status"], ended["error"], ended["cause"]) == (
        "ABORTED",
        "TakenBack",
        f"model {challenger.version} was taken back by grace",
    )


def rollout_arn(deployment: Deployment, name: str) -> str:
    """Return the ARN of a rollout's execution."""
    machine = deployment["RolloutStateMachine"].replace(":stateMachine:", ":execution:")
    return f"{machine}:{name.rpartition(':')[2]}"


def ended_rollout(aws: LocalAws, deployment: Deployment, name: str) -> Any:
    """Return how a rollout ended."""
    stepfunctions: SFNClient = aws.client("stepfunctions")
    arn = rollout_arn(deployment, name)
    until(
        lambda: stepfunctions.describe_execution(executionArn=arn)["status"] != "RUNNING",
        "the rollout's end",
    )
    return stepfunctions.describe_execution(executionArn=arn)
