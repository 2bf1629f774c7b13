"""The desk's office over HTTP: tokens that end, no answers, how long a decision may take."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli.api import ClientKind, Token
from credit_cli.deployment import Deployment
from credit_cli.desk.office import DeployedOffice, Limits, ProblemError, Tokens
from credit_cli.errors import RefusedError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass
class Api:
    """An API that takes tokens it issued, and answers as it is told to."""

    url: str = ""
    issued: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    calls: list[tuple[str, str, bytes]] = field(default_factory=list)
    refuses_clients: bool = False

    def answer(self, method: str, path: str, token: str, body: bytes) -> tuple[int, bytes]:
        """Return status and body for a call."""
        if path == "/oauth2/token":
            if self.refuses_clients:
                return 400, b'{"error": "invalid_client"}'
            self.issued.append(f"token-{len(self.issued)}")
            self.taken = {self.issued[-1]}
            issued = {"access_token": self.issued[-1], "expires_in": 3_600}
            return 200, json.dumps(issued).encode()
        self.calls.append((method, path, body))
        if token not in self.taken:
            return 401, b'{"title": "A valid token is needed", "request_id": "r-1"}'
        return self.answers.get(path, (200, b'{"outcome": "approve"}'))


@pytest.fixture
def server() -> Iterator[Api]:
    known = Api()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            status, body = known.answer(self.command, self.path, token, self.rfile.read(length))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Server-Timing", "read;dur=2, total;dur=5")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 (the standard library's)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        known.url = f"http://127.0.0.1:{served.server_port}"
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield known
        served.shutdown()
        thread.join()


@dataclass
class FakeAws:
    """An account in which the API, its clients, a function and an alarm are."""

    url: str
    variables: Mapping[str, str] = field(default_factory=lambda: {"CREDIT_DEADLINE_MS": "80"})
    alarms: tuple[dict[str, float], ...] = ({"Threshold": 100.0},)
    asked: list[str] = field(default_factory=list)

    place = "an account"

    def api_url(self, _outputs: Mapping[str, str]) -> str:
        return self.url

    def token_url(self, _outputs: Mapping[str, str]) -> str:
        return f"{self.url}/oauth2/token"

    def client(self, _service: str) -> FakeAws:
        return self

    def describe_user_pool_client(self, **asked: str) -> dict[str, Any]:
        self.asked.append(asked["ClientId"])
        return {
            "UserPoolClient": {
                "ClientId": asked["ClientId"],
                "ClientSecret": "s",
                "AllowedOAuthScopes": ["decisions/read"],
            }
        }

    def get_function_configuration(self, **_asked: str) -> dict[str, Any]:
        self.asked.append("function")
        return {"Environment": {"Variables": dict(self.variables)}}

    def describe_alarms(self, **_asked: Any) -> dict[str, Any]:
        return {"MetricAlarms": list(self.alarms)}


def an_office(server: Api, **aws: Any) -> tuple[DeployedOffice, FakeAws]:
    account = FakeAws(server.url, **aws)
    outputs = {
        "UserPoolId": "pool",
        "ApplicationClientId": "application",
        "DeskClientId": "desk",
        "ScorerFunction": "scorer",
        "LatencyAlarm": "latency",
    }
    deployment = Deployment(account, outputs)  # type: ignore[arg-type]
    return DeployedOffice(account, deployment), account  # type: ignore[arg-type]


def test_each_call_goes_out_with_the_token_of_who_may_make_it(server: Api) -> None:
    office, account = an_office(server)

    decided = office.decide(b'{"application_id":"a"}')
    office.record("a/b")
    office.explanation("a")
    office.review("a", {"review_id": "r"})
    office.card()

    assert decided.decision == {"outcome": "approve"}
    assert decided.times.server_timing == "read;dur=2, total;dur=5"
    assert not decided.times.repeated
    assert account.asked[0] == "application"
    assert set(account.asked[1:]) == {"desk"}
    assert [(method, path) for method, path, _ in server.calls] == [
        ("POST", "/v1/decisions"),
        ("GET", "/v1/decisions/a%2Fb"),
        ("GET", "/v1/decisions/a/explanation"),
        ("POST", "/v1/decisions/a/review"),
        ("GET", "/v1/model"),
    ]
    assert server.calls[0][2] == b'{"application_id":"a"}'


def test_a_token_that_is_taken_no_more_is_fetched_anew_once(server: Api) -> None:
    office, _ = an_office(server)
    office.record("a")
    server.taken = set()

    assert office.record("a") == {"outcome": "approve"}
    assert len(server.issued) == 2


def test_a_token_that_is_refused_anew_is_told(server: Api) -> None:
    office, _ = an_office(server)
    server.answers["/v1/decisions/a"] = (401, b'{"title": "No", "request_id": "r-1"}')

    with pytest.raises(ProblemError) as refused:
        office.record("a")

    assert refused.value.status == 401
    assert "clients" in str(refused.value.hint)


def test_clients_that_are_refused_are_told(server: Api) -> None:
    office, _ = an_office(server)
    server.refuses_clients = True

    with pytest.raises(RefusedError, match="invalid_client"):
        office.record("a")


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'"text"', b"\xff"])
def test_an_answer_that_is_no_object_is_a_problem(server: Api, body: bytes) -> None:
    office, _ = an_office(server)
    server.answers["/v1/decisions/a"] = (200, body)

    with pytest.raises(ProblemError) as refused:
        office.record("a")

    assert refused.value.status == 502


@pytest.mark.parametrize("body", [b"", b"<html>busy</html>", b'{"message": "Too Many Requests"}'])
def test_a_gateways_own_refusal_has_words(server: Api, body: bytes) -> None:
    office, _ = an_office(server)
    server.answers["/v1/decisions/a"] = (429, body)

    with pytest.raises(ProblemError) as refused:
        office.record("a")

    assert refused.value.status == 429
    assert refused.value.message.startswith("429 ")


def test_faults_that_are_none_are_left_out() -> None:
    problem = ProblemError(400, {"title": "No", "faults": [{"path": "a", "message": "b"}, 7]})

    assert problem.faults == (("a", "b"),)


def test_nobody_at_the_other_end_is_told() -> None:
    nobody = Api(url="http://127.0.0.1:9")
    office, _ = an_office(nobody)

    with pytest.raises(UnreachableError, match="nothing answers"):
        office.record("a")


def test_a_cursor_is_sent_as_it_came(server: Api) -> None:
    office, _ = an_office(server)
    server.answers["/v1/referrals?limit=25&after=a%2Bb%3D"] = (200, b'{"referrals": []}')

    assert office.referrals(limit=25, after="a+b=") == {"referrals": []}
    assert office.referrals(limit=1, after=None) == {"outcome": "approve"}
    assert server.calls[-1][1] == "/v1/referrals?limit=1"


def test_what_a_decision_may_take_is_what_is_deployed(server: Api) -> None:
    office, account = an_office(server)

    assert office.limits() == Limits(deadline_ms=80.0, budget_ms=100.0)
    assert office.limits() == Limits(deadline_ms=80.0, budget_ms=100.0)
    assert account.asked == ["function"], "it is asked once"

    without, _ = an_office(server, variables={}, alarms=())
    assert without.limits() == Limits()


def test_samples_are_read_once(server: Api) -> None:
    reads: list[int] = []

    def read() -> list[dict[str, Any]]:
        reads.append(1)
        return [{"loan_amount": 1}]

    account = FakeAws(server.url)
    office = DeployedOffice(account, Deployment(account, {}), samples=read)  # type: ignore[arg-type]

    assert office.samples() == office.samples() == [{"loan_amount": 1}]
    assert reads == [1]


def test_a_token_is_renewed_before_it_ends() -> None:
    now = [0.0]
    fetched: list[ClientKind] = []

    def fetch(kind: ClientKind) -> Token:
        fetched.append(kind)
        return Token(f"{kind}-{len(fetched)}", 300, "decisions/read")

    tokens = Tokens(fetch, clock=lambda: now[0])

    assert tokens(ClientKind.DESK) == tokens(ClientKind.DESK) == "desk-1"
    now[0] = 241.0
    assert tokens(ClientKind.DESK) == "desk-2"
    assert tokens(ClientKind.APPLICATION) == "application-3"
    assert tokens(ClientKind.DESK, anew=True) == "desk-4"
