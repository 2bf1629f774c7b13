"""The decision API over HTTP, with a token, as any client application uses it."""

from __future__ import annotations

import base64
import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from credit_cli.errors import RefusedError, UnreachableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_cognito_idp import CognitoIdentityProviderClient

    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment

DECISIONS_PATH = "/v1/decisions"
REFERRALS_PATH = "/v1/referrals"
TIMEOUT_SECONDS = 35
"""Above API Gateway's own limit of 29 s, so that its answer is the one shown."""


@dataclass(frozen=True)
class Answer:
    """What an HTTP server answered; ``seconds`` is the round trip as the caller sees it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether the request was done."""
        return 200 <= self.status < 300  # noqa: PLR2004 (HTTP: success)

    def document(self) -> dict[str, Any]:
        """Return the JSON object in the body, empty if there is none."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}


@dataclass(frozen=True)
class Token:
    """A bearer token and for how many seconds from its issue it is good."""

    access_token: str
    expires_in_seconds: int
    scope: str


class ClientKind(StrEnum):
    """The kinds of applications that may call the API, each with scopes of its own."""

    APPLICATION = "application"
    DESK = "desk"
    SERVICING = "servicing"


def send(method: str, url: str, headers: Mapping[str, str], *, body: bytes | None = None) -> Answer:
    """Send a request and return the answer, whatever its status.

    Raises:
        UnreachableError: Nothing answers there.
        UsageError: It is no address, or a header's value cannot be sent.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket too few
        valid = False
    if not valid or not url.isascii() or any(character <= " " for character in url):
        raise UsageError(f"{url!r} is not an http(s) address")
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise UsageError(f"the {name} header can't hold that: a token is printable ASCII")
    # This machine is never behind a proxy.
    handlers = [urllib.request.ProxyHandler({})] if parts.hostname == "127.0.0.1" else []
    opener = urllib.request.build_opener(*handlers)
    request = urllib.request.Request(url, data=body, headers=dict(headers), method=method)  # noqa: S310 (checked above)
    started = time.monotonic()
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            content = response.read()
            return Answer(
                response.status, dict(response.headers), content, time.monotonic() - started
            )
    except urllib.error.HTTPError as error:
        with error:
            content = error.read()
        return Answer(error.code, dict(error.headers), content, time.monotonic() - started)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise UnreachableError(f"nothing answers at {parts.netloc}: {reason}") from None


def fetch_token(
    aws: Aws, deployment: Deployment, kind: ClientKind = ClientKind.APPLICATION
) -> Token:
    """Get a token with the credentials of a deployed client, for all that it may do.

    Raises:
        RefusedError: The token endpoint refused the client.
    """
    cognito: CognitoIdentityProviderClient = aws.client("cognito-idp")
    client = cognito.describe_user_pool_client(
        UserPoolId=deployment["UserPoolId"], ClientId=deployment[f"{kind.title()}ClientId"]
    )["UserPoolClient"]
    return request_token(
        deployment.token_url,
        client_id=client["ClientId"],
        client_secret=client["ClientSecret"],
        scope=" ".join(client["AllowedOAuthScopes"]),
    )


def request_token(token_url: str, *, client_id: str, client_secret: str, scope: str) -> Token:
    """Ask a token endpoint for a client-credentials token.

    Raises:
        RefusedError: The token endpoint refused the client.
        UnreachableError: Nothing answers there.

    Source:
        RFC 6749, section 4.4.
    """
    credentials = base64.b64encode(f"{client_id}:{client_secret}".encode()).decode()
    form = {"grant_type": "client_credentials", "scope": scope}
    answer = send(
        "POST",
        token_url,
        {
            "Authorization": f"Basic {credentials}",
            "Content-Type": "application/x-www-form-urlencoded",
        },
        body=urllib.parse.urlencode(form).encode(),
    )
    document = answer.document()
    if not answer.ok or "access_token" not in document:
        reason = document.get("error", "no reason given")
        raise RefusedError(f"the token endpoint refused the client: {answer.status} {reason}")
    return Token(document["access_token"], int(document.get("expires_in", 0)), scope)


def request_decision(api_url: str, token: str, application: bytes) -> Answer:
    """Ask for the decision on an application, sent byte for byte as it is.

    Raises:
        UnreachableError: Nothing answers there.
    """
    return send(
        "POST",
        api_url.rstrip("/") + DECISIONS_PATH,
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        body=application,
    )


def require_decided(answer: Answer) -> dict[str, Any]:
    """Return the decision in an answer.

    Raises:
        RefusedError: The answer is a refusal; the message names each fault.
        UnreachableError: The API is there but can't answer now.
    """
    document = answer.document()
    if answer.ok and "outcome" in document:
        return document
    message = f"{answer.status} {problem_text(document)}"
    if answer.status >= 500:  # noqa: PLR2004 (HTTP: the server's fault)
        raise UnreachableError(f"the API can't answer now: {message}")
    raise RefusedError(f"the API refused the application: {message}")


def require_answered(answer: Answer) -> dict[str, Any]:
    """Return the document in an answer of the API.

    Raises:
        RefusedError: The answer is a refusal; the message says why.
        UnreachableError: The API is there but can't answer now.
    """
    document = answer.document()
    if answer.ok:
        return document
    message = f"{answer.status} {problem_text(document)}"
    if answer.status >= 500 or answer.status == 429:  # noqa: PLR2004 (HTTP: later, perhaps)
        raise UnreachableError(f"the API can't answer now: {message}")
    raise RefusedError(f"the API refused: {message}")


def bearing(token: str) -> dict[str, str]:
    """Return the headers of a call with a token."""
    return {"Authorization": f"Bearer {token}"}


def quoted(application_id: str) -> str:
    """Return an application id as part of a path.

    >>> quoted("loan/1")
    'loan%2F1'
    """
    return urllib.parse.quote(application_id, safe="")


def problem_text(document: Mapping[str, Any]) -> str:
    """Say in a line what an RFC 9457 problem document, or API Gateway, says.

    >>> problem_text({"title": "Bad input", "faults": [{"path": "a", "message": "is negative"}]})
    'Bad input: a is negative'
    >>> problem_text({"title": "Bad input", "faults": ["too long", None]})
    'Bad input: too long; None'
    >>> problem_text({"message": "Unauthorized"})
    'Unauthorized'
    """
    title = document.get("title") or document.get("message") or "no reason given"
    faults = document.get("faults")
    if isinstance(faults, list) and faults:
        return f"{title}: {'; '.join(map(_fault_text, faults))}"
    detail = document.get("detail")
    return f"{title}: {detail}" if detail else str(title)


def _fault_text(fault: Any) -> str:
    """Say a fault in words; what a proxy or another API put there is told as it is."""
    return f"{fault.get('path')} {fault.get('message')}" if isinstance(fault, dict) else str(fault)


def curl(api_url: str) -> str:
    """Return the command that asks for the example's decision."""
    proxied = "http" in urllib.request.getproxies() and not urllib.request.proxy_bypass("127.0.0.1")
    return (
        f"curl --silent {"--noproxy '*' " if proxied else ''}{api_url}{DECISIONS_PATH} \\\n"
        '  --header "Authorization: Bearer $(.venv/bin/credit token)" \\\n'
        "  --header 'Content-Type: application/json' \\\n"
        "  --data @examples/application.json"
    )
