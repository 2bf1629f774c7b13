"""POST /v1/decisions and GET /v1/health: translate the event, call, translate the answer."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from credit_core.adapters.aws_scorer import AwsScorer
from credit_core.adapters.http_problem import problem_response
from credit_core.adapters.http_proxy import ProxyRequest, json_response
from credit_core.adapters.stopwatch import Stopwatch
from credit_core.domain.metrics import NAMESPACE, dimensions
from credit_core.domain.product import load_product
from credit_core.errors import CreditScoringError
from credit_core.settings import ScorerSettings
from credit_core.use_cases.score import Answer, fault_location

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

HEALTH = ("GET", "/v1/health")

settings = ScorerSettings.from_environment()
product = load_product(settings.product)
logger = Logger(service="scorer", log_uncaught_exceptions=False)
metrics = Metrics(namespace=NAMESPACE)
metrics.set_default_dimensions(**dimensions(stage=settings.stage, product=product.name))


@cache
def scorer() -> AwsScorer:
    """Return the scorer of this process."""
    return AwsScorer(settings, product)


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # In Lambda all of it happens during initialization, where no client waits.
    scorer()


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, object]:
    """Answer one request. API Gateway's proxy event in, its proxy response out."""
    timer = Stopwatch(deadline_ms=settings.deadline_ms)
    request = ProxyRequest.of(event, context)
    try:
        report_failed_loads()
        if request.route == HEALTH:
            return health(timer)
        answer = scorer().score(request.body(), as_of=datetime.now(UTC), timer=timer)
        record(answer, timer, request.request_id)
    except Exception as error:  # noqa: BLE001 (the client gets a problem document, never a trace)
        response = problem_response(error, request_id=request.request_id)
        logger.warning(
            "refused", extra={"status": response["statusCode"], "reason": reason_of(error)}
        )
        return response
    headers = {
        "Server-Timing": timer.server_timing(),
        "Idempotency-Replayed": str(answer.replayed).lower(),
    }
    return json_response(answer.body, headers=headers)


def health(timer: Stopwatch) -> dict[str, object]:
    """Return that this function can decide, and with what.

    Raises:
        ModelUnavailableError: No verified model is loaded.
    """
    manifest = scorer().model(timer=timer).manifest
    document = {
        "status": "ready",
        "product": product.name,
        "model": {"version": manifest.version, "sha256": manifest.onnx_sha256},
        "policy_version": product.policy.version,
    }
    return json_response(json.dumps(document))


def record(answer: Answer, timer: Stopwatch, request_id: str) -> None:
    """Log the decision and its stages; ids, names and durations only."""
    decision = answer.decision
    cause = decision.judgement.cause if decision else None
    stages = timer.stages_ms()
    logger.info(
        "decided",
        extra={
            "request_id": request_id,
            "outcome": answer.outcome,
            "replayed": answer.replayed,
            "application_id": decision.application_id if decision else None,
            "cause": cause.code if cause else None,
            "model": decision.model.version if decision and decision.model else None,
            "stage_ms": stages,
        },
    )
    for stage, milliseconds in stages.items():
        metrics.add_metric(f"Stage{stage.title()}", MetricUnit.Milliseconds, milliseconds)
    metrics.add_metric(f"Outcome{answer.outcome.title()}", MetricUnit.Count, 1)
    metrics.flush_metrics()


def report_failed_loads() -> None:
    """Say which champions could not be loaded; the one in memory goes on serving.

    The thread that loads only notes them: the collector of metrics is for one thread.
    """
    failed_loads = scorer().failed_loads
    while failed_loads:
        logger.error("model load failed", extra={"reason": reason_of(failed_loads.popleft())})
        metrics.add_metric("ModelLoadFailure", MetricUnit.Count, 1)
        metrics.flush_metrics()


def reason_of(error: Exception) -> str:
    """Return what may be logged of an error."""
    return str(error) if isinstance(error, CreditScoringError) else fault_location(error)
