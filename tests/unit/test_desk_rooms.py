"""The queue, the search by id, and what every room says when something is not there."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from credit_cli.desk.app import desk_app
from credit_cli.desk.connection import Connection
from credit_cli.desk.desk import MOST_NOTED, Notes
from credit_cli.desk.office import AnswerTimes, ProblemError
from credit_cli.errors import CliError, PreconditionError, UnreachableError
from tests.builders import NOW, PRODUCT
from tests.builders_desk import KEY, PORT, FakeOffice, Visitor, a_desk, a_visitor, without_a_cloud
from tests.unit.test_desk_decision import REFERRED
from tests.unit.test_desk_score import TYPED

if TYPE_CHECKING:
    from collections.abc import Sequence


def a_referral(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "application_id": f"loan-{number}",
        "revision": 1,
        "decided_at": (NOW - timedelta(hours=number)).isoformat(),
        "cause": {"code": "between_cutoffs", "detail": "the probability", "retryable": False},
        "decided_by": {"kind": "cutoff", "code": "between_cutoffs"},
        "probability_of_default": 0.08,
        "points": 560.5,
        "risk_band": "D",
        "policy_version": "2026-11-2",
        "model_version": "v1",
    } | changes


class Queue(FakeOffice):
    """An office with a queue as the API answers it."""

    answer: dict[str, Any]

    def referrals(self, *, limit: int, after: str | None) -> dict[str, Any]:
        self.pages.append((limit, after))
        self._fail("referrals")
        return self.answer


def a_queue(*referrals: dict[str, Any], following: str | None = None) -> Queue:
    queue = Queue()
    queue.answer = {"referrals": list(referrals), "next": following}
    return queue


def test_a_referral_waits_in_the_queue_until_somebody_reviewed_it() -> None:
    office = FakeOffice()
    visitor = a_visitor(office)
    visitor.post("/", TYPED | REFERRED)

    waiting = visitor.get("/referrals").text
    assert 'data-application="application-1"' in waiting
    assert 'href="/decisions/application-1"' in waiting

    review = {
        "review_id": "r",
        "revision": "1",
        "outcome": "approve",
        "reviewer": "a",
        "reason": "b",
    }
    visitor.post("/decisions/application-1/review", review)
    assert "Nobody waits" in visitor.get("/referrals").text


def test_the_queue_tells_age_and_cause_in_words() -> None:
    rule = {"decided_by": {"kind": "rule", "code": "PAST_DUE_NOW"}, "cause": {"code": "rule"}}
    stale = {
        "decided_by": {"kind": "fault", "code": "features_stale"},
        "cause": {"code": "features_stale", "detail": "bureau is stale"},
        "probability_of_default": None,
        "points": None,
        "risk_band": None,
    }
    damaged = dict.fromkeys(("cause", "decided_by", "policy_version"))
    office = a_queue(
        a_referral(50),
        a_referral(2, **rule, revision=3),
        a_referral(1, **stale),
        a_referral(0, **damaged),
    )

    page = a_visitor(office).get("/referrals").text

    assert re.findall(r'data-application="([\w-]+)"', page) == [
        "loan-50",
        "loan-2",
        "loan-1",
        "loan-0",
    ]
    assert "2.1 days" in page
    assert "between the cut-offs" in page
    assert "PAST_DUE_NOW" in page
    assert "revision 3" in page
    assert "what is known of the applicant is too old" in page
    assert "its record can" in page


def test_pages_of_the_queue_follow_the_cursor_as_it_is() -> None:
    office = a_queue(a_referral(1), following="a/b+c=")
    visitor = a_visitor(office)

    page = visitor.get("/referrals").text
    assert 'href="/referrals?after=a%2Fb%2Bc%3D"' in page
    visitor.get("/referrals?after=a%2Fb%2Bc%3D")
    office.answer = {"referrals": [], "next": None}
    last = visitor.get("/referrals?after=x").text

    assert office.pages == [(25, None), (25, "a/b+c="), (25, "x")]
    assert "There are no later ones" in last
    assert "From the oldest on" in last


def test_a_decision_is_found_by_its_id() -> None:
    visitor = a_visitor()
    visitor.post("/", TYPED)

    assert visitor.get("/find?id=%20application-1%20").place == "/decisions/application-1"


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ("", 400, "Type an id"),
        ("a%20b", 400, "This is no id"),
        ("x" * 65, 400, "This is no id"),
        ("%3Cb%3E", 400, "&lt;b&gt;"),
        ("nobody", 404, "Nothing was decided under this id on the local cloud"),
    ],
)
def test_an_id_that_finds_nothing_stays_in_the_field(asked: str, status: int, words: str) -> None:
    page = a_visitor().get(f"/find?id={asked}")

    assert page.status == status
    assert words in page.text
    assert 'id="id-fault"' in page.text


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (
            UnreachableError("nothing of personal_loan is deployed", hint="run: make demo"),
            503,
            ["Nothing of personal_loan is deployed.", "Run: make demo"],
        ),
        (
            PreconditionError("no AWS region is configured"),
            500,
            ["This machine lacks something", "No AWS region"],
        ),
        (CliError("the pointer can't be read"), 500, ["The pointer can"]),
    ],
)
def test_a_room_says_that_nothing_is_there_and_what_to_do(
    error: CliError, status: int, words: Sequence[str]
) -> None:
    visitor = Visitor(desk_app(without_a_cloud(error), key=KEY, port=PORT))
    visitor.get(f"/?key={KEY}")

    assert visitor.get("/").status == 200, "the form needs nobody"
    for path in ("/referrals", "/find?id=a", "/decisions/a", "/models", "/drift"):
        page = visitor.get(path)

        assert page.status == status, path
        assert "<nav" in page.text
        for said in words:
            assert said in page.text


@pytest.mark.parametrize(
    ("status", "title", "hint"),
    [
        (401, "The API took no token", "A new token was fetched"),
        (403, "The API doesn&rsquo;t allow that", None),
        (429, "The API is busy", "Wait a few seconds"),
        (500, "Something failed", "Trying again is safe"),
        (503, "Nothing answers now", "Its request_id: request-7"),
        (504, "The API failed", "Trying again is safe"),
    ],
)
def test_what_the_api_refuses_is_said_with_what_to_do(
    status: int, title: str, hint: str | None
) -> None:
    problem = {"title": "No", "request_id": "request-7"}
    forgotten: list[bool] = []
    office = FakeOffice(faults={"record": ProblemError(status, problem)})

    page = a_visitor(office, forget=lambda: forgotten.append(True)).get("/decisions/a")

    assert page.status == status
    assert f"<h1>{title}</h1>" in page.text
    assert hint is None or hint in page.text
    assert forgotten, "the next page looks for the deployment anew"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "Query"),
            "refused a call",
        ),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1"), "does not answer"),
        (OSError(28, "No space left on device"), "The disk is full"),
    ],
)
def test_errors_of_the_cloud_and_the_machine_have_words(error: Exception, words: str) -> None:
    page = a_visitor(FakeOffice(faults={"record": error})).get("/decisions/a")

    assert words in page.text


def test_a_deployment_is_looked_for_again_after_it_was_forgotten() -> None:
    found: list[str] = []
    rooms = object()

    class Found(Connection):
        def _find(self) -> Any:
            found.append("asked")
            return rooms

    connection = Found(PRODUCT)

    assert connection() is rooms
    assert connection() is rooms
    connection.forget()
    assert connection() is rooms
    assert len(found) == 2


def test_what_the_desk_remembers_stays_small() -> None:
    notes = Notes()
    for number in range(MOST_NOTED + 20):
        notes.note(f"application-{number}", AnswerTimes("", 0.1))

    assert notes.times("application-0") is None
    assert notes.times(f"application-{MOST_NOTED + 19}") is not None
    assert len(notes._times) == MOST_NOTED


def test_pages_of_another_stage_say_which() -> None:
    page = a_visitor(stage="dev").get("/").text

    assert "dev in account 1, eu-west-1" in page
    assert 'class="stage-other"' in page


def test_a_desk_stands_for_its_product() -> None:
    other = replace(PRODUCT, title="Car loan & lease")

    page = Visitor(desk_app(replace(a_desk(), product=other), key=KEY, port=PORT))
    page.get(f"/?key={KEY}")

    assert "Car loan &amp; lease" in page.get("/").text
