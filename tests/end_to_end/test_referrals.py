"""The referral queue over HTTP: referred, listed, reviewed, gone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.domain.product import load_product
from credit_core.domain.review import adverse_action_codes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.end_to_end.conftest import Caller, Client, Credit

type Applications = Callable[..., dict[str, Any]]
type Callers = dict[str, Caller]

pytestmark = pytest.mark.end_to_end

QUEUE = "/v1/referrals"
FOLLOWS_WITHIN_SECONDS = 5
CODE = adverse_action_codes(load_product("personal_loan"))[0]
REVIEW = {
    "review_id": "review-1",
    "revision": 1,
    "outcome": "decline",
    "reviewer": "a.smith",
    "reason": "The employer could not confirm the employment",
    "adverse_action_codes": [CODE],
}


def waiting(desk: Caller, *, limit: int = 100) -> dict[str, dict[str, Any]]:
    """Return everything that waits, by id, read page by page."""
    found: dict[str, dict[str, Any]] = {}
    path = f"{QUEUE}?limit={limit}"
    while path:
        answer = desk("GET", path)
        assert answer.status == 200, answer.body
        page = answer.document()
        assert len(page["referrals"]) <= limit
        found |= {told["application_id"]: told for told in page["referrals"]}
        path = f"{QUEUE}?limit={limit}&after={page['next']}" if page["next"] else ""
    return found


def until(condition: Callable[[], bool]) -> bool:
    """Wait until the index has followed the table."""
    deadline = time.monotonic() + FOLLOWS_WITHIN_SECONDS
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return condition()


def test_a_referral_is_listed_until_a_person_has_reviewed_it(
    client: Client, callers: Callers, an_application: Applications
) -> None:
    desk = callers["desk"]
    application = an_application(applicant_id="nobody-we-know")
    id_ = application["application_id"]
    referred = client(application).document()
    assert until(lambda: id_ in waiting(desk))
    told = waiting(desk)[id_]

    reviewed = desk("POST", f"/v1/decisions/{id_}/review", REVIEW)

    assert reviewed.status == 201
    assert until(lambda: id_ not in waiting(desk))
    same = ("revision", "decided_at", "cause", "decided_by", "probability_of_default", "points")
    assert {name: told[name] for name in same} == {name: referred[name] for name in same}
    record = desk("GET", f"/v1/decisions/{id_}").document()
    assert record["decision"] == referred
    assert record["reviews"] == [reviewed.document()]


def test_a_review_of_another_revision_takes_nothing_off(
    client: Client, callers: Callers, an_application: Applications
) -> None:
    desk = callers["desk"]
    application = an_application(applicant_id="nobody-we-know")
    id_ = application["application_id"]
    client(application)
    assert until(lambda: id_ in waiting(desk))

    refused = desk("POST", f"/v1/decisions/{id_}/review", REVIEW | {"revision": 2})

    assert refused.status == 409
    assert id_ in waiting(desk)


def test_the_queue_is_the_same_whatever_the_pages(
    client: Client, callers: Callers, an_application: Applications
) -> None:
    desk = callers["desk"]
    ids = []
    for _ in range(3):
        application = an_application(applicant_id="nobody-we-know")
        ids.append(application["application_id"])
        client(application)
    assert until(lambda: set(ids) <= waiting(desk).keys())

    by_large, by_small = list(waiting(desk)), list(waiting(desk, limit=7))

    # Other tests refer at the same time; what waited throughout is in the same order.
    both = set(by_large) & set(by_small)
    assert set(ids) <= both
    assert [id_ for id_ in by_large if id_ in both] == [id_ for id_ in by_small if id_ in both]
    times = [told["decided_at"] for told in waiting(desk).values()]
    assert times == sorted(times)


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "after=x", "page=2", "limit=1&limit=2"])
def test_a_page_that_there_is_not_is_refused(callers: Callers, query: str) -> None:
    answer = callers["desk"]("GET", f"{QUEUE}?{query}")

    assert answer.status == 400
    (fault,) = answer.document()["faults"]
    assert fault["path"] == query.partition("=")[0]


def test_the_command_lists_what_waits_and_records_a_review(
    credit: Credit, client: Client, callers: Callers, an_application: Applications
) -> None:
    application = an_application(applicant_id="nobody-we-know")
    id_ = application["application_id"]
    client(application)
    assert until(lambda: id_ in waiting(callers["desk"]))

    listed = credit.json("referrals", "--all")
    done = credit.json(
        *("decisions", "review", id_, "--outcome", "decline", "--reviewer", "a.smith"),
        *("--reason", "No answer from the employer", "--code", CODE),
    )

    assert id_ in {told["application_id"] for told in listed["referrals"]}
    assert done["outcome"] == "decline"
    assert done["revision"] == 1
    assert until(lambda: id_ not in waiting(callers["desk"]))
