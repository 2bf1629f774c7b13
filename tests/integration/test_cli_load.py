"""Load on a real HTTP server that fails as told."""

from __future__ import annotations

import http.client
import http.server
import json
import select
import socket
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from credit_cli import load_command, main
from credit_cli.api import Token
from credit_cli.aws import LocalAws
from credit_cli.deployment import Deployment
from credit_cli.load import Load, Plan, arrivals, drop_closed
from credit_cli.load_report import receipts_stages, summary
from tests.builders_aws import create_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from credit_cli.load import Reply, Run

ANSWER = json.dumps({"outcome": "refer", "cause": {"code": "between_cutoffs"}}).encode()
TIMING = "parse;dur=0.2, read;dur=3.1, total;dur=9.5"


class Api:
    """Answers each POST; ``fault`` is asked with its number and may do something else."""

    def __init__(self) -> None:
        self.fault: Callable[[Any, int], bool] = lambda _, __: False
        self.connections: list[object] = []
        self.bodies: list[bytes] = []
        self.under_way = self.most_under_way = 0
        self._lock = threading.Lock()
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                api.connections.append(self)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with api._lock:
                    number = len(api.bodies)
                    api.bodies.append(body)
                    api.under_way += 1
                    api.most_under_way = max(api.most_under_way, api.under_way)
                try:
                    if not api.fault(self, number):
                        self.answer(200, ANSWER)
                finally:
                    with api._lock:
                        api.under_way -= 1

            def answer(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Server-Timing", TIMING)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (its name there)
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """Say nothing: clients that went away are part of these tests."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
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


def sent(api: Api, *, count: int = 40, clients: int = 4, seconds: float = 0.4, **also: Any) -> Run:
    """Send so many applications at even distances."""
    load = Load(
        f"{api.url}/v1/decisions",
        headers={"Authorization": "Bearer T"},
        bodies=[b"%d" % number for number in range(count)],
        due=[seconds * number / count for number in range(count)],
        clients=clients,
        **also,
    )
    return load.run()


def statuses(run: Run) -> dict[str, int]:
    return dict(Counter(reply.status for reply in run.replies))


def slowly(_: Any, __: int) -> bool:
    time.sleep(0.15)
    return False


def hang_up(handler: Any) -> bool:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True
    return True


def test_every_application_is_sent_once_over_connections_that_persist(api: Api) -> None:
    run = sent(api)

    assert sorted(int(body) for body in api.bodies) == list(range(40))
    assert len(api.connections) <= 4
    assert statuses(run) == {"200": 40}
    assert {(reply.outcome, reply.cause) for reply in run.replies} == {("refer", "between_cutoffs")}
    assert run.replies[0].stages_ms == {"parse": 0.2, "read": 3.1, "total": 9.5}
    assert (run.due, run.interrupted) == (40, False)


def test_nothing_is_sent_before_it_is_due(api: Api) -> None:
    run = sent(api, seconds=0.3)

    assert all(reply.sent >= reply.due for reply in run.replies)
    assert run.seconds >= 0.3 * 39 / 40


def test_no_more_than_the_clients_are_under_way_and_the_queue_shows(api: Api) -> None:
    """At 150 ms each, one client falls behind a hundred a second, for everyone who waits.

    What is the service's is none of the wait: one client's add up to no more than the run took.
    """
    api.fault = slowly

    run = sent(api, count=20, clients=1, seconds=0.2)

    assert api.most_under_way == 1
    assert all(reply.service_ms >= 150 for reply in run.replies)
    assert sum(reply.service_ms for reply in run.replies) <= run.seconds * 1_000
    assert run.replies[-1].latency_ms >= 20 * 150 - 200


def test_errors_are_told_apart(api: Api) -> None:
    faults = {3: 429, 4: 429, 7: 503, 9: 500}

    def fault(handler: Any, number: int) -> bool:
        if number in faults:
            handler.answer(faults[number], b'{"title": "no"}')
        return number in faults

    api.fault = fault

    run = sent(api)

    assert statuses(run) == {"200": 36, "429": 2, "503": 1, "500": 1}
    assert sum(reply.decided for reply in run.replies) == 36


def test_an_answer_without_an_outcome_is_no_decision(api: Api) -> None:
    def fault(handler: Any, _: int) -> bool:
        handler.answer(200, b"[]")
        return True

    api.fault = fault

    run = sent(api, count=3)

    assert statuses(run) == {"200": 3}
    assert not any(reply.decided for reply in run.replies)


def test_a_connection_closed_instead_of_an_answer_is_a_failure_and_the_next_one_works(
    api: Api,
) -> None:
    api.fault = lambda handler, number: number == 5 and hang_up(handler)

    assert statuses(sent(api, clients=1)) == {"200": 39, "connection closed": 1}


def test_an_answer_cut_short_is_a_failure(api: Api) -> None:
    def fault(handler: Any, number: int) -> bool:
        if number != 5:
            return False
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
        return hang_up(handler)

    api.fault = fault

    assert statuses(sent(api, clients=1)) == {"200": 39, "connection closed": 1}


def test_a_connection_closed_while_idle_is_no_failure(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def when_closed(connection: http.client.HTTPConnection) -> None:
        """Look for the end when it has come: a busy server may close only after the next."""
        if connection.sock is not None:
            select.select([connection.sock], [], [], 20)
        drop_closed(connection)

    monkeypatch.setattr("credit_cli.load.drop_closed", when_closed)

    def close_after(handler: Any, _: int) -> bool:
        handler.answer(200, ANSWER)
        return hang_up(handler)

    api.fault = close_after

    run = sent(api, count=5, clients=1, seconds=0.1)

    assert statuses(run) == {"200": 5}
    assert len(api.connections) == 5


def test_an_answer_that_takes_too_long_is_given_up(api: Api) -> None:
    given_up = threading.Event()

    def fault(_: Any, number: int) -> bool:
        if number == 0:
            given_up.wait(20)
        return False

    api.fault = fault

    # Longer than a busy machine takes for the others.
    run = sent(api, count=4, clients=1, seconds=0.1, timeout_seconds=2)

    given_up.set()
    assert run.replies[0].status == "timed out"
    assert statuses(run) == {"timed out": 1, "200": 3}


def test_nobody_there_is_no_answer() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        load = Load(url, headers={}, bodies=[b""] * 3, due=[0.0, 0.01, 0.02], clients=2)

        assert statuses(load.run()) == {"connection refused": 3}


def test_what_waits_too_long_for_a_client_is_not_sent_and_counts(api: Api) -> None:
    api.fault = slowly

    run = sent(api, count=20, clients=1, seconds=0.1, drain_seconds=0.4)

    assert len(run.replies) < 20
    plan = Plan(rate=200, clients=1, seconds=0.1)
    assert summary(plan, run)["unanswered"] == 20 - len(run.replies)


def test_ctrl_c_ends_it_with_what_was_seen_so_far(api: Api) -> None:
    """Also while an answer is awaited, which is then not counted."""
    stuck = threading.Event()

    def fault(_: Any, number: int) -> bool:
        if number == 10:
            stuck.wait(20)
        return False

    def interrupt(replies: Any) -> None:
        if len(replies) >= 10:
            raise KeyboardInterrupt

    api.fault = fault
    load = Load(
        f"{api.url}/v1/decisions",
        headers={},
        bodies=[b""] * 1_000,
        due=arrivals(Plan(rate=50, clients=1, seconds=20)),
        clients=2,
    )
    started = time.monotonic()

    run = load.run(interrupt)

    stuck.set()
    assert run.interrupted
    assert time.monotonic() - started < 10
    assert len(run.replies) >= 10
    assert len(run.replies) <= run.due < 1_000
    assert statuses(run) == {"200": len(run.replies)}


def test_receipts_are_read_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        dynamodb = boto3.client("dynamodb", region_name="us-east-1")
        create_table(dynamodb, "decisions")
        names = [f"load-1-{number:06}" for number in range(130)]
        for name in names:
            dynamodb.put_item(
                TableName="decisions",
                Item={
                    "application_id": {"S": name},
                    "record": {"S": "decision"},
                    "stage_ms": {"S": '{"read": 2.5}'},
                },
            )

        stages = receipts_stages(dynamodb, "decisions", [*names, "load-1-unknown"])

    assert stages == [{"read": 2.5}] * 130


class LocalCloud:
    """Stands for the clients of the local cloud; there is a lake, a token and no receipt."""

    def client(self, service: str) -> Any:
        return service


@pytest.fixture
def deployed_api(api: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    class Here(Deployment):
        @property
        def api_url(self) -> str:
            return api.url

    here = Here(
        LocalAws("http://127.0.0.1:9"), {"LakeBucket": "lake", "DecisionsTable": "decisions"}
    )
    row = {"applicant_id": "LC-1", "addr_state": "CA", "loan_amount": 1_000.0, "term_months": 36}
    row |= {"annual_income": 1.0, "employment_years": None, "verification_status": "verified"}
    monkeypatch.setattr(load_command, "deployed", lambda _, **__: (LocalCloud(), here))
    monkeypatch.setattr("credit_cli.api.fetch_token", lambda *_: Token("T", 3_600, "decide"))
    monkeypatch.setattr("credit_cli.load_applications.lake_applications", lambda *_: [row])
    monkeypatch.setattr(
        "credit_cli.load_report.receipts_stages", lambda *_: [{"parse": 0.2, "read": 3.0}]
    )
    return api


LOAD = ["load", "--rate", "100", "--seconds", "0.3", "--clients", "4"]


def test_the_command_says_how_the_api_coped(
    deployed_api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(LOAD) == 0

    said = capsys.readouterr().out
    assert "Decided           30, 100.00%" in said
    assert "Outcomes          refer 30" in said
    assert "█" in said
    assert all(
        json.loads(body)["application_id"].startswith("load-") for body in deployed_api.bodies
    )


@pytest.mark.usefixtures("deployed_api")
def test_the_command_prints_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([*LOAD, "--json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document["decided"] == 30
    assert document["statuses"] == {"200": 30}
    assert document["receipts"]["stage_ms"]["read"]["p50"] == 3.0
    assert sum(band["count"] for band in document["histogram_ms"]) == 30


def test_no_answer_at_all_is_unreachable(
    deployed_api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed_api.fault = lambda handler, _: hang_up(handler)

    assert main.run(LOAD) == 4

    assert "connection closed 30" in capsys.readouterr().out


def test_ctrl_c_still_prints_the_summary(
    deployed_api: Api, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summary is of those answered before, and the exit code is the shells' for Ctrl-C."""

    def interrupt(replies: Sequence[Reply], planned: int) -> str:
        if 0 < len(replies) < planned and threading.current_thread() is threading.main_thread():
            interrupted.append(len(replies))
            if len(interrupted) == 1:
                raise KeyboardInterrupt
        return "so far"

    interrupted: list[int] = []
    monkeypatch.setattr("credit_cli.load_report.latest", interrupt)
    deployed_api.fault = slowly

    assert main.run(LOAD) == 130

    captured = capsys.readouterr()
    assert ", interrupted)" in captured.out
    assert "error: interrupted" in captured.err
