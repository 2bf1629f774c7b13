"""POST /v1/decisions: translate the event, score, translate the answer."""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from credit_core.adapters.champions import Champions
from credit_core.adapters.clients import (
    client,
    entity_key_secret,
    pipeline_config,
    request_path_config,
)
from credit_core.adapters.decision_store import DynamoDecisionStore
from credit_core.adapters.http_problem import problem_response
from credit_core.adapters.model_artifacts import ModelArtifacts
from credit_core.adapters.stopwatch import Stopwatch
from credit_core.domain.product import load_product
from credit_core.errors import CreditScoringError, ModelUnavailableError
from credit_core.settings import ScorerSettings
from credit_core.use_cases.score import Answer, ScoreApplication, fault_location

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

INITIALIZATION_MS = 5_000
"""At start-up there is no client waiting; the pointer may take longer than in a request."""

settings = ScorerSettings.from_environment()
product = load_product(settings.product)
logger = Logger(service="scorer", log_uncaught_exceptions=False)
metrics = Metrics(namespace="CreditDecisions", service=product.name)


def model_load_failed(error: Exception) -> None:
    """Say that a champion could not be loaded; the one in memory goes on serving."""
    reason = str(error) if isinstance(error, CreditScoringError) else fault_location(error)
    logger.error("model load failed", extra={"reason": reason})
    metrics.add_metric("ModelLoadFailure", MetricUnit.Count, 1)


@cache
def scorer() -> ScoreApplication:
    """Return the use case on AWS: clients connected, secret read, champion loaded and warm."""
    store = DynamoDecisionStore(
        client("dynamodb", request_path_config(deadline_ms=settings.deadline_ms)),
        product=product.name,
        online_store_table=settings.online_store_table,
        decisions_table=settings.decisions_table,
        registry_table=settings.registry_table,
    )
    champions = Champions(
        ModelArtifacts(client("s3", pipeline_config()), settings.models_bucket, product).load,
        pointer_seconds=settings.pointer_seconds,
        on_failure=model_load_failed,
    )
    try:
        champions.model(store.read_pointer(timer=Stopwatch(deadline_ms=INITIALIZATION_MS)))
    except ModelUnavailableError as error:
        logger.warning("started without a model", extra={"reason": str(error)})
    secret = entity_key_secret(settings.entity_key_secret)
    return ScoreApplication(product, secret=secret, store=store, champions=champions)


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # In Lambda all of it happens during initialization, where no client waits.
    scorer()


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, object]:
    """Answer one application. API Gateway's proxy event in, its proxy response out."""
    timer = Stopwatch(deadline_ms=settings.deadline_ms)
    # The id in the API's access log and in the answer's header; a direct call has none.
    gateway = event.get("requestContext") or {}
    request_id = gateway.get("requestId") or context.aws_request_id
    try:
        answer = scorer()(request_body(event), as_of=datetime.now(UTC), timer=timer)
    except Exception as error:  # noqa: BLE001 (the client gets a problem document, never a trace)
        response = problem_response(error, request_id=request_id)
        reason = str(error) if isinstance(error, CreditScoringError) else fault_location(error)
        logger.warning("refused", extra={"status": response["statusCode"], "reason": reason})
        return response
    record(answer, timer, request_id)
    return {
        "statusCode": 200,
        "headers": {
            "Content-Type": "application/json",
            "Cache-Control": "no-store",
            "Server-Timing": timer.server_timing(),
            "Idempotency-Replayed": str(answer.replayed).lower(),
        },
        "body": answer.body,
    }


def request_body(event: dict[str, Any]) -> str | bytes | None:
    """Return the body of a proxy event."""
    body: str | None = event.get("body")
    return base64.b64decode(body) if body and event.get("isBase64Encoded") else body


def record(answer: Answer, timer: Stopwatch, request_id: str) -> None:
    """Log the decision and its stages; ids, names and durations only."""
    decision = answer.decision
    logger.info(
        "decided",
        extra={
            "request_id": request_id,
            "outcome": answer.outcome,
            "replayed": answer.replayed,
            "application_id": decision.application_id if decision else None,
            "cause": decision.cause.code if decision and decision.cause else None,
            "model": decision.model.version if decision and decision.model else None,
            "stage_ms": timer.stages_ms(),
        },
    )
    for stage, milliseconds in timer.stages_ms().items():
        metrics.add_metric(f"Stage{stage.title()}", MetricUnit.Milliseconds, milliseconds)
    metrics.add_metric(f"Outcome{answer.outcome.title()}", MetricUnit.Count, 1)
    metrics.flush_metrics()
