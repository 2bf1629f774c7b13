"""What API Gateway does for the functions, as a WSGI application: routes, tokens, proxy events.

A token here is its scopes, so that a test can have one for each kind of caller.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import uuid
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, make_server

from cdk_app.components.api_routes import ROUTES, methods_of
from cdk_app.components.client_access import scope_name
from cdk_app.components.gateway_problems import MORE_HEADERS, PROBLEMS, problem_template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from cdk_app.components.api_routes import Route

    type Handler = Callable[[dict[str, Any], Any], Mapping[str, Any]]

BEARER = "Bearer "
STAGE = "live"


class Gateway:
    """The routes of the API, each answered by the handler of its function's name."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self.calls = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        self.calls += 1
        response = self._answer(environ)
        headers = {name: str(value) for name, value in response["headers"].items()}
        start_response(f"{response['statusCode']} -", list(headers.items()))
        return [str(response["body"]).encode()]

    def _answer(self, environ: dict[str, Any]) -> Mapping[str, Any]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        matching = [
            (route, found) for route in ROUTES if (found := matched(route, path)) is not None
        ]
        if not matching:
            return refused("MissingToken")
        route, parameters = next(
            ((route, found) for route, found in matching if route.method == method),
            (None, None),
        )
        if route is None or parameters is None:
            offered = ", ".join(methods_of(matching[0][0].path))
            return problem(405, "This method is not offered", {"Allow": offered})
        given = environ.get("HTTP_AUTHORIZATION", "")
        scopes = set(given.removeprefix(BEARER).split()) if given.startswith(BEARER) else set()
        if route.scopes and scopes.isdisjoint(map(scope_name, route.scopes)):
            return refused("Unauthorized")
        query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        return self._handlers[route.function](
            {
                "httpMethod": method,
                "resource": route.path,
                "path": path,
                "pathParameters": parameters,
                "queryStringParameters": {name: all_of[-1] for name, all_of in query.items()}
                or None,
                "multiValueQueryStringParameters": query or None,
                "body": base64.b64encode(body).decode() or None,
                "isBase64Encoded": bool(body),
                "requestContext": {
                    "requestId": str(uuid.uuid4()),
                    "domainName": environ["HTTP_HOST"],
                    "path": path,
                    "stage": STAGE,
                    "authorizer": {"claims": {"client_id": "client-of-the-test"}},
                },
            },
            SimpleNamespace(aws_request_id="lambda-1"),
        )


def matched(route: Route, path: str) -> dict[str, str] | None:
    """Return the parameters of a path if it is the route's, else None; WSGI has decoded it."""
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(route.path))
    found = re.fullmatch(pattern, path.encode("latin-1").decode(errors="replace"), re.DOTALL)
    return found.groupdict() if found else None


def problem(status: int, title: str, headers: Mapping[str, str]) -> Mapping[str, Any]:
    always = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
    body = json.loads(problem_template(status, title)) | {"request_id": str(uuid.uuid4())}
    return {"statusCode": status, "headers": {**always, **headers}, "body": json.dumps(body)}


def refused(name: str) -> Mapping[str, Any]:
    """Return what the gateway answers itself."""
    _, status, title = PROBLEMS[name]
    assert status is not None, f"API Gateway alone knows the status of {name}"
    more = {header: value.strip("'") for header, value in MORE_HEADERS.get(name, {}).items()}
    return problem(status, title, more)


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base's)
        """Say nothing."""


@contextmanager
def served(application: Gateway) -> Iterator[str]:
    """Serve an application, one request at a time as a function does, and yield its address."""
    with make_server("127.0.0.1", 0, application, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
