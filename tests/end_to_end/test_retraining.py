"""A retraining that loans start by arriving: one at a time, to a new champion, in three minutes."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli.champion import find_champion
from tests.end_to_end.on_call import ENDING_TRIALS, OnCall

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from tests.end_to_end.conftest import Client, Credit

pytestmark = pytest.mark.end_to_end

ARRIVED = "personal_loan/applications/_SUCCESS"
LOCK = {"product": {"S": "personal_loan#retraining"}, "record": {"S": "lock"}}


@dataclass(frozen=True)
class Retrained:
    """A run, what a second one said meanwhile, and what came of it."""

    failed_before: subprocess.CompletedProcess[bytes]
    second: subprocess.CompletedProcess[bytes]
    name: str
    document: dict[str, Any]
    execution: DescribeExecutionOutputTypeDef


@pytest.fixture(scope="module")
def retrained(
    aws: LocalAws, deployment: Deployment, credit: Credit, demo: dict[str, Any]
) -> Iterator[Retrained]:
    """A run that failed, and after it one that loans started; its champion is rolled back."""
    s3: S3Client = aws.client("s3")
    stepfunctions: SFNClient = aws.client("stepfunctions")
    failed = credit("retrain", "--served", check=False)
    # Rung by tests before, they would keep the model out.
    for alarm in ENDING_TRIALS:
        OnCall(aws, deployment).calm(alarm)
    asked_at = datetime.now(UTC)
    s3.put_object(Bucket=deployment["LakeBucket"], Key=ARRIVED, Body=b"")
    arn = started_since(stepfunctions, deployment["RetrainingStateMachine"], asked_at)
    name = arn.rpartition(":")[2]
    wait_until_held_by(aws, deployment, arn)
    second = credit("retrain", check=False)
    document = credit.json("retrain", "--follow", name)
    yield Retrained(
        failed, second, name, document, stepfunctions.describe_execution(executionArn=arn)
    )
    s3.delete_object(Bucket=deployment["LakeBucket"], Key=ARRIVED)
    promoter: LambdaClient = aws.client("lambda")
    answer = promoter.invoke(
        FunctionName=deployment["PromoterFunction"],
        Payload=json.dumps(
            {"action": "rollback", "version": document["version"], "moved_by": "end-to-end"}
        ).encode(),
    )
    assert json.load(answer["Payload"])["champion"] == demo["champion"]["version"]


def started_since(stepfunctions: SFNClient, machine: str, moment: datetime) -> str:
    for _ in range(300):
        executions = stepfunctions.list_executions(stateMachineArn=machine)["executions"]
        found = [each for each in executions if each["startDate"] >= moment]
        if found:
            return found[0]["executionArn"]
        time.sleep(0.1)
    raise AssertionError("no retraining was started within 30 s")


def wait_until_held_by(aws: LocalAws, deployment: Deployment, execution: str) -> None:
    for _ in range(300):
        lock = the_lock(aws, deployment)
        if lock is not None and lock["holder"]["S"] == execution:
            return
        time.sleep(0.1)
    raise AssertionError("the lock was not taken over within 30 s")


def the_lock(aws: LocalAws, deployment: Deployment) -> dict[str, Any] | None:
    dynamodb: DynamoDBClient = aws.client("dynamodb")
    return dynamodb.get_item(
        TableName=deployment["RegistryTable"], Key=LOCK, ConsistentRead=True
    ).get("Item")


def test_loans_that_are_all_there_make_a_champion(
    aws: LocalAws, deployment: Deployment, demo: dict[str, Any], retrained: Retrained
) -> None:
    champion = find_champion(aws, deployment, "personal_loan")

    assert champion is not None
    document = retrained.document
    assert document["status"] == "succeeded"
    assert document["failed_gates"] == []
    assert champion.manifest.version == document["version"] == document["rollout"]["champion"]
    assert document["rollout"]["previous_champion"] == demo["champion"]["version"]
    assert champion.manifest.training_set["trigger"] == ARRIVED
    assert champion.manifest.training_set["run_id"] == retrained.name
    (beats,) = (gate for gate in champion.manifest.gates if gate.name == "beats_champion")
    assert demo["champion"]["version"] in beats.evidence


def test_it_takes_less_than_three_minutes(retrained: Retrained) -> None:
    took = retrained.execution["stopDate"] - retrained.execution["startDate"]

    assert took.total_seconds() < 180


def test_a_second_one_says_which_is_under_way_and_leaves_it_alone(retrained: Retrained) -> None:
    said = retrained.second.stderr.decode()

    assert retrained.second.returncode == 1
    assert f"is running already: {retrained.name}, since 20" in said
    assert retrained.execution["status"] == "SUCCEEDED"


def test_the_lock_of_a_run_that_failed_is_taken_over_and_given_back(
    aws: LocalAws, deployment: Deployment, retrained: Retrained
) -> None:
    assert retrained.failed_before.returncode == 1
    assert the_lock(aws, deployment) is None


def test_a_run_without_loans_says_so_in_a_line(retrained: Retrained) -> None:
    """So early none of the loans that were decided here has an outcome."""
    (line, *hint) = retrained.failed_before.stderr.decode().splitlines()

    assert line.startswith("error: ")
    assert "no application has a label yet" in line
    assert len(hint) <= 1


def test_each_step_is_shown_with_its_time(retrained: Retrained) -> None:
    steps = {step["name"]: step for step in retrained.document["steps"]}

    assert list(steps) == [
        *("Training set", "Data checks", "Candidates", "Gates", "Registration", "Rollout")
    ]
    assert all(step["seconds"] >= 0 for step in steps.values())
    for fitted in retrained.document["candidates"]:
        assert fitted["candidate"] in steps["Candidates"]["result"]


def test_the_new_champion_answers(
    client: Client, an_application: Callable[..., dict[str, Any]], retrained: Retrained
) -> None:
    decided: dict[str, Any] = {}
    for _ in range(100):
        decided = json.loads(client(an_application()).body)
        if decided["model"]["version"] == retrained.document["version"]:
            break
        time.sleep(0.1)

    assert decided["model"]["version"] == retrained.document["version"]
    assert decided["model"]["role"] == "champion"
