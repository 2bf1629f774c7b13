"""Lambda's Runtime API for one environment, and the process that asks it for work.

Lambda's own runtime client (``awslambdaric``) runs the deployed handler in a process of its own, as
it does in an execution environment; what stands here hands it events and takes its answers.

Source: AWS Lambda Developer Guide, "Using the Lambda runtime API".
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HANDLER = "decisions_measured.handler"
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.2
FUNCTION_ARN = "arn:aws:lambda:us-east-1:000000000000:function:scorer:live"


class Invoked(NamedTuple):
    """An answer, and the seconds from handing out the event to having read it."""

    document: dict[str, Any]
    seconds: float


class Request(NamedTuple):
    """What the runtime client asked for."""

    path: str
    body: bytes


class RuntimeApi:
    """The API of one execution environment; one event is under way at a time."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self._asking: socket.socket | None = None
        self._invocations = 0

    @property
    def address(self) -> str:
        """Host and port, as AWS_LAMBDA_RUNTIME_API states them."""
        return "{}:{}".format(*self._listening.getsockname())

    def wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        """Return when the function is initialized and asks for its first event.

        Raises:
            RuntimeError: It failed or ended instead.
        """
        deadline = time.monotonic() + WAIT_SECONDS
        ready = False
        while not ready:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the runtime did not get ready; it ended: {process.poll()}")
            found = self._next_request(timeout_seconds=POLL_SECONDS)
            ready = found is not None and self._take(*found)

    def invoke(self, event: bytes) -> Invoked:
        """Hand out an event and return its answer.

        Raises:
            RuntimeError: The function failed, or no answer came.
        """
        if self._asking is None:
            raise RuntimeError("the runtime asks for no event")
        self._invocations += 1
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(event)}\r\n"
            f"Lambda-Runtime-Aws-Request-Id: 00000000-0000-4000-8000-{self._invocations:012}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {int(time.time() * 1_000) + 28_000}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {FUNCTION_ARN}\r\n"
            "Lambda-Runtime-Trace-Id: Root=1-6740b6f0-000000000000000000000000;Sampled=0\r\n\r\n"
        )
        asking, self._asking = self._asking, None
        started = time.perf_counter()
        asking.sendall(head.encode() + event)
        answer, ended = b"", started
        asks_again = False
        while not asks_again:
            found = self._next_request(timeout_seconds=WAIT_SECONDS)
            if found is None:
                raise RuntimeError(f"no answer within {WAIT_SECONDS:.0f} s")
            if found[1].path.endswith("/response"):
                answer, ended = found[1].body, time.perf_counter()
            asks_again = self._take(*found)
        return Invoked(json.loads(answer), ended - started)

    def close(self) -> None:
        """Close every connection; the runtime client ends then."""
        for connection in (self._listening, *self._connections):
            connection.close()

    def _take(self, connection: socket.socket, request: Request) -> bool:
        """Answer a request, unless it is for the next event; return whether it is."""
        if request.path.endswith("/next"):
            self._asking = connection
            return True
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
        if request.path.endswith("/error"):
            raise RuntimeError(f"the function failed: {request.body.decode()}")
        return False

    def _next_request(self, *, timeout_seconds: float) -> tuple[socket.socket, Request] | None:
        """Return the next request and the connection that waits for its answer."""
        while True:
            watched = [self._listening, *self._connections]
            readable = select.select(watched, [], [], timeout_seconds)[0]
            if not readable:
                return None
            if readable[0] is self._listening:
                connection, _ = self._listening.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._connections.append(connection)
                continue
            request = read_request(readable[0])
            if request is not None:
                return readable[0], request
            readable[0].close()
            self._connections.remove(readable[0])


def read_request(connection: socket.socket) -> Request | None:
    """Read a request with its body, None if the connection is closed."""
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(65_536)
        if not more:
            return None
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (field.split(":", 1) for field in fields)}
    length = int(headers.get("content-length", "0"))
    while len(body) < length:
        more = connection.recv(65_536)
        if not more:
            return None
        body += more
    return Request(first.split(" ")[1], body)


class Runtime:
    """A started execution environment; ``init_seconds`` from the start of its process to ready."""

    def __init__(
        self, api: RuntimeApi, process: subprocess.Popen[bytes], init_seconds: float
    ) -> None:
        self.invoke = api.invoke
        self.init_seconds = init_seconds
        self._pid = process.pid

    def measured(self) -> dict[str, Any]:
        """Return what the wrapper around the handler has measured since the last call."""
        return self.invoke(json.dumps({"measured": True}).encode()).document

    @contextmanager
    def on_own_core(self, *others: int) -> Iterator[None]:
        """Give the function the last core, as Lambda does, and the caller and others the rest.

        Args:
            others: Ids of processes; this one is among them by itself.
        """
        cores = os.sched_getaffinity(0)
        *rest, own = sorted(cores)
        if rest:
            _put(self._pid, {own})
            for pid in (os.getpid(), *others):
                _put(pid, set(rest))
        try:
            yield
        finally:
            for pid in (self._pid, os.getpid(), *others):
                _put(pid, cores)

    def cpu_seconds(self) -> float:
        """Return the CPU time of the process, of threads that have ended, too.

        Source: clock_getcpuclockid(3) of the GNU C library, which makes the clock's number so.
        """
        return time.clock_gettime((~self._pid << 3) | 2)

    def resident_mb(self) -> float:
        """Return the memory that the process holds (RSS)."""
        status = Path(f"/proc/{self._pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1_024


@contextmanager
def runtime(
    *,
    paths: Sequence[Path],
    environment: Mapping[str, str],
    log: Path,
    options: Sequence[str] = (),
) -> Iterator[Runtime]:
    """Start an execution environment, and end it when done.

    Args:
        paths: Folders of the function, its layers and Lambda's own packages; nothing else of this
            machine's can be imported.
        environment: The function's variables.
        log: What the function writes goes there.
        options: Further options of the interpreter.
    """
    api = RuntimeApi()
    whole = {
        "PATH": os.defpath,
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PYTHONPATH": os.pathsep.join(str(path) for path in paths),
        "LAMBDA_TASK_ROOT": str(paths[0]),
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "AWS_LAMBDA_FUNCTION_NAME": "scorer",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1769",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/scorer",
        "AWS_LAMBDA_LOG_STREAM_NAME": "benchmark",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_LOG_LEVEL": "INFO",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "provisioned-concurrency",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        **environment,
    }
    started = time.monotonic()
    with (
        log.open("wb") as output,
        subprocess.Popen(
            # Without site-packages: what a layer lacks would be found there.
            [sys.executable, "-S", *options, "-m", "awslambdaric", HANDLER],
            cwd=paths[0],
            env=whole,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            api.wait_until_ready(process)
            yield Runtime(api, process, time.monotonic() - started)
        except RuntimeError as error:
            error.add_note(log.read_text(encoding="utf-8", errors="replace")[-2_000:])
            raise
        finally:
            process.kill()
            api.close()


def _put(pid: int, cores: set[int]) -> None:
    """Put all threads of a process on these cores."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.sched_setaffinity(int(thread.name), cores)
