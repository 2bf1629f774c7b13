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

from credit_core.adapters.entity_key_secret import entity_key_secret
from credit_core.adapters.online_store_writer import stored_attributes
from credit_core.adapters.signing import KmsSigner
from credit_core.domain.model_manifest import (
    Challenger,
    ModelReference,
    RolloutMode,
    manifest_key,
    model_key,
    signature_key,
)
from credit_core.domain.online_store import entity_key, feature_row
from credit_core.domain.strict_json import MAXIMUM_BODY_BYTES
from credit_core.settings import ScorerSettings
from tests.builders import PRODUCT, SECRET, a_body, a_manifest, a_pointer, features_of
from tests.builders_aws import TABLE_KEYS, create_signing_key, create_table
from tests.builders_onnx import a_linear_onnx
from tests.builders_registry import a_model_item
from tests.faulty_server import document, faulty_server, hangs, sends
from tests.faulty_server import response as http_response
from tests.handlers import LAMBDAS, started
from tests.xray_daemon import NOT_SAMPLED, SAMPLED, xray_daemon

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Iterator, Sequence

    from tests.faulty_server import Answer
    from tests.integration.conftest import LocalCloud

DEADLINE_MS = 20_000
"""Later than any answer here: what is late by it, a test makes late."""
PATIENT_SECONDS = 10.0
"""Many times what an answer inside any deadline here takes, on however busy a machine."""
AN_INCOME = 6_123_457.5
"""Of so many digits that no time and no number of a thread in a log holds them by chance."""


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
        kms = cloud.client("kms")
        self.signing_key = create_signing_key(kms)
        self.signer = KmsSigner(kms, self.signing_key)
        self.revision = 0
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
            signing_key=self.signing_key,
            entity_key_secret=self.names["entity-key"],
            receipt_days=7,
            deadline_ms=DEADLINE_MS,
            pointer_seconds=0,
        ).to_environment()

    def materialize(self) -> None:
        self.materialize_for(["applicant-1"])

    def materialize_for(self, applicants: Sequence[str]) -> None:
        """Write fresh features of these applicants and of their one region."""
        now = datetime.now(UTC)
        keys = [
            (
                view,
                entity_key(
                    PRODUCT, view, {"applicant_id": name, "addr_state": "CA"}, secret=SECRET
                ),
            )
            for view in PRODUCT.feature_views
            for name in applicants
        ]
        for view, key in dict.fromkeys(keys):
            row = feature_row(
                view,
                key,
                event_timestamp=now,
                created_timestamp=now,
                features=features_of(view),  # type: ignore[arg-type]
            )
            item = {"entity_key": {"S": row.entity_key}} | stored_attributes(row, view.ttl)
            self.dynamodb.put_item(TableName=self.names["online-store"], Item=item)

    def promote(
        self, onnx_body: bytes, *, version: str = "v1", flipped: bool = False
    ) -> tuple[bytes, bytes, bytes]:
        """Register a model and point to it; return what lies there, in the order it is read."""
        reference, read = self.register(onnx_body, version=version, flipped=flipped)
        self.point(version, sha256=reference.manifest_sha256)
        return read

    def register(
        self, onnx_body: bytes, *, version: str = "v1", flipped: bool = False
    ) -> tuple[ModelReference, tuple[bytes, bytes, bytes]]:
        """Register a model; return the reference to it, and what lies there."""
        manifest = a_manifest(
            version=version,
            onnx_sha256=hashlib.sha256(onnx_body).hexdigest(),
            onnx_bytes=len(onnx_body),
        ).to_json()
        if flipped:
            onnx_body = onnx_body[:-1] + bytes([onnx_body[-1] ^ 1])
        signature = self.signer.sign(manifest)
        bucket = self.names["models"]
        for key, body in (
            (manifest_key(PRODUCT.name, version), manifest),
            (signature_key(PRODUCT.name, version), signature),
            (model_key(PRODUCT.name, version), onnx_body),
        ):
            self.s3.put_object(Bucket=bucket, Key=key, Body=body)
        sha256 = hashlib.sha256(manifest).hexdigest()
        self.dynamodb.put_item(
            TableName=self.names["registry"], Item=a_model_item(sha256, version=version)
        )
        reference = ModelReference(version=version, manifest_sha256=sha256)
        return reference, (manifest, signature, onnx_body)

    def point(self, version: str, *, sha256: str = "0" * 64) -> None:
        self.move(champion=ModelReference(version=version, manifest_sha256=sha256))

    def move(self, **models: Any) -> None:
        """Move the rollout pointer."""
        self.revision += 1
        changes = models | {"revision": self.revision}
        pointer = a_pointer().model_copy(update=changes).model_dump_json()
        self.dynamodb.put_item(
            TableName=self.names["registry"],
            Item={
                "product": {"S": f"{PRODUCT.name}#rollout"},
                "record": {"S": "rollout"},
                "pointer": {"S": pointer},
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
    deadline = time.monotonic() + 30
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
    monkeypatch.setenv("CREDIT_DEADLINE_MS", "2000")
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


def test_the_log_says_why_the_stores_were_not_read(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    """A table that is gone, a role that was changed: the referral alone does not tell which."""
    deployment.promote(a_model_on_the_amount())
    function = deployment.start()
    call(function, a_body(application_id="before"))
    caplog.clear()
    deployment.dynamodb.delete_table(TableName=deployment.names["online-store"])

    document = json.loads(call(function, a_body(application_id="after"))["body"])

    assert document["cause"]["code"] == "features_unavailable"
    (said,) = [line for line in caplog.records if line.message == "the stores could not be read"]
    assert (said.levelname, said.__dict__["reason"]) == ("ERROR", "ResourceNotFoundException")


def test_the_log_says_so_too_where_nobody_was_answered(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    deployment.promote(a_model_on_the_amount())
    function = deployment.start()
    deployment.dynamodb.delete_table(TableName=deployment.names["decisions"])

    assert call(function, a_body())["statusCode"] == 503

    assert "the stores could not be read" in caplog.messages


# --- health --------------------------------------------------------------------------------


def test_health_says_which_model_decides(deployment: Deployment) -> None:
    *_, onnx_body = deployment.promote(a_model_on_the_amount())

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


def holds(objects: Sequence[bytes]) -> Answer:
    """Answer as a bucket that holds a model's manifest, signature and artifact."""
    ends = [key("", "").strip("/").encode() for key in (manifest_key, signature_key, model_key)]

    def answer(connection: socket.socket, request: bytes, ended: threading.Event) -> bool:
        asked = request.partition(b" HTTP/")[0]
        (body,) = (body for end, body in zip(ends, objects, strict=True) if asked.endswith(end))
        return sends(http_response(body))(connection, request, ended)

    return answer


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
    monkeypatch.setattr("credit_core.adapters.serving_models.RETRY_SECONDS", 0.5)
    deployment.materialize()
    old = deployment.promote(a_model_on_the_amount())
    with faulty_server() as s3:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
        s3.answers = [holds(old)]
        function = deployment.start()
        read = deployment.promote(a_model_on_the_amount(intercept=-2.0), version="v2")
        manifest, signature, body = read
        flipped = body[:-1] + bytes([body[-1] ^ 1])
        faults: dict[str, list[Answer]] = {
            "hangs": [hangs],
            "answers 500": [ERROR_500],
            "has no such version": [NO_SUCH_KEY],
            "breaks off": [
                sends(http_response(manifest[:-1], length=len(manifest)), then_closes=True)
            ],
            "has flipped a bit": [holds((manifest, signature, flipped))],
        }
        s3.answers = faults[fault]

        during = {version_serving(function)}
        loading = function.scorer()._models._loading
        if fault == "hangs":
            assert loading.is_alive()
        during |= {version_serving(function) for _ in range(4)}
        loading.join(10)
        after = version_serving(function)
        s3.answers = [holds(read)]
        until_serving(function, "v2")

    assert during == {after} == {"v1"}
    failures = [line for line in metrics_in(capsys.readouterr().out) if "ModelLoadFailure" in line]
    assert failures
    assert failures[0]["_aws"]["CloudWatchMetrics"][0]["Dimensions"] == [["Stage", "Product"]]
    assert (failures[0]["Stage"], failures[0]["Product"]) == ("local", PRODUCT.name)


def test_a_bit_flipped_under_the_serving_champion_is_noticed_and_it_goes_on(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The next start would find no model: it is told while there is one."""
    monkeypatch.setattr("credit_core.adapters.serving_models.CHECK_SECONDS", 0.1)
    deployment.materialize()
    *_, body = deployment.promote(a_model_on_the_amount())
    function = deployment.start()
    assert version_serving(function) == "v1"
    key = model_key(PRODUCT.name, "v1")
    flipped = bytes([body[0] ^ 1]) + body[1:]
    deployment.s3.put_object(Bucket=deployment.names["models"], Key=key, Body=flipped)

    printed, deadline = "", time.monotonic() + 30
    while "ModelLoadFailure" not in printed:
        assert time.monotonic() < deadline
        time.sleep(0.1)
        assert version_serving(function) == "v1"
        printed += capsys.readouterr().out

    assert version_serving(function) == "v1"


def test_an_unsigned_champion_is_never_served(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever can write bucket and registry, but not sign, changes nothing."""
    deployment.materialize()
    deployment.promote(a_model_on_the_amount())
    function = deployment.start()
    reference, _ = deployment.register(a_model_on_the_amount(intercept=-9.0), version="v2")
    key = signature_key(PRODUCT.name, "v2")
    signature = deployment.signer.sign(b"another manifest")
    deployment.s3.put_object(Bucket=deployment.names["models"], Key=key, Body=signature)
    deployment.move(champion=reference)

    assert version_serving(function) == "v1"
    function.scorer()._models._loading.join(10)
    assert version_serving(function) == "v1"
    assert "ModelLoadFailure" in capsys.readouterr().out


# --- champion and challenger ---------------------------------------------------------------


def decided(function: Any, **changes: object) -> dict[str, Any]:
    """Return the decision about a new application."""
    response = call(function, a_body(application_id=uuid.uuid4().hex, **changes))
    assert response["statusCode"] == 200, response
    document: dict[str, Any] = json.loads(response["body"])
    return document


def cast_of(function: Any, *, applicants: int = 60) -> dict[str, str]:
    """Return the version that answered each of so many applicants."""
    return {
        f"applicant-{number}": decided(
            function, addr_state="CA", applicant_id=f"applicant-{number}"
        )["model"]["version"]
        for number in range(applicants)
    }


def on_trial(model: ModelReference, *, share: float = 0.0) -> Challenger:
    mode = RolloutMode.LIVE if share else RolloutMode.SHADOW
    return Challenger(model=model, mode=mode, share=share)


def test_a_shadow_is_recorded_and_counted_and_not_answered(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment.materialize()
    champion, _ = deployment.register(a_model_on_the_amount())
    challenger, _ = deployment.register(a_model_on_the_amount(intercept=-4.5), version="v2")
    deployment.move(champion=champion, challenger=on_trial(challenger))

    document = decided(deployment.start())

    key = {"application_id": {"S": document["application_id"]}, "record": {"S": "decision"}}
    item = deployment.dynamodb.get_item(TableName=deployment.names["decisions"], Key=key)["Item"]
    shadow = json.loads(item["shadow"]["S"])
    assert document["model"]["role"] == "champion"
    assert (document["outcome"], shadow["outcome"]) == ("decline", "approve")
    assert (shadow["role"], shadow["version"], shadow["fault"]) == ("challenger", "v2", None)
    assert shadow["manifest_sha256"] == challenger.manifest_sha256
    (line,) = metrics_in(capsys.readouterr().out)
    assert (line["role"], line["shadow_model"], line["shadow_agrees"]) == ("champion", "v2", False)
    assert (line["ShadowDecisions"], line["ShadowDisagreements"]) == (1, 1)
    assert "ChallengerDecisions" not in line
    assert line["StageShadow"] > 0
    assert str(shadow["probability_of_default"]) not in json.dumps(line)


def test_shares_follow_the_pointer_and_applicants_stay_where_they_are(
    deployment: Deployment,
) -> None:
    """Up, down, promoted and rolled back, with features of one applicant for all of them."""
    deployment.materialize_for([f"applicant-{number}" for number in range(60)])
    first, _ = deployment.register(a_model_on_the_amount())
    second, _ = deployment.register(a_model_on_the_amount(intercept=-3.1), version="v2")
    deployment.move(champion=first, challenger=on_trial(second))
    function = deployment.start()

    shadow = cast_of(function)
    deployment.move(champion=first, challenger=on_trial(second, share=0.3))
    third, again = cast_of(function), cast_of(function)
    deployment.move(champion=first, challenger=on_trial(second, share=0.7))
    most = cast_of(function)
    deployment.move(champion=second, previous_champion=first)
    promoted = cast_of(function, applicants=3)
    deployment.move(champion=first, previous_champion=second)
    rolled_back = cast_of(function, applicants=3)

    assert set(shadow.values()) == {"v1"}
    assert third == again
    assert 5 <= list(third.values()).count("v2") <= 32
    assert all(most[name] == "v2" for name, version in third.items() if version == "v2")
    assert 28 <= list(most.values()).count("v2") <= 55
    assert set(promoted.values()) == {"v2"}
    assert set(rolled_back.values()) == {"v1"}


def test_a_challenger_with_a_flipped_bit_answers_nobody_and_is_counted(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    deployment.materialize()
    champion, _ = deployment.register(a_model_on_the_amount())
    challenger, _ = deployment.register(
        a_model_on_the_amount(intercept=-9.0), version="v2", flipped=True
    )
    deployment.move(champion=champion, challenger=on_trial(challenger, share=1.0))
    function = deployment.start()

    documents = [decided(function) for _ in range(3)]

    assert {document["model"]["version"] for document in documents} == {"v1"}
    lines = metrics_in(capsys.readouterr().out)
    assert [line for line in lines if "ModelLoadFailure" in line]
    assert not [line for line in lines if "shadow_model" in line]


def test_a_request_without_a_model_does_not_wait_for_a_store_that_hangs(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.materialize()
    with faulty_server() as s3:
        s3.answers = [hangs]
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3.url)
        # A share of it is waited for the model; the loading's own patience is longer.
        monkeypatch.setenv("CREDIT_DEADLINE_MS", "4000")
        function = deployment.start()
        deployment.promote(a_model_on_the_amount())

        assert version_serving(function) is None
        assert function.scorer()._models._loading.is_alive()


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

    call(function, a_body(annual_income=AN_INCOME, applicant_id="canary-applicant"))
    call(function, a_body(application_id="b", annual_income=-AN_INCOME))
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
    assert "6123457" not in written


def test_a_traced_decision_shows_its_stages_and_calls_and_no_value(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment.materialize()
    deployment.promote(a_model_on_the_amount(intercept=-3.0))
    function = deployment.start()
    with xray_daemon() as daemon:
        monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", daemon.address)
        monkeypatch.setenv("_X_AMZN_TRACE_ID", SAMPLED)
        response = call(function, a_body(loan_amount=10_000))
        refused = call(function, "{}")
        monkeypatch.setenv("_X_AMZN_TRACE_ID", NOT_SAMPLED)
        call(function, a_body(application_id="application-2"))
        traces = daemon.documents()

    decided, nothing = traces
    stages = {part["name"]: part for part in decided["subsegments"]}
    assert list(stages) == ["parse", "read", "infer", "explain", "write"]
    [read] = stages["read"]["subsegments"]
    [write] = stages["write"]["subsegments"]
    assert set(read["aws"]["table_names"]) >= {deployment.names["online-store"]}
    assert write["aws"]["table_name"] == deployment.names["decisions"]
    assert decided["annotations"]["outcome"] == json.loads(response["body"])["outcome"]
    assert decided["annotations"]["model"] == "v1"
    assert decided["annotations"]["request_id"] == "request-1"
    assert "applicant" not in json.dumps(traces)
    assert refused["statusCode"] == 400
    assert nothing["error"] is True
    assert nothing["annotations"] == {"request_id": "request-1", "status": 400}
