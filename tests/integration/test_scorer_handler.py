"""The scorer's handler on DynamoDB, S3 and Secrets Manager (moto), with a real ONNX model."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import numpy as np
import pytest
from moto import mock_aws

from credit_core.adapters.clients import entity_key_secret
from credit_core.adapters.online_store_writer import stored_attributes
from credit_core.domain.model_manifest import manifest_key, model_key
from credit_core.domain.online_store import feature_row
from credit_core.settings import ScorerSettings
from tests.builders import PRODUCT, SECRET, a_body, a_manifest, a_pointer, features_of, key_of
from tests.builders_aws import TABLE_KEYS, create_table
from tests.builders_onnx import a_linear_onnx

if TYPE_CHECKING:
    from collections.abc import Iterator

HANDLER = Path(__file__).parents[2] / "lambdas" / "scorer" / "handler.py"
SETTINGS = ScorerSettings(
    product=PRODUCT.name,
    online_store_table="online-store",
    decisions_table="decisions",
    registry_table="registry",
    models_bucket="models",
    entity_key_secret="entity-key",
    deadline_ms=5_000,
    pointer_seconds=0,
)


def a_model_on_the_amount(*, intercept: float = -3.0) -> bytes:
    """Return a model that takes 0.1 log-odds for each 1,000 USD."""
    return a_linear_onnx(intercept=intercept, loan_amount=1e-4)


class Deployment:
    """Tables, bucket and secret as the CDK app makes them, and a freshly started function."""

    def __init__(self) -> None:
        self.dynamodb = boto3.client("dynamodb")
        self.s3 = boto3.client("s3")
        for kind in TABLE_KEYS:
            create_table(self.dynamodb, kind)
        self.s3.create_bucket(Bucket="models")
        boto3.client("secretsmanager").create_secret(
            Name="entity-key", SecretString=SECRET.decode()
        )

    def materialize(self) -> None:
        now = datetime.now(UTC)
        for view in PRODUCT.feature_views:
            row = feature_row(
                view,
                key_of(view),
                event_timestamp=now,
                created_timestamp=now,
                features=features_of(view),  # type: ignore[arg-type]
            )
            item = {"entity_key": {"S": row.entity_key}} | stored_attributes(row, view.ttl)
            self.dynamodb.put_item(TableName="online-store", Item=item)

    def promote(self, onnx_body: bytes, *, version: str = "v1", corrupt: bool = False) -> None:
        manifest = a_manifest(
            version=version,
            onnx_sha256=hashlib.sha256(onnx_body).hexdigest(),
            onnx_bytes=len(onnx_body),
        ).to_json()
        if corrupt:
            onnx_body = onnx_body[:-1] + bytes([onnx_body[-1] ^ 1])
        self.s3.put_object(Bucket="models", Key=manifest_key(PRODUCT.name, version), Body=manifest)
        self.s3.put_object(Bucket="models", Key=model_key(PRODUCT.name, version), Body=onnx_body)
        pointer = a_pointer(champion=version, sha256=hashlib.sha256(manifest).hexdigest())
        self.dynamodb.put_item(
            TableName="registry",
            Item={
                "product": {"S": PRODUCT.name},
                "record": {"S": "rollout"},
                "pointer": {"S": pointer.model_dump_json()},
            },
        )

    def start(self) -> Any:
        specification = importlib.util.spec_from_file_location("scorer_handler", HANDLER)
        assert specification is not None
        assert specification.loader is not None
        module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
        return module


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    for name, value in (
        SETTINGS.to_environment()
        | {
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_LAMBDA_FUNCTION_NAME": "scorer",
        }
    ).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    entity_key_secret.cache_clear()
    with mock_aws():
        yield Deployment()
    entity_key_secret.cache_clear()


def call(function: Any, body: str | None, *, encoded: bool = False) -> dict[str, Any]:
    event = {
        "body": body,
        "isBase64Encoded": encoded,
        "requestContext": {"requestId": "request-1"},
    }
    response: dict[str, Any] = function.handler(event, SimpleNamespace(aws_request_id="lambda-1"))
    return response


def test_an_application_is_decided_with_exact_reasons_and_a_receipt(
    deployment: Deployment,
) -> None:
    deployment.materialize()
    deployment.promote(a_model_on_the_amount(intercept=-3.0))

    response = call(deployment.start(), a_body(loan_amount=10_000))

    document = json.loads(response["body"])
    assert response["statusCode"] == 200
    assert document["outcome"] == "decline"
    assert document["probability_of_default"] == pytest.approx(1 / (1 + np.exp(2)), rel=1e-5)
    assert [reason["feature"] for reason in document["reasons"]] == ["loan_amount"]
    assert document["reasons"][0]["contribution_log_odds"] == pytest.approx(1.0, abs=1e-5)
    stages = [stage.split(";")[0] for stage in response["headers"]["Server-Timing"].split(", ")]
    assert stages == ["parse", "read", "infer", "explain", "write", "total"]
    key = {"application_id": {"S": "application-1"}, "record": {"S": "decision"}}
    receipt = deployment.dynamodb.get_item(TableName="decisions", Key=key)["Item"]
    assert receipt["response"]["S"] == response["body"]


def test_a_repeated_call_answers_the_stored_text_and_says_so(deployment: Deployment) -> None:
    deployment.materialize()
    deployment.promote(a_model_on_the_amount())
    function = deployment.start()

    first = call(function, a_body())
    again = call(function, base64.b64encode(a_body().encode()).decode(), encoded=True)

    assert first["body"] == again["body"]
    assert first["headers"]["Idempotency-Replayed"] == "false"
    assert again["headers"]["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize(
    ("changes", "status"), [({"loan_amount": 9_000}, 409), ({"annual_income": -1}, 400)]
)
def test_refusals_are_problem_documents(
    deployment: Deployment, changes: dict[str, object], status: int
) -> None:
    deployment.materialize()
    deployment.promote(a_model_on_the_amount())
    function = deployment.start()
    call(function, a_body())

    response = call(function, a_body(**changes))

    assert response["statusCode"] == status
    assert response["headers"]["Content-Type"] == "application/problem+json"
    assert json.loads(response["body"])["request_id"] == "request-1"


def test_the_first_champion_is_found_by_a_function_that_started_without_one(
    deployment: Deployment,
) -> None:
    deployment.materialize()
    function = deployment.start()
    without = json.loads(call(function, a_body(application_id="before"))["body"])

    deployment.promote(a_model_on_the_amount())

    after = json.loads(call(function, a_body(application_id="after"))["body"])
    assert without["cause"]["code"] == "model_unavailable"
    assert after["model"]["version"] == "v1"


def test_an_artifact_with_one_flipped_bit_is_never_served(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment.materialize()
    deployment.promote(a_model_on_the_amount(), corrupt=True)

    document = json.loads(call(deployment.start(), a_body())["body"])

    assert (document["outcome"], document["cause"]["code"]) == ("refer", "model_unavailable")
    assert "ModelLoadFailure" in capsys.readouterr().out


def test_a_lost_decisions_table_is_503_and_no_decision(deployment: Deployment) -> None:
    deployment.materialize()
    deployment.promote(a_model_on_the_amount())
    function = deployment.start()
    function.settings.__dict__["deadline_ms"] = 50
    deployment.dynamodb.delete_table(TableName="decisions")

    response = call(function, a_body())

    assert response["statusCode"] == 503
    assert "outcome" not in json.loads(response["body"])


def test_logs_and_metrics_hold_no_value_of_the_applicant(
    deployment: Deployment, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    deployment.materialize()
    deployment.promote(a_model_on_the_amount())
    function = deployment.start()

    call(function, a_body(annual_income=61_234.5, applicant_id="canary-applicant"))
    call(function, a_body(application_id="b", annual_income=-61_234.5))
    call(function, a_body(application_id="c", annual_income="canary-income"))

    # The logger writes to the stream of its first test, so its records are read instead.
    written = "".join([*capsys.readouterr(), *(str(vars(record)) for record in caplog.records)])
    assert [record.message for record in caplog.records] == ["decided", "refused", "refused"]
    assert "StageRead" in written
    assert "canary" not in written
    assert "61234" not in written
