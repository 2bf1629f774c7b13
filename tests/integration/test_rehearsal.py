"""New versions are tried before anybody reaches them: good ones pass, and each bad one is named."""

from __future__ import annotations

import hashlib
import json
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np
import pytest

from credit_core.adapters.clients import client
from credit_core.adapters.entity_key_secret import entity_key_secret
from credit_core.adapters.function_versions import function_version, rehearsing_config
from credit_core.domain.decision import FeatureStatus, ServedView
from credit_core.domain.feature_matrix import feature_matrix
from credit_core.domain.model_manifest import (
    Challenger,
    GoldenVector,
    RolloutMode,
    manifest_key,
    model_key,
    signature_key,
)
from credit_core.settings import RecordsSettings, RehearsalSettings
from credit_core.use_cases.rehearse import BATCH, RECORDS, SCORER, Rehearsal, Reply
from tests.builders import AN_APPLICATION, PRODUCT, a_manifest, a_reference, features_of
from tests.faulty_server import faulty_server, resets, sends
from tests.faulty_server import response as http_response
from tests.handlers import started
from tests.integration.test_scorer_handler import Deployment, a_model_on_the_amount, metrics_in

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable, Iterator, Mapping

    from credit_core.domain.model_manifest import ModelManifest
    from tests.faulty_server import Answer
    from tests.integration.conftest import LocalCloud

INTERCEPT = -6.0
"""Whoever asks for little is approved."""
DEADLINE_MS = 20_000
ARNS = {
    name: f"arn:aws:lambda:us-east-1:000000000000:function:{name}:7"
    for name in (SCORER, BATCH, RECORDS)
}


def a_golden_vector(amount: float) -> GoldenVector:
    """Return an applicant of whom the model on the amount knows everything."""
    values = {name: AN_APPLICATION.get(name) for name in ("annual_income", "employment_years")}
    values |= AN_APPLICATION | {"loan_amount": amount}
    for view in PRODUCT.feature_views:
        values |= features_of(view)
    columns = {feature.name: (values[feature.name],) for feature in PRODUCT.base_features}
    row = feature_matrix(PRODUCT, columns)[0]
    return GoldenVector(
        model_input=tuple(None if np.isnan(value) else float(value) for value in row),
        log_odds=INTERCEPT + 1e-4 * amount,
    )


GOLDEN = tuple(a_golden_vector(amount) for amount in (5_000.0, 12_000.0, 30_000.0))


class Versions:
    """The functions' new versions, started here, and how a rehearsal of them goes."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.manifest: ModelManifest | None = None
        self.modules: dict[str, Any] = {}
        self.settled = 0

    def promote(self, version: str = "v1", **pointer: Any) -> None:
        """Register a model with golden vectors and point to it."""
        onnx = a_model_on_the_amount(intercept=INTERCEPT)
        manifest = a_manifest(
            version=version,
            onnx_sha256=hashlib.sha256(onnx).hexdigest(),
            onnx_bytes=len(onnx),
            golden=GOLDEN,
        )
        body = manifest.to_json()
        for key, content in (
            (manifest_key(PRODUCT.name, version), body),
            (signature_key(PRODUCT.name, version), self.deployment.signer.sign(body)),
            (model_key(PRODUCT.name, version), onnx),
        ):
            self.deployment.s3.put_object(
                Bucket=self.deployment.names["models"], Key=key, Body=content
            )
        reference = a_reference(version, hashlib.sha256(body).hexdigest())
        item = {
            "product": {"S": PRODUCT.name},
            "record": {"S": f"model#{version}"},
            "manifest_sha256": {"S": reference.manifest_sha256},
            "report_sha256": {"S": "0" * 64},
            "registered_as": {"S": "registered"},
            "state": {"S": "champion"},
            "created_at": {"S": "2026-11-20T12:00:00.000Z"},
            "moved_at": {"S": "2026-11-20T12:00:00.000Z"},
            "moved_by": {"S": "test"},
        }
        self.deployment.dynamodb.put_item(TableName=self.deployment.names["registry"], Item=item)
        self.manifest = manifest
        self.deployment.move(champion=reference, **pointer)

    def start(self) -> None:
        """Start each function, as Lambda starts a new version's first environment."""
        for name in (SCORER, BATCH, RECORDS):
            self.modules[name] = started(name)
            if name != RECORDS:
                self.deployment.started.append(self.modules[name])

    def call(self, name: str, event: Mapping[str, Any]) -> Reply:
        context = SimpleNamespace(aws_request_id="lambda-1")
        return Reply(self.modules[name].handler(dict(event), context))

    def rehearse(self, **calls: Callable[[Mapping[str, Any]], Reply]) -> dict[str, Any]:
        """Return the result; the functions are started if they aren't."""
        if not self.modules:
            self.start()

        def settle() -> None:
            self.settled += 1

        functions = {
            name: calls.get(name, lambda event, name=name: self.call(name, event))
            for name in (SCORER, BATCH, RECORDS)
        }
        return Rehearsal(
            PRODUCT,
            functions=functions,
            champion=lambda: self.manifest,
            deadline_ms=DEADLINE_MS,
            mark="rehearsal-0001",
            settle=settle,
        )().document()

    def items(self) -> list[dict[str, Any]]:
        """Return what lies in the decisions table."""
        found: list[dict[str, Any]] = self.deployment.dynamodb.scan(
            TableName=self.deployment.names["decisions"]
        )["Items"]
        return found


@pytest.fixture
def versions(local_cloud_bare: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Versions]:
    deployment = Deployment(local_cloud_bare)
    environment = (
        deployment.environment
        | {"CREDIT_THREADS": "4", "CREDIT_BATCH_SECONDS": "20"}
        | RecordsSettings(
            product=PRODUCT.name,
            decisions_table=deployment.names["decisions"],
            registry_table=deployment.names["registry"],
            models_bucket=deployment.names["models"],
            signing_key=deployment.signing_key,
            receipt_days=7,
            token_url="https://tokens.example/oauth2/token",
        ).to_environment()
        | RehearsalSettings(
            product=PRODUCT.name,
            **ARNS,
            registry_table=deployment.names["registry"],
            models_bucket=deployment.names["models"],
            signing_key=deployment.signing_key,
            deadline_ms=DEADLINE_MS,
            pointer_seconds=0,
        ).to_environment()
    )
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    entity_key_secret.cache_clear()
    yield Versions(deployment)
    for function in deployment.started:
        function.scorer.cache_clear()
    entity_key_secret.cache_clear()


def test_good_versions_pass_and_their_times_are_told(versions: Versions) -> None:
    versions.promote()

    result = versions.rehearse()

    assert result["findings"] == []
    assert result["passed"] is True
    assert (result["champion"], result["golden"]) == ("v1", len(GOLDEN))
    assert 0 < result["decisions_ms"]["median"] <= result["decisions_ms"]["largest"] < DEADLINE_MS


def test_what_a_rehearsal_leaves_behind_is_no_clients_and_expires(
    versions: Versions, capsys: pytest.CaptureFixture[str]
) -> None:
    versions.promote()

    versions.rehearse()

    items = versions.items()
    assert items
    for item in items:
        assert item["application_id"]["S"].startswith("/rehearsal/rehearsal-0001-")
        response = json.loads(item["response"]["S"])
        # What is answered and what is kept differ in nothing but the name that it lies under.
        assert f"/rehearsal/{response['application_id']}" == item["application_id"]["S"]
        decided = np.datetime64(item["decided_at"]["S"].rstrip("Z"), "s").astype(int)
        assert int(item["expires_at"]["N"]) - decided <= 2 * 24 * 3_600
    assert metrics_in(capsys.readouterr().out) == []


def test_no_client_can_use_such_a_name(versions: Versions) -> None:
    versions.promote()
    versions.start()
    body = json.dumps(AN_APPLICATION | {"application_id": "/rehearsal/x"})

    reply = versions.call(SCORER, {"httpMethod": "POST", "resource": "/v1/decisions", "body": body})

    assert reply.document["statusCode"] == 400


def test_without_a_champion_it_passes_and_says_so(versions: Versions) -> None:
    result = versions.rehearse()

    assert result["findings"] == []
    assert result["notes"] == ["no champion has been promoted yet: nobody golden was decided"]
    assert result["golden"] == 0


def test_a_challengers_share_is_left_out(versions: Versions) -> None:
    """Its answers are not the champion's, whose golden vectors are compared."""
    versions.promote("v2")
    trial = Challenger(
        model=a_reference("v2", hashlib.sha256(versions.manifest.to_json()).hexdigest()),  # type: ignore[union-attr]
        mode=RolloutMode.LIVE,
        share=1.0,
    )
    versions.promote("v1", challenger=trial)

    assert versions.rehearse()["findings"] == []


def test_a_promotion_in_the_middle_is_no_finding(versions: Versions) -> None:
    versions.promote("v1")
    versions.start()
    before = versions.manifest
    versions.promote("v2")
    after, versions.manifest = versions.manifest, before
    asked: list[int] = []

    def champion() -> ModelManifest | None:
        asked.append(1)
        return before if len(asked) == 1 else after

    functions = {name: lambda event, name=name: versions.call(name, event) for name in ARNS}
    result = Rehearsal(
        PRODUCT,
        functions=functions,
        champion=champion,
        deadline_ms=DEADLINE_MS,
        mark="rehearsal-0002",
        settle=lambda: None,
    )()

    assert result.findings == ()
    assert result.champion == "v2"


# --- what is wrong with a version ------------------------------------------------------------


def test_another_probability_is_found(versions: Versions, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a feature is computed otherwise than it was in training."""
    from credit_core.domain.feature_matrix import exact_matrix  # noqa: PLC0415 (the right one)

    versions.promote()
    amount = [feature.name for feature in PRODUCT.model_features].index("loan_amount")

    def wrong(*arguments: Any) -> Any:
        matrix = exact_matrix(*arguments)
        matrix[:, amount] += 500
        return matrix

    monkeypatch.setattr("credit_core.use_cases.score.exact_matrix", wrong)

    result = versions.rehearse()

    assert not result["passed"]
    assert result["findings"][0] == (
        "scorer: golden applicant 1 of 3: its log-odds differ by 0.05 from the registered ones"
    )


def test_an_approval_of_somebody_unknown_is_found(
    versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a default stands for what a person should have looked at."""
    versions.promote()
    monkeypatch.setattr(
        "credit_core.use_cases.score._missing",
        lambda view, key: ServedView(
            FeatureStatus.MISSING,
            features=features_of(view),  # type: ignore[arg-type]
            missing_key=key,
        ),
    )
    # What else would leave it to a person: rules are not checked on what was assumed.
    monkeypatch.setattr("credit_core.use_cases.score.assumed_in", lambda _views: ())

    findings = versions.rehearse()["findings"]

    words = "an applicant whom nobody knows: approved, although bureau is missing"
    assert findings == [f"scorer: {words}", f"batch: {words}"]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("decisions", "503 A store did not answer in time; send the same again"),
        ("online-store", "it was not scored (features_unavailable)"),
    ],
)
def test_a_store_that_it_may_not_use_is_found(versions: Versions, table: str, words: str) -> None:
    """A permission that was forgotten shows as a store that doesn't answer."""
    versions.promote()
    versions.deployment.dynamodb.delete_table(TableName=versions.deployment.names[table])

    findings = versions.rehearse()["findings"]

    assert f"scorer: golden applicant 1 of 3: {words}" in findings
    assert f"batch: golden applicant 1 of 3: {words}" in findings


def test_a_champion_that_the_new_version_cannot_serve_is_found(
    versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the release changes the product's features without a retraining."""
    versions.promote()

    def refuse(*_: object) -> None:
        from credit_core.errors import ModelUnavailableError  # noqa: PLC0415 (in place)

        raise ModelUnavailableError("model v1 was trained for other inputs")

    monkeypatch.setattr("credit_core.domain.model_manifest.ModelManifest.check_serves", refuse)

    findings = versions.rehearse()["findings"]

    assert findings[0] == "scorer: health: 503 instead of 200"
    assert "scorer: golden applicant 1 of 3: it was not scored (model_unavailable)" in findings


def test_a_body_that_is_let_through_is_found(versions: Versions) -> None:
    versions.promote()

    def lax(event: Mapping[str, Any]) -> Reply:
        if event.get("body") == "[]":
            return Reply({"statusCode": 200, "body": "{}"})
        return versions.call(SCORER, event)

    assert versions.rehearse(scorer=lax)["findings"] == ["scorer: a list: 200 instead of 400"]


def test_slow_decisions_are_found(versions: Versions) -> None:
    versions.promote()

    def slow(event: Mapping[str, Any]) -> Reply:
        reply = versions.call(SCORER, event)
        return Reply({**reply.document, "total_ms": 25_000.0})

    assert versions.rehearse(scorer=slow)["findings"] == [
        "scorer: half of the decisions took more than 25000 ms; the deadline is 20000 ms"
    ]


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": 200, "body": "{}"},
        {"statusCode": 200, "body": "no JSON"},
        {"statusCode": 200},
        {"statusCode": 200, "body": "[]", "decision": {"model": 1}},
        {"statusCode": 200, "body": "1", "decision": {"probability_of_default": 0.5, "model": {}}},
        {"decision": {"outcome": "approve"}, "total_ms": "soon", "body": 3},
        {},
    ],
)
def test_an_answer_of_any_form_is_a_finding_and_no_failure(
    versions: Versions, answer: dict[str, Any]
) -> None:
    versions.promote()

    result = versions.rehearse(
        scorer=lambda _event: Reply(answer), batch=lambda _event: Reply(answer)
    )

    assert not result["passed"]
    assert any("golden applicant 1 of 3" in finding for finding in result["findings"])
    assert any("whom nobody knows" in finding for finding in result["findings"])


# --- versions behind Lambda's API ------------------------------------------------------------

TIMED_OUT = {
    "errorType": "Sandbox.Timedout",
    "errorMessage": "RequestId: 1 Error: Task timed out after 5.00 seconds",
}


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (
            sends(
                http_response(
                    json.dumps(TIMED_OUT).encode(), headers="X-Amz-Function-Error: Unhandled\r\n"
                )
            ),
            "it timed out",
        ),
        (
            sends(
                http_response(
                    b'{"errorType": "Runtime.ImportModuleError", "errorMessage": "no numpy"}',
                    headers="X-Amz-Function-Error: Unhandled\r\n",
                )
            ),
            "it failed (Runtime.ImportModuleError)",
        ),
        (
            sends(
                http_response(
                    b'{"message": "no"}',
                    status=403,
                    headers="x-amzn-errortype: AccessDeniedException\r\n",
                )
            ),
            "it could not be invoked (AccessDeniedException)",
        ),
        (sends(http_response(b"<html>")), "its answer is no JSON"),
        (sends(http_response(b"[]")), "its answer is no JSON object"),
        (resets, "it could not be invoked (ConnectionClosedError)"),
    ],
)
def test_a_version_that_does_not_answer_is_told(
    answer: Answer, fault: str, monkeypatch: pytest.MonkeyPatch, local_cloud_bare: LocalCloud
) -> None:
    assert local_cloud_bare.endpoint_url
    with faulty_server() as server:
        server.answers = [answer]
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", server.url)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")

        reply = function_version(client("lambda", rehearsing_config()), ARNS[SCORER])({})

    assert reply.fault == fault


def lambda_of(versions: Versions, broken: Mapping[str, bytes]) -> Answer:
    """Answer as Lambda does, by the versions started here; some are broken."""

    def answer(connection: socket.socket, request: bytes, _ended: threading.Event) -> bool:
        head, _, body = request.partition(b"\r\n\r\n")
        named = re.search(r"/functions/(\S+?)/invocations", head.decode())
        assert named is not None
        arn = unquote(named[1])
        name = next(name for name, known in ARNS.items() if known == arn)
        if name in broken:
            connection.sendall(
                http_response(broken[name], headers="X-Amz-Function-Error: Unhandled\r\n")
            )
        else:
            document = versions.call(name, json.loads(body)).document
            connection.sendall(http_response(json.dumps(document).encode()))
        return True

    return answer


@pytest.mark.parametrize("broken", [{}, {BATCH: json.dumps(TIMED_OUT).encode()}])
def test_codedeploy_is_told_what_came_of_it(
    versions: Versions, broken: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    versions.promote()
    versions.start()
    with faulty_server() as functions, faulty_server() as codedeploy:
        functions.answers = [lambda_of(versions, broken)]
        codedeploy.answers = [sends(http_response(b"{}"))]
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", functions.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_CODEDEPLOY", codedeploy.url)

        result = started("rehearsal").handler(
            {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "hook-1"},
            SimpleNamespace(aws_request_id="1"),
        )

    told = json.loads(codedeploy.requests[0].partition(b"\r\n\r\n")[2])
    assert told == {
        "deploymentId": "d-1",
        "lifecycleEventHookExecutionId": "hook-1",
        "status": "Failed" if broken else "Succeeded",
    }
    assert result["passed"] is not bool(broken)
    if broken:
        assert "batch: a body that is no JSON: it timed out" in result["findings"]


def test_a_person_who_asks_is_told_and_codedeploy_is_not(
    versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions.promote()
    versions.start()
    with faulty_server() as functions, faulty_server() as codedeploy:
        functions.answers = [lambda_of(versions, {})]
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", functions.url)
        monkeypatch.setenv("AWS_ENDPOINT_URL_CODEDEPLOY", codedeploy.url)

        result = started("rehearsal").handler({}, SimpleNamespace(aws_request_id="1"))

    assert result["passed"] is True
    assert codedeploy.requests == []


def test_codedeploy_is_told_too_when_nothing_could_be_rehearsed(
    versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would wait for an hour."""
    versions.deployment.dynamodb.delete_table(TableName=versions.deployment.names["registry"])
    with faulty_server() as codedeploy:
        codedeploy.answers = [sends(http_response(b"{}"))]
        monkeypatch.setenv("AWS_ENDPOINT_URL_CODEDEPLOY", codedeploy.url)

        with pytest.raises(Exception, match="registry"):
            started("rehearsal").handler(
                {"DeploymentId": "d-1", "LifecycleEventHookExecutionId": "hook-1"},
                SimpleNamespace(aws_request_id="1"),
            )

    assert b'"status": "Failed"' in codedeploy.requests[0]
