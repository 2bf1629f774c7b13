"""The scorer's handler on a local cloud's DynamoDB, S3 and Secrets Manager, with an ONNX model."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from credit_core.adapters import http_connection
from credit_core.adapters.entity_key_secret import entity_key_secret
from credit_core.adapters.online_store_writer import stored_attributes
from credit_core.domain.model_manifest import manifest_key, model_key
from credit_core.domain.online_store import feature_row
from credit_core.domain.strict_json import MAXIMUM_BODY_BYTES
from credit_core.settings import ScorerSettings
from tests.builders import PRODUCT, SECRET, a_body, a_manifest, a_pointer, features_of, key_of
from tests.builders_aws import TABLE_KEYS, create_table
from tests.builders_onnx import a_linear_onnx
from tests.faulty_server import document, faulty_server, hangs, sends
from tests.faulty_server import response as http_response
from tests.handlers import LAMBDAS, started

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Iterator

    from tests.faulty_server import Answer
    from tests.integration.conftest import LocalCloud

DEADLINE_MS = 2_000
PATIENT_SECONDS = 10.0
"""Many times what an answer inside any deadline here takes, on however busy a machine."""


def a_model_on_the_amount(*, intercept: float = -3.0) -> bytes:
    """Return a model that takes 0.1 log-odds for each 1,000 USD."""
    return a_linear_onnx(intercept=intercept, loan_amount=1e-4)


class Deployment:
    """Tables, bucket and secret as the CDK app makes them, and a freshly started function."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.dynamodb = cloud.client("dynamodb")
        self.s3 = cloud.client("s3")
        self.started: list[Any] = []
        mark = uuid.uuid4().hex[:8]
        self.names = {kind: f"{kind}-{mark}" for kind in (*TABLE_KEYS, "models", "entity-key")}
        for kind in TABLE_KEYS:
            create_table(self.dynamodb, kind, name=self.names[kind])
        self.s3.create_bucket(Bucket=self.names["models"])
        cloud.client("secretsmanager").create_secret(
            Name=self.names["entity-key"], SecretString=SECRET.decode()
        )

    @property
    def environment(self) -> dict[str, str]:
        return ScorerSettings(
            stage="local",
            product=PRODUCT.name,
            online_store_table=self.names["online-store"],
            decisions_table=self.names["decisions"],
            registry_table=self.names["registry"],
            models_bucket=self.names["models"],
            entity_key_secret=self.names["entity-key"],
            deadline_ms=DEADLINE_MS,
            pointer_seconds=0,
        ).to_environment()

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
            self.dynamodb.put_item(TableName=self.names["online-store"], Item=item)

    def promote(
        self, onnx_body: bytes, *, version: str = "v1", flipped: bool = False
    ) -> tuple[bytes, bytes]:
        """Register a model and point to it; return the manifest and the model as they lie there."""
        manifest = a_manifest(
            version=version,
            onnx_sha256=hashlib.sha256(onnx_body).hexdigest(),
            onnx_bytes=len(onnx_body),
        ).to_json()
        if flipped:
            onnx_body = onnx_body[:-1] + bytes([onnx_body[-1] ^ 1])
        bucket = self.names["models"]
        self.s3.put_object(Bucket=bucket, Key=manifest_key(PRODUCT.name, version), Body=manifest)
        self.s3.put_object(Bucket=bucket, Key=model_key(PRODUCT.name, version), Body=onnx_body)
        self.point(version, sha256=hashlib.sha256(manifest).hexdigest())
        return manifest, onnx_body

    def point(self, version: str, *, sha256: str = "0" * 64) -> None:
        self.dynamodb.put_item(
            TableName=self.names["registry"],
            Item={
                "product": {"S": PRODUCT.name},
                "record": {"S": "rollout"},
                "pointer": {"S": a_pointer(champion=version, sha256=sha256).model_dump_json()},
            },
        )

    def start(self) -> Any:
        module = started("scorer")
        self.started.append(module)
        return module


@pytest.fixture
def deployment(
    local_cloud_bare: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployment]:
    made = Deployment(local_cloud_bare)
    for name, value in (made.environment | {"AWS_LAMBDA_FUNCTION_NAME": "scorer"}).items():
        monkeypatch.setenv(name, value)
    entity_key_secret.cache_clear()
    yield made
    for function in made.started:
        function.scorer.cache_clear()  # its connections are closed


def call(function: Any, body: str | None, *, encoded: bool = False) -> dict[str, Any]:
    """Send an application as API Gateway does."""
    event = {
        "httpMethod": "POST",
        "resource": "/v1/decisions",
        "body": body,
        "isBase64Encoded": encoded,
        "requestContext": {"requestId": "request-1"},
    }
    return send(function, event)


def health(function: Any) -> dict[str, Any]:
    event = {
        "httpMethod": "GET",
        "resource": "/v1/health",
        "body": None,
        "requestContext": {"requestId": "request-1"},
    }
    return send(function, event)


def send(function: Any, event: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = function.handler(event, SimpleNamespace(aws_request_id="lambda-1"))
    return answer


def version_serving(function: Any) -> str | None:
    """Return the model that decides about a new application."""
    document = json.loads(call(function, a_body(application_id=uuid.uuid4().hex))["body"])
    model: dict[str, str] | None = document["model"]
    return model["version"] if model else None


def until_serving(function: Any, version: str) -> None:
    deadline = time.monotonic() + 10
    while version_serving(function) != version:
        assert time.monotonic() < deadline


def metrics_in(printed: str) -> list[dict[str, Any]]:
    """Return the embedded metrics among the lines."""
    return [json.loads(line) for line in printed.splitlines() if line.startswith('{"_aws"')]


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
    receipt = deployment.dynamodb.get_item(TableName=deployment.names["decisions"], Key=key)["Item"]
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
    ("changes", "status"),
    [
        ({"loan_amount": 9_000}, 409),
        ({"annual_income": -1}, 400),
        ({"application_id": "x" * MAXIMUM_BODY_BYTES}, 413),
    ],
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
    deployment.promote(a_model_on_the_amount(), flipped=True)

    document = json.loads(call(deployment.start(), a_body())["body"])

    assert (document["outcome"], document["cause"]["code"]) == ("refer", "model_unavailable")
    assert "ModelLoadFailure" in capsys.readouterr().out


def test_a_lost_decisions_table_is_503_and_no_decision(deployment: Deployment) -> None:
    deployment.materialize()
    deployment.promote(a_model_on_the_amount())
    function = deployment.start()
    deployment.dynamodb.delete_table(TableName=deployment.names["decisions"])

    response = call(function, a_body())

    assert response["statusCode"] == 503
    assert "outcome" not in json.loads(response["body"])


def test_a_damaged_receipt_is_a_problem_and_no_second_decision(deployment: Deployment) -> None:
    deployment.materialize()
    deployment.promote(a_model_on_the_amount())
    function = deployment.start()
    call(function, a_body())
    key = {"application_id": {"S": "application-1"}, "record": {"S": "decision"}}
    table = deployment.names["decisions"]
    deployment.dynamodb.update_item(TableName=table, Key=key, UpdateExpression="REMOVE fingerprint")
    damaged = deployment.dynamodb.scan(TableName=table)["Items"]

    response = call(function, a_body())

    assert response["statusCode"] == 503
    assert response["headers"]["Content-Type"] == "application/problem+json"
    assert "outcome" not in json.loads(response["body"])
    assert deployment.dynamodb.scan(TableName=table)["Items"] == damaged


def reads_hang(connection: socket.socket, request: bytes, ended: threading.Event) -> bool:
    """Answer as a DynamoDB that takes writes and never answers a read."""
    if b"BatchGetItem" in request:
        return hangs(connection, request, ended)
    return document({})(connection, request, ended)


@pytest.mark.parametrize(("fault", "status"), [(reads_hang, 200), (hangs, 503)])
def test_a_store_that_hangs_is_answered_inside_the_deadline(
    fault: Answer, status: int, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a referral that may be sent again if it can be recorded, else with a problem."""
    monkeypatch.setattr("credit_core.adapters.aws_scorer.INITIALIZATION_SECONDS", 0.1)
    deployment.materialize()
    monkeypatch.setenv("CREDIT_DEADLINE_MS", "500")
    monkeypatch.setattr("credit_core.adapters.http_connection.LONGEST_WAIT_SECONDS", 60.0)
    with faulty_server() as server:
        server.answers = [fault]
        monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", server.url)
        function = deployment.start()

        started = time.monotonic()
        response = call(function, a_body())
        seconds = time.monotonic() - started

    document = json.loads(response["body"])
    assert response["statusCode"] == status
    assert seconds < PATIENT_SECONDS
    if status == 200:
        assert document["outcome"] == "refer"
        assert document["cause"]["code"] == "features_unavailable"
        assert document["cause"]["retryable"] is True


# --- health --------------------------------------------------------------------------------


def test_health_says_which_model_decides(deployment: Deployment) -> None:
    _, onnx_body = deployment.promote(a_model_on_the_amount())

    response = health(deployment.start())

    assert response["statusCode"] == 200
    assert json.loads(response["body"]) == {
        "status": "ready",
        "product": PRODUCT.name,
        "model": {"version": "v1", "sha256": hashlib.sha256(onnx_body).hexdigest()},
        "policy_version": PRODUCT.policy.version,
    }


def test_a_function_is_not_healthy_before_a_verified_model_is_loaded(
    deployment: Deployment,
) -> None:
    function = deployment.start()
    none = health(function)
    deployment.promote(a_model_on_the_amount(), flipped=True)
    flipped = health(function)
    deployment.promote(a_model_on_the_amount(), version="v2")
    good = health(function)

    assert [response["statusCode"] for response in (none, flipped, good)] == [503, 503, 200]
    assert json.loads(none["body"])["request_id"] == "request-1"
    assert none["headers"]["Content-Type"] == "application/problem+json"


# --- hot swap ------------------------------------------------------------------------------


def test_a_new_champion_takes_over_by_itself(deployment: Deployment) -> None:
    deployment.materialize()
    deployment.promote(a_model_on_the_amount())
    function = deployment.start()
    assert version_serving(function) == "v1"

    deployment.promote(a_model_on_the_amount(intercept=-2.0), version="v2")

    until_serving(function, "v2")


ERROR_500 = sends(http_response(b"<Error><Code>InternalError</Code></Error>", status=500))
NO_SUCH_KEY = sends(http_response(b"<Error><Code>NoSuchKey</Code></Error>", status=404))


@pytest.mark.parametrize(
    "fault",
    ["hangs", "answers 500", "has no such version", "breaks off", "has flipped a bit"],
)
def test_while_a_new_champion_cannot_be_loaded_the_last_good_one_decides(
    fault: str,
    deployment: Deployment,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No request waits or fails, the failure is a metric, and the next try may succeed."""
    monkeypatch.setattr(http_connection, "LONGEST_WAIT_SECONDS", 0.5)
    monkeypatch.setattr("credit_core.adapters.champions.RETRY_SECONDS", 0.5)
    deployment.materialize()
    old = [sends(http_response(body)) for body in deployment.promote(a_model_on_the_amount())]
    with faulty_server() as s3:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
        s3.answers = [*old, hangs]
        function = deployment.start()
        manifest, body = deployment.promote(a_model_on_the_amount(intercept=-2.0), version="v2")
        new = [sends(http_response(manifest)), sends(http_response(body))]
        flipped = body[:-1] + bytes([body[-1] ^ 1])
        faults: dict[str, list[Answer]] = {
            "hangs": [hangs],
            "answers 500": [ERROR_500],
            "has no such version": [NO_SUCH_KEY],
            "breaks off": [
                sends(http_response(manifest[:-1], length=len(manifest)), then_closes=True)
            ],
            "has flipped a bit": [new[0], sends(http_response(flipped))],
        }
        s3.answers = faults[fault]

        during = {version_serving(function) for _ in range(5)}
        loading = function.scorer()._champions._loading
        if fault == "hangs":
            assert loading.is_alive()
        loading.join(10)
        after = version_serving(function)
        s3.answers = new
        until_serving(function, "v2")

    assert during == {after} == {"v1"}
    failures = [line for line in metrics_in(capsys.readouterr().out) if "ModelLoadFailure" in line]
    assert failures
    assert failures[0]["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Stage", "Product"]]
    assert (failures[0]["Stage"], failures[0]["Product"]) == ("local", PRODUCT.name)


def test_a_request_without_a_model_does_not_wait_for_a_store_that_hangs(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.materialize()
    with faulty_server() as s3:
        s3.answers = [hangs]
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
        function = deployment.start()
        deployment.promote(a_model_on_the_amount())

        assert version_serving(function) is None
        assert function.scorer()._champions._loading.is_alive()


# --- what it loads -------------------------------------------------------------------------

PACKAGES = {
    "annotated_types",
    "aws_lambda_powertools",
    "botocore",  # of which Powertools imports the empty package, to add itself to user agents
    "credit_core",
    "jmespath",
    "numpy",
    "onnxruntime",
    "products",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "typing_inspection",
}
"""What the function loads besides the standard library. A new one costs every cold start."""

PROGRAM = """
import sys
before = set(sys.modules)
sys.path.insert(0, sys.argv[1])
import handler
class Context:
    aws_request_id = "request-1"
answer = handler.handler({"httpMethod": "POST", "body": sys.argv[2]}, Context())
loaded = set(sys.modules) - before
print(answer["statusCode"], *sorted(loaded))
"""


def test_the_function_loads_only_these_packages(deployment: Deployment) -> None:
    """Also when it has started, read its secret, loaded its model, and decided."""
    deployment.materialize()
    deployment.promote(a_model_on_the_amount())

    printed = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(LAMBDAS / "scorer"), a_body()],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()[-1]

    status, *modules = printed.split()
    packages = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names
    new = {name for name in packages - PACKAGES if not name.startswith("_sysconfigdata")}
    assert status == "200"
    assert new == {"handler"}
    assert not [name for name in modules if name.startswith("botocore.")]


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
    printed = capsys.readouterr()
    written = "".join([*printed, *(str(vars(record)) for record in caplog.records)])
    assert [record.message for record in caplog.records] == ["refused", "refused"]
    (line,) = metrics_in(printed.out)
    assert line["message"] == "decided"
    assert line["application_id"] == "application-1"
    assert {"StageRead", "Decisions"} <= set(line)
    assert "canary" not in written
    assert "61234" not in written
