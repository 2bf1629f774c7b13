"""POST /v1/decision-batches: each application judged alone, as POST /v1/decisions judges it."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from credit_core.adapters.aws_scorer import AwsScorer
from credit_core.adapters.decision_log import DecisionLog
from credit_core.adapters.http_problem import problem_document, problem_response
from credit_core.adapters.http_proxy import ProxyRequest, json_response
from credit_core.adapters.stopwatch import Stopwatch
from credit_core.adapters.traces import note, traced
from credit_core.domain.batch_body import applications_in
from credit_core.domain.decision import counts_of
from credit_core.domain.product import load_product
from credit_core.domain.rehearsal import REHEARSAL
from credit_core.errors import loggable
from credit_core.settings import BatchSettings
from credit_core.use_cases.batch import ScoreBatch
from credit_core.use_cases.score import Answer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

settings = BatchSettings.from_environment()
product = load_product(settings.product)
log = DecisionLog(service="batch", stage=settings.stage, product=product.name)


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


@traced("decisions")
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, object]:
    """Answer one batch. API Gateway's proxy event in, its proxy response out.

    A rehearsal, which API Gateway can't send, decides about nobody and counts nowhere.
    """
    request = ProxyRequest.of(event, context)
    timer = Stopwatch(deadline_ms=1_000 * settings.batch_seconds)
    try:
        if REHEARSAL in event:
            return scorer().rehearse(event[REHEARSAL], as_of=datetime.now(UTC))
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
        note(about)
        log.refused(error, about=about)
        return response
    finally:
        log.failed_loads(scorer().failed_loads)
        log.failed_reads(scorer().failed_reads)
    results = ",".join(result_text(answer, request.request_id) for answer in answers)
    note({"request_id": request.request_id, "applications": len(answers)})
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
    decisions = [
        answer.decision for answer in answers if isinstance(answer, Answer) and answer.decision
    ]
    models = Counter(decision.model.version for decision in decisions if decision.model)
    faults = Counter(
        decision.challenger_fault for decision in decisions if decision.challenger_fault
    )
    failed = Counter(loggable(answer) for answer in answers if isinstance(answer, Exception))
    log.decided(
        made,
        about={
            "request_id": request_id,
            "applications": len(answers),
            # One text, in which a query of the logs finds an id between two spaces.
            "application_ids": f" {' '.join(decision.application_id for decision in decisions)} ",
            "failed": failed,
            "models": models,
            "challenger_faults": faults,
            "total_ms": timer.total_ms(),
        },
        stages_ms={},
        counts=counts_of(decisions),
    )
