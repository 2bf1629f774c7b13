"""Signed calls to the services of the hot path, without botocore.

A call of boto3 costs a millisecond and more of CPU, most of a decision's; one of these a tenth.
Each call has a deadline, and is made once more if another try may succeed.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import time
import zlib
from base64 import b64encode
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from credit_core.adapters import traces
from credit_core.adapters.aws_environment import credentials, endpoint, region, stated_endpoint
from credit_core.adapters.http_connection import NoAnswerError, Origin
from credit_core.adapters.signature import Signer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from credit_core.adapters.http_connection import Response

FIRST_TRY_SHARE = 0.5
"""Of the time a call has: as much is left for the second try, on another connection."""

NEW_CONNECTION_SECONDS = 0.05
"""What the first try may take at least if it has to open a connection, as after a quiet time.

Name, TCP, TLS and DynamoDB's first answer on a connection take some 20 to 40 ms, and a second try
would begin all of it anew: in half of a read's time neither would end.
"""

SMALLEST_WAIT_SECONDS = 0.002

PASSING_CODES = frozenset(
    {
        "InternalServerError",
        "ProvisionedThroughputExceeded",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionConflict",
        "TransactionConflictException",
        "TransactionInProgressException",
    }
)
"""Errors of DynamoDB, and reasons of a cancelled transaction, that another try may not meet.

Source: Amazon DynamoDB Developer Guide, "Error handling with DynamoDB"; API Reference,
"TransactWriteItems".
"""

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
ERROR_CODE_IN_XML = re.compile(rb"<Code>([A-Za-z0-9]{1,64})</Code>")


class RefusedError(Exception):
    """The service answered with an error; its message may hold values and is left out."""

    def __init__(self, code: str, *, status: int, document: Mapping[str, Any]) -> None:
        super().__init__(code)
        self.code = code
        self.status = status
        self.document = document

    @property
    def reasons(self) -> list[Mapping[str, Any]]:
        """Why a transaction was cancelled, one reason per write; else empty."""
        reasons = self.document.get("CancellationReasons") or []
        return [reason for reason in reasons if isinstance(reason, dict)]

    @property
    def passing(self) -> bool:
        """Whether another try may succeed: the service was busy or broken."""
        codes = {str(reason.get("Code")) for reason in self.reasons} - {"None"} or {self.code}
        return codes <= PASSING_CODES or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


CALL_ERRORS = (NoAnswerError, RefusedError)
"""What a call may raise."""


def twice[Answer](call: Callable[[float, float], Answer], *, deadline: float) -> Answer:
    """Make a call, and once more if it failed and another try may succeed.

    Args:
        call: Takes its deadline, of ``time.monotonic``, on a connection that is open, and on one
            that it has to open.
        deadline: Of both tries together.

    Raises:
        NoAnswerError: No answer came, or none that can be read.
        RefusedError: The service refused for good, or twice.
    """
    now = time.monotonic()
    half = now + (deadline - now) * FIRST_TRY_SHARE
    try:
        return call(half, min(deadline, max(half, now + NEW_CONNECTION_SECONDS)))
    except NoAnswerError:
        pass
    except RefusedError as error:
        if not error.passing:
            raise
    pause(deadline)
    return call(deadline, deadline)


def pause(deadline: float, *, doublings: int = 0) -> None:
    """Wait a moment of random length, so that callers who failed together do not return so."""
    longest = SMALLEST_WAIT_SECONDS * 2 ** (1 + doublings)
    wait = longest * (1 + random.random()) / 2  # noqa: S311 (jitter, no secret)
    time.sleep(max(0.0, min(wait, deadline - time.monotonic())))


class _Service:
    """One service at one origin. Any number of threads may use one."""

    def __init__(self, name: str, url: str) -> None:
        self._origin = Origin(url)
        self._signer = Signer(name, region())

    def _exchange(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        body: bytes = b"",
        payload_sha256: str = EMPTY_SHA256,
        deadline: float,
        deadline_if_new: float,
    ) -> Response:
        """Sign a request as of now, send it and return the response."""
        identity = credentials()
        at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        named = {"host": self._origin.host_header, "x-amz-date": at, **headers}
        if identity.token:
            named["x-amz-security-token"] = identity.token
        signed = sorted(named.items())
        authorization = self._signer.authorization(
            identity,
            at=at,
            method=method,
            path=path,
            headers=signed,
            payload_sha256=payload_sha256,
        )
        lines = "".join([f"{name}: {value}\r\n" for name, value in signed])
        head = (
            f"{method} {path} HTTP/1.1\r\n{lines}authorization: {authorization}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return self._origin.exchange(
            head.encode() + body, deadline=deadline, deadline_if_new=deadline_if_new
        )


class JsonApi(_Service):
    """A service of AWS's JSON protocol.

    Args:
        service: As in its host name: ``dynamodb``.
        target: What its operations' names follow in the header ``x-amz-target``.
        version: Of the JSON protocol.
    """

    def __init__(self, service: str, *, target: str, version: str) -> None:
        super().__init__(service, endpoint(service))
        self._service = service
        self._target = target
        self._content_type = f"application/x-amz-json-{version}"

    def call(
        self, operation: str, document: Mapping[str, object], *, deadline: float
    ) -> dict[str, Any]:
        """Return what an operation answers.

        Args:
            operation: Its name in the API reference; one that may be asked for twice.
            document: Its request.
            deadline: Of ``time.monotonic``, for a second try as well.

        Raises:
            NoAnswerError: No answer came, or none that can be read.
            RefusedError: The service refused for good, or twice.
        """
        body = _encode(document).encode()
        sha256 = hashlib.sha256(body).hexdigest()
        headers = {
            "content-type": self._content_type,
            "x-amz-target": f"{self._target}.{operation}",
        }

        def once(until: float, until_if_new: float) -> dict[str, Any]:
            return _document(
                self._exchange(
                    "POST",
                    "/",
                    headers,
                    body=body,
                    payload_sha256=sha256,
                    deadline=until,
                    deadline_if_new=until_if_new,
                )
            )

        trace = traces.under_way()
        if trace is None:
            return twice(once, deadline=deadline)
        tables = traces.tables_in(document)
        watched = trace.timed(once, service=self._service, operation=operation, resource=tables)
        return twice(watched, deadline=deadline)


class Bucket(_Service):
    """Objects of one S3 bucket."""

    def __init__(self, name: str) -> None:
        stated = stated_endpoint("s3")
        # A bucket is part of AWS's host name, and the first part of a local cloud's path.
        self._prefix = f"/{name}/" if stated else "/"
        self._name = name
        super().__init__("s3", stated or endpoint("s3").replace("://", f"://{name}.", 1))

    def read(self, key: str, *, deadline: float) -> bytes:
        """Return an object.

        Raises:
            NoAnswerError: It did not come, or not as a whole.
            RefusedError: There is none, or it may not be read.
        """
        path = quote(f"{self._prefix}{key}", safe="/~")
        headers = {"x-amz-content-sha256": EMPTY_SHA256}

        def once(until: float, until_if_new: float) -> bytes:
            response = self._exchange(
                "GET", path, headers, deadline=until, deadline_if_new=until_if_new
            )
            if response.status == HTTPStatus.OK:
                return response.body
            found = ERROR_CODE_IN_XML.search(response.body)
            code = found[1].decode() if found else f"HTTP {response.status}"
            raise RefusedError(code, status=response.status, document={})

        trace = traces.under_way()
        if trace is None:
            return twice(once, deadline=deadline)
        bucket = {"bucket_name": self._name}
        watched = trace.timed(once, service="s3", operation="GetObject", resource=bucket)
        return twice(watched, deadline=deadline)


def _base64(value: bytes) -> str:
    return b64encode(value).decode()


_encode = json.JSONEncoder(separators=(",", ":"), default=_base64).encode
"""The JSON protocol's form of a document; bytes are base64."""


def _document(response: Response) -> dict[str, Any]:
    """Return the document of a response.

    Raises:
        NoAnswerError: It is not JSON, or was changed on its way.
        RefusedError: It is an error.
    """
    checksum = response.headers.get(b"x-amz-crc32")
    if checksum is not None and checksum != b"%d" % zlib.crc32(response.body):
        raise NoAnswerError("a body of another checksum")
    try:
        document = json.loads(response.body)
    except (ValueError, RecursionError):
        document = None
    if response.status != HTTPStatus.OK:
        refusal = document if isinstance(document, dict) else {}
        kind = str(refusal.get("__type") or f"HTTP {response.status}")
        raise RefusedError(kind.rpartition("#")[2], status=response.status, document=refusal)
    if not isinstance(document, dict):
        raise NoAnswerError("a body that is no JSON object")
    return document
