"""The explanation's route on DynamoDB and S3 (moto): receipt and model as they are kept."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from credit_core.adapters.dynamodb_items import to_dynamodb
from tests.builders import PRODUCT
from tests.builders_receipts import Models, some_receipts
from tests.integration.test_records_handler import DECISION, Deployment, deployment

if TYPE_CHECKING:
    from pathlib import Path

    from credit_core.domain.receipt import Receipt

__all__ = ["deployment"]
EXPLANATION = f"{DECISION}/explanation"
COUNT = 40


@pytest.fixture
def receipts(deployment: Deployment, tmp_path: Path) -> list[Receipt]:
    """Return receipts of varied decisions that lie in the table, and their model in the bucket."""
    receipts = some_receipts(COUNT, champion=Models(tmp_path).register("v1"))
    for path in tmp_path.rglob("*.*"):
        key = path.relative_to(tmp_path).as_posix()
        deployment.s3.put_object(Bucket="models", Key=key, Body=path.read_bytes())
    for receipt in receipts:
        deployment.dynamodb.put_item(TableName="decisions", Item=to_dynamodb(receipt.as_record()))
    return receipts


def test_each_decision_is_explained_from_what_is_stored(
    deployment: Deployment, receipts: list[Receipt]
) -> None:
    latest = {receipt.application_id: receipt for receipt in receipts}
    flipped = 0
    for application_id, receipt in latest.items():
        status, document = deployment("GET", EXPLANATION, application_id=application_id)

        decision = json.loads(receipt.response)
        assert status == 200
        for name in ("application_id", "outcome", "decided_by", "cause", "model"):
            assert document[name] == decision[name]
        assert (document["log_odds"] is None) == (decision["probability_of_default"] is None)
        assert len(document["contributions"]) in {0, len(PRODUCT.model_features)}
        assert (document["counterfactual"] is None) != (document["no_counterfactual"] is None)
        if document["contributions"]:
            total = sum(it["contribution_log_odds"] for it in document["contributions"])
            difference = document["log_odds"] - document["reference_log_odds"]
            assert total == pytest.approx(difference, abs=1e-3)
        flipped += document["counterfactual"] is not None
    assert flipped > 0


def test_what_a_challenger_decided_is_explained_by_the_challenger(
    deployment: Deployment, tmp_path: Path
) -> None:
    models = Models(tmp_path)
    champion, challenger = models.register("v1"), models.register("v2", intercept=-4.0)
    receipts = some_receipts(COUNT, champion=champion, challenger=challenger)
    for path in tmp_path.rglob("*.*"):
        key = path.relative_to(tmp_path).as_posix()
        deployment.s3.put_object(Bucket="models", Key=key, Body=path.read_bytes())
    explained = set()
    for receipt in receipts:
        if receipt.shadow is None:
            continue
        deployment.dynamodb.put_item(TableName="decisions", Item=to_dynamodb(receipt.as_record()))

        status, document = deployment("GET", EXPLANATION, application_id=receipt.application_id)

        assert status == 200
        assert document["model"] == json.loads(receipt.response)["model"]
        explained.add(document["model"]["role"])
    assert explained == {"champion", "challenger"}


def test_an_application_that_was_never_decided_is_unknown(deployment: Deployment) -> None:
    status, problem = deployment("GET", EXPLANATION, application_id="nobody")

    assert (status, problem["status"]) == (404, 404)


def test_without_the_model_that_decided_there_is_no_explanation(
    deployment: Deployment, receipts: list[Receipt]
) -> None:
    """Another model's contributions would be no account of this decision."""
    asked = next(receipt for receipt in receipts if receipt.manifest_sha256)
    deployment.s3.put_object(
        Bucket="models", Key=f"{PRODUCT.name}/v1/model.onnx", Body=b"another model"
    )

    status, _ = deployment("GET", EXPLANATION, application_id=asked.application_id)

    assert status == 503
