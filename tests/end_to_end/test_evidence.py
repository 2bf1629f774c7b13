"""What decisions show afterwards: training rows of what was served, and skew against the lake."""

from __future__ import annotations

import csv
import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from tests.end_to_end.conftest import Caller, Client, Credit

pytestmark = pytest.mark.end_to_end

APPROVED = {"loan_amount": 1_000, "term_months": 36, "annual_income": 200_000}
REVIEW = {
    "review_id": "review-1",
    "revision": 1,
    "outcome": "approve",
    "reviewer": "a.smith",
    "reason": "Pay slips show a higher income",
}
VIEW, FEATURE = "bureau", "inq_last_6mths"


@pytest.fixture
def receipt_of(aws: LocalAws, deployment: Deployment) -> Callable[[str], dict[str, Any]]:
    """Return what reads a receipt's item from the table."""
    dynamodb: DynamoDBClient = aws.client("dynamodb")

    def receipt_of(application_id: str) -> dict[str, Any]:
        key = {"application_id": {"S": application_id}, "record": {"S": "decision"}}
        return dict(dynamodb.get_item(TableName=deployment["DecisionsTable"], Key=key)["Item"])

    return receipt_of


@pytest.fixture
def change_store(aws: LocalAws, deployment: Deployment) -> Iterator[Callable[[str], None]]:
    """Return what changes a value in the online store by hand; in the end it is as it was."""
    dynamodb: DynamoDBClient = aws.client("dynamodb")
    table = deployment["OnlineStoreTable"]
    before: list[Any] = []

    def change_store(entity_key: str) -> None:
        item = dynamodb.get_item(TableName=table, Key={"entity_key": {"S": entity_key}})["Item"]
        before.append(item)
        features = json.loads(item["features"]["S"])
        features[FEATURE] += 1
        dynamodb.put_item(TableName=table, Item={**item, "features": {"S": json.dumps(features)}})

    yield change_store
    for item in before:
        dynamodb.put_item(TableName=table, Item=item)


@pytest.fixture
def approved(
    client: Client,
    callers: dict[str, Caller],
    an_application: Callable[..., dict[str, Any]],
) -> dict[str, Any]:
    """An application that stands approved, by a person where the model did not."""
    application = an_application(**APPROVED)
    id_ = application["application_id"]
    if client(application).document()["outcome"] != "approve":
        assert callers["desk"]("POST", f"/v1/decisions/{id_}/review", REVIEW).status == 201
    return application


@pytest.fixture
def skew(
    archived: Callable[[], None], aws: LocalAws, deployment: Deployment
) -> Callable[[], dict[str, Any]]:
    """Return what compares decisions since this day with the lake, once all are archived."""
    lambda_: LambdaClient = aws.client("lambda")
    first = str(datetime.now(UTC).date())

    def skew() -> dict[str, Any]:
        archived()
        event = json.dumps({"from": first, "to": str(datetime.now(UTC).date())}).encode()
        answer = lambda_.invoke(FunctionName=deployment["SkewFunction"], Payload=event)
        document = json.load(answer["Payload"])
        assert not answer.get("FunctionError"), document
        return dict(document["views"][VIEW])

    return skew


def test_a_reported_loan_becomes_a_training_row_of_what_was_served(
    credit: Credit,
    callers: dict[str, Caller],
    approved: dict[str, Any],
    receipt_of: Callable[[str], dict[str, Any]],
    *,
    archived: Callable[[], None],
    tmp_path: Path,
) -> None:
    id_ = approved["application_id"]
    report = {
        "application_id": id_,
        "outcome": "defaulted",
        "date": str(datetime.now(UTC).date()),
    }
    assert callers["servicing"]("POST", "/v1/outcomes", report).status == 201
    out = tmp_path / "served.csv"

    archived()
    credit("dataset", "served", "--any-age", "--force", "--out", str(out))

    with out.open(encoding="utf-8", newline="") as file:
        (row,) = [row for row in csv.DictReader(file) if row["application_id"] == id_]
    assert row["defaulted"] == "1"
    served = json.loads(receipt_of(id_)["served"]["S"])
    for name, value in served[VIEW]["features"].items():
        assert (float(row[name]) if row[name] else None) == value
    assert float(row["loan_amount"]) == APPROVED["loan_amount"]


def test_a_value_changed_in_the_store_by_hand_shows_as_skew_and_nothing_else_does(
    client: Client,
    an_application: Callable[..., dict[str, Any]],
    receipt_of: Callable[[str], dict[str, Any]],
    change_store: Callable[[str], None],
    skew: Callable[[], dict[str, Any]],
) -> None:
    sound = an_application()["application_id"]
    assert client(an_application(application_id=sound)).status == 200
    before = skew()
    key = json.loads(receipt_of(sound)["served"]["S"])[VIEW]["entity_key"]

    change_store(key)
    # First in the archive's order: a report names the first of a day that are skewed, not all.
    changed = f"0-{uuid.uuid4()}"
    assert client(an_application(application_id=changed)).status == 200
    after = skew()

    assert after["compared"] == before["compared"] + 1
    assert after["skewed"] == before["skewed"] + 1
    assert after["features"][FEATURE]["differing"] == before["features"][FEATURE]["differing"] + 1
    named = [example["application_id"] for example in after["examples"]]
    assert changed in named
    assert sound not in named
