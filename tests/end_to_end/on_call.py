"""On-call on the local cloud: hears both topics, and has CloudWatch look at its alarms.

The emulator looks at its alarms whenever a metric is published, and at no metric's dimensions. So
an alarm may ring for something else than what a test did; what it says it rang for is looked at.
"""

from __future__ import annotations

import http.client
import re
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from credit_cli.alarm_trial import listener, messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_sqs import SQSClient

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment

TOPICS = {"page": "PageTopic", "inform": "InformTopic"}
ENDING_TRIALS = ("challenger-failures", "model-load-failure")
"""What takes a model back on the local cloud, see `cdk_app/stages.py`."""
PATIENCE_SECONDS = 45
CALM_SECONDS = 90
"""An alarm's period is a minute: what happened before it is forgotten then."""

VALUE = re.compile(r"Threshold Crossed: \S+ (\S+) ")


def any_value(_value: float) -> bool:
    return True


@dataclass
class OnCall:
    """Queues that hear what on-call is told."""

    aws: LocalAws
    deployment: Deployment
    queues: dict[str, tuple[SQSClient, str]] = field(default_factory=dict)
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def cloudwatch(self) -> CloudWatchClient:
        client: CloudWatchClient = self.aws.client("cloudwatch")
        return client

    def full_name(self, alarm: str) -> str:
        return f"{self.deployment.prefix}-{alarm}"

    def publish(
        self, namespace: str, metric: str, value: float, dimensions: dict[str, str] | None = None
    ) -> None:
        """Publish a value as AWS, or a function, would."""
        named: Any = [{"Name": name, "Value": of} for name, of in (dimensions or {}).items()]
        self.cloudwatch.put_metric_data(
            Namespace=namespace,
            MetricData=[{"MetricName": metric, "Value": value, "Dimensions": named}],
        )

    def look(self) -> None:
        """Have the alarms looked at, as CloudWatch does each minute."""
        self.publish("EndToEnd", "Look", 0)

    def settle(self, alarm: str) -> None:
        """Put an alarm in order and forget what was heard of it."""
        self.cloudwatch.set_alarm_state(
            AlarmName=self.full_name(alarm), StateValue="OK", StateReason="before the test"
        )

    def calm(self, alarm: str) -> None:
        """Wait until nothing of the last minute makes an alarm ring; nobody hears it meanwhile."""
        names = [self.full_name(alarm)]
        deadline = time.monotonic() + CALM_SECONDS
        # A guard that starts slowly would take back what is moved after the wait.
        self.cloudwatch.disable_alarm_actions(AlarmNames=names)
        try:
            while True:
                self.settle(alarm)
                self.look()
                (found,) = self.cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]
                if found["StateValue"] == "OK":
                    break
                assert time.monotonic() < deadline, found["StateReason"]
                time.sleep(3)
        finally:
            self.cloudwatch.enable_alarm_actions(AlarmNames=names)
        self.listen()
        self.heard.clear()

    def listen(self) -> None:
        """Take what came to the queues."""
        for topic, (sqs, url) in self.queues.items():
            while came := list(messages(sqs, url)):
                self.heard += [(topic, document) for document in came]

    def hears(
        self,
        alarm: str,
        *,
        on: set[str],
        of: Callable[[float], bool] = any_value,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> dict[str, Any]:
        """Return the message of an alarm that rang by a value like that, heard on those topics.

        Args:
            alarm: Its name without what all begin with.
            on: Topics on which it has to be heard; no other may have it.
            of: Says of the value that crossed the threshold whether it is the one.
            meanwhile: Done before each look.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            meanwhile()
            self.look()
            self.listen()
            found = [
                (topic, document)
                for topic, document in self.heard
                if document.get("AlarmName") == self.full_name(alarm)
                and document.get("NewStateValue") == "ALARM"
                and of(value_in(document))
            ]
            if {topic for topic, _ in found} == on:
                return found[-1][1]
            assert {topic for topic, _ in found} <= on
            if not found:
                self.settle(alarm)
        pytest.fail(f"{alarm} was not heard on {on}; of it: {self.told_of(alarm)}")

    def told_of(self, alarm: str) -> list[tuple[str, str, str]]:
        return [
            (topic, document["NewStateValue"], document["NewStateReason"])
            for topic, document in self.heard
            if document.get("AlarmName") == self.full_name(alarm)
        ]


def value_in(document: dict[str, Any]) -> float:
    """Return the value for which an alarm says it rang."""
    found = VALUE.search(document["NewStateReason"])
    return float(found[1]) if found else float("nan")


@contextmanager
def on_call(aws: LocalAws, deployment: Deployment) -> Iterator[OnCall]:
    """Hear both topics; nothing stays behind."""
    hearing = OnCall(aws, deployment)
    with ExitStack() as open_queues:
        for name, output in TOPICS.items():
            hearing.queues[name] = open_queues.enter_context(
                listener(aws, deployment[output], name=f"{deployment.prefix}-on-call-{name}")
            )
        yield hearing


@dataclass
class Table:
    """The local cloud's DynamoDB, which fails reads of one table as a test says."""

    url: str
    reads: int = 0


@contextmanager
def failing_table(
    endpoint_url: str, table: str, fails: Callable[[BaseHTTPRequestHandler], None]
) -> Iterator[Table]:
    """Pass all on to the local cloud but reads of one table.

    Args:
        endpoint_url: The local cloud.
        table: The table that fails.
        fails: Answers, or doesn't.
    """
    behind = urlsplit(endpoint_url)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            reads = self.headers.get("X-Amz-Target", "").endswith((".BatchGetItem", ".GetItem"))
            if reads and f'"{table}"'.encode() in body:
                failing.reads += 1
                fails(self)
                return
            connection = http.client.HTTPConnection(behind.netloc, timeout=30)
            connection.request("POST", self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() in {"content-type", "x-amz-crc32", "x-amzn-requestid"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *words: Any) -> None:  # noqa: A002 (the base's)
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        failing = Table(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield failing
        finally:
            server.shutdown()
