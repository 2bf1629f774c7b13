"""Batches of applications as a client application sees them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.end_to_end.conftest import Caller, Client

type Applications = Callable[..., dict[str, Any]]
type Callers = dict[str, Caller]

pytestmark = pytest.mark.end_to_end

PATH = "/v1/decision-batches"


def judge(callers: Callers, *applications: object) -> list[dict[str, Any]]:
    """Send a batch; return its results."""
    answer = callers["application"]("POST", PATH, {"applications": applications})
    assert answer.status == 200, answer.body
    results: list[dict[str, Any]] = answer.document()["results"]
    return results


def test_a_hundred_applications_are_decided_each_as_if_it_had_come_alone(
    client: Client, callers: Callers, an_application: Applications
) -> None:
    applications = [an_application(loan_amount=1_000 + 100 * number) for number in range(100)]

    answer = callers["application"]("POST", PATH, {"applications": applications})

    results = answer.document()["results"]
    assert [result["status"] for result in results] == [200] * 100
    assert [result["decision"]["application_id"] for result in results] == [
        application["application_id"] for application in applications
    ]
    for application in applications[::10]:
        alone = client(application)
        assert alone.headers["Idempotency-Replayed"] == "true"
        assert b'{"status":200,"decision":' + alone.body + b"}" in answer.body


def test_each_result_is_of_its_application(callers: Callers, an_application: Applications) -> None:
    sound, other = an_application(), an_application()

    results = judge(
        callers,
        sound,
        an_application(annual_income=-31_337),
        sound,
        sound | {"loan_amount": sound["loan_amount"] + 1},
        7,
        other,
    )

    assert [result["status"] for result in results] == [200, 400, 200, 409, 400, 200]
    assert results[0] == results[2]
    assert [fault["path"] for fault in results[1]["problem"]["faults"]] == ["annual_income"]
    assert results[1]["problem"]["request_id"]
    assert results[5]["decision"]["application_id"] == other["application_id"]


def test_a_batch_finds_what_was_decided_before(
    client: Client, callers: Callers, an_application: Applications
) -> None:
    application = an_application()
    decided = client(application)

    answer = callers["application"]("POST", PATH, {"applications": [application]})

    assert answer.body == b'{"results":[{"status":200,"decision":' + decided.body + b"}]}"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("", 400),
        ("[]", 400),
        ('{"applications": []}', 400),
        ('{"applications": [1], "priority": "high"}', 400),
        (json.dumps({"applications": [{}] * 101}), 400),
        ('{"applications": [' + " " * 1_700_000 + "{}]}", 413),
    ],
)
def test_what_is_no_batch_is_refused_as_a_whole(callers: Callers, body: str, status: int) -> None:
    answer = callers["application"]("POST", PATH, body)

    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
