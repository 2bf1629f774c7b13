"""The client for batches answers as boto3's own does, at less cost."""

from __future__ import annotations

import io
import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError

from credit_core.adapters.batch_client import batch_client
from credit_core.adapters.online_store_writer import PartiqlOnlineStoreWriter
from credit_core.ports import WriteCounts
from tests.builders_aws import create_table
from tests.feature_rows import BUREAU, a_feature_row

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from tests.integration.conftest import LocalCloud


@pytest.fixture
def table(local_cloud_bare: LocalCloud) -> str:
    name = f"online-store-{uuid.uuid4().hex[:8]}"
    create_table(local_cloud_bare.client("dynamodb"), "online-store", name=name)
    return name


def batch(dynamodb: DynamoDBClient, table: str) -> Any:
    """Send an insert that succeeds, one of a known key, and an update that is refused."""
    insert = f"INSERT INTO \"{table}\" VALUE {{'entity_key': ?, 'recency': ?}}"
    update = f'UPDATE "{table}" SET "recency" = ? WHERE "entity_key" = ? AND "recency" < ?'  # noqa: S608
    return dynamodb.batch_execute_statement(
        Statements=[
            {"Statement": insert, "Parameters": [{"S": uuid.uuid4().hex}, {"S": "1"}]},
            {
                "Statement": insert,
                "Parameters": [{"S": "known \u00e4\u20ac\U0001f600"}, {"S": "1"}],
            },
            {
                "Statement": update,
                "Parameters": [{"S": "0"}, {"S": "known \u00e4\u20ac\U0001f600"}, {"S": "0"}],
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            },
        ]
    )["Responses"]


def test_its_answers_are_those_of_an_ordinary_client(
    local_cloud_bare: LocalCloud, table: str
) -> None:
    ordinary = local_cloud_bare.client("dynamodb")
    batch(ordinary, table)

    lean = batch(batch_client(connections=1), table)

    assert lean == batch(ordinary, table)
    assert [answer.get("Error", {}).get("Code") for answer in lean] == [
        None,
        "DuplicateItem",
        "ConditionalCheckFailed",
    ]
    assert lean[2]["Error"]["Item"]["recency"] == {"S": "1"}


def test_the_writer_writes_with_it(local_cloud_bare: LocalCloud, table: str) -> None:
    rows = [a_feature_row(f"applicant-{number}") for number in range(60)]
    writer = PartiqlOnlineStoreWriter(batch_client(connections=2), table, connections=2)

    assert writer.write(rows, ttl=BUREAU.ttl) == WriteCounts(written=60, stale=0)
    assert writer.write(rows, ttl=BUREAU.ttl) == WriteCounts(written=0, stale=60)
    found = local_cloud_bare.client("dynamodb").scan(TableName=table, Select="COUNT")
    assert found["Count"] == 60


def test_its_other_operations_are_boto3_s_own(table: str) -> None:
    lean = batch_client(connections=1)
    item = {"entity_key": {"S": "a"}, "expires_at": {"N": "1"}}

    lean.put_item(TableName=table, Item=item)

    assert lean.get_item(TableName=table, Key={"entity_key": {"S": "a"}})["Item"] == item


def test_a_batch_that_is_refused_as_a_whole_is_an_error(table: str) -> None:
    body = {"__type": "com.amazonaws#AccessDeniedException", "message": "not you"}

    def refuse(request: Any, **_: object) -> AWSResponse:
        raw: Any = io.BytesIO(json.dumps(body).encode())
        raw.stream = lambda *_, **__: iter([raw.getvalue()])
        return AWSResponse(request.url, 400, HTTPHeaders(), raw)

    lean = batch_client(connections=1)
    events: Any = lean.meta.events
    events.register("before-send.dynamodb.BatchExecuteStatement", refuse)

    with pytest.raises(ClientError, match="AccessDenied"):
        batch(lean, table)
