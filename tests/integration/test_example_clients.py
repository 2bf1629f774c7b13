"""The clients that lenders copy: they keep a token, and send again what had no answer."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.faulty_server import FaultyServer, faulty_server, hangs, resets, response, sends

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable, Iterator

    from tests.faulty_server import Answer

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "clients"
APPLICATION = {"application_id": "a-1", "loan_amount": 100}
CALLER = """
public final class Caller {
    public static void main(String[] words) throws Exception {
        var client = new CreditDecisions(words[0], words[0] + "/token", "id", "secret");
        System.out.print(client.decide(words[1]));
    }
}
"""

type Decide = Callable[[str], dict[str, Any]]
"""Has a client decide APPLICATION at an address; what it refuses is an error with its words."""


class ClientError(Exception):
    """What a client said instead of a decision."""


def says(document: object, *, status: int = 200) -> Answer:
    headers = "Content-Type: application/json\r\nConnection: close\r\n"
    body = json.dumps(document).encode()
    return sends(response(body, status=status, headers=headers), then_closes=True)


TOKEN = says({"access_token": "t", "expires_in": 3600})
APPROVED = {"application_id": "a-1", "outcome": "approve", "cause": None}
REFERRED = {"outcome": "refer", "cause": {"code": "between_cutoffs", "retryable": False}}
PASSING = {"outcome": "refer", "cause": {"code": "model_unavailable", "retryable": True}}
FAULTY = {"detail": "It can't be judged.", "faults": [{"path": "loan_amount", "message": "..."}]}


def asks_for_a_token(request: bytes) -> bool:
    return b"/token" in request.partition(b"\r\n")[0]


def answering(*decisions: Answer) -> Answer:
    """Answer applications with these, the last one again and again, and who asks for a token.

    A client whose machine is busy may ask for its token twice.
    """
    left = list(decisions)

    def answer(connection: socket.socket, request: bytes, ended: threading.Event) -> bool:
        if asks_for_a_token(request):
            return TOKEN(connection, request, ended)
        return (left.pop(0) if len(left) > 1 else left[0])(connection, request, ended)

    return answer


@pytest.fixture(scope="session")
def in_python() -> Decide:
    spec = importlib.util.spec_from_file_location(
        "credit_decisions_client", FOLDER / "credit_decisions.py"
    )
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)

    def decide(url: str) -> dict[str, Any]:
        client = module.CreditDecisions(
            url, f"{url}/token", "id", "secret", timeout_seconds=3, first_wait_seconds=0.01
        )
        try:
            return dict(client.decide(APPLICATION))
        except (module.RefusedError, module.NoDecisionError) as error:
            raise ClientError(str(error)) from error

    return decide


@pytest.fixture(scope="session")
def in_java(tmp_path_factory: pytest.TempPathFactory) -> Decide:
    compiler, java = shutil.which("javac"), shutil.which("java")
    if not compiler or not java:
        pytest.skip("there is no JDK")
    folder = tmp_path_factory.mktemp("java")
    (folder / "Caller.java").write_text(CALLER)
    shutil.copy(FOLDER / "CreditDecisions.java", folder)
    sources = [str(path) for path in folder.glob("*.java")]
    subprocess.run([compiler, "-Xlint:all", "-Werror", "-d", str(folder), *sources], check=True)

    def decide(url: str) -> dict[str, Any]:
        words = ["-cp", str(folder), "-Dcredit.firstWaitSeconds=0.01", "Caller", url]
        done = subprocess.run(
            [java, *words, json.dumps(APPLICATION)], capture_output=True, check=False, timeout=120
        )
        if done.returncode:
            raise ClientError(done.stderr.decode())
        return dict(json.loads(done.stdout))

    return decide


@pytest.fixture(params=["in_python", "in_java"])
def decide(request: pytest.FixtureRequest) -> Decide:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture
def server() -> Iterator[FaultyServer]:
    with faulty_server() as server:
        yield server


def sent_to(server: FaultyServer) -> list[bytes]:
    """Return all requests that brought an application."""
    return [request for request in server.requests if b"/v1/decisions" in request]


def bodies_of(server: FaultyServer) -> list[bytes]:
    """Return the bodies of all applications that were sent."""
    return [request.split(b"\r\n\r\n", 1)[1] for request in sent_to(server)]


@pytest.mark.parametrize("answer", [APPROVED, REFERRED])
def test_a_decision_is_returned_as_it_is(
    decide: Decide, server: FaultyServer, answer: dict[str, Any]
) -> None:
    server.answers = [answering(says(answer))]

    assert decide(server.url) == answer
    assert b"Bearer t" in sent_to(server)[0]


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(hangs, id="no answer in time"),
        pytest.param(resets, id="a closed connection"),
        pytest.param(says({}, status=503), id="503"),
        pytest.param(says({}, status=429), id="429"),
        pytest.param(says(PASSING), id="a referral by a passing fault"),
    ],
)
def test_the_same_application_is_sent_again(
    decide: Decide, server: FaultyServer, lost: Answer
) -> None:
    server.answers = [answering(lost, says({}, status=502), says(APPROVED))]

    assert decide(server.url) == APPROVED
    first, *others = bodies_of(server)
    assert json.loads(first) == APPLICATION
    assert set(others) == {first}


def test_a_spent_token_is_renewed_once(decide: Decide, server: FaultyServer) -> None:
    server.answers = [answering(says({}, status=401), says(APPROVED))]

    assert decide(server.url) == APPROVED
    refused = server.requests.index(sent_to(server)[0])
    assert [*map(asks_for_a_token, server.requests[refused + 1 :])] == [True, False]


@pytest.mark.parametrize("status", [400, 403, 409])
def test_what_is_refused_is_not_sent_again(
    decide: Decide, server: FaultyServer, status: int
) -> None:
    server.answers = [answering(says(FAULTY, status=status))]

    with pytest.raises(ClientError, match=f"{status}.*loan_amount"):
        decide(server.url)

    assert len(bodies_of(server)) == 1
