"""POST /v1/decision-batches: each application judged alone, as POST /v1/decisions judges it."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from credit_core.adapters.aws_scorer import AwsScorer
from credit_core.adapters.http_problem import problem_document, problem_response
from credit_core.adapters.http_proxy import ProxyRequest, json_response
from credit_core.adapters.stopwatch import Stopwatch
from credit_core.domain.batch_body import applications_in
from credit_core.domain.metrics import NAMESPACE, dimensions
from credit_core.domain.product import load_product
from credit_core.errors import CreditScoringError
from credit_core.settings import BatchSettings
from credit_core.use_cases.batch import ScoreBatch
from credit_core.use_cases.score import Answer, fault_location

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

settings = BatchSettings.from_environment()
product = load_product(settings.product)
logger = Logger(service="batch", log_uncaught_exceptions=False)
metrics = Metrics(namespace=NAMESPACE)
metrics.set_default_dimensions(**dimensions(stage=settings.stage, product=product.name))


@cache
def scorer() -> AwsScorer:
    """Return the scorer of this process."""
    return AwsScorer(settings, product)


def application_timer(seconds_left: float) -> Stopwatch:
    """Return a timer for one application."""
    return Stopwatch(deadline_ms=min(settings.deadline_ms, 1_000 * seconds_left))


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # In Lambda all of it happens during initialization, where no client waits.
    scorer()


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, object]:
    """Answer one batch. API Gateway's proxy event in, its proxy response out."""
    request = ProxyRequest.of(event, context)
    timer = Stopwatch(deadline_ms=1_000 * settings.batch_seconds)
    try:
        judge = ScoreBatch(
            scorer().score,
            threads=settings.threads,
            now=lambda: datetime.now(UTC),
            timer=application_timer,
        )
        answers = judge(applications_in(request.body()), timer=timer)
    except Exception as error:  # noqa: BLE001 (the client gets a problem document, never a trace)
        response = problem_response(error, request_id=request.request_id)
        about = {"request_id": request.request_id, "status": response["statusCode"]}
        logger.warning("refused", extra={**about, "reason": reason_of(error)})
        return response
    finally:
        report_failed_loads()
    results = ",".join(result_text(answer, request.request_id) for answer in answers)
    record(answers, timer, request.request_id)
    return json_response(f'{{"results":[{results}]}}')


def result_text(answer: Answer | Exception, request_id: str) -> str:
    """Return one application's result; a decision is the very text that was recorded."""
    if isinstance(answer, Answer):
        return f'{{"status":200,"decision":{answer.body}}}'
    problem = problem_document(answer, request_id=request_id)
    return json.dumps({"status": problem["status"], "problem": problem})


def record(answers: list[Answer | Exception], timer: Stopwatch, request_id: str) -> None:
    """Log what came of a batch, and count it; ids, names and durations only."""
    made = Counter(answer.outcome for answer in answers if isinstance(answer, Answer))
    failed = Counter(reason_of(answer) for answer in answers if isinstance(answer, Exception))
    logger.info(
        "decided",
        extra={
            "request_id": request_id,
            "applications": len(answers),
            "outcomes": made,
            "failed": failed,
            "total_ms": timer.total_ms(),
        },
    )
    for outcome, count in made.items():
        metrics.add_metric(f"Outcome{outcome.title()}", MetricUnit.Count, count)
    if made:
        metrics.flush_metrics()


def report_failed_loads() -> None:
    """Say which champions could not be loaded; the one in memory goes on serving."""
    failed_loads = scorer().failed_loads
    while failed_loads:
        logger.error("model load failed", extra={"reason": reason_of(failed_loads.popleft())})
        metrics.add_metric("ModelLoadFailure", MetricUnit.Count, 1)
        metrics.flush_metrics()


def reason_of(error: Exception) -> str:
    """Return what may be logged of an error."""
    return str(error) if isinstance(error, CreditScoringError) else fault_location(error)
