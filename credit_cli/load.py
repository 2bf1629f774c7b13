"""Load on the decision API: arrivals that wait for nobody, and what became of each.

Applications arrive at random at a given rate whether or not earlier ones are answered, as those of
independent people do. The latency of each counts from the instant at which it was due, so a service
that stalls is charged for everyone who waits meanwhile.

Source: Tene, How NOT to Measure Latency (2013), "coordinated omission".
"""

from __future__ import annotations

import contextlib
import http.client
import json
import select
import socket
import threading
import time
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from credit_cli.errors import UsageError
from credit_cli.rendering import TIMING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

HIGHEST_RATE = 1_000.0
MOST_CLIENTS = 128
MOST_SECONDS = 1_800.0
"""Well within a token's hour."""
MOST_APPLICATIONS = 20_000
"""The local cloud keeps each receipt in memory, and this command each answer."""

TIMEOUT_SECONDS = 35.0
"""Above API Gateway's own limit of 29 s."""
DRAIN_SECONDS = 30.0
"""How long after the last arrival those that still wait for a client are sent."""
PROGRESS_SECONDS = 0.25

CLOSED, TIMED_OUT, REFUSED = "connection closed", "timed out", "connection refused"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be sent.

    Args:
        rate: Applications a second, on average.
        clients: How many may be under way at once, each on a connection of its own.
        seconds: How long they arrive.
        seed: The same seed gives the same instants, people and values.

    Raises:
        UsageError: It is no load, or more than this command is made for.
    """

    rate: float
    clients: int
    seconds: float
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, highest in (
            ("rate", self.rate, HIGHEST_RATE),
            ("clients", self.clients, MOST_CLIENTS),
            ("seconds", self.seconds, MOST_SECONDS),
        ):
            if not 0 < value <= highest:
                raise UsageError(f"--{name} is {value:g}; it must be above 0, at most {highest:g}")
        if not 1 <= self.count <= MOST_APPLICATIONS:
            raise UsageError(
                f"{self.rate:g} a second for {self.seconds:g} s are {self.count:,} applications; "
                f"1 to {MOST_APPLICATIONS:,} can be sent"
            )

    @property
    def count(self) -> int:
        """Applications in all."""
        return round(self.rate * self.seconds)


def arrivals(plan: Plan) -> list[float]:
    """Return the instants at which applications are due, seconds from the start, in order.

    A Poisson process of which the number of arrivals is known: they lie independently and
    uniformly in the interval.

    Source: Kingman, Poisson Processes (1993), section 2.4.

    >>> [round(due, 2) for due in arrivals(Plan(rate=2, clients=1, seconds=2))]
    [0.52, 0.84, 1.52, 1.69]
    """
    random = Random(plan.seed)  # noqa: S311 (instants, no secret)
    return sorted(random.uniform(0, plan.seconds) for _ in range(plan.count))


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one application.

    ``due``, ``sent`` and ``done`` are seconds from the start; ``status`` is HTTP's, or what went
    wrong in words. ``stages_ms`` is what the answer says in its Server-Timing header.
    """

    number: int
    due: float
    sent: float
    done: float
    status: str
    outcome: str | None = None
    cause: str | None = None
    stages_ms: Mapping[str, float] = field(default_factory=dict)

    @property
    def decided(self) -> bool:
        """Whether a decision arrived."""
        return self.outcome is not None

    @property
    def latency_ms(self) -> float:
        """Milliseconds from when it was due."""
        return (self.done - self.due) * 1_000

    @property
    def service_ms(self) -> float:
        """Milliseconds from when it was sent."""
        return (self.done - self.sent) * 1_000


@dataclass(frozen=True)
class Run:
    """What a load run saw: ``due`` counts the arrivals that fell into its ``seconds``."""

    replies: tuple[Reply, ...]
    due: int
    seconds: float
    interrupted: bool


class Load:
    """Clients that send applications as they fall due.

    Args:
        url: Where each is posted.
        headers: What each carries.
        bodies: The applications, as many as there are instants.
        due: When each is due, seconds from the start, in order.
        clients: How many may be under way at once.
        timeout_seconds: How long an answer may take.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        bodies: Sequence[bytes],
        due: Sequence[float],
        clients: int,
        timeout_seconds: float = TIMEOUT_SECONDS,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._path = parts.hostname or "", parts.port, parts.path
        self._headers = dict(headers)
        self._bodies = bodies
        self._due = due
        self._clients = clients
        self._timeout_seconds = timeout_seconds
        self._drain_seconds = drain_seconds
        self._numbers = iter(range(len(bodies)))
        self._next = threading.Lock()
        self._stopped = threading.Event()
        self._replies: list[Reply] = []
        self._started = 0.0

    def run(self, progress: Callable[[Sequence[Reply]], None] = lambda _: None) -> Run:
        """Send all, or what falls due before Ctrl-C, and return what became of it."""
        connections = [
            http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_seconds)
            for _ in range(self._clients)
        ]
        threads = [
            threading.Thread(target=self._send_all, args=(connection,), daemon=True)
            for connection in connections
        ]
        self._started = time.monotonic()
        interrupted = False
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                while thread.is_alive():
                    thread.join(PROGRESS_SECONDS)
                    progress(self._replies)
        except KeyboardInterrupt:
            interrupted = True
        self._stopped.set()
        seconds = time.monotonic() - self._started
        for connection in connections:
            # Wakes a thread that waits for an answer; what it waited for is not counted.
            if connection.sock is not None:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        replies = tuple(sorted(self._replies, key=lambda reply: reply.number))
        fallen_due = sum(due <= seconds for due in self._due)
        return Run(replies, fallen_due, seconds, interrupted)

    def _send_all(self, connection: http.client.HTTPConnection) -> None:
        for number in self._claimed():
            due = self._due[number]
            if self._stopped.wait(max(0.0, self._started + due - time.monotonic())):
                break
            if self._now() > self._due[-1] + self._drain_seconds:
                break
            reply = self._send(connection, number, due)
            if self._stopped.is_set():
                break
            self._replies.append(reply)
        connection.close()

    def _claimed(self) -> Iterator[int]:
        while True:
            with self._next:
                number = next(self._numbers, None)
            if number is None:
                return
            yield number

    def _send(self, connection: http.client.HTTPConnection, number: int, due: float) -> Reply:
        drop_closed(connection)
        sent = self._now()
        try:
            connection.request("POST", self._path, self._bodies[number], self._headers)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return Reply(number, due, sent, self._now(), failure(error))
        done = self._now()
        timing = response.headers.get("Server-Timing", "")
        outcome, cause = verdict(body) if response.status == http.client.OK else (None, None)
        return Reply(
            number,
            due,
            sent,
            done,
            str(response.status),
            outcome,
            cause,
            {stage: float(ms) for stage, ms in TIMING.findall(timing)},
        )

    def _now(self) -> float:
        return time.monotonic() - self._started


def drop_closed(connection: http.client.HTTPConnection) -> None:
    """Close a connection that its server has closed while it was idle; the next use opens it."""
    if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
        connection.close()


def failure(error: Exception) -> str:
    """Say in words why no answer came."""
    if isinstance(error, TimeoutError):
        return TIMED_OUT
    if isinstance(error, ConnectionRefusedError):
        return REFUSED
    if isinstance(error, ConnectionError | http.client.IncompleteRead):
        return CLOSED
    return type(error).__name__


def verdict(body: bytes) -> tuple[str | None, str | None]:
    """Return the outcome in an answer and the cause of a referral; both None if it is no decision.

    >>> verdict(b'{"outcome": "refer", "cause": {"code": "features_missing"}}')
    ('refer', 'features_missing')
    >>> verdict(b"[]")
    (None, None)
    """
    try:
        document = json.loads(body)
    except ValueError:
        return None, None
    if not isinstance(document, dict) or not isinstance(document.get("outcome"), str):
        return None, None
    cause = document.get("cause")
    return document["outcome"], cause.get("code") if isinstance(cause, dict) else None
