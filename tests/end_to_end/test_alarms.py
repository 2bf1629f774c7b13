"""Each alarm on the local cloud, by its condition where the emulator has it, and what is heard.

What the emulator measures itself is a function's duration, errors and throttles; what functions
write into their logs becomes metrics by `credit local metrics`, and what they publish is one. The
rest (API Gateway, Step Functions, SQS, DynamoDB, Lambda's provisioned environments and streams) it
does not measure: there a test counts what is really there, and publishes it as AWS would.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli import pipelines
from credit_cli.errors import PipelineError
from credit_cli.inventory import Inventory
from credit_core.domain.model_manifest import model_key
from credit_core.domain.online_store import newest_row_key, timestamp_text
from credit_core.errors import RolloutConflictError
from tests.builders import PRODUCT
from tests.end_to_end.model_variants import move, register_variant, registry_of
from tests.end_to_end.on_call import PATIENCE_SECONDS, failing_table, on_call
from tests.feature_rows import BUREAU, a_lake_row, bureau_types, write_parquet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from tests.end_to_end.conftest import Client, Credit
    from tests.end_to_end.on_call import OnCall

pytestmark = pytest.mark.end_to_end

PAGED = {"page", "inform"}
INFORMED = {"inform"}
DAY = timedelta(days=1)
SLOW_MS = 3_000
"""Longer than any decision takes on a busy machine, shorter than the scorer's deadline there."""


@pytest.fixture(scope="module")
def oncall(aws: LocalAws, deployment: Deployment) -> Iterator[OnCall]:
    with on_call(aws, deployment) as hearing:
        yield hearing


@pytest.fixture(scope="module", autouse=True)
def in_order_at_the_end(oncall: OnCall) -> Iterator[None]:
    """Leave no alarm ringing: nothing clears them on the emulator."""
    yield
    for found in oncall.cloudwatch.describe_alarms(StateValue="ALARM")["MetricAlarms"]:
        oncall.cloudwatch.set_alarm_state(
            AlarmName=found["AlarmName"], StateValue="OK", StateReason="after the tests"
        )


def invoke_meter(aws: LocalAws, deployment: Deployment) -> None:
    """Have ages measured now; the clock does it every five minutes."""
    functions: LambdaClient = aws.client("lambda")
    name = Inventory(aws, deployment).functions["freshness"]
    assert "FunctionError" not in functions.invoke(FunctionName=name)


def proxy_event(application: dict[str, Any]) -> bytes:
    body = base64.b64encode(json.dumps(application).encode()).decode()
    event = {"httpMethod": "POST", "resource": "/v1/decisions", "body": body}
    return json.dumps(event | {"isBase64Encoded": True}).encode()


@contextmanager
def a_scorer_with(
    aws: LocalAws, deployment: Deployment, *, without: str = "", **more: str
) -> Iterator[str]:
    """Change the environment of the scorer's unpublished version, which answers no client.

    Args:
        aws: The local cloud.
        deployment: Whose scorer.
        without: A value whose variable is left out.
        more: Further variables.
    """
    functions: LambdaClient = aws.client("lambda")
    name = deployment["ScorerFunction"]
    before = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
    changed = {key: value for key, value in before.items() if value != without} | more
    functions.update_function_configuration(FunctionName=name, Environment={"Variables": changed})
    try:
        yield name
    finally:
        functions.update_function_configuration(
            FunctionName=name, Environment={"Variables": before}
        )


def hangs(_handler: BaseHTTPRequestHandler) -> None:
    time.sleep(SLOW_MS / 1_000 + 0.5)
    throttles(_handler)


def throttles(handler: BaseHTTPRequestHandler) -> None:
    kind = "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"
    body = json.dumps({"__type": kind, "message": "too much"}).encode()
    handler.send_response(400)
    handler.send_header("Content-Type", "application/x-amz-json-1.0")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def test_a_throttled_table_refers_applicants_and_somebody_gets_up(
    credit: Credit,
    aws: LocalAws,
    deployment: Deployment,
    oncall: OnCall,
    an_application: Callable[..., dict[str, Any]],
) -> None:
    functions: LambdaClient = aws.client("lambda")
    credit("local", "metrics")
    oncall.calm("fault-referrals")
    with (
        failing_table(aws.endpoint_url, deployment["OnlineStoreTable"], throttles) as table,
        a_scorer_with(aws, deployment, AWS_ENDPOINT_URL_DYNAMODB=table.url) as scorer,
    ):

        def refer() -> None:
            answer = functions.invoke(FunctionName=scorer, Payload=proxy_event(an_application()))
            decision = json.loads(json.loads(answer["Payload"].read())["body"])
            assert decision["cause"]["code"] == "features_unavailable"
            credit("local", "metrics")

        # Again and again: what a decision logs may come with the next one's words only.
        oncall.hears("fault-referrals", on=PAGED, meanwhile=refer)


def test_a_slow_table_makes_the_scorer_late_and_somebody_gets_up(
    aws: LocalAws,
    deployment: Deployment,
    oncall: OnCall,
    an_application: Callable[..., dict[str, Any]],
) -> None:
    functions: LambdaClient = aws.client("lambda")
    with (
        failing_table(aws.endpoint_url, deployment["OnlineStoreTable"], hangs) as table,
        a_scorer_with(aws, deployment, AWS_ENDPOINT_URL_DYNAMODB=table.url) as scorer,
    ):
        oncall.settle("scorer-latency")
        functions.invoke(FunctionName=scorer, Payload=proxy_event(an_application()))

    message = oncall.hears("scorer-latency", on=PAGED, of=lambda value: value > SLOW_MS)
    assert table.reads
    assert "docs/runbooks/scorer-latency.md" in message["AlarmDescription"]


def test_a_scorer_that_breaks_is_noticed_and_somebody_gets_up(
    aws: LocalAws, deployment: Deployment, oncall: OnCall
) -> None:
    functions: LambdaClient = aws.client("lambda")
    oncall.calm("scorer-errors")
    table = deployment["OnlineStoreTable"]
    with a_scorer_with(aws, deployment, without=table) as scorer:
        answer = functions.invoke(FunctionName=scorer, Payload=b"{}")

    assert "FunctionError" in answer
    oncall.hears("scorer-errors", on=PAGED)


def test_a_model_that_cannot_be_verified_is_told_of_while_the_one_before_answers(
    credit: Credit,
    client: Client,
    oncall: OnCall,
    an_application: Callable[..., dict[str, Any]],
) -> None:
    """A corrupt champion; whoever takes it back first, the guard or this test."""
    aws, deployment = oncall.aws, oncall.deployment
    s3: S3Client = aws.client("s3")
    registry = registry_of(aws, deployment, PRODUCT.name)
    before = registry.champion()
    variant = register_variant(aws, deployment, registry, PRODUCT.name)
    key = model_key(PRODUCT.name, variant.version)
    s3.put_object(Bucket=deployment["ModelsBucket"], Key=key, Body=b"not a model")
    credit("local", "metrics")
    oncall.calm("model-load-failure")

    def score() -> None:
        answer = client(an_application())
        assert answer.document()["model"]["version"] == before.champion.version
        credit("local", "metrics")

    move(registry, variant)
    try:
        message = oncall.hears("model-load-failure", on=PAGED, meanwhile=score)
    finally:
        try:
            if registry.champion().champion != before.champion:
                move(registry, before.champion, challenger=before.challenger)
        except RolloutConflictError:
            assert registry.champion().champion == before.champion

    assert "docs/runbooks/model-load-failure.md" in message["AlarmDescription"]


def test_applicants_whom_no_source_knows_raise_the_shares_of_referrals_and_missing_features(
    credit: Credit,
    client: Client,
    oncall: OnCall,
    an_application: Callable[..., dict[str, Any]],
) -> None:
    def refer() -> None:
        answer = client(an_application(applicant_id=f"unknown-{uuid.uuid4().hex}"))
        assert answer.document()["outcome"] == "refer"

    def one_more() -> None:
        refer()
        credit("local", "metrics")

    credit("local", "metrics")
    oncall.calm("referral-rate")
    oncall.settle("missing-features")
    for _ in range(19):
        refer()

    # What a decision logs may come with the next one's words only.
    oncall.hears("referral-rate", on=PAGED, of=lambda value: value >= 20, meanwhile=one_more)
    oncall.hears("missing-features", on=INFORMED)


@contextmanager
def attribute_set(
    aws: LocalAws, table: str, key: dict[str, Any], name: str, value: str
) -> Iterator[None]:
    """Change one text attribute of an item for a while."""
    dynamodb: DynamoDBClient = aws.client("dynamodb")

    def put(text: str) -> None:
        dynamodb.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="SET #name = :value",
            ExpressionAttributeNames={"#name": name},
            ExpressionAttributeValues={":value": {"S": text}},
        )

    before = dynamodb.get_item(TableName=table, Key=key)["Item"][name]["S"]
    put(value)
    try:
        yield
    finally:
        put(before)


def test_a_stale_view_is_told_of_and_that_it_is_fresh_again(
    aws: LocalAws, deployment: Deployment, oncall: OnCall
) -> None:
    key = {"entity_key": {"S": newest_row_key(PRODUCT, BUREAU)}}
    ago = timestamp_text(datetime.now(UTC) - 1_000 * DAY)
    oncall.settle("freshness-bureau")
    with attribute_set(aws, deployment["OnlineStoreTable"], key, "event_timestamp", ago):
        invoke_meter(aws, deployment)
        oncall.hears(
            "freshness-bureau", on=INFORMED, of=lambda seconds: seconds > 999 * DAY.total_seconds()
        )


def test_an_old_champion_is_told_of(aws: LocalAws, deployment: Deployment, oncall: OnCall) -> None:
    champion = registry_of(aws, deployment, PRODUCT.name).champion().champion
    key = {"product": {"S": PRODUCT.name}, "record": {"S": f"model#{champion.version}"}}
    ago = timestamp_text(datetime.now(UTC) - 400 * DAY)
    oncall.settle("model-age")
    with attribute_set(aws, deployment["RegistryTable"], key, "created_at", ago):
        invoke_meter(aws, deployment)
        oncall.hears("model-age", on=INFORMED, of=lambda days: 399 < days < 401)


def test_rejected_rows_and_the_run_that_they_fail_are_told_of(
    aws: LocalAws, deployment: Deployment, oncall: OnCall, tmp_path: Path
) -> None:
    s3: S3Client = aws.client("s3")
    stepfunctions: SFNClient = aws.client("stepfunctions")
    machine = deployment["MaterializationStateMachine"]
    key = f"{PRODUCT.view_prefix(BUREAU)}rejected-{uuid.uuid4()}.parquet"
    rows = [a_lake_row(applicant_id=None), a_lake_row(applicant_id=f"e2e-{uuid.uuid4().hex}")]
    path = write_parquet(tmp_path / "x.parquet", rows, types=bureau_types())
    oncall.settle("rejected-rows")
    oncall.settle("materialization-failed")
    s3.put_object(Bucket=deployment["LakeBucket"], Key=key, Body=path.read_bytes())
    try:
        with pytest.raises(PipelineError, match="1 of 2 rows were rejected"):
            pipelines.run(aws, machine, {"prefix": key})
    finally:
        s3.delete_object(Bucket=deployment["LakeBucket"], Key=key)
    failed = stepfunctions.list_executions(stateMachineArn=machine, statusFilter="FAILED")

    oncall.hears("rejected-rows", on=INFORMED, of=lambda rows: rows >= 1)
    oncall.publish("AWS/States", "ExecutionsFailed", len(failed["executions"]))
    oncall.hears("materialization-failed", on=INFORMED)


def test_a_dead_letter_is_told_of(aws: LocalAws, deployment: Deployment, oncall: OnCall) -> None:
    sqs: SQSClient = aws.client("sqs")
    queue = deployment["FailedBatchesQueue"]
    oncall.settle("receipts-not-archived")
    sent = sqs.send_message(QueueUrl=queue, MessageBody=json.dumps({"poison": True}))
    assert sent["MessageId"]
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["ApproximateNumberOfMessages"])
    waiting = int(found["Attributes"]["ApproximateNumberOfMessages"])
    try:
        oncall.publish("AWS/SQS", "ApproximateNumberOfMessagesVisible", waiting)
        oncall.hears("receipts-not-archived", on=INFORMED)
    finally:
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]:
            if "poison" in message["Body"]:
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def queues_and_subscriptions(aws: LocalAws, deployment: Deployment) -> tuple[int, int]:
    sqs: SQSClient = aws.client("sqs")
    queues = sqs.list_queues(QueueNamePrefix=f"{deployment.prefix}-alarm-test").get("QueueUrls", [])
    subscriptions = aws.client("sns").list_subscriptions_by_topic(TopicArn=deployment["PageTopic"])
    return len(queues), len(subscriptions["Subscriptions"])


def test_the_command_drives_an_alarm_to_a_queue_and_leaves_nothing_behind(
    credit: Credit, aws: LocalAws, deployment: Deployment, oncall: OnCall
) -> None:
    before = queues_and_subscriptions(aws, deployment)
    oncall.calm("challenger-failures")

    trial = credit.json("alarms", "test", "challenger-failures", "--wait", "60")

    assert trial["arrived"]
    assert trial["topic"] == deployment["PageTopic"]
    assert 0 < trial["seconds"] < 60
    assert queues_and_subscriptions(aws, deployment) == before
    shown = credit.json("alarms", "show", "challenger-failures")
    assert shown["state"] == "ok"
    assert [change["after"] for change in shown["history"][:2]] == ["in order", "rings"]
    assert shown["runbook"] == "docs/runbooks/challenger-failures.md"


def test_an_alarm_that_tells_nobody_is_found_out(
    credit: Credit, aws: LocalAws, deployment: Deployment, oncall: OnCall
) -> None:
    before = queues_and_subscriptions(aws, deployment)
    oncall.calm("push-late")
    name = oncall.full_name("push-late")
    oncall.cloudwatch.disable_alarm_actions(AlarmNames=[name])
    try:
        done = credit("alarms", "test", "push-late", "--wait", "3", check=False)
        listed = credit("alarms").stdout.decode()
    finally:
        oncall.cloudwatch.enable_alarm_actions(AlarmNames=[name])

    assert done.returncode == 1
    assert b"Nothing arrived within 3 s" in done.stdout
    assert "their actions are disabled: push-late" in listed
    assert queues_and_subscriptions(aws, deployment) == before


def test_what_rings_is_listed_first_with_its_runbook(credit: Credit, oncall: OnCall) -> None:
    oncall.cloudwatch.set_alarm_state(
        AlarmName=oncall.full_name("push-late"), StateValue="ALARM", StateReason="a reason"
    )
    try:
        first = credit.json("alarms")["alarms"]
        lines = credit("alarms", "list").stdout.decode().splitlines()
    finally:
        oncall.settle("push-late")

    ringing = [found["alarm"] for found in first if found["state"] == "alarm"]
    assert "push-late" in ringing
    assert [found["state"] for found in first[: len(ringing)]] == ["alarm"] * len(ringing)
    (line,) = (line for line in lines if line.strip().startswith("inform  push-late"))
    assert line.endswith("docs/runbooks/push-late.md")
    assert "          a reason" in lines


UNREACHABLE = {"skew-silent", "monitoring-unfinished"}
"""They ring when nothing was counted, which the emulator takes for nothing to look at."""


def test_every_alarm_is_heard_where_it_should_when_its_figure_is_published(
    deployment: Deployment, oncall: OnCall
) -> None:
    """All of them, those of other tests included: whom each tells, and that it arrives."""
    pages = oncall.cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=oncall.full_name("")
    )
    alarms = {
        found["AlarmName"].removeprefix(oncall.full_name("")): found
        for page in pages
        for found in page["MetricAlarms"]
    }
    by_metric: dict[tuple[str, str], list[str]] = {}
    for name, found in alarms.items():
        if name not in UNREACHABLE:
            by_metric.setdefault((found["Namespace"], found["MetricName"]), []).append(name)
    # Before they settle: one that the clock's figures make ring after that is heard, and counts.
    oncall.listen()
    oncall.heard.clear()
    for name in alarms:
        oncall.settle(name)

    for (namespace, metric), names in by_metric.items():
        threshold = max(float(alarms[name]["Threshold"]) for name in names)
        below = alarms[names[0]]["ComparisonOperator"].startswith("Less")
        oncall.publish(namespace, metric, 0 if below else threshold * 2 + 1)
    paging = {
        name for name, found in alarms.items() if deployment["PageTopic"] in found["AlarmActions"]
    }
    deadline = time.monotonic() + PATIENCE_SECONDS
    informed: set[str] = set()
    paged: set[str] = set()
    while time.monotonic() < deadline:
        oncall.listen()
        heard = [
            (topic, document["AlarmName"].removeprefix(oncall.full_name("")))
            for topic, document in oncall.heard
            if document.get("NewStateValue") == "ALARM"
        ]
        informed = {name for topic, name in heard if topic == "inform"}
        paged = {name for topic, name in heard if topic == "page"}
        if informed >= alarms.keys() - UNREACHABLE and paged >= paging:
            break
        oncall.look()

    assert informed >= alarms.keys() - UNREACHABLE
    assert paged == paging
