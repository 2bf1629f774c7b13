"""What on-call types first, against the local cloud: each command shows the cause of something."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli import pipelines
from credit_cli.inventory import Inventory
from credit_core.domain.feature_event import DETAIL_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_stepfunctions import SFNClient

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from tests.end_to_end.conftest import Client, Credit

pytestmark = pytest.mark.end_to_end

LONGEST_SECONDS = 60


def logged(said: Callable[[], Any]) -> Any:
    """Return what was said of a request, which may come with the words of a later one only."""
    ends = time.monotonic() + LONGEST_SECONDS
    while not (found := said()):
        assert time.monotonic() < ends
    return found


def test_a_decision_is_found_by_its_application_and_by_its_request(
    credit: Credit, client: Client, an_application: Callable[..., dict[str, Any]]
) -> None:
    application = an_application()
    client(application)

    def lines() -> Any:
        client(an_application())
        return credit.json("logs", "--application", application["application_id"])["rows"]

    [row] = logged(lines)
    request_id = json.loads(row["@message"])["request_id"]
    rows = credit.json("logs", "--request", request_id)["rows"]

    assert "scorer" in row["@log"].lower()
    assert any(application["application_id"] in found["@message"] for found in rows)


def test_refusals_are_counted_by_reason(
    credit: Credit, client: Client, an_application: Callable[..., dict[str, Any]]
) -> None:
    def counts() -> Any:
        client(an_application(loan_amount=-1))
        rows = credit.json("logs", "--query", "refused")["rows"]
        return [row for row in rows if "loan_amount" in str(row["reason"])]

    assert any(row["status"] == 400 for row in logged(counts))


def test_a_failed_run_says_why_and_where(
    credit: Credit, aws: LocalAws, deployment: Deployment
) -> None:
    asked = {"version": "never-registered", "moved_by": "end-to-end"}
    execution = pipelines.start(aws, deployment["RolloutStateMachine"], asked)
    stepfunctions: SFNClient = aws.client("stepfunctions")
    give_up = time.monotonic() + 60
    while stepfunctions.describe_execution(executionArn=execution)["status"] == "RUNNING":
        assert time.monotonic() < give_up
        time.sleep(0.2)
    name = pipelines.execution_name(execution)

    failed = credit.json("runs", "rollout", "--failed", "--limit", "100")["runs"]
    shown = credit.json("runs", "show", name)

    assert any(run["run"] == name and "never-registered" in run["cause"] for run in failed)
    assert any("never-registered" in (state["failure"] or "") for state in shown["states"])


def test_a_dead_letter_is_seen_shown_without_values_and_moved_back(
    credit: Credit, aws: LocalAws, deployment: Deployment
) -> None:
    sqs: SQSClient = aws.client("sqs")
    url = Inventory(aws, deployment).queues["push-dead-letters"]
    secret = f"customer-{uuid.uuid4()}"
    detail = {"view": "bureau", "applicant_id": secret, "event_timestamp": secret}
    event_id = str(uuid.uuid4())
    row = {"id": event_id, "detail-type": DETAIL_TYPE, "detail": detail}
    sqs.send_message(QueueUrl=url, MessageBody=json.dumps(row))

    waiting: dict[str, Any] = {
        queue["queue"]: queue["waiting"] for queue in credit.json("queues")["queues"]
    }
    shown = credit("queues", "show", "push-dead-letters").stdout.decode()
    status = credit("status", check=False)
    moved = credit.json("queues", "redrive", "push-dead-letters")

    assert waiting["push-dead-letters"] >= 1
    assert "view=bureau" in shown
    assert event_id in shown
    assert secret not in shown
    assert status.returncode == 1
    assert "in push-dead-letters" in status.stdout.decode()
    assert moved["moved"] >= 1
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == "0"


def test_the_status_names_each_part_and_reads_as_json(credit: Credit, demo: dict[str, Any]) -> None:
    text = credit("status", check=False).stdout.decode()
    document = json.loads(credit("status", "--json", check=False).stdout)

    parts = {part["part"]: part for part in document["parts"]}
    assert set(parts) >= {"API", "Models", "Alarms", "Features", "materialization", "Queues"}
    assert parts["API"]["well"] is True
    assert parts["Models"]["champion"] is not None
    assert demo["champion"]["version"]
    assert len(text.splitlines()) <= 15
    assert not [part for part in document["parts"] if "fault" in part]


def test_metrics_that_functions_logged_become_metrics_once(
    credit: Credit,
    client: Client,
    an_application: Callable[..., dict[str, Any]],
    aws: LocalAws,
) -> None:
    credit.json("local", "metrics")

    def taken_of_three() -> Any:
        for _ in range(3):
            client(an_application())
        taken = credit.json("local", "metrics")
        return taken["lines"] >= 3 and taken

    taken = logged(taken_of_three)
    again = credit.json("local", "metrics")

    assert {"Decisions", "StageRead"} <= set(taken["metrics"])
    assert "Decisions" not in again["metrics"]
    found = aws.client("cloudwatch").list_metrics(
        Namespace="CreditDecisions", MetricName="Decisions"
    )["Metrics"]
    product = {"Name": "Product", "Value": "personal_loan"}
    assert any(product in metric["Dimensions"] for metric in found)
