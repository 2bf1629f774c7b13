"""Erasure as deployed: what it may touch, and when the receipts of the erased end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from credit_core.domain.places import BY_APPLICANT, ERASED_TAG
from tests.infrastructure.templates import properties, stack_of, statements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.infrastructure.templates import Deployment

BUCKET, TABLE, POLICY = "AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::IAM::Policy"
RECEIPTS, DECISIONS = "storage/Buckets/Receipts", "storage/Tables/Decisions"
ERASER = "archive/Erasure/Eraser/Role/DefaultPolicy"
TWENTY_FIVE_MONTHS_DAYS = 762


def rules_of(deployment: Deployment) -> dict[bool, dict[str, Any]]:
    """Return the rules that end receipts, by whether they are for the erased alone."""
    found = properties(deployment.at(RECEIPTS, BUCKET))["LifecycleConfiguration"]["Rules"]
    return {bool(rule.get("TagFilters")): rule for rule in found if "ExpirationInDays" in rule}


def assert_receipts_of_the_erased_end_with_the_duty(deployment: Deployment) -> None:
    rules, stage = rules_of(deployment), deployment.stage
    key, value = ERASED_TAG
    assert rules[True]["TagFilters"] == [{"Key": key, "Value": value}]
    assert rules[True]["Status"] == "Enabled"
    assert rules[True]["ExpirationInDays"] == stage.receipt_duty_days <= stage.receipt_days
    for rule in rules.values():
        # With the marker that an end leaves, the bytes go too.
        assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 1}


def dynamodb_of(deployment: Deployment, path: str) -> Iterator[dict[str, Any]]:
    for statement in statements(properties(deployment.at(path, POLICY))["PolicyDocument"]):
        if any(action.startswith("dynamodb:") for action in statement["Action"]):
            yield statement


def assert_the_eraser_changes_nothing_but_ends(deployment: Deployment) -> None:
    changing = [
        statement
        for statement in dynamodb_of(deployment, ERASER)
        if DECISIONS in deployment.texts(statement["Resource"], stack_of(ERASER))
        and statement["Action"] != ["dynamodb:Query"]
    ]
    (statement,) = changing
    assert statement["Action"] == ["dynamodb:UpdateItem"]
    assert statement["Condition"] == {
        "ForAllValues:StringEquals": {
            "dynamodb:Attributes": ["application_id", "expires_at", "record"]
        }
    }


def test_receipts_of_the_erased_end_with_the_duty(deployment: Deployment) -> None:
    assert_receipts_of_the_erased_end_with_the_duty(deployment)


def test_a_bucket_that_keeps_them_would_be_noticed(prod: Deployment) -> None:
    kept = rules_of(prod)[False]
    mutant = prod.changed(RECEIPTS, BUCKET, LifecycleConfiguration={"Rules": [kept]})

    with pytest.raises(KeyError):
        assert_receipts_of_the_erased_end_with_the_duty(mutant)


def test_in_prod_the_duty_is_the_laws(prod: Deployment) -> None:
    """And no lock outlives it, else an end could not come."""
    stage = prod.stage
    assert stage.receipt_duty_days >= TWENTY_FIVE_MONTHS_DAYS + 90
    lock = properties(prod.at(RECEIPTS, BUCKET))["ObjectLockConfiguration"]
    assert lock["Rule"]["DefaultRetention"]["Days"] <= stage.receipt_duty_days


def test_the_decisions_of_an_applicant_are_found_by_an_index_of_hashes(
    deployment: Deployment,
) -> None:
    (index,) = (
        index
        for index in properties(deployment.at(DECISIONS, TABLE))["GlobalSecondaryIndexes"]
        if index["IndexName"] == BY_APPLICANT
    )

    assert index["KeySchema"] == [{"AttributeName": "applicant", "KeyType": "HASH"}]
    assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}


def test_the_eraser_changes_nothing_but_ends(deployment: Deployment) -> None:
    assert_the_eraser_changes_nothing_but_ends(deployment)


def test_an_eraser_that_rewrites_decisions_would_be_noticed(prod: Deployment) -> None:
    document = properties(prod.at(ERASER, POLICY))["PolicyDocument"]
    careless = [
        {name: value for name, value in statement.items() if name != "Condition"}
        for statement in document["Statement"]
    ]
    mutant = prod.changed(ERASER, POLICY, PolicyDocument={**document, "Statement": careless})

    with pytest.raises(KeyError):
        assert_the_eraser_changes_nothing_but_ends(mutant)


@pytest.mark.parametrize(
    "role",
    [
        ERASER,
        "materialization/Features/Materializer/Role/DefaultPolicy",
        "materialization/Push/Pusher/Role/DefaultPolicy",
    ],
)
def test_of_the_registry_the_list_of_the_erased_alone_is_touched(
    deployment: Deployment, role: str
) -> None:
    registry = "storage/Tables/Registry"
    for statement in dynamodb_of(deployment, role):
        if registry in deployment.texts(statement["Resource"], stack_of(role)):
            assert statement["Condition"] == {
                "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["personal_loan#erased"]}
            }


def test_nothing_removes_from_the_lake_but_the_eraser_what_was_pushed(
    deployment: Deployment,
) -> None:
    deleting = {
        (path, resource)
        for path, policy in deployment.of_type(POLICY).items()
        for statement in statements(properties(policy)["PolicyDocument"])
        if any(action.startswith("s3:DeleteObject") for action in statement["Action"])
        for resource in deployment.texts(statement["Resource"], stack_of(path))
        if resource.startswith("storage/Buckets/Lake/")
    }

    assert {pair for pair in deleting if "/Emptier/" not in pair[0]} == {
        (ERASER, "storage/Buckets/Lake/personal_loan/features/bureau/pushed/*")
    }
