"""What a request spent its time on, told to X-Ray: stages, and each call of AWS within them.

Lambda tells a function in its environment whether the request under way is traced. If it is not,
as most are, nothing is kept and nothing is sent. If it is, all of the request goes to the daemon
beside the function in one datagram, whose loss or refusal harms nobody.

A trace holds names and times: of stages, operations, tables and error codes; and as annotations
ids, the outcome and the model. It holds no key and no value.

Source: AWS X-Ray Developer Guide, "X-Ray segment documents" and "Sending trace data to X-Ray".
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
from contextlib import suppress
from functools import wraps
from http import HTTPStatus
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.client import BaseClient

    type Handler = Callable[[dict[str, Any], Any], dict[str, object]]
    type Call[Answer] = Callable[[float, float], Answer]

TRACE_VARIABLE = "_X_AMZN_TRACE_ID"
DAEMON_VARIABLE = "AWS_XRAY_DAEMON_ADDRESS"
HEADER = b'{"format":"json","version":1}\n'
MOST_CALLS = 120
"""Of one request: with more, as a large batch makes, a datagram of 64 KB would not hold them."""

SERVICES = {"dynamodb": "DynamoDB", "kms": "KMS", "s3": "S3", "secretsmanager": "SecretsManager"}
"""Names under which X-Ray knows AWS's services."""

THROTTLED = re.compile(r"Throttl|ThroughputExceeded|LimitExceeded|SlowDown")


class Trace:
    """One request that is traced. Any number of threads may add calls to it."""

    def __init__(self, name: str, *, trace_id: str, parent_id: str) -> None:
        self._name, self._trace_id, self._parent_id = name, trace_id, parent_id
        self._started = time.time()
        self._calls: list[dict[str, Any]] = []
        self._stages_ms: Mapping[str, float] = {}
        self._annotations: dict[str, Any] = {}
        # Threads take a number each, without a lock: to count is one step of the interpreter.
        self._numbers = count()

    def timed[Answer](
        self, call: Call[Answer], *, service: str, operation: str, resource: Mapping[str, Any]
    ) -> Call[Answer]:
        """Return the call of an AWS service, each try of which becomes a part of the trace.

        Args:
            call: Takes two deadlines and returns the answer.
            service: As in its host name.
            operation: Its name in the API reference.
            resource: What it is done to, as X-Ray names it: ``table_name``.
        """

        def watched(*deadlines: float) -> Answer:
            started = time.time()
            try:
                answer = call(*deadlines)
            except Exception as error:
                self.add_call(
                    service,
                    operation,
                    resource,
                    started=started,
                    code=getattr(error, "code", None) or type(error).__name__,
                    status=getattr(error, "status", None),
                )
                raise
            self.add_call(service, operation, resource, started=started, status=HTTPStatus.OK)
            return answer

        return watched

    def add_call(
        self,
        service: str,
        operation: str,
        resource: Mapping[str, Any],
        *,
        started: float,
        code: str | None = None,
        status: int | None = None,
    ) -> None:
        """Add a call that has ended just now.

        Args:
            service: As in its host name.
            operation: Its name in the API reference.
            resource: What it was done to.
            started: When, in seconds since 1970.
            code: The service's code of an error, or why no answer came; None where it went well.
            status: Of HTTP; None where no answer came.
        """
        if next(self._numbers) >= MOST_CALLS:
            return
        call: dict[str, Any] = {
            **_part(SERVICES.get(service, service), started, time.time()),
            "namespace": "aws",
            "aws": {"operation": operation, **resource},
        }
        if status is not None:
            call["http"] = {"response": {"status": int(status)}}
        if code is not None:
            refused = status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR
            call["error" if refused else "fault"] = True
            call["annotations"] = {"error_code": code}
            if THROTTLED.search(code):
                call["throttle"] = True
        self._calls.append(call)

    def note(self, about: Mapping[str, object], stages_ms: Mapping[str, float]) -> None:
        """Say what the request was and came to.

        Args:
            about: Ids, the outcome and names; what is neither text, number nor truth is left out.
            stages_ms: Time per stage from the request's beginning, in order and without a gap.
        """
        self._annotations |= {
            name: value for name, value in about.items() if isinstance(value, str | int | float)
        }
        self._stages_ms = stages_ms

    def document(self, status: int | None) -> dict[str, Any]:
        """Return the subsegment of the request; calls lie in the stage in which they began.

        Args:
            status: The response's, None where the function failed without one.
        """
        parts: list[dict[str, Any]] = []
        begun = self._started
        for stage, milliseconds in self._stages_ms.items():
            parts.append(_part(stage, begun, begun + milliseconds / 1_000))
            begun = parts[-1]["end_time"]
        outside = []
        for call in self._calls:
            stage_of_call = next(
                (part for part in parts if call["start_time"] < part["end_time"]), None
            )
            if stage_of_call is None:
                outside.append(call)
            else:
                stage_of_call.setdefault("subsegments", []).append(call)
        document = {
            **_part(self._name, self._started, time.time()),
            "type": "subsegment",
            "trace_id": self._trace_id,
            "parent_id": self._parent_id,
            "annotations": self._annotations,
            "subsegments": [*parts, *outside],
        }
        if status is None or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            document["fault"] = True
        elif status >= HTTPStatus.BAD_REQUEST:
            document["error"] = True
        left_out = next(self._numbers) - MOST_CALLS
        if left_out > 0:
            document["metadata"] = {"calls_left_out": left_out}
        return document

    def send(self, status: int | None) -> None:
        """Hand the trace to the daemon, if there is one that takes it."""
        host, _, port = os.environ.get(DAEMON_VARIABLE, "").rpartition(":")
        text = json.dumps(self.document(status), separators=(",", ":"), default=str)
        # A request is not worth less because nobody hears of it.
        with (
            suppress(OSError, ValueError),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon,
        ):
            daemon.settimeout(0)
            daemon.sendto(HEADER + text.encode(), (host, int(port)))


_under_way: Trace | None = None


def under_way() -> Trace | None:
    """Return the trace of the request under way, None where it is not traced.

    A function of Lambda serves one request at a time, whatever threads help it.
    """
    return _under_way


def note(about: Mapping[str, object], stages_ms: Mapping[str, float] | None = None) -> None:
    """Say of the request under way what it was and came to, if it is traced."""
    if _under_way is not None:
        _under_way.note(about, stages_ms or {})


def traced(name: str) -> Callable[[Handler], Handler]:
    """Return what makes a handler tell X-Ray of the requests that are traced.

    Args:
        name: Of what it does, as the trace shows it.
    """

    def wrap(handler: Handler) -> Handler:
        @wraps(handler)
        def traced_handler(event: dict[str, Any], context: Any) -> dict[str, object]:
            global _under_way  # noqa: PLW0603 (one request at a time)
            _under_way = trace = _trace_of(name, os.environ.get(TRACE_VARIABLE))
            if trace is None:
                return handler(event, context)
            status: int | None = None
            try:
                response = handler(event, context)
                found = response.get("statusCode", HTTPStatus.OK)
                status = int(found) if isinstance(found, int) else None
                return response
            finally:
                _under_way = None
                trace.send(status)

        return traced_handler

    return wrap


def watch(client: BaseClient) -> None:
    """Make the calls of a boto3 client parts of the request under way, if it is traced."""
    service = client.meta.service_model.service_name

    def before(context: dict[str, Any], **_: object) -> None:
        if _under_way is not None:
            context["traced_from"] = time.time()

    def after(
        context: dict[str, Any], model: Any, http_response: Any, parsed: Any, **_: object
    ) -> None:
        trace, started = _under_way, context.get("traced_from")
        if trace is not None and started is not None:
            code = parsed.get("Error", {}).get("Code")
            status = http_response.status_code
            trace.add_call(service, model.name, {}, started=started, code=code, status=status)

    def failed(context: dict[str, Any], exception: Exception, **_: object) -> None:
        trace, started = _under_way, context.get("traced_from")
        if trace is not None and started is not None:
            trace.add_call(service, "", {}, started=started, code=type(exception).__name__)

    client.meta.events.register("before-call", before)
    client.meta.events.register("after-call", after)
    client.meta.events.register("after-call-error", failed)


def tables_in(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tables that a request of DynamoDB names, as X-Ray shows them; no key, no value.

    >>> tables_in({"RequestItems": {"features": {}, "decisions": {}}})
    {'table_names': ['features', 'decisions']}
    >>> tables_in({"TransactItems": [{"Put": {"TableName": "decisions"}}]})
    {'table_names': ['decisions']}
    >>> tables_in({"TableName": "decisions"}), tables_in({"SecretId": "x"})
    ({'table_name': 'decisions'}, {})
    """
    if "TableName" in document:
        return {"table_name": document["TableName"]}
    named = list(document.get("RequestItems") or ())
    for item in document.get("TransactItems") or ():
        named += [part["TableName"] for part in item.values()]
    return {"table_names": list(dict.fromkeys(named))} if named else {}


def _trace_of(name: str, header: str | None) -> Trace | None:
    """Return the trace that Lambda's header asks for, None where it asks for none.

    >>> _trace_of("decision", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=5;Sampled=0")
    >>> _trace_of("decision", None)
    """
    if header is None or "Sampled=1" not in header:
        return None
    fields = dict(part.strip().partition("=")[::2] for part in header.split(";"))
    if "Root" not in fields or "Parent" not in fields:
        return None
    return Trace(name, trace_id=fields["Root"], parent_id=fields["Parent"])


def _part(name: str, started: float, ended: float) -> dict[str, Any]:
    return {"id": os.urandom(8).hex(), "name": name, "start_time": started, "end_time": ended}
