"""HTTP/1.1 over connections that stay open, with a deadline for each exchange.

It speaks as much HTTP as AWS's APIs do: one request, one response of a stated length or in
chunks. Whatever else comes is no answer, and the connection is given up.

Source: RFC 9112, HTTP/1.1.
"""

from __future__ import annotations

import os
import re
import select
import socket
import ssl
import time
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST_BYTES = 64 * 2**20
"""Of a response's body. A BatchGetItem brings at most 16 MB, a model is smaller."""

MOST_HEAD_BYTES = 65_536
READ_BYTES = 65_536
LONGEST_WAIT_SECONDS = 2.0
"""For the next bytes, where the deadline leaves more: a peer that is silent for so long is gone."""

LONGEST_IDLE_SECONDS = 300.0
"""Network load balancers and NAT gateways forget a connection after 350 s, and tell nobody.

Source: Amazon VPC User Guide, "NAT gateway basics".
"""


class NoAnswerError(Exception):
    """Nothing is known of what became of a request: no answer came, or none that can be read."""


class _StaleConnectionError(Exception):
    """A connection that was kept open had been closed by the peer; it answered nothing."""


class Response(NamedTuple):
    """A complete response; names of headers are in lower case."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


class Origin:
    """A server, and the connections to it that are open and idle.

    Any number of threads may use one: a connection is taken out while it is in use, and each of
    ``pop`` and ``append`` is one step for other threads.

    Args:
        url: ``https://host`` or ``http://host:port``, without a path.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._secure = parts.hostname or "", parts.scheme == "https"
        self._port = parts.port or (443 if self._secure else 80)
        self._idle: list[_Connection] = []
        self.host_header = parts.netloc

    def exchange(self, request: bytes, *, deadline: float, deadline_if_new: float) -> Response:
        """Send a request and return the response.

        A connection that the server closed while it was idle is replaced at once. The server may
        have received the request all the same: every request has to be one that may come twice.

        Args:
            request: Head and body.
            deadline: Of ``time.monotonic``.
            deadline_if_new: Instead of it where no connection is open.

        Raises:
            NoAnswerError: No complete response came before the deadline.
        """
        try:
            _wait_before(deadline)
            connection = self._idle_connection()
            if connection is not None:
                try:
                    return self._exchange_on(connection, request, deadline)
                except _StaleConnectionError:
                    pass
                except TimeoutError:
                    # What became of it while it was idle became of the others too, unnoticed.
                    self._idle.clear()
                    raise
            return self._exchange_on(self._connect(deadline_if_new), request, deadline_if_new)
        except OSError as error:
            raise NoAnswerError(type(error).__name__) from None

    def _exchange_on(self, connection: _Connection, request: bytes, deadline: float) -> Response:
        try:
            response = connection.exchange(request, deadline)
        except BaseException:
            connection.close()
            raise
        if connection.stays_open:
            self._idle.append(connection)
        else:
            connection.close()
        return response

    def _idle_connection(self) -> _Connection | None:
        """Return the connection used last, if there is one that seems to be open."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.seems_open():
                return connection
            connection.close()

    def _connect(self, deadline: float) -> _Connection:
        failure: OSError | None = None
        for family, kind, protocol, _, address in socket.getaddrinfo(
            self._host, self._port, type=socket.SOCK_STREAM
        ):
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(_wait_before(deadline))
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._secure:
                    sock = _tls().wrap_socket(sock, server_hostname=self._host)
            except OSError as error:
                sock.close()
                failure = error
            except BaseException:
                sock.close()
                raise
            else:
                return _Connection(sock)
        raise failure or OSError("the name has no address")


class _Connection:
    """One open connection; one exchange at a time.

    Args:
        sock: Connected.
        wall_clock: Measures how long it was idle. The monotonic clock stands still while a
            function's machine is frozen between requests, and whoever forgets connections does not.
    """

    def __init__(self, sock: socket.socket, *, wall_clock: Callable[[], float] = time.time) -> None:
        self._sock = sock
        self._wall_clock = wall_clock
        self._used_at = float("-inf")
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)
        self._received = b""
        self._deadline = 0.0
        self.stays_open = True

    def close(self) -> None:
        self._sock.close()

    # One that nobody holds any more is closed as well.
    __del__ = close

    def seems_open(self) -> bool:
        """Whether nothing came while it was idle: what comes unasked is its end, or a complaint."""
        idle_seconds = self._wall_clock() - self._used_at
        return idle_seconds < LONGEST_IDLE_SECONDS and not self._readable.poll(0)

    def exchange(self, request: bytes, deadline: float) -> Response:
        """Send and receive.

        Raises:
            OSError: No complete response came before the deadline.
            _StaleConnectionError: It was used before, and was closed before any answer.
            NoAnswerError: What came is no response.
        """
        self._deadline = deadline
        try:
            self._sock.settimeout(_wait_before(deadline))
            self._sock.sendall(request)
            self._more()
        except TimeoutError:
            raise
        except OSError as error:
            if self._used_at > 0:
                raise _StaleConnectionError from error
            raise
        status, headers = self._head()
        while status < HTTPStatus.OK:  # an interim response
            status, headers = self._head()
        body = self._body(headers)
        if self._received:
            raise NoAnswerError("more came than the response")
        self.stays_open = headers.get(b"connection", b"").lower() != b"close"
        self._used_at = self._wall_clock()
        return Response(status, headers, body)

    def _head(self) -> tuple[int, dict[bytes, bytes]]:
        head = self._until(b"\r\n\r\n", at_most=MOST_HEAD_BYTES)
        first, *lines = head.split(b"\r\n")
        version, _, rest = first.partition(b" ")
        if version != b"HTTP/1.1" or not rest[:3].isdigit():
            raise NoAnswerError("not an HTTP/1.1 response")
        headers: dict[bytes, bytes] = {}
        for line in lines:
            name, colon, value = line.partition(b":")
            name = name.lower()
            if not colon or (name in headers and name in _FRAMING):
                raise NoAnswerError("a header that is none")
            headers[name] = value.strip()
        return int(rest[:3]), headers

    def _body(self, headers: Mapping[bytes, bytes]) -> bytes:
        coding, length = headers.get(b"transfer-encoding"), headers.get(b"content-length")
        if coding is not None and length is None and coding.lower() == b"chunked":
            return self._chunks()
        if coding is not None or length is None or not _LENGTH.fullmatch(length):
            raise NoAnswerError("the response does not say how long it is")
        return self._exactly(_bounded(int(length)))

    def _chunks(self) -> bytes:
        chunks: list[bytes] = []
        size, total = 1, 0
        while size:
            line = self._until(b"\r\n", at_most=MOST_HEAD_BYTES).partition(b";")[0]
            try:
                size = int(line, 16)
            except ValueError:
                raise NoAnswerError("a chunk without a length") from None
            total = _bounded(total + size)
            chunks.append(self._exactly(size))
            if self._until(b"\r\n", at_most=MOST_HEAD_BYTES):
                raise NoAnswerError("a chunk of another length, or a trailer")
        return b"".join(chunks)

    def _until(self, end: bytes, *, at_most: int) -> bytes:
        while (place := self._received.find(end)) < 0:
            if len(self._received) > at_most:
                raise NoAnswerError(f"a head of more than {at_most} bytes")
            self._more()
        found, self._received = self._received[:place], self._received[place + len(end) :]
        return found

    def _exactly(self, length: int) -> bytes:
        if len(self._received) < length:
            parts, missing = [self._received], length - len(self._received)
            while missing > 0:
                self._received = b""
                self._more()
                parts.append(self._received)
                missing -= len(self._received)
            self._received = b"".join(parts)
        found, self._received = self._received[:length], self._received[length:]
        return found

    def _more(self) -> None:
        self._sock.settimeout(_wait_before(self._deadline))
        data = self._sock.recv(READ_BYTES)
        if not data:
            raise ConnectionResetError("closed in the middle")
        self._received += data


_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_LENGTH = re.compile(rb"[0-9]{1,12}")


def _wait_before(deadline: float) -> float:
    """Return how long to wait for the next step.

    Raises:
        TimeoutError: The deadline has passed.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return min(left, LONGEST_WAIT_SECONDS)


def _bounded(length: int) -> int:
    if not 0 <= length <= MOST_BYTES:
        raise NoAnswerError(f"a body of {length} bytes; at most {MOST_BYTES} are read")
    return length


@cache
def _tls() -> ssl.SSLContext:
    """Return who is trusted: the system's authorities, or those of AWS_CA_BUNDLE."""
    return ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE") or None)
