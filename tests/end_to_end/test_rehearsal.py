"""The hook of CodeDeploy, run for real against the deployed functions."""

from __future__ import annotations

import io
import json
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from tests.end_to_end.conftest import Client

pytestmark = pytest.mark.end_to_end

BROKEN = """
def handler(event, context):
    return {"statusCode": 200, "body": "{}"}
"""
ARCHIVED_SECONDS = 60


@pytest.fixture
def functions(aws: LocalAws) -> LambdaClient:
    client: LambdaClient = aws.client("lambda")
    return client


def rehearsed(functions: LambdaClient, deployment: Deployment) -> dict[str, Any]:
    answer = functions.invoke(FunctionName=deployment["RehearsalFunction"], Payload=b"{}")
    document: dict[str, Any] = json.loads(answer["Payload"].read())
    assert not answer.get("FunctionError"), document
    return document


def rehearsals_in(aws: LocalAws, table: str) -> set[str]:
    dynamodb: DynamoDBClient = aws.client("dynamodb")
    pages = dynamodb.get_paginator("scan").paginate(
        TableName=table,
        FilterExpression="begins_with(application_id, :prefix)",
        ExpressionAttributeValues={":prefix": {"S": "/rehearsal/"}},
    )
    return {item["application_id"]["S"] for page in pages for item in page["Items"]}


def test_what_is_deployed_passes_its_rehearsal(
    aws: LocalAws, deployment: Deployment, demo: dict[str, Any], functions: LambdaClient
) -> None:
    result = rehearsed(functions, deployment)

    assert result["findings"] == []
    assert result["passed"] is True
    assert result["golden"] > 0
    assert result["champion"]
    assert demo["champion"]["version"]
    assert rehearsals_in(aws, deployment["DecisionsTable"])


def archived_keys(aws: LocalAws, bucket: str) -> list[str]:
    s3: S3Client = aws.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


def test_a_rehearsal_does_not_reach_the_archive(
    aws: LocalAws,
    deployment: Deployment,
    functions: LambdaClient,
    client: Client,
    an_application: Callable[..., dict[str, Any]],
) -> None:
    """What was decided after it is archived, and it is not: the stream keeps the order."""
    rehearsed(functions, deployment)
    application = an_application()
    assert client(application).status == 200

    give_up = time.monotonic() + ARCHIVED_SECONDS
    keys = ""
    while application["application_id"] not in keys:
        assert time.monotonic() < give_up
        time.sleep(0.5)
        keys = "\n".join(archived_keys(aws, deployment["ReceiptsBucket"]))

    assert "rehearsal" not in keys


@pytest.fixture
def a_broken_scorer(functions: LambdaClient, deployment: Deployment) -> Iterator[str]:
    """Point the rehearsal at a version that says yes to everything, and back again."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("handler.py", BROKEN)
    name = f"{deployment['ScorerFunction']}-broken"
    role = functions.get_function_configuration(FunctionName=deployment["ScorerFunction"])["Role"]
    functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Role=role,
        Handler="handler.handler",
        Code={"ZipFile": archive.getvalue()},
        Publish=True,
    )
    rehearsal = deployment["RehearsalFunction"]
    before = functions.get_function_configuration(FunctionName=rehearsal)["Environment"]
    variables = before["Variables"]
    arn = variables["CREDIT_SCORER"].rsplit(":", 2)[0] + f":{name}:1"
    functions.update_function_configuration(
        FunctionName=rehearsal, Environment={"Variables": {**variables, "CREDIT_SCORER": arn}}
    )
    yield name
    functions.update_function_configuration(
        FunctionName=rehearsal, Environment={"Variables": variables}
    )
    functions.delete_function(FunctionName=name)


@pytest.mark.usefixtures("a_broken_scorer")
def test_a_broken_version_does_not_pass(functions: LambdaClient, deployment: Deployment) -> None:
    result = rehearsed(functions, deployment)

    assert result["passed"] is False
    assert "scorer: a list: 200 instead of 400" in result["findings"]
    assert any("golden applicant" in finding for finding in result["findings"])
    assert not [finding for finding in result["findings"] if finding.startswith("records")]
