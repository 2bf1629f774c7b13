"""`credit token` and `credit score`: the decision API, asked as any client application asks it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from credit_cli import api
from credit_cli.deployment import deployed
from credit_cli.errors import UsageError
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct
from credit_cli.rendering import decision_lines
from credit_cli.terminal import Json, print_json, say


def token(
    *,
    client: Annotated[
        api.ClientKind,
        typer.Option(help="application decides and reads, desk reviews, servicing reports."),
    ] = api.ClientKind.APPLICATION,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Print a bearer token for the deployed API, and nothing else.

    For curl and other clients. It is good for an hour at most and opens the API: keep it out of
    files and chats.

    The API's page names the token address that the user pool has on AWS. That of the local cloud is
    the token_url of: credit local status --json

    Examples:
        credit token
        credit token --client desk  # one that may review
        credit token --json  # with the seconds that it is good for

    Exit codes: 0 done, 1 failed, 2 used wrongly, 3 refused by the token endpoint, 4 not running or
    unreachable.
    """
    aws, deployment = deployed(product)
    issued = api.fetch_token(aws, deployment, client)
    if as_json:
        print_json(
            {
                "access_token": issued.access_token,
                "token_type": "Bearer",
                "expires_in_seconds": issued.expires_in_seconds,
                "scope": issued.scope,
            }
        )
    else:
        say(issued.access_token)


def score(
    file: Annotated[str, typer.Argument(help="The application, JSON; - reads standard input.")],
    *,
    product: DeployedProduct = DEFAULT_PRODUCT,
    api_url: Annotated[
        str | None, typer.Option(help="Another deployment's API; needs --token.")
    ] = None,
    bearer: Annotated[
        str | None, typer.Option("--token", help="Bearer token for --api-url.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the API's own JSON, byte for byte.")
    ] = False,
) -> None:
    """Ask for the decision on an application.

    It is a decision like any other: it leaves a receipt, and the same application sent again is
    answered byte for byte as before.

    Examples:
        credit score examples/application.json
        credit score examples/application.json --json  # the API's own answer
        credit score - < examples/application.json

    Exit codes: 0 answered, 1 failed, 2 used wrongly, 3 refused by the API with a status of 4xx, 4
    not running or unreachable.
    """
    application = read_application(file)
    if (api_url is None) != (bearer is None):
        raise UsageError("--api-url and --token go together")
    if api_url is None or bearer is None:
        aws, deployment = deployed(product)
        api_url, bearer = deployment.api_url, api.fetch_token(aws, deployment).access_token
    answer = api.request_decision(api_url, bearer, application)
    if as_json:
        sys.stdout.buffer.write(answer.body + b"\n")
        sys.stdout.flush()
        api.require_decided(answer)
        return
    for line in decision_lines(answer, api.require_decided(answer)):
        say(line)


def read_application(file: str) -> bytes:
    """Return the bytes of an application after checking that they are a JSON object.

    Raises:
        UsageError: The file can't be read or holds something else.
    """
    try:
        body = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}") from None
    try:
        document = json.loads(body)
    except ValueError as error:
        raise UsageError(f"{file} is not JSON: {error}") from None
    except RecursionError:
        raise UsageError(f"{file} is not JSON: it is nested too deeply") from None
    if not isinstance(document, dict):
        raise UsageError(f"{file} holds no JSON object")
    return body
