"""Bodies that nobody should send: a small share of those in ``tests/contract``, quickly."""

from __future__ import annotations

from datetime import UTC, datetime

from credit_core.adapters.http_problem import problem_response
from credit_core.errors import CreditScoringError
from tests.builders import a_timer
from tests.hostile_bodies import a_scorer_for_everybody, attack

BODIES_SENT = 1_000


def test_no_body_makes_the_use_case_fail_or_approve_what_is_faulty() -> None:
    scorer = a_scorer_for_everybody()

    def send(body: bytes) -> tuple[int, str]:
        try:
            return 200, scorer.score(body, as_of=datetime.now(UTC), timer=a_timer()).body
        except CreditScoringError as error:
            response = problem_response(error, request_id="request-1")
            return int(str(response["statusCode"])), str(response["body"])

    seen = attack(send, forget=scorer.store.receipts.clear, count=BODIES_SENT)

    assert min(seen["refused"], seen["approve"]) > 0
