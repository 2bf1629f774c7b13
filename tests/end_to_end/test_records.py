"""What is recorded beside a decision, as desk and servicing see it: HTTP, tokens, JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli.checkout import Checkout
from credit_core.domain.product import load_product
from credit_core.domain.review import adverse_action_codes

if TYPE_CHECKING:
    from collections.abc import Callable

    from credit_cli.api import Answer
    from tests.end_to_end.conftest import Caller, Client, Credit

type Applications = Callable[..., dict[str, Any]]
type Callers = dict[str, Caller]

pytestmark = pytest.mark.end_to_end

APPROVED = {"loan_amount": 1_000, "term_months": 36, "annual_income": 200_000}
REVIEW = {
    "review_id": "review-1",
    "revision": 1,
    "outcome": "decline",
    "reviewer": "a.smith",
    "reason": "The employer could not confirm the employment",
    "adverse_action_codes": [adverse_action_codes(load_product("personal_loan"))[0]],
}


def today() -> str:
    return str(datetime.now(UTC).date())


def problem_of(answer: Answer, status: int) -> dict[str, Any]:
    """Return the problem document of an answer that has to be one."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.document()
    assert problem["status"] == status
    assert {"type", "title", "request_id"} <= problem.keys()
    return problem


@pytest.fixture
def referred(client: Client, an_application: Applications) -> dict[str, Any]:
    """A decision that a person has to make."""
    return client(an_application(applicant_id="nobody-we-know")).document()


def test_a_decision_is_read_as_it_was_answered(
    client: Client, callers: Callers, an_application: Applications
) -> None:
    application = an_application()
    decided = client(application)

    found = callers["desk"]("GET", f"/v1/decisions/{application['application_id']}")

    assert found.status == 200
    assert decided.body in found.body
    assert found.document()["standing"]["by"] == "model"


def test_a_persons_review_stands_and_the_decision_stays(
    callers: Callers, referred: dict[str, Any]
) -> None:
    path = f"/v1/decisions/{referred['application_id']}"

    first = callers["desk"]("POST", f"{path}/review", REVIEW)
    again = callers["desk"]("POST", f"{path}/review", REVIEW)
    other = callers["desk"]("POST", f"{path}/review", REVIEW | {"reason": "Another reason"})
    unseen = REVIEW | {"review_id": "review-2", "revision": 2}

    assert (first.status, again.status) == (201, 200)
    assert first.body == again.body
    problem_of(other, 409)
    problem_of(callers["desk"]("POST", f"{path}/review", unseen), 409)
    document = callers["application"]("GET", path).document()
    assert document["standing"]["outcome"] == "decline"
    assert document["standing"]["by"] == "person"
    assert document["decision"] == referred
    assert document["reviews"] == [first.document()]
    assert first.document()["client_id"]


def test_a_reviewed_referral_is_final(
    client: Client, callers: Callers, an_application: Applications
) -> None:
    application = an_application(applicant_id="nobody-we-know")
    referred = client(application)
    callers["desk"]("POST", f"/v1/decisions/{application['application_id']}/review", REVIEW)

    assert client(application).body == referred.body


def test_what_became_of_a_loan_is_recorded_once(
    client: Client, callers: Callers, an_application: Applications
) -> None:
    application = an_application(**APPROVED)
    id_ = application["application_id"]
    decided = client(application).document()
    if decided["outcome"] != "approve":
        callers["desk"](
            "POST",
            f"/v1/decisions/{id_}/review",
            REVIEW | {"outcome": "approve", "adverse_action_codes": []},
        )
    report = {"application_id": id_, "outcome": "repaid", "date": today()}
    servicing = callers["servicing"]

    first, again = (
        servicing("POST", "/v1/outcomes", report),
        servicing("POST", "/v1/outcomes", report),
    )

    assert (first.status, again.status) == (201, 200)
    assert first.body == again.body
    for impossible in ("withdrawn", "defaulted"):
        problem_of(servicing("POST", "/v1/outcomes", report | {"outcome": impossible}), 409)
    problem_of(callers["desk"]("POST", f"/v1/decisions/{id_}/review", REVIEW), 409)
    outcomes = callers["application"]("GET", f"/v1/decisions/{id_}").document()["outcomes"]
    assert outcomes == [first.document()]


def test_a_loan_that_was_not_approved_is_not_repaid(
    callers: Callers, referred: dict[str, Any]
) -> None:
    report = {"application_id": referred["application_id"], "outcome": "repaid", "date": today()}

    problem_of(callers["servicing"]("POST", "/v1/outcomes", report), 409)


def test_all_faults_of_a_body_are_named_and_none_is_repeated(
    callers: Callers, referred: dict[str, Any]
) -> None:
    path = f"/v1/decisions/{referred['application_id']}/review"
    body = {"review_id": "a/313373133731", "outcome": "refer", "reviewer": "", "extra": "canary"}

    answer = callers["desk"]("POST", path, body)

    faults = {fault["path"] for fault in problem_of(answer, 400)["faults"]}
    assert faults == {"review_id", "revision", "outcome", "reviewer", "reason", "extra"}
    # Long enough to be in no request's id by chance.
    assert b"313373133731" not in answer.body
    assert b"canary" not in answer.body


def test_a_date_in_the_future_is_refused(callers: Callers, referred: dict[str, Any]) -> None:
    later = str((datetime.now(UTC) + timedelta(days=3)).date())
    report = {"application_id": referred["application_id"], "outcome": "withdrawn", "date": later}

    problem = problem_of(callers["servicing"]("POST", "/v1/outcomes", report), 409)

    assert problem["detail"] == "date is in the future"


def test_an_unknown_application_is_not_found(callers: Callers) -> None:
    report = {"application_id": "never-sent", "outcome": "withdrawn", "date": today()}

    problem_of(callers["desk"]("GET", "/v1/decisions/never-sent"), 404)
    problem_of(callers["desk"]("POST", "/v1/decisions/never-sent/review", REVIEW), 404)
    problem_of(callers["servicing"]("POST", "/v1/outcomes", report), 404)


@pytest.mark.parametrize("application_id", ["a%20b", "a" * 65, "%C3%BC"])
def test_an_id_that_no_application_has_is_refused(callers: Callers, application_id: str) -> None:
    problem = problem_of(callers["desk"]("GET", f"/v1/decisions/{application_id}"), 400)

    assert [fault["path"] for fault in problem["faults"]] == ["application_id"]


def test_the_champions_card_names_the_model_that_decides(
    demo: dict[str, Any], callers: Callers
) -> None:
    answer = callers["desk"]("GET", "/v1/model")

    card = answer.document()
    assert answer.status == 200
    assert card["version"] == demo["champion"]["version"]
    assert card["sha256"] == demo["decision"]["model"]["sha256"]
    assert card["policy_version"] == demo["decision"]["policy_version"]
    auc = card["evaluation"]["auc"]
    assert auc["low"] < auc["value"] < auc["high"]
    assert all(gate["passed"] and gate["evidence"] for gate in card["gates"])
    assert card["reference_applicant"].keys() == set(card["inputs"])


ROUTES = {
    ("POST", "/v1/decisions"): {"application"},
    ("POST", "/v1/decision-batches"): {"application"},
    ("GET", "/v1/health"): {"application", "desk"},
    ("GET", "/v1/decisions/never-sent"): {"application", "desk"},
    ("GET", "/v1/decisions/never-sent/explanation"): {"application", "desk"},
    ("GET", "/v1/referrals"): {"desk"},
    ("POST", "/v1/decisions/never-sent/review"): {"desk"},
    ("POST", "/v1/outcomes"): {"servicing"},
    ("GET", "/v1/model"): {"application", "desk"},
}
"""Who may call what; the bodies sent here are empty objects."""


@pytest.mark.parametrize("kind", ["application", "desk", "servicing", "nobody"])
@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_a_token_opens_the_routes_of_its_scopes_and_no_others(
    callers: Callers, route: tuple[str, str], kind: str
) -> None:
    method, path = route

    answer = callers[kind](method, path, {} if method == "POST" else None)

    if kind in ROUTES[route]:
        assert answer.status not in {401, 403}
    else:
        assert answer.status in {401, 403}
        problem = problem_of(answer, answer.status)
        assert "$" not in problem["request_id"]


@pytest.mark.parametrize(
    ("kind", "scopes"),
    [("application", {"decide", "read"}), ("desk", {"read", "review"}), ("servicing", {"report"})],
)
@pytest.mark.usefixtures("demo")
def test_the_command_gets_a_token_of_each_kind(credit: Credit, kind: str, scopes: set[str]) -> None:
    issued = credit.json("token", "--client", kind)

    assert set(issued["scope"].split()) == {f"decisions/{scope}" for scope in scopes}


@pytest.mark.parametrize("token", ["made.up.token", "no-token-at-all"])
def test_what_is_no_token_is_refused_in_the_same_shape(callers: Callers, token: str) -> None:
    answer = type(callers["desk"])(callers["desk"].deployment, token)("GET", "/v1/model")

    problem_of(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/decisions", "/v1/decisions/a/b/c", "/v1/modell"])
def test_what_does_not_exist_is_not_found(callers: Callers, path: str) -> None:
    problem = problem_of(callers["application"]("GET", path), 404)

    assert problem["title"] == "There is no such resource"


@pytest.mark.parametrize(
    ("method", "path", "offered"),
    [
        ("DELETE", "/v1/decisions/a", "GET"),
        ("GET", "/v1/decisions", "POST"),
        ("PUT", "/v1/outcomes", "POST"),
        ("POST", "/v1/model", "GET"),
        ("PATCH", "/v1/docs", "GET"),
    ],
)
def test_another_method_of_a_resource_is_refused_with_those_it_has(
    callers: Callers, method: str, path: str, offered: str
) -> None:
    answer = callers["application"](method, path)

    problem_of(answer, 405)
    assert answer.headers["Allow"] == offered


def test_what_a_person_writes_is_in_no_log(callers: Callers, referred: dict[str, Any]) -> None:
    path = f"/v1/decisions/{referred['application_id']}/review"
    secret = {"reviewer": "canary-name-4711", "reason": "canary-text-4711"}

    callers["desk"]("POST", path, REVIEW | {"review_id": "canary"} | secret)
    callers["desk"]("POST", path, REVIEW | {"review_id": "canary", "outcome": "refer"} | secret)

    logs = [log for log in Checkout().local.rglob("*.log") if log.is_file()]
    assert logs
    assert not [log for log in logs if b"canary-" in log.read_bytes()]
