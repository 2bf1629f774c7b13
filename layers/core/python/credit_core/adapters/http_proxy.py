"""API Gateway's proxy events: what a function takes from a request, and gives as an answer."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from credit_core.domain.application import APPLICATION_ID_PATTERN
from credit_core.domain.strict_json import refuse_body, repeatable_name
from credit_core.errors import Fault, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

APPLICATION_ID = re.compile(APPLICATION_ID_PATTERN)


@dataclass(frozen=True, slots=True)
class ProxyRequest:
    """A request as API Gateway hands it over; whoever calls was authorized before."""

    event: Mapping[str, Any]
    request_id: str

    @classmethod
    def of(cls, event: Mapping[str, Any], context: LambdaContext) -> ProxyRequest:
        """Return the request in an event; its id is the one in the API's access log."""
        gateway = event.get("requestContext") or {}
        return cls(event, gateway.get("requestId") or context.aws_request_id)

    @property
    def route(self) -> tuple[str, str]:
        """Method and resource, as in ``("GET", "/v1/decisions/{application_id}")``."""
        return self.event.get("httpMethod") or "", self.event.get("resource") or ""

    @property
    def client_id(self) -> str:
        """The application that the token was issued to."""
        authorizer = (self.event.get("requestContext") or {}).get("authorizer") or {}
        claims = authorizer.get("claims") or {}
        return str(claims.get("client_id") or claims.get("sub") or "")

    def body(self) -> str | bytes | None:
        """Return the body.

        Raises:
            InvalidRequestError: It is said to be base64, and is not.
        """
        body: str | None = self.event.get("body")
        if not body or not self.event.get("isBase64Encoded"):
            return body
        try:
            return base64.b64decode(body, validate=True)
        except ValueError:
            refuse_body("is not base64")

    def application_id(self) -> str:
        """Return the application id in the path.

        An id holds no percent sign, so that decoding once is right whether or not API Gateway
        has decoded the path already.

        Raises:
            InvalidRequestError: No application can have that id.
        """
        parameters = self.event.get("pathParameters") or {}
        found = unquote(parameters.get("application_id") or "")
        if not APPLICATION_ID.fullmatch(found):
            message = f"must match {APPLICATION_ID_PATTERN}"
            raise InvalidRequestError([Fault("application_id", message)])
        return found

    def query(self) -> dict[str, str]:
        """Return the parameters of the query string.

        Raises:
            InvalidRequestError: One is given more than once.
        """
        given = self.event.get("multiValueQueryStringParameters") or {}
        twice = [
            Fault(repeatable_name(name), "must be given once")
            for name in given
            if len(given[name]) > 1
        ]
        if twice:
            raise InvalidRequestError(twice)
        return dict(self.event.get("queryStringParameters") or {})


def json_response(
    body: str, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> dict[str, object]:
    """Return the proxy response that carries a JSON text."""
    always = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return {"statusCode": status, "headers": {**always, **(headers or {})}, "body": body}
