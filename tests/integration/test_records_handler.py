"""The records handler on DynamoDB and S3 (moto): each route as API Gateway calls it."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from credit_core.adapters.dynamodb_items import to_dynamodb
from credit_core.adapters.signing import KmsSigner
from credit_core.domain.model_manifest import (
    Challenger,
    RolloutMode,
    manifest_key,
    signature_key,
)
from credit_core.domain.online_store import timestamp_text
from credit_core.domain.receipt_archive import expires_at
from credit_core.domain.referrals import waiting
from credit_core.settings import RecordsSettings
from tests.builders import NOW, PRODUCT, a_manifest, a_pointer, a_reference
from tests.builders_aws import create_signing_key, create_table
from tests.builders_records import a_review_body, an_outcome_body
from tests.builders_registry import a_model_item
from tests.handlers import started

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = RecordsSettings(
    product=PRODUCT.name,
    decisions_table="decisions",
    registry_table="registry",
    models_bucket="models",
    signing_key="set by the deployment",
    receipt_days=7,
    token_url="https://tokens.example/oauth2/token",
)
PROMOTED = NOW - timedelta(days=3)
DECISION, REVIEW = "/v1/decisions/{application_id}", "/v1/decisions/{application_id}/review"
QUEUE = "/v1/referrals"


class Deployment:
    """Tables and bucket as the CDK app makes them, and a freshly started function."""

    def __init__(self) -> None:
        self.dynamodb = boto3.client("dynamodb")
        self.s3 = boto3.client("s3")
        for kind in ("decisions", "registry"):
            create_table(self.dynamodb, kind)
        self.s3.create_bucket(Bucket="models")
        kms = boto3.client("kms")
        key = create_signing_key(kms)
        self.signer = KmsSigner(kms, key)
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("CREDIT_SIGNING_KEY", key)
            self.function = started("records")

    def decide(self, outcome: str = "approve", *, application_id: str = "application-1") -> str:
        """Record a decision of yesterday and return its text."""
        at = timestamp_text(datetime.now(UTC) - timedelta(days=1))
        text = json.dumps({"application_id": application_id, "outcome": outcome, "points": 512.10})
        self.dynamodb.put_item(
            TableName="decisions",
            Item={
                "application_id": {"S": application_id},
                "record": {"S": "decision"},
                "outcome": {"S": outcome},
                "decided_at": {"S": at},
                "response": {"S": text},
                "revision": {"N": "1"},
                "expires_at": {"N": str(expires_at(at, days=7))},
                **to_dynamodb(waiting({"application_id": application_id, "outcome": outcome})),
            },
        )
        return text

    def promote(self, *, challenger: Challenger | None = None, **changes: Any) -> None:
        manifest = a_manifest().model_copy(update=changes).to_json()
        sha256 = hashlib.sha256(manifest).hexdigest()
        for key, body in (
            (manifest_key(PRODUCT.name, "v1"), manifest),
            (signature_key(PRODUCT.name, "v1"), self.signer.sign(manifest)),
        ):
            self.s3.put_object(Bucket="models", Key=key, Body=body)
        item = a_model_item(sha256, moved_at=PROMOTED)
        self.dynamodb.put_item(TableName="registry", Item=item)
        self.point(a_pointer(sha256=sha256, challenger=challenger).model_dump_json())

    def point(self, pointer: str) -> None:
        self.dynamodb.put_item(
            TableName="registry",
            Item={
                "product": {"S": f"{PRODUCT.name}#rollout"},
                "record": {"S": "rollout"},
                "pointer": {"S": pointer},
            },
        )

    def __call__(
        self,
        method: str,
        resource: str,
        body: str | None = None,
        *,
        application_id: str = "application-1",
        encoded: bool = False,
        query: dict[str, list[str]] | None = None,
    ) -> tuple[int, Any]:
        """Call a route; return status and document."""
        event = {
            "httpMethod": method,
            "resource": resource,
            "pathParameters": {"application_id": application_id},
            "queryStringParameters": {name: given[-1] for name, given in query.items()}
            if query
            else None,
            "multiValueQueryStringParameters": query,
            "body": body,
            "isBase64Encoded": encoded,
            "requestContext": {
                "requestId": "request-1",
                "authorizer": {"claims": {"client_id": "client-1", "sub": "client-1"}},
            },
        }
        response = self.function.handler(event, SimpleNamespace(aws_request_id="lambda-1"))
        kind = "application/problem+json" if response["statusCode"] >= 400 else "application/json"
        assert response["headers"]["Content-Type"] == kind
        self.body: str = response["body"]
        return response["statusCode"], json.loads(self.body)


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deployment]:
    for name, value in (
        SETTINGS.to_environment()
        | {
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
        }
    ).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield Deployment()


def test_a_decision_is_read_as_it_was_answered(deployment: Deployment) -> None:
    text = deployment.decide("refer")

    status, document = deployment("GET", DECISION)

    assert (status, document["standing"]["outcome"]) == (200, "refer")
    assert f'"decision":{text},' in deployment.body


def test_a_review_is_recorded_once_with_the_clients_id(deployment: Deployment) -> None:
    deployment.decide("refer")

    first = deployment("POST", REVIEW, a_review_body())
    again = deployment("POST", REVIEW, a_review_body())

    assert (first[0], again[0]) == (201, 200)
    assert first[1] == again[1]
    assert first[1]["client_id"] == "client-1"
    assert deployment("GET", DECISION)[1]["reviews"] == [first[1]]


def test_a_referral_waits_until_it_is_reviewed(deployment: Deployment) -> None:
    deployment.decide("refer")
    deployment.decide("approve", application_id="application-2")

    before = deployment("GET", QUEUE)
    deployment("POST", REVIEW, a_review_body())
    after = deployment("GET", QUEUE)

    assert [told["application_id"] for told in before[1]["referrals"]] == ["application-1"]
    assert after == (200, {"referrals": [], "next": None})


def test_the_queue_comes_in_pages(deployment: Deployment) -> None:
    ids = [f"application-{number}" for number in range(5)]
    for name in ids:
        deployment.decide("refer", application_id=name)

    status, first = deployment("GET", QUEUE, query={"limit": ["3"]})
    _, second = deployment("GET", QUEUE, query={"limit": ["3"], "after": [first["next"]]})

    assert status == 200
    told = first["referrals"] + second["referrals"]
    assert [referral["application_id"] for referral in told] == ids
    assert (len(first["referrals"]), second["next"]) == (3, None)


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ({"limit": ["0"]}, "limit"),
        ({"limit": ["5", "6"]}, "limit"),
        ({"after": ["x"]}, "after"),
        ({"page": ["2"]}, "page"),
    ],
)
def test_a_page_that_there_is_not_is_refused(
    deployment: Deployment, query: dict[str, list[str]], path: str
) -> None:
    status, problem = deployment("GET", QUEUE, query=query)

    assert status == 400
    assert [fault["path"] for fault in problem["faults"]] == [path]


def test_what_is_asked_of_the_queue_is_repeated_nowhere(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    query = {"limit": ["canary-1"], "after": ["canary-2"], "canary 3": ["canary-4"]}

    status, _ = deployment("GET", QUEUE, query=query)

    assert status == 400
    assert "canary" not in deployment.body
    (logged,) = (vars(record) for record in caplog.records if record.msg == "answered")
    assert logged["status"] == 400
    assert "canary" not in str(logged)


def test_an_outcome_is_recorded_once(deployment: Deployment) -> None:
    deployment.decide("approve")
    body = an_outcome_body(date=str(datetime.now(UTC).date()))

    first = deployment("POST", "/v1/outcomes", body)
    again = deployment("POST", "/v1/outcomes", body)

    assert (first[0], again[0]) == (201, 200)
    assert first[1] == again[1]
    assert deployment("GET", DECISION)[1]["outcomes"] == [first[1]]


def test_what_contradicts_the_records_is_a_conflict(deployment: Deployment) -> None:
    deployment.decide("decline")
    deployment("POST", REVIEW, a_review_body(outcome="approve"))
    today = str(datetime.now(UTC).date())

    assert deployment("POST", REVIEW, a_review_body(reason="Another"))[0] == 409
    unseen = a_review_body(review_id="review-2", revision=2)
    assert deployment("POST", REVIEW, unseen)[0] == 409
    assert deployment("POST", "/v1/outcomes", an_outcome_body(date=today))[0] == 201
    withdrawn = an_outcome_body(outcome="withdrawn", date=today)
    assert deployment("POST", "/v1/outcomes", withdrawn)[0] == 409


def test_an_unknown_application_is_404(deployment: Deployment) -> None:
    status, problem = deployment("GET", DECISION)

    assert (status, problem["title"]) == (404, "There is no such application")
    assert problem["request_id"] == "request-1"
    assert deployment("POST", REVIEW, a_review_body())[0] == 404
    assert deployment("POST", "/v1/outcomes", an_outcome_body())[0] == 404


@pytest.mark.parametrize("application_id", ["", "a b", "a%2Fb", "a" * 65, "%ff", "a%0a", "ü"])
def test_an_id_that_no_application_has_is_refused(
    deployment: Deployment, application_id: str
) -> None:
    status, problem = deployment("GET", DECISION, application_id=application_id)

    assert status == 400
    assert [fault["path"] for fault in problem["faults"]] == ["application_id"]


@pytest.mark.parametrize("application_id", ["a:1", "a%3A1"])
def test_an_id_in_the_path_may_come_encoded_or_not(
    deployment: Deployment, application_id: str
) -> None:
    _, problem = deployment("GET", DECISION, application_id=application_id)

    assert problem["detail"] == "there is no decision under application_id a:1"


def test_the_card_describes_the_champion(deployment: Deployment) -> None:
    deployment.promote()

    status, card = deployment("GET", "/v1/model")

    manifest = a_manifest()
    assert status == 200
    assert (card["version"], card["sha256"]) == ("v1", manifest.onnx_sha256)
    assert card["policy_version"] == PRODUCT.policy.version
    assert card["evaluation"]["auc"] == manifest.evaluation.auc.model_dump()
    assert card["gates"] == [{"name": "parity", "passed": True, "evidence": "0 of 100 differ"}]
    assert card["challenger"] is None
    assert card["inputs"] == list(manifest.inputs)
    assert card["reference_applicant"]["loan_amount"] == 0.0
    category = next(feature for feature in PRODUCT.model_features if feature.categories)
    assert card["reference_applicant"][category.name] == category.categories[0]


def test_the_card_has_times_as_all_answers_have(deployment: Deployment) -> None:
    deployment.promote()

    _, card = deployment("GET", "/v1/model")

    assert card["created_at"] == timestamp_text(NOW)


def test_the_card_says_when_the_champion_was_promoted_not_when_the_pointer_was_moved(
    deployment: Deployment,
) -> None:
    trial = Challenger(model=a_reference("v2"), mode=RolloutMode.LIVE, share=0.1)
    deployment.promote(challenger=trial)

    _, card = deployment("GET", "/v1/model")

    assert card["promoted_at"] == timestamp_text(PROMOTED)
    assert card["challenger"] == {"version": "v2", "mode": "live", "share": 0.1}


def test_a_card_that_nobody_signed_is_not_shown(deployment: Deployment) -> None:
    deployment.promote()
    signature = deployment.signer.sign(b"another manifest")
    key = signature_key(PRODUCT.name, "v1")
    deployment.s3.put_object(Bucket="models", Key=key, Body=signature)

    assert deployment("GET", "/v1/model")[0] == 503


@pytest.mark.parametrize("changes", [{"version": "v2"}, {"product": "another_loan"}])
def test_the_card_never_names_a_model_that_the_pointer_does_not(
    deployment: Deployment, changes: dict[str, Any]
) -> None:
    deployment.promote(**changes)

    assert deployment("GET", "/v1/model")[0] == 503


def test_before_the_first_promotion_there_is_no_card(deployment: Deployment) -> None:
    status, problem = deployment("GET", "/v1/model")

    assert (status, problem["title"]) == (503, "There is no model that could answer")


def test_a_manifest_that_was_changed_is_not_shown(deployment: Deployment) -> None:
    deployment.promote()
    changed = a_manifest().to_json().replace(b"pairwise", b"anything")
    deployment.s3.put_object(Bucket="models", Key=manifest_key(PRODUCT.name, "v1"), Body=changed)

    assert deployment("GET", "/v1/model")[0] == 503


def test_a_pointer_that_cannot_be_read_shows_no_card(deployment: Deployment) -> None:
    deployment.point("{}")

    assert deployment("GET", "/v1/model")[0] == 503


@pytest.mark.parametrize(
    ("method", "resource", "body"),
    [
        ("GET", DECISION, None),
        ("POST", REVIEW, a_review_body()),
        ("POST", "/v1/outcomes", an_outcome_body()),
    ],
)
def test_a_lost_table_is_503(
    deployment: Deployment, method: str, resource: str, body: str | None
) -> None:
    deployment.dynamodb.delete_table(TableName="decisions")

    status, problem = deployment(method, resource, body)

    assert (status, problem["status"]) == (503, 503)


def test_a_lost_registry_or_bucket_is_503(deployment: Deployment) -> None:
    deployment.promote()
    deployment.s3.delete_object(Bucket="models", Key=manifest_key(PRODUCT.name, "v1"))
    assert deployment("GET", "/v1/model")[0] == 503

    deployment.dynamodb.delete_table(TableName="registry")
    assert deployment("GET", "/v1/model")[0] == 503


def test_a_damaged_decision_is_told_and_not_shown(deployment: Deployment) -> None:
    deployment.decide("refer")
    deployment.dynamodb.update_item(
        TableName="decisions",
        Key={"application_id": {"S": "application-1"}, "record": {"S": "decision"}},
        UpdateExpression="SET #response = :cut",
        ExpressionAttributeNames={"#response": "response"},
        ExpressionAttributeValues={":cut": {"S": '{"canary": 1'}},
    )

    status, problem = deployment("GET", DECISION)

    assert (status, problem["title"]) == (503, "The recorded decision cannot be read")
    assert "canary" not in deployment.body


@pytest.mark.parametrize(
    ("body", "encoded"),
    [
        *((None, False), ("", False), ("[]", False), ('{"review_id": NaN}', False)),
        *(("not base64", True), ("ü", True), ("/w==", True)),
    ],
)
def test_a_body_that_is_no_review_is_refused(
    deployment: Deployment, body: str | None, *, encoded: bool
) -> None:
    deployment.decide("refer")

    status, problem = deployment("POST", REVIEW, body, encoded=encoded)

    assert (status, len(problem["faults"])) == (400, 1)


def test_a_body_that_is_too_large_is_413(deployment: Deployment) -> None:
    status, problem = deployment("POST", REVIEW, a_review_body(reason="a" * 20_000))

    assert (status, problem["title"]) == (413, "The body is too large")


def test_logs_hold_neither_names_nor_free_text(
    deployment: Deployment, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    deployment.decide("refer")

    secret = {"reviewer": "canary-name", "reason": "canary-text"}
    deployment("POST", REVIEW, a_review_body(**secret))
    deployment("POST", REVIEW, a_review_body(**secret, outcome="canary-outcome"))
    deployment("POST", REVIEW, a_review_body(reason="canary-other"))
    deployment("GET", DECISION)

    written = "".join([*capsys.readouterr(), *(str(vars(record)) for record in caplog.records)])
    assert [record.message for record in caplog.records] == ["answered"] * 4
    assert "canary" not in written
