"""DynamoDB from the leanest client there is: unsigned, over one connection, answers not parsed."""

from __future__ import annotations

import json
import re
import socket
import time
from typing import TYPE_CHECKING, Any

from benchmarks.materialization import HEADERS

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTENT_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


def raw_calls(
    port: int, operation: str, requests: Sequence[dict[str, Any]]
) -> tuple[list[float], list[float]]:
    """Send requests over one connection; return the seconds, and the CPU seconds, of each."""
    head = (
        f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Amz-Target: DynamoDB_20120810.{operation}"
    )
    head += "".join(f"\r\n{name}: {value}" for name, value in HEADERS.items())
    made = []
    for request in requests:
        body = json.dumps(request, separators=(",", ":")).encode()
        made.append(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    walls, cpus = [], []
    connection = connected(port)
    for request_bytes in made:
        started, cpu = time.perf_counter(), time.thread_time_ns()
        connection.sendall(request_bytes)
        answered = read_answer(connection)
        cpus.append((time.thread_time_ns() - cpu) / 1e9)
        walls.append(time.perf_counter() - started)
        if not answered.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"{operation}: {answered.decode()}")
        if b"connection: close" in answered.lower():  # the emulator's, after a thousand requests
            connection.close()
            connection = connected(port)
    connection.close()
    return walls, cpus


def connected(port: int) -> socket.socket:
    """Return a connection to the emulator."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def read_answer(connection: socket.socket) -> bytes:
    """Read a whole answer and return its head.

    Raises:
        RuntimeError: The connection ended before.
    """
    received, length = b"", None
    while length is None or len(received) < length:
        more = connection.recv(262_144)
        if not more:
            raise RuntimeError("the emulator closed the connection within an answer")
        received += more
        head, end, _ = received.partition(b"\r\n\r\n")
        if end and length is None:
            stated = CONTENT_LENGTH.search(head)
            length = len(head) + len(end) + (int(stated[1]) if stated else 0)
    return head
