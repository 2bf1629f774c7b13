"""Whatever bytes come: a whole response, or none."""

from __future__ import annotations

import random
import socket
import time

import pytest

from credit_core.adapters.http_connection import NoAnswerError, Response, _Connection

BODY = b'{"well": true}'
WHOLE = (
    b"HTTP/1.1 200 Ok\r\nContent-Length: 14\r\nx-amz-crc32: 1\r\n\r\n" + BODY,
    b"HTTP/1.1 200 Ok\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n" + BODY[:6] + b"\r\n8\r\n"
    b"" + BODY[6:] + b"\r\n0\r\n\r\n",
)
PIECES = (
    b"\r\n",
    b"\r\n\r\n",
    b":",
    b" ",
    b"0",
    b"-1",
    b"9" * 30,
    b"\x00",
    b"\xff",
    b"Content-Length: 3",
)
MUTATIONS = 3_000


def what_comes_of(received: bytes) -> Response | Exception:
    """Return what an exchange makes of bytes after which the server closes."""
    near, far = socket.socketpair()
    with near, far:
        far.sendall(received)
        far.shutdown(socket.SHUT_WR)
        try:
            return _Connection(near).exchange(b"request", time.monotonic() + 5)
        except (OSError, NoAnswerError) as error:
            return error


@pytest.mark.parametrize(("seconds", "is_open"), [(299.0, True), (301.0, False)])
def test_time_that_passed_while_the_machine_was_frozen_counts_as_idle(
    seconds: float, *, is_open: bool
) -> None:
    """The wall clock has jumped when it thaws; the monotonic clock may not have."""
    wall_clock = iter([1_000.0, 1_000.0 + seconds])
    near, far = socket.socketpair()
    with near, far:
        connection = _Connection(near, wall_clock=lambda: next(wall_clock))
        far.sendall(WHOLE[0])
        connection.exchange(b"request", time.monotonic() + 5)

        assert connection.seems_open() is is_open


def mutated(chance: random.Random, whole: bytes) -> bytes:
    """Return a response with some bytes cut, doubled, replaced or put in."""
    for _ in range(chance.randint(1, 3)):
        start, end = sorted(chance.choices(range(len(whole) + 1), k=2))
        middle = chance.choice([b"", whole[start:end] * 2, chance.choice(PIECES)])
        whole = whole[:start] + middle + whole[end if chance.random() < 0.5 else start :]
    return whole


def test_every_part_of_a_response_is_none() -> None:
    for whole in WHOLE:
        assert what_comes_of(whole) == Response(200, what_comes_of(whole).headers, BODY)  # type: ignore[union-attr]
        for length in range(len(whole)):
            assert isinstance(what_comes_of(whole[:length]), OSError)


def test_no_bytes_break_the_reader() -> None:
    chance = random.Random(7)  # noqa: S311 (an example)
    answered = 0

    for _ in range(MUTATIONS):
        found = what_comes_of(mutated(chance, chance.choice(WHOLE)))
        answered += isinstance(found, Response)

    assert 0 < answered < MUTATIONS / 2
