"""The batch handler on a local cloud's DynamoDB, S3 and Secrets Manager, with an ONNX model."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.adapters.entity_key_secret import entity_key_secret
from tests.builders import a_body
from tests.handlers import started
from tests.integration.test_scorer_handler import (
    AN_INCOME,
    Deployment,
    a_model_on_the_amount,
    call,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.conftest import LocalCloud

type Judge = Callable[..., tuple[int, Any]]


@pytest.fixture
def deployment(
    local_cloud_bare: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployment]:
    made = Deployment(local_cloud_bare)
    batching = {"CREDIT_THREADS": "4", "CREDIT_BATCH_SECONDS": "20"}
    for name, value in (made.environment | batching).items():
        monkeypatch.setenv(name, value)
    entity_key_secret.cache_clear()
    made.materialize()
    made.promote(a_model_on_the_amount())
    yield made
    for function in made.started:
        function.scorer.cache_clear()
    entity_key_secret.cache_clear()


@pytest.fixture
def judge(deployment: Deployment) -> Judge:
    """Call a freshly started function with applications, or with a body."""
    function = started("batch")
    deployment.started.append(function)

    def call_batch(*applications: str, body: str | None = None) -> tuple[int, Any]:
        event = {
            "httpMethod": "POST",
            "resource": "/v1/decision-batches",
            "body": body or f'{{"applications": [{", ".join(applications)}]}}',
            "isBase64Encoded": False,
            "requestContext": {"requestId": "request-1"},
        }
        context = SimpleNamespace(aws_request_id="lambda-1")
        response = function.handler(event, context)
        kind = "problem+json" if response["statusCode"] >= 400 else "json"
        assert response["headers"]["Content-Type"] == f"application/{kind}"
        judge.body = response["body"]  # type: ignore[attr-defined]
        return response["statusCode"], json.loads(response["body"])

    judge = call_batch
    return call_batch


def test_decisions_of_a_batch_are_those_of_single_calls_byte_for_byte(
    deployment: Deployment, judge: Judge
) -> None:
    applications = [a_body(application_id=f"a-{number}") for number in range(10)]

    status, document = judge(*applications)

    assert status == 200
    assert [result["status"] for result in document["results"]] == [200] * 10
    scorer = deployment.start()
    for application, result in zip(applications, document["results"], strict=True):
        alone = call(scorer, application)
        assert alone["headers"]["Idempotency-Replayed"] == "true"
        assert json.loads(alone["body"]) == result["decision"]
        assert f'"decision":{alone["body"]}' in judge.body  # type: ignore[attr-defined]


def test_each_result_is_of_its_application(judge: Judge) -> None:
    status, document = judge(
        a_body(application_id="a"),
        a_body(application_id="b", annual_income=-31_337),
        '{"application_id": "c", "application_id": "c"}',
        a_body(application_id="a"),
        a_body(application_id="a", loan_amount=9_000),
        a_body(application_id="d", applicant_id="a" * 20_000),
    )

    results = document["results"]
    assert status == 200
    assert [result["status"] for result in results] == [200, 400, 400, 200, 409, 413]
    assert results[0] == results[3]
    assert results[1]["problem"]["request_id"] == "request-1"
    assert [fault["path"] for fault in results[1]["problem"]["faults"]] == ["annual_income"]
    assert "31337" not in judge.body  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("[]", 400),
        ('{"applications": []}', 400),
        ('{"applications": [1], "more": 1}', 400),
        ('{"applications": [' + " " * 1_638_400 + "1]}", 413),
    ],
)
def test_what_is_no_batch_is_refused_as_a_whole(judge: Judge, body: str, status: int) -> None:
    found, problem = judge(body=body)

    assert (found, problem["status"]) == (status, status)


def test_a_lost_decisions_table_fails_each_application_alone(
    deployment: Deployment, judge: Judge
) -> None:
    deployment.dynamodb.delete_table(TableName=deployment.names["decisions"])

    status, document = judge(a_body(application_id="a"), a_body(application_id="b", term_months=1))

    assert status == 200
    assert [result["status"] for result in document["results"]] == [503, 400]


def test_logs_and_metrics_hold_no_value_of_an_applicant(
    judge: Judge, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    judge(
        a_body(application_id="a", applicant_id="canary-applicant", annual_income=AN_INCOME),
        a_body(application_id="b", annual_income="canary-income"),
    )
    judge(body='{"canary-name": "canary-value"}')

    written = "".join([*capsys.readouterr(), *(str(vars(record)) for record in caplog.records)])
    assert [record.message for record in caplog.records] == ["refused"]
    assert '"message":"decided"' in written
    assert "OutcomeRefer" in written
    assert "canary" not in written
    assert "6123457" not in written
