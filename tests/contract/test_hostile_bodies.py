"""The scorer's handler against 20,000 bodies: faults are named, and nothing faulty decided."""

from __future__ import annotations

import base64
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from tests.example_environments import EXAMPLE_ENVIRONMENTS
from tests.handlers import started
from tests.hostile_bodies import a_scorer_for_everybody, attack

BODIES_SENT = 20_000


@pytest.fixture
def handler(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The function's module, whose scorer is still to be put in place."""
    for name, value in EXAMPLE_ENVIRONMENTS["scorer"].items():
        monkeypatch.setenv(name, value)
    return started("scorer")


def test_no_body_makes_the_handler_fail_or_approve_what_is_faulty(
    handler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = a_scorer_for_everybody()
    in_function = SimpleNamespace(score=scorer.score, failed_loads=deque(), failed_reads=deque())
    monkeypatch.setattr(handler, "scorer", lambda: in_function)

    def send(body: bytes) -> tuple[int, str]:
        event = {
            "httpMethod": "POST",
            "body": base64.b64encode(body).decode(),
            "isBase64Encoded": True,
            "requestContext": {"requestId": "request-1"},
        }
        response = handler.handler(event, SimpleNamespace(aws_request_id="lambda-1"))
        return response["statusCode"], response["body"]

    seen = attack(send, forget=scorer.store.receipts.clear, count=BODIES_SENT)

    assert seen.total() >= BODIES_SENT
    # Both sides of the line were tried, and often.
    assert seen["approve"] > BODIES_SENT / 50
    assert seen["refused"] > BODIES_SENT / 4
