"""Decisions, what waits for a person, reviews, outcomes, the champion's card: a route each."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.api_document import ApiDocument
from credit_core.adapters.application_records import DynamoApplicationRecords
from credit_core.adapters.clients import answering_config, client
from credit_core.adapters.decision_records import DynamoDecisionRecords
from credit_core.adapters.http_problem import problem_response
from credit_core.adapters.http_proxy import ProxyRequest, json_response
from credit_core.adapters.model_artifacts import verified_manifest, verified_model
from credit_core.adapters.model_registry import S3DynamoModelRegistry, objects_in
from credit_core.adapters.referral_queue import DynamoReferralQueue
from credit_core.adapters.signing import KmsSigner
from credit_core.adapters.traces import note, traced, watch
from credit_core.domain.application_records import compact_json
from credit_core.domain.loan_outcome import read_outcome_report
from credit_core.domain.model_card import model_card
from credit_core.domain.openapi import OPENAPI_PATH, PAGE_PATH
from credit_core.domain.product import load_product
from credit_core.domain.review import ReviewReader
from credit_core.errors import InvalidRequestError, loggable
from credit_core.settings import RecordsSettings
from credit_core.use_cases.explain import ExplainDecision
from credit_core.use_cases.records import Recorded, records_of, report_outcome, review_decision
from credit_core.use_cases.referrals import PageAsked, waiting_referrals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

    type Route = Callable[[ProxyRequest], dict[str, object]]

settings = RecordsSettings.from_environment()
product = load_product(settings.product)
logger = Logger(service="records", log_uncaught_exceptions=False)
dynamodb = client("dynamodb", answering_config())
store = DynamoApplicationRecords(
    dynamodb,
    product=product.name,
    table=settings.decisions_table,
    receipt_days=settings.receipt_days,
)
queue = DynamoReferralQueue(dynamodb, settings.decisions_table)
s3 = client("s3", answering_config())
for watched in (dynamodb, s3):
    watch(watched)
registry = S3DynamoModelRegistry(
    product.name,
    s3=s3,
    bucket=settings.models_bucket,
    dynamodb=dynamodb,
    table=settings.registry_table,
)
read_artifact = objects_in(s3, settings.models_bucket)
is_signed = KmsSigner(client("kms", answering_config()), settings.signing_key).is_signed
explain = ExplainDecision(
    product,
    records=DynamoDecisionRecords(dynamodb, settings.decisions_table).of_application,
    load_model=partial(verified_model, read_artifact),
)
read_review = ReviewReader(product)
described = ApiDocument(
    product,
    examples=Path(__file__).parent / "docs" / "api" / "examples" / product.name,
    token_url=settings.token_url,
)


def decision(request: ProxyRequest) -> dict[str, object]:
    """Answer all that is recorded of an application."""
    return json_response(records_of(store, request.application_id()).as_text())


def explanation(request: ProxyRequest) -> dict[str, object]:
    """Answer why an application was decided so, and what would have been approved."""
    return json_response(compact_json(explain(request.application_id()).as_response()))


def referrals(request: ProxyRequest) -> dict[str, object]:
    """Answer what waits for a person, oldest first."""
    asked = PageAsked.of(request.query())
    return json_response(waiting_referrals(queue, asked, as_of=datetime.now(UTC)))


def review(request: ProxyRequest) -> dict[str, object]:
    """Record what a person decided."""
    return recorded(
        review_decision(
            store,
            read_review(request.body()),
            application_id=request.application_id(),
            client_id=request.client_id,
            as_of=datetime.now(UTC),
        )
    )


def outcome(request: ProxyRequest) -> dict[str, object]:
    """Record what became of a loan."""
    return recorded(
        report_outcome(
            store,
            read_outcome_report(request.body()),
            client_id=request.client_id,
            as_of=datetime.now(UTC),
        )
    )


def card(_request: ProxyRequest) -> dict[str, object]:
    """Answer the champion's card."""
    pointer = registry.champion()
    champion = pointer.champion
    manifest = verified_manifest(
        read_artifact,
        product.name,
        version=champion.version,
        manifest_sha256=champion.manifest_sha256,
        is_signed=is_signed,
    )
    document = model_card(
        pointer,
        manifest,
        promoted_at=registry.find(champion.version).moved_at,
        policy_version=product.policy.version,
    )
    return json_response(compact_json(document))


ROUTES: Mapping[tuple[str, str], Route] = {
    ("GET", "/v1/decisions/{application_id}"): decision,
    ("GET", "/v1/decisions/{application_id}/explanation"): explanation,
    ("GET", "/v1/referrals"): referrals,
    ("POST", "/v1/decisions/{application_id}/review"): review,
    ("POST", "/v1/outcomes"): outcome,
    ("GET", "/v1/model"): card,
    ("GET", OPENAPI_PATH): described.document,
    ("GET", PAGE_PATH): described.page,
}


@traced("records")
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, object]:
    """Answer one request. API Gateway's proxy event in, its proxy response out."""
    request = ProxyRequest.of(event, context)
    about: dict[str, object] = {"request_id": request.request_id, "route": " ".join(request.route)}
    with suppress(InvalidRequestError):
        about["application_id"] = request.application_id()
    try:
        response = ROUTES[request.route](request)
    except Exception as error:  # noqa: BLE001 (the client gets a problem document, never a trace)
        response = problem_response(error, request_id=request.request_id)
        about["reason"] = loggable(error)
    note(about)
    logger.info("answered", extra={**about, "status": response["statusCode"]})
    return response


def recorded(result: Recorded) -> dict[str, object]:
    """Return the response to what was recorded now (201) or before (200)."""
    return json_response(result.document, status=201 if result.created else 200)
