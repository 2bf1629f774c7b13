"""`credit score`, `token` and `status` against a made-up API in this process."""

from __future__ import annotations

import http.server
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli import main
from credit_cli.api import request_token
from credit_cli.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DECISION = {
    "application_id": "application-1",
    "product": "personal_loan",
    "outcome": "decline",
    "decided_by": {"kind": "cutoff", "code": "decline_from"},
    "cause": None,
    "probability_of_default": 0.1234,
    "points": 512.4,
    "risk_band": "E",
    "reasons": [
        {
            "code": "INCOME",
            "text": "Income is insufficient for the amount requested",
            "feature": "annual_income",
            "contribution_log_odds": 0.541,
            "contribution_points": -31.2,
        },
        {
            "code": "TERM",
            "text": "The repayment term requested",
            "feature": "term_months",
            "contribution_log_odds": 0.1,
            "contribution_points": -5.8,
        },
    ],
    "feature_status": {
        "bureau": {
            "status": "fresh",
            "event_timestamp": "2026-11-20T12:00:00Z",
            "age_seconds": 93_600.0,
        },
        "region_market": {"status": "missing", "event_timestamp": None, "age_seconds": None},
    },
    "model": {"version": "20261121-1", "sha256": "ab" * 32, "role": "champion"},
    "policy_version": "2026-11-1",
    "decided_at": "2026-11-21T14:00:00.000000Z",
    "revision": 1,
}


class Api:
    """An API that answers each POST as told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.body = json.dumps(DECISION).encode()
        self.headers = {"Server-Timing": "parse;dur=0.2, read;dur=3.14, total;dur=12.5"}
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                api.requests.append((self.path, dict(self.headers), content))
                self.send_response(api.status)
                for name, value in api.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(api.body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name there)
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def api() -> Iterator[Api]:
    api = Api()
    thread = threading.Thread(target=api.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield api
    api.server.shutdown()
    api.server.server_close()
    thread.join()


@pytest.fixture
def application(tmp_path: Path) -> Path:
    path = tmp_path / "application.json"
    path.write_text('{"application_id": "application-1",  "annual_income": 30000}')
    return path


def score(application: Path, api_url: str, *options: str) -> int:
    return main.run(["score", str(application), "--api-url", api_url, "--token", "T", *options])


def test_a_decision_is_told_in_words(
    application: Path, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(application, api.url) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "Declined: probability of default 12.34 %, 512 points, risk band E",
        "Decided   by the cut-off decline_from",
        "Reasons    -31.2 points  Income is insufficient for the amount requested (annual_income)",
        "            -5.8 points  The repayment term requested (term_months)",
        "Read      bureau: fresh, 26 hours old, of 2026-11-20T12:00:00Z",
        "Read      region_market: missing",
        "Model     20261121-1 (champion), SHA-256 abababababab…; policy 2026-11-1",
        lines[7],
        "Receipt   application-1, decided 2026-11-21T14:00:00.000000Z",
    ]
    assert lines[7].startswith("Time      parse 0.2, read 3.1, total 12.5 ms; ")


def test_the_application_is_sent_byte_for_byte_with_the_token(application: Path, api: Api) -> None:
    score(application, api.url)

    path, headers, body = api.requests[0]
    assert path == "/v1/decisions"
    assert headers["Authorization"] == "Bearer T"
    assert body == application.read_bytes()


def test_a_replayed_decision_is_called_so(
    application: Path, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.headers["Idempotency-Replayed"] = "true"

    score(application, api.url)

    assert "returned again byte for byte" in capsys.readouterr().out


def test_a_referral_says_why(
    application: Path, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    cause = {"code": "features_missing", "detail": "bureau is missing", "retryable": False}
    api.body = json.dumps(
        DECISION
        | {
            "outcome": "refer",
            "decided_by": {"kind": "fault", "code": "features_missing"},
            "cause": cause,
            "probability_of_default": None,
            "points": None,
            "risk_band": None,
            "reasons": [],
            "model": None,
        }
    ).encode()

    assert score(application, api.url) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Referred to a person"
    assert lines[1] == "Because   bureau is missing (features_missing)"
    assert lines[2].startswith("Read ")
    assert "Model     none was asked; policy 2026-11-1" in lines


def test_a_referral_that_may_pass_says_that_the_same_may_be_sent_again(
    application: Path, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    detail = "bureau is unavailable"
    cause = {"code": "features_unavailable", "detail": detail, "retryable": True}
    api.body = json.dumps(DECISION | {"outcome": "refer", "cause": cause}).encode()

    assert score(application, api.url) == 0

    assert capsys.readouterr().out.splitlines()[1:3] == [
        "Because   bureau is unavailable (features_unavailable)",
        "          this may pass: the same application may be sent again for another decision",
    ]


def test_a_rules_decline_says_which_rule_and_its_reason_without_points(
    application: Path, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    reason = {
        "code": "MINIMUM_INCOME",
        "text": "Income is below the minimum for this loan",
        "feature": "annual_income",
        "contribution_log_odds": None,
        "contribution_points": None,
    }
    decider = {"kind": "rule", "code": "MINIMUM_INCOME"}
    api.body = json.dumps(
        DECISION | {"decided_by": decider, "reasons": [reason], "revision": 2}
    ).encode()

    assert score(application, api.url) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == [
        "Decided   by the rule MINIMUM_INCOME",
        "Reasons   Income is below the minimum for this loan (annual_income)",
    ]
    assert lines[-1] == ("Receipt   application-1, revision 2, decided 2026-11-21T14:00:00.000000Z")


def test_json_is_the_apis_own_byte_for_byte(
    application: Path, api: Api, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    api.body = b'{"outcome":  "approve", "points": 1e2}'

    assert score(application, api.url, "--json") == 0

    assert capsysbinary.readouterr().out == api.body + b"\n"


def test_a_refused_application_names_each_field(
    application: Path, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.status = 400
    faults = [
        {"path": "annual_income", "message": "is below 0"},
        {"path": "term_months", "message": "is absent"},
    ]
    api.body = json.dumps(
        {"title": "The application cannot be judged", "status": 400, "faults": faults}
    ).encode()

    assert score(application, api.url) == 3

    assert capsys.readouterr().err == (
        "error: the API refused the application: 400 The application cannot be judged: "
        "annual_income is below 0; term_months is absent\n"
    )


def test_an_id_used_before_is_said_in_a_line(
    application: Path, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.status = 409
    api.body = b'{"title": "The application id was used before", "detail": "with another body"}'

    assert score(application, api.url) == 3

    assert capsys.readouterr().err == (
        "error: the API refused the application: "
        "409 The application id was used before: with another body\n"
    )


def test_a_refusal_in_json_is_the_problem_document(
    application: Path, api: Api, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    api.status, api.body = 409, b'{"title": "The application id was used before"}'

    assert score(application, api.url, "--json") == 3

    assert capsysbinary.readouterr().out == api.body + b"\n"


def test_a_gateway_without_problem_documents_is_understood(
    application: Path, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    api.status, api.body = 401, b'{"message": "Unauthorized"}'

    assert score(application, api.url) == 3

    assert "401 Unauthorized" in capsys.readouterr().err


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"message": "Timeout"}'])
def test_a_failing_api_counts_as_unreachable(application: Path, api: Api, body: bytes) -> None:
    api.status, api.body = 503, body

    assert score(application, api.url) == 4


def test_an_api_that_is_not_there_is_one_line(
    application: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(application, "http://127.0.0.1:9") == 4

    shown = capsys.readouterr().err
    assert shown.startswith("error: nothing answers at 127.0.0.1:9: ")
    assert shown.count("\n") == 1


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "http://127.0.0.1:abc/",
        "http://[::1",
        "http://127.0.0.1:9/a b",
        "http://127.0.0.1:9/ü",
    ],
)
def test_an_api_address_that_is_none_is_refused_in_a_line(
    application: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(application, address) == 2

    shown = capsys.readouterr().err
    assert "is not an http(s) address" in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize("token", ["a\nb", "ü"])
def test_a_token_that_no_header_can_hold_is_refused_in_a_line(
    application: Path, api: Api, token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["score", str(application), "--api-url", api.url, "--token", token]) == 2

    shown = capsys.readouterr().err
    assert shown == "error: the Authorization header can't hold that: a token is printable ASCII\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "holds no JSON object"),
        ("\x00", "is not JSON"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_a_file_that_is_no_application_is_not_sent(
    application: Path, api: Api, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    application.write_text(content)

    assert score(application, api.url) == 2

    assert message in capsys.readouterr().err
    assert not api.requests


def test_a_file_that_is_not_there_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["score", str(tmp_path / "none.json")]) == 2

    assert capsys.readouterr().err.endswith("none.json can't be read: No such file or directory\n")


def test_an_address_without_a_token_is_refused(
    application: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["score", str(application), "--api-url", "http://127.0.0.1:9"]) == 2

    assert "go together" in capsys.readouterr().err


def test_a_refused_client_is_told_why(api: Api) -> None:
    api.status, api.body = 400, b'{"error": "invalid_client"}'

    with pytest.raises(RefusedError, match="400 invalid_client"):
        request_token(api.url, client_id="c", client_secret="s", scope="decisions/write")


def test_a_token_is_asked_for_with_client_credentials(api: Api) -> None:
    api.body = b'{"access_token": "T", "expires_in": 3600}'

    token = request_token(api.url, client_id="c", client_secret="s", scope="decisions/write")

    assert (token.access_token, token.expires_in_seconds) == ("T", 3600)
    _, headers, body = api.requests[0]
    assert headers["Authorization"] == "Basic Yzpz"
    assert body == b"grant_type=client_credentials&scope=decisions%2Fwrite"
