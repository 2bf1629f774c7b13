"""An HTTP server on a socket that answers, or fails to, as each test says."""

from __future__ import annotations

import json
import re
import socket
import threading
import zlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

type Answer = Callable[[socket.socket, bytes, threading.Event], bool]
"""Answers a request on a connection, until the server ends; tells whether it stays open."""

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def response(
    body: bytes, *, status: int = 200, headers: str = "", length: int | None = None
) -> bytes:
    """Return a response's bytes; ``length`` is what it says of itself, if that is a lie."""
    stated = len(body) if length is None else length
    return f"HTTP/1.1 {status} Ok\r\n{headers}Content-Length: {stated}\r\n\r\n".encode() + body


def document(content: object, *, status: int = 200) -> Answer:
    """Answer as DynamoDB does, checksum included."""
    body = json.dumps(content).encode()
    return sends(response(body, status=status, headers=f"x-amz-crc32: {zlib.crc32(body)}\r\n"))


def error(code: str, *, status: int = 400) -> Answer:
    """Answer with an error of DynamoDB's."""
    kind = f"com.amazonaws.dynamodb.v20120810#{code}"
    return document({"__type": kind, "message": "a message"}, status=status)


def sends(*parts: bytes, pause_seconds: float = 0.0, then_closes: bool = False) -> Answer:
    """Send bytes, part by part."""

    def answer(connection: socket.socket, _request: bytes, ended: threading.Event) -> bool:
        for part in parts:
            connection.sendall(part)
            if ended.wait(pause_seconds):
                return False
        return not then_closes

    return answer


def hangs(_connection: socket.socket, _request: bytes, ended: threading.Event) -> bool:
    """Never answer."""
    ended.wait()
    return False


def resets(_connection: socket.socket, _request: bytes, _ended: threading.Event) -> bool:
    """Close without a word."""
    return False


class FaultyServer:
    """Answers each request with the next answer; the last one stays.

    ``requests`` are the bytes of all requests, ``connections`` counts those accepted.
    """

    def __init__(self, listening: socket.socket, tls: ssl.SSLContext | None) -> None:
        self.answers: list[Answer] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.ended = threading.Event()
        self._listening = listening
        self._tls = tls
        self._open: list[socket.socket] = []
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://localhost:{listening.getsockname()[1]}"

    def close_connections(self) -> None:
        """Close every connection, as a server does with those that are idle for long."""
        while self._open:
            connection = self._open.pop()
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def accept(self) -> None:
        """Serve connections until the server is closed."""
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            while self._answer_one(connection):
                pass
        except OSError:
            pass
        finally:
            connection.close()

    def _answer_one(self, connection: socket.socket) -> bool:
        received = b""
        while b"\r\n\r\n" not in received:
            more = connection.recv(65_536)
            if not more:
                return False
            received += more
        head, _, body = received.partition(b"\r\n\r\n")
        stated = LENGTH.search(head)
        while len(body) < int(stated[1] if stated else 0):
            body += connection.recv(65_536)
        request = head + b"\r\n\r\n" + body
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return answer(connection, request, self.ended)


@contextmanager
def faulty_server(tls: ssl.SSLContext | None = None) -> Iterator[FaultyServer]:
    """Run a server on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = FaultyServer(listening, tls)
        accepting = threading.Thread(target=server.accept, daemon=True)
        accepting.start()
        try:
            yield server
        finally:
            server.ended.set()
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join(5)
            server.close_connections()
