"""The lean client against a server that fails in every way in which servers fail."""

from __future__ import annotations

import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from credit_core.adapters import aws_calls, http_connection
from credit_core.adapters.aws_calls import Bucket, JsonApi, RefusedError
from credit_core.adapters.decision_store import dynamodb
from credit_core.adapters.http_connection import NoAnswerError
from tests.faulty_server import (
    FaultyServer,
    document,
    error,
    faulty_server,
    hangs,
    resets,
    response,
    sends,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

    from tests.faulty_server import Answer

SOON = 0.6
TWICE_SECONDS = 3.0
"""For two tries: half of it is more than a busy machine takes to answer."""
PATIENT_SECONDS = 10.0
"""Many times what a call that ends with its deadline takes, on however busy a machine."""
WELL = document({"well": True})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyServer]:
    with faulty_server() as running:
        point_here(monkeypatch, running.url)
        yield running


@pytest.fixture
def api(server: FaultyServer) -> JsonApi:  # noqa: ARG001 (it is what the API talks to)
    return dynamodb()


def point_here(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, value)


def call(api: JsonApi, *, within: float = 5.0) -> dict[str, Any]:
    return api.call("GetItem", {"Key": {}}, deadline=time.monotonic() + within)


def test_one_connection_serves_many_calls(api: JsonApi, server: FaultyServer) -> None:
    server.answers = [WELL]

    assert [call(api) for _ in range(20)] == [{"well": True}] * 20
    assert server.connections == 1


def test_a_request_says_what_dynamodb_expects(api: JsonApi, server: FaultyServer) -> None:
    server.answers = [WELL]

    call(api)

    head, _, body = server.requests[0].decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert first == "POST / HTTP/1.1"
    assert body == '{"Key":{}}'
    assert headers["host"] == server.url.removeprefix("http://")
    assert headers["content-type"] == "application/x-amz-json-1.0"
    assert headers["x-amz-target"] == "DynamoDB_20120810.GetItem"
    assert headers["content-length"] == str(len(body))
    assert "SignedHeaders=content-type;host;x-amz-date;x-amz-target" in headers["authorization"]


def test_a_session_token_is_sent_and_signed(
    api: JsonApi, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token")
    server.answers = [WELL]

    call(api)

    assert b"x-amz-security-token: a-token\r\n" in server.requests[0]
    assert b"x-amz-date;x-amz-security-token;x-amz-target" in server.requests[0]


@pytest.mark.parametrize(
    "fault",
    [
        resets,
        error("InternalServerError", status=500),
        error("ThrottlingException"),
        error("ProvisionedThroughputExceededException"),
        sends(response(b"busy", status=503)),
        sends(response(b"{not json")),
        sends(response(b"[]")),
        sends(b"garbage, and no HTTP at all\r\n\r\n"),
        sends(b"HTTP/1.1 200 Ok\r\n\r\n", then_closes=True),
        sends(b"HTTP/1.1 200 Ok\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}{}{}"),
        sends(b"HTTP/1.1 200 Ok\r\nContent-Length: 9999999999999999999\r\n\r\n{}"),
        sends(b"HTTP/1.1 200 Ok\r\nContent-Length: -1\r\n\r\n{}"),
        sends(b"HTTP/1.1 200 Ok\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
        sends(b"HTTP/1.1 200 Ok\r\nTransfer-Encoding: gzip\r\n\r\n{}"),
        sends(response(b'{"half": ', length=500), then_closes=True),
        sends(response(b'{"well": true}', length=3)),
        sends(response(b'{"well": true}', headers="x-amz-crc32: 1\r\n")),
    ],
    ids=[
        *("reset", "500", "throttled", "exceeded", "503", "no JSON", "no object", "no HTTP"),
        *("no length", "two lengths", "endless", "negative", "chunk", "coding", "truncated"),
        *("too long", "checksum"),
    ],
)
def test_a_call_that_fails_once_is_made_once_more(
    fault: Answer, api: JsonApi, server: FaultyServer
) -> None:
    server.answers = [WELL, fault, WELL]
    call(api)

    assert call(api) == {"well": True}
    assert len(server.requests) == 3


@pytest.mark.parametrize("fault", [error("InternalServerError", status=500), resets])
def test_a_call_that_fails_twice_has_failed(
    fault: Answer, api: JsonApi, server: FaultyServer
) -> None:
    server.answers = [fault]

    with pytest.raises((NoAnswerError, RefusedError)):
        call(api)

    assert len(server.requests) == 2


def test_what_is_refused_for_good_is_not_asked_again(api: JsonApi, server: FaultyServer) -> None:
    server.answers = [error("AccessDeniedException")]

    with pytest.raises(RefusedError, match=r"^AccessDeniedException$"):
        call(api)

    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("code", "status", "passing"),
    [
        ("ThrottlingException", 400, True),
        ("ProvisionedThroughputExceededException", 400, True),
        ("TransactionConflictException", 400, True),
        ("InternalServerError", 500, True),
        ("ServiceUnavailable", 503, True),
        ("AccessDeniedException", 400, False),
        ("ResourceNotFoundException", 400, False),
        ("ValidationException", 400, False),
    ],
)
def test_only_errors_that_may_pass_are_tried_again(code: str, status: int, passing: bool) -> None:  # noqa: FBT001 (a parameter of the table)
    assert RefusedError(code, status=status, document={}).passing is passing


@pytest.mark.parametrize(
    ("reasons", "passing"),
    [
        (["TransactionConflict", "None"], True),
        (["ThrottlingError", "ProvisionedThroughputExceeded"], True),
        (["ConditionalCheckFailed", "None"], False),
        (["ConditionalCheckFailed", "TransactionConflict"], False),
        (["ValidationError", "None"], False),
    ],
)
def test_a_transaction_that_only_lost_a_race_is_tried_again(
    reasons: list[str],
    passing: bool,  # noqa: FBT001 (a parameter of the table)
) -> None:
    document = {"CancellationReasons": [{"Code": reason} for reason in reasons]}
    cancelled = RefusedError("TransactionCanceledException", status=400, document=document)

    assert cancelled.passing is passing


def test_a_hanging_server_leaves_time_for_a_second_try(api: JsonApi, server: FaultyServer) -> None:
    server.answers = [hangs, WELL]

    assert call(api, within=TWICE_SECONDS) == {"well": True}
    assert server.connections == 2


def test_a_try_that_opens_a_connection_has_the_time_for_it(
    api: JsonApi, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a quiet time: half of the time would end two tries, each just before its answer."""
    monkeypatch.setattr(aws_calls, "NEW_CONNECTION_SECONDS", TWICE_SECONDS)
    monkeypatch.setattr(http_connection, "LONGEST_WAIT_SECONDS", 60.0)
    server.answers = [sends(b"", response(b"{}"), pause_seconds=0.55 * TWICE_SECONDS)]

    assert call(api, within=TWICE_SECONDS) == {}
    assert (server.connections, len(server.requests)) == (1, 1)


def test_an_open_connection_that_is_silent_leaves_time_for_another(
    api: JsonApi, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_calls, "NEW_CONNECTION_SECONDS", TWICE_SECONDS)
    server.answers = [WELL]
    call(api)
    server.answers = [hangs, WELL]

    assert call(api, within=TWICE_SECONDS) == {"well": True}
    assert server.connections == 2


def test_connections_that_were_idle_beside_a_silent_one_are_not_used_again(
    api: JsonApi, server: FaultyServer
) -> None:
    """A network device forgot them while the function was frozen, and told nobody."""
    forgotten: list[socket.socket] = []
    together = threading.Barrier(2)

    def opens(connection: socket.socket, _request: bytes, _ended: threading.Event) -> bool:
        forgotten.append(connection)
        together.wait(5)
        connection.sendall(response(b"{}"))
        return True

    def answers(connection: socket.socket, request: bytes, ended: threading.Event) -> bool:
        return (hangs if connection in forgotten else WELL)(connection, request, ended)

    server.answers = [opens]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: call(api), range(2)))
    server.answers = [answers]

    assert call(api, within=TWICE_SECONDS) == {"well": True}
    assert server.connections == 3


@pytest.mark.parametrize(
    "fault",
    [
        hangs,
        sends(response(b"{"), *[b""] * 3, pause_seconds=60),
        sends(*[b"H"] * 1_000, pause_seconds=0.02),
        sends(b"HTTP/1.1 200 Ok\r\nContent-Length: 999\r\n\r\n", *[b"1"] * 999, pause_seconds=0.02),
    ],
    ids=["hangs", "stops", "drips its head", "drips its body"],
)
def test_no_call_outlives_its_deadline(
    fault: Answer, api: JsonApi, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connection, "LONGEST_WAIT_SECONDS", 60.0)
    server.answers = [fault]
    started = time.monotonic()

    with pytest.raises(NoAnswerError):
        call(api, within=SOON)

    assert time.monotonic() - started < PATIENT_SECONDS


def test_nothing_is_asked_after_the_deadline(api: JsonApi, server: FaultyServer) -> None:
    server.answers = [WELL]
    call(api)

    with pytest.raises(NoAnswerError, match="TimeoutError"):
        call(api, within=-1)

    assert call(api) == {"well": True}
    assert (len(server.requests), server.connections) == (2, 1)


def test_a_connection_that_the_server_closed_is_replaced_and_no_try_is_lost(
    api: JsonApi, server: FaultyServer
) -> None:
    """The second fault after it is still within the call's budget."""
    server.answers = [WELL]
    call(api)
    server.close_connections()
    server.answers = [error("InternalServerError", status=500), WELL]

    assert call(api) == {"well": True}
    assert server.connections == 2


def test_a_connection_closed_just_when_it_is_used_again_is_replaced_at_once(
    api: JsonApi, server: FaultyServer
) -> None:
    """The server reads the request and closes: nothing came, and nothing is known."""
    server.answers = [WELL, resets, error("InternalServerError", status=500), WELL]
    call(api)

    assert call(api) == {"well": True}
    assert len(server.requests) == 4


def test_what_a_server_says_unasked_is_no_answer_to_the_next_request(
    api: JsonApi, server: FaultyServer
) -> None:
    answered = threading.Event()

    def complains(connection: socket.socket, _request: bytes, ended: threading.Event) -> bool:
        connection.sendall(response(b'{"well": true}'))
        answered.wait(PATIENT_SECONDS)
        connection.sendall(response(b'{"well": false}', status=408))
        # No answer to what comes on it later: beside one, the complaint would be noticed anyway.
        ended.wait()
        return False

    server.answers = [complains, WELL]
    call(api)
    answered.set()
    (idle,) = api._origin._idle
    assert idle._readable.poll(1_000 * PATIENT_SECONDS)

    assert call(api) == {"well": True}
    assert server.connections == 2


def test_a_connection_that_is_idle_for_too_long_is_not_used_again(
    api: JsonApi, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers = [WELL]
    call(api)
    monkeypatch.setattr(http_connection, "LONGEST_IDLE_SECONDS", 0.0)

    call(api)

    assert server.connections == 2


def test_a_server_may_end_a_connection_with_its_answer(api: JsonApi, server: FaultyServer) -> None:
    """It is not used again, even if the server is slow to close it."""
    closing = response(b'{"well": true}', headers="Connection: Close\r\n")
    server.answers = [sends(closing)]

    assert [call(api), call(api)] == [{"well": True}] * 2
    assert (len(server.requests), server.connections) == (2, 2)


@pytest.mark.parametrize(
    "parts",
    [
        [
            b"HTTP/1.1 200 Ok\r\nTransfer-Encoding: chunked\r\n\r\n",
            b'6\r\n{"well\r\n8;x=y\r\n": true}\r\n0\r\n\r\n',
        ],
        [bytes([byte]) for byte in response(b'{"well": true}')],
        [b"HTTP/1.1 100 Continue\r\n\r\n", response(b'{"well": true}')],
        [response(b'{"well": true}').replace(b"Content-Length", b"CONTENT-LENGTH")],
    ],
    ids=["in chunks", "byte by byte", "after an interim response", "in capitals"],
)
def test_an_answer_may_come_in_any_form_of_http(
    parts: list[bytes], api: JsonApi, server: FaultyServer
) -> None:
    server.answers = [sends(*parts, pause_seconds=0.001)]

    assert [call(api), call(api)] == [{"well": True}] * 2
    assert server.connections == 1


@pytest.mark.parametrize("length", [1, 65_535, 65_536, 65_537, 5_000_000])
def test_a_body_of_any_length_comes_as_a_whole(
    length: int, api: JsonApi, server: FaultyServer
) -> None:
    server.answers = [document({"text": "x" * length})]

    assert call(api) == {"text": "x" * length}


def test_a_body_without_bounds_is_not_read(
    api: JsonApi, server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connection, "MOST_BYTES", 100)
    endless = b"64\r\n" + b"x" * 100 + b"\r\n"
    server.answers = [
        sends(response(b"x" * 101)),
        sends(b"HTTP/1.1 200 Ok\r\nTransfer-Encoding: chunked\r\n\r\n", *[endless] * 1_000),
    ]

    with pytest.raises(NoAnswerError, match="at most 100"):
        call(api)


def test_a_server_that_is_not_there_is_no_answer(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.url
    point_here(monkeypatch, "http://localhost:1")
    with pytest.raises(NoAnswerError, match="ConnectionRefusedError"):
        call(dynamodb())
    point_here(monkeypatch, "http://no-such-host.invalid")
    with pytest.raises(NoAnswerError, match="gaierror"):
        call(dynamodb())


def test_threads_share_connections_and_never_answers(api: JsonApi, server: FaultyServer) -> None:
    """Each thread is told what it asked for, and there are no more connections than threads."""

    def echo(connection: socket.socket, request: bytes, _ended: threading.Event) -> bool:
        connection.sendall(response(request.partition(b"\r\n\r\n")[2]))
        return True

    server.answers = [echo]

    def ask(number: int) -> bool:
        answer = api.call("Echo", {"number": number}, deadline=time.monotonic() + 5)
        return answer == {"number": number}

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(400)))
    assert server.connections <= 8


# --- TLS -----------------------------------------------------------------------------------


def a_certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """Write a certificate for a host, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / f"{host}.pem", folder / f"{host}.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


@pytest.mark.parametrize(
    ("host", "trusted", "answered"),
    [("localhost", True, True), ("localhost", False, False), ("elsewhere", True, False)],
)
def test_a_server_proves_who_it_is(
    host: str,
    trusted: bool,  # noqa: FBT001 (a parameter of the table)
    answered: bool,  # noqa: FBT001 (a parameter of the table)
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    certificate, key = a_certificate(tmp_path, host)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    if trusted:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    http_connection._tls.cache_clear()
    with faulty_server(tls) as server:
        server.answers = [WELL]
        point_here(monkeypatch, server.url)
        api = dynamodb()
        try:
            if answered:
                assert [call(api), call(api)] == [{"well": True}] * 2
                assert server.connections == 1
            else:
                with pytest.raises(NoAnswerError, match="SSLCertVerificationError"):
                    call(api)
                assert server.requests == []
        finally:
            http_connection._tls.cache_clear()


def test_a_handshake_that_hangs_ends_with_the_deadline(
    server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server speaks no TLS and waits for what it takes for a request."""
    monkeypatch.setattr(http_connection, "LONGEST_WAIT_SECONDS", 60.0)
    server.answers = [hangs]
    point_here(monkeypatch, server.url.replace("http:", "https:"))
    started = time.monotonic()

    with pytest.raises(NoAnswerError):
        call(dynamodb(), within=SOON)

    assert time.monotonic() - started < PATIENT_SECONDS


# --- objects -------------------------------------------------------------------------------


def test_an_object_is_asked_for_by_its_encoded_path(server: FaultyServer) -> None:
    server.answers = [sends(response(b"\x00bytes"))]
    bucket = Bucket("models")

    assert bucket.read("personal loan/v1+~/ü", deadline=time.monotonic() + 5) == b"\x00bytes"
    assert server.requests[0].startswith(b"GET /models/personal%20loan/v1%2B~/%C3%BC HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"<Error><Code>NoSuchKey</Code></Error>", 404, "NoSuchKey"),
        (b"<Error><Code>AccessDenied</Code></Error>", 403, "AccessDenied"),
        (b"no XML", 404, "HTTP 404"),
    ],
)
def test_an_object_that_cannot_be_had_says_why(
    body: bytes, status: int, code: str, server: FaultyServer
) -> None:
    server.answers = [sends(response(body, status=status))]
    bucket = Bucket("models")

    with pytest.raises(RefusedError, match=f"^{code}$"):
        bucket.read("key", deadline=time.monotonic() + 5)


@pytest.mark.parametrize(
    "fault",
    [
        hangs,
        sends(response(b"busy", status=500)),
        sends(response(b"ha", length=4), then_closes=True),
    ],
    ids=["hangs", "500", "truncated"],
)
def test_an_object_that_fails_once_is_asked_for_once_more(
    fault: Answer, server: FaultyServer
) -> None:
    server.answers = [fault, sends(response(b"bytes"))]
    bucket = Bucket("models")

    assert bucket.read("key", deadline=time.monotonic() + TWICE_SECONDS) == b"bytes"
