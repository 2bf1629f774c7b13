"""What one BatchGetItem costs the function's processor, through boto3 and through our own client.

    .venv/bin/python benchmarks/aws_client.py

A server in another process answers every request with the same two items, as fast as it can. Time
is CPU time of the calling thread, its system calls included; the loops of the clients alternate, so
that whatever else the machine does meets all of them. ``socket alone`` sends the bytes of a request
and receives those of a response: less cannot be had in Python.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from credit_core.adapters.decision_store import dynamodb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

LOOPS = 9
KEYS = [{"entity_key": {"S": f"personal_loan/{view}#{'a' * 64}"}} for view in ("bureau", "market")]
REQUEST = {
    "online-store": {
        "Keys": KEYS,
        "ProjectionExpression": "entity_key, recency, #features",
        "ExpressionAttributeNames": {"#features": "features"},
    }
}
FEATURES = json.dumps({f"feature_{number}": number * 1.5 for number in range(10)})
ITEMS = [key | {"recency": {"S": "r" * 80}, "features": {"S": FEATURES}} for key in KEYS]
REQUEST_BYTES = b"x" * 1_899 + b"}"
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    # Lambda's credentials have one, and it is signed, too.
    "AWS_SESSION_TOKEN": "t" * 800,
}


def serve(listening: socket.socket) -> None:
    """Answer every request on one connection after the other."""
    body = json.dumps({"Responses": {"online-store": ITEMS}, "UnprocessedKeys": {}}).encode()
    head = (
        "HTTP/1.1 200 OK\r\nServer: Server\r\nDate: Sun, 22 Nov 2026 11:00:00 GMT\r\n"
        "Content-Type: application/x-amz-json-1.0\r\nConnection: keep-alive\r\n"
        f"Content-Length: {len(body)}\r\nx-amzn-RequestId: {'A' * 52}\r\n"
        f"x-amz-crc32: {zlib.crc32(body)}\r\n\r\n"
    )
    response = head.encode() + body
    while True:
        connection, _ = listening.accept()
        if os.fork() == 0:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while received := connection.recv(65_536):
                # A request is one segment, or a head and then its body.
                if received.endswith(b"}"):
                    connection.sendall(response)
            os._exit(0)


@contextmanager
def server() -> Iterator[int]:
    """Run the server in a process of its own; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        program = [sys.executable, __file__, "--serve", str(listening.fileno())]
        with subprocess.Popen(program, pass_fds=[listening.fileno()]) as process:
            try:
                yield listening.getsockname()[1]
            finally:
                process.terminate()


def clients(bare: socket.socket) -> dict[str, Callable[[], object]]:
    """Return one call for each way to make it; the environment names the server."""
    bare.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    usual = boto3.client("dynamodb")
    unchecked = boto3.client("dynamodb", config=Config(parameter_validation=False))
    own = dynamodb()
    return {
        "boto3": lambda: usual.batch_get_item(RequestItems=REQUEST),  # type: ignore[arg-type]
        "boto3, parameters unchecked": lambda: unchecked.batch_get_item(RequestItems=REQUEST),  # type: ignore[arg-type]
        "own client": lambda: own.call(
            "BatchGetItem", {"RequestItems": REQUEST}, deadline=time.monotonic() + 5
        ),
        "socket alone": lambda: bare.send(REQUEST_BYTES) and bare.recv(65_536),
    }


def measure(*, calls: int) -> dict[str, float]:
    """Return the microseconds of CPU time of one call of each client, the median of the loops."""
    with server() as port, socket.create_connection(("127.0.0.1", port)) as bare:
        os.environ.update(ENVIRONMENT | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"})
        ways = clients(bare)
        found: dict[str, list[float]] = {name: [] for name in ways}
        for loop in range(LOOPS + 1):
            for name, call in ways.items():
                started = time.thread_time_ns()
                for _ in range(calls):
                    call()
                if loop:  # the first warms up
                    found[name].append((time.thread_time_ns() - started) / calls / 1_000)
        return {name: statistics.median(values) for name, values in found.items()}


def lines(measured: Mapping[str, float]) -> list[str]:
    """Return a table for people."""
    usual = measured["boto3"]
    rows = [f"{name:<30}{value:>10.0f}{usual / value:>10.1f}" for name, value in measured.items()]
    return [f"{'one BatchGetItem':<30}{'CPU, us':>10}{'times less':>10}", *rows]


def main(arguments: Any = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=500, help="per loop")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve is not None:
        serve(socket.socket(fileno=options.serve))
    print("\n".join(lines(measure(calls=options.calls))))


if __name__ == "__main__":
    main()
