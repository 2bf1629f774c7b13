"""What the system keeps of an applicant, and what it must not."""

from __future__ import annotations

import json
import re
import time
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli.log_lines import lines_since

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_logs import CloudWatchLogsClient

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from tests.end_to_end.conftest import Client

pytestmark = pytest.mark.end_to_end

INCOME = 7_123_456.78
"""Found nowhere else, so that finding it tells where it comes from; no duration is as long."""
INCOME_WRITTEN = re.compile(r"(?<![\w.])7,?123,?456(?![0-9A-Za-z])")
"""Alone, because milliseconds since 1970 end in its digits once in three hours."""
LONGEST_SECONDS = 30


@pytest.fixture(scope="module")
def decided(client: Client) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def decide(application: dict[str, Any]) -> dict[str, Any]:
        answer = client(application)
        assert answer.status == 200
        return application

    return decide


def test_no_table_holds_an_applicants_id(
    decided: Callable[[dict[str, Any]], dict[str, Any]],
    an_application: Callable[..., dict[str, Any]],
    aws: LocalAws,
    deployment: Deployment,
) -> None:
    application = decided(an_application())
    dynamodb: DynamoDBClient = aws.client("dynamodb")

    for output in ("OnlineStoreTable", "DecisionsTable", "RegistryTable"):
        kept = [
            item
            for page in dynamodb.get_paginator("scan").paginate(TableName=deployment[output])
            for item in page["Items"]
        ]
        assert kept, output
        # The terms of a receipt are compressed.
        text = json.dumps(kept, default=lambda packed: zlib.decompress(packed).decode())
        assert application["applicant_id"] not in text, output


def test_no_log_holds_an_applicants_id_or_income(
    decided: Callable[[dict[str, Any]], dict[str, Any]],
    client: Client,
    an_application: Callable[..., dict[str, Any]],
    aws: LocalAws,
) -> None:
    application = decided(an_application(annual_income=INCOME))
    client(application | {"loan_amount": 1_234})
    client(an_application(annual_income=-INCOME))
    logs: CloudWatchLogsClient = aws.client("logs")

    groups = [
        group["logGroupName"]
        for page in logs.get_paginator("describe_log_groups").paginate()
        for group in page["logGroups"]
    ]

    def said() -> list[str]:
        return [line["message"] for group in groups for line in lines_since(logs, group, 0)]

    # A function's words reach its log group after its answer its caller.
    ends = time.monotonic() + LONGEST_SECONDS
    while not any(application["application_id"] in line for line in said()):
        assert time.monotonic() < ends, "nothing was logged"
        time.sleep(0.5)
    lines = said()
    assert not [line for line in lines if application["applicant_id"] in line]
    assert INCOME_WRITTEN.search(f'{{"annual_income":{INCOME}}}')
    assert not [line for line in lines if INCOME_WRITTEN.search(line)]
