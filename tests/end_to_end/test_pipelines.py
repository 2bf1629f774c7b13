"""Materialization and retraining, as Step Functions ran them on the sample."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli import pipelines
from credit_cli.champion import find_champion

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_stepfunctions import SFNClient

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment

pytestmark = pytest.mark.end_to_end


def the_online_store(aws: LocalAws, deployment: Deployment) -> dict[str, dict[str, Any]]:
    dynamodb: DynamoDBClient = aws.client("dynamodb")
    return {
        item["entity_key"]["S"]: dict(item)
        for page in dynamodb.get_paginator("scan").paginate(
            TableName=deployment["OnlineStoreTable"], ConsistentRead=True
        )
        for item in page["Items"]
    }


def test_materializing_again_reconciles_and_changes_nothing(
    aws: LocalAws, deployment: Deployment
) -> None:
    before = the_online_store(aws, deployment)

    counts = pipelines.run(
        aws, deployment["MaterializationStateMachine"], {"prefix": "personal_loan/features/"}
    )

    assert counts["files"] > 0
    assert counts["read"] == counts["written"] + counts["stale"] + counts["rejected"]
    assert counts["rejected"] == 0
    after = the_online_store(aws, deployment)
    assert {key: after[key] for key in before if key in after} == before


def test_the_champions_quality_is_stated_with_intervals(
    aws: LocalAws, deployment: Deployment, demo: dict[str, Any]
) -> None:
    champion = find_champion(aws, deployment, "personal_loan")

    assert champion is not None
    assert champion.manifest.version == demo["champion"]["version"]
    assert champion.manifest.gates_passed
    evaluation = champion.manifest.evaluation
    assert evaluation.loans > evaluation.defaults > 0
    for estimate in (evaluation.auc, evaluation.ks, evaluation.brier):
        assert estimate.low < estimate.value < estimate.high


def test_the_first_retraining_says_what_it_promoted(aws: LocalAws, deployment: Deployment) -> None:
    stepfunctions: SFNClient = aws.client("stepfunctions")
    executions = stepfunctions.list_executions(
        stateMachineArn=deployment["RetrainingStateMachine"], statusFilter="SUCCEEDED"
    )["executions"]
    first = min(executions, key=lambda execution: execution["startDate"])
    described = stepfunctions.describe_execution(executionArn=first["executionArn"])
    output = json.loads(described["output"])

    assert output["version"] == output["rollout"]["champion"]
    assert output["rollout"]["previous_champion"] is None
    assert output["failed_gates"] == []
    assert {"value", "low", "high"} <= set(output["auc"])
