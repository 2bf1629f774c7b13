"""Decisions made over HTTP end up in the archive, once each, also after it refused them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.domain.receipt_archive import EXPIRES_AT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from tests.end_to_end.conftest import Client, Credit

pytestmark = pytest.mark.end_to_end

BUCKET = "CREDIT_RECEIPTS_BUCKET"
PATIENCE_SECONDS = 180
"""A batch is given up at its first failure after a minute."""


def eventually(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture
def decide(client: Client, an_application: Callable[..., dict[str, Any]]) -> Callable[[], str]:
    """Return what decides an application and returns its id."""

    def decide() -> str:
        answer = client(an_application())
        assert answer.status == 200
        return str(answer.document()["application_id"])

    return decide


@pytest.fixture
def archived(aws: LocalAws, deployment: Deployment) -> Callable[[str], list[str]]:
    """Return what finds the key of each version of each object of an application."""
    s3: S3Client = aws.client("s3")

    def archived(application_id: str) -> list[str]:
        pages = s3.get_paginator("list_object_versions").paginate(
            Bucket=deployment["ReceiptsBucket"], Prefix="receipts/personal_loan/"
        )
        keys = [version["Key"] for page in pages for version in page.get("Versions", [])]
        return [key for key in keys if f"/application={application_id}/" in key]

    return archived


@pytest.fixture
def mend_archiver(aws: LocalAws, deployment: Deployment) -> Iterator[Callable[[], None]]:
    """Take the archiver's bucket away; return what mends it."""
    lambda_: LambdaClient = aws.client("lambda")
    function = deployment["ArchiverFunction"]
    sound = lambda_.get_function_configuration(FunctionName=function)["Environment"]["Variables"]

    def configure(variables: dict[str, str]) -> None:
        lambda_.update_function_configuration(
            FunctionName=function, Environment={"Variables": variables}
        )

    configure({**sound, BUCKET: "there-is-no-such-bucket"})
    yield lambda: configure(sound)
    configure(sound)


@pytest.fixture
def waiting(aws: LocalAws, deployment: Deployment) -> Callable[[], int]:
    """Return what counts the failed batches that wait to be redriven."""
    sqs: SQSClient = aws.client("sqs")

    def waiting() -> int:
        found = sqs.get_queue_attributes(
            QueueUrl=deployment["FailedBatchesQueue"],
            AttributeNames=["ApproximateNumberOfMessages"],
        )
        return int(found["Attributes"]["ApproximateNumberOfMessages"])

    return waiting


def test_each_decision_lies_in_the_archive_once_as_it_was_answered(
    decide: Callable[[], str],
    archived: Callable[[str], list[str]],
    aws: LocalAws,
    deployment: Deployment,
) -> None:
    decided = [decide() for _ in range(5)]

    eventually(lambda: all(map(archived, decided)))

    s3: S3Client = aws.client("s3")
    dynamodb: DynamoDBClient = aws.client("dynamodb")
    for application_id in decided:
        (key,) = archived(application_id)
        found = s3.get_object(Bucket=deployment["ReceiptsBucket"], Key=key)["Body"].read()
        kept = json.loads(found)
        stored = dynamodb.get_item(
            TableName=deployment["DecisionsTable"],
            Key={"application_id": {"S": application_id}, "record": {"S": "decision"}},
        )["Item"]
        assert key.split("/")[2] == f"day={stored['decided_at']['S'][:10]}"
        assert kept["response"] == stored["response"]["S"]
        # When the item ends is the table's own affair.
        assert set(kept) == set(stored) - {EXPIRES_AT}


def test_a_failing_archiver_loses_nothing_and_a_redrive_brings_each_receipt_once(
    credit: Credit,
    decide: Callable[[], str],
    archived: Callable[[str], list[str]],
    mend_archiver: Callable[[], None],
    waiting: Callable[[], int],
) -> None:
    lost = [decide() for _ in range(3)]
    eventually(waiting)
    assert not any(map(archived, lost))
    refused = credit("archive", "redrive", check=False)
    assert refused.returncode == 1
    assert b"the archiver failed" in refused.stderr

    mend_archiver()
    after = decide()
    eventually(lambda: archived(after))
    done = credit.json("archive", "redrive")

    assert done["complete"]
    assert done["batches"] >= 1
    assert [len(archived(application_id)) for application_id in (*lost, after)] == [1, 1, 1, 1]
    assert waiting() == 0
    said = credit("archive", "check").stdout.decode()
    assert said.endswith(" records are archived, once each\n")
