"""POST /v1/decisions and GET /v1/health: translate the event, call, translate the answer."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from credit_core.adapters.aws_scorer import AwsScorer
from credit_core.adapters.decision_log import DecisionLog
from credit_core.adapters.http_problem import problem_response
from credit_core.adapters.http_proxy import ProxyRequest, json_response
from credit_core.adapters.stopwatch import Stopwatch
from credit_core.adapters.traces import note, traced
from credit_core.domain.decision import counts_of
from credit_core.domain.product import load_product
from credit_core.domain.rehearsal import REHEARSAL
from credit_core.settings import ScorerSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from credit_core.use_cases.score import Answer

HEALTH = ("GET", "/v1/health")

settings = ScorerSettings.from_environment()
product = load_product(settings.product)
log = DecisionLog(service="scorer", stage=settings.stage, product=product.name)


@cache
def scorer() -> AwsScorer:
    """Return the scorer of this process."""
    return AwsScorer(settings, product)


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # In Lambda all of it happens during initialization, where no client waits.
    scorer()


@traced("decision")
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, object]:
    """Answer one request. API Gateway's proxy event in, its proxy response out.

    A rehearsal, which API Gateway can't send, decides about nobody and counts nowhere.
    """
    timer = Stopwatch(deadline_ms=settings.deadline_ms)
    request = ProxyRequest.of(event, context)
    try:
        log.failed_loads(scorer().failed_loads)
        if request.route == HEALTH:
            return health(timer)
        if REHEARSAL in event:
            return scorer().rehearse(event[REHEARSAL], as_of=datetime.now(UTC))
        answer = scorer().score(request.body(), as_of=datetime.now(UTC), timer=timer)
        record(answer, timer, request.request_id)
    except Exception as error:  # noqa: BLE001 (the client gets a problem document, never a trace)
        response = problem_response(error, request_id=request.request_id)
        about = {"request_id": request.request_id, "status": response["statusCode"]}
        note(about)
        log.refused(error, about=about)
        return response
    finally:
        log.failed_reads(scorer().failed_reads)
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
    """Log the decision and its stages."""
    decision, stages_ms = answer.decision, timer.stages_ms()
    cause = decision.judgement.cause if decision else None
    model = decision.model if decision else None
    about = {
        "request_id": request_id,
        "outcome": answer.outcome,
        "replayed": answer.replayed,
        "application_id": decision.application_id if decision else None,
        "cause": cause.code if cause else None,
        "model": model.version if model else None,
        "role": model.role if model else None,
        "total_ms": timer.total_ms(),
    }
    if decision and (not_fresh := decision.not_fresh):
        about["not_fresh"] = not_fresh
    if decision and decision.shadow:
        about |= {
            "shadow_model": decision.shadow.version,
            "shadow_agrees": decision.shadow_agrees,
            "shadow_fault": decision.shadow.fault,
            "challenger_fault": decision.challenger_fault,
        }
    note(about, stages_ms)
    counts = counts_of((decision,) if decision else ())
    log.decided({answer.outcome: 1}, about=about, stages_ms=stages_ms, counts=counts)
