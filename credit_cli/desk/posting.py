"""Forms as a browser sends them, read without anything that keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP
from functools import wraps
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.concurrency import run_in_threadpool

from credit_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

LARGEST_FORM_BYTES = 200_000
MOST_FIELDS = 5_000


@dataclass(frozen=True)
class Form:
    """Names and values in the order in which they were sent."""

    entries: tuple[tuple[str, str], ...] = ()

    def get(self, name: str, default: str = "") -> str:
        """Return the value of a field, without space around it."""
        return next((value.strip() for key, value in self.entries if key == name), default)

    def all(self, name: str) -> list[str]:
        """Return every value of a field, as of checkboxes."""
        return [value for key, value in self.entries if key == name]


def posted(
    answer: Callable[[Request, Form], Response],
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that reads the form of a request, then answers in a thread."""

    @wraps(answer)
    async def endpoint(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_FORM_BYTES:
                raise UsageError(f"a form has at most {LARGEST_FORM_BYTES:,} bytes")
        form = form_of(request.headers.get("content-type", ""), body)
        return await run_in_threadpool(answer, request, form)

    return endpoint


def form_of(content_type: str, body: bytes) -> Form:
    """Return the form in a body, urlencoded or multipart (RFC 7578).

    Raises:
        UsageError: It is neither.

    >>> form_of("application/x-www-form-urlencoded", b"a=1&a=2&b=").all("a")
    ['1', '2']
    """
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            text = body.decode("ascii")
            pairs = parse_qsl(
                text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS
            )
            return Form(tuple(pairs))
        if kind == "multipart/form-data":
            return Form(tuple(_parts(content_type, body)))
    except (UnicodeError, LookupError, ValueError) as error:
        raise UsageError("this form can't be read") from error
    raise UsageError("this is no form")


def _parts(content_type: str, body: bytes) -> list[tuple[str, str]]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode("ascii")
    message = BytesParser(policy=HTTP).parsebytes(head + body)
    found = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            found.append((name, payload.decode("utf-8")))
    return found
