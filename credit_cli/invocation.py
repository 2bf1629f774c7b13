"""Functions of the deployment, called from here."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from credit_cli.errors import CliError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_lambda.type_defs import InvocationResponseTypeDef

    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment

CROWDED = "TooManyRequestsException"
CROWDED_SECONDS = 60.0
"""How long a call is tried that Lambda turns away: a model is taken back while much goes on."""
AGAIN_SECONDS = 0.25


def invoked(
    aws: Aws,
    deployment: Deployment,
    function: str,
    event: Mapping[str, Any],
    *,
    called: str,
    verb: str = "failed",
    hint: str | None = None,
) -> dict[str, Any]:
    """Call a function and return its answer.

    Args:
        aws: Where it is deployed.
        deployment: What is deployed there.
        function: The stack output that names it.
        event: What it is asked.
        called: What a message calls it.
        verb: What a message says that it did when it raised an error.
        hint: What to do when it fails.

    Raises:
        CliError: It failed, or Lambda let nobody in for a minute.
    """
    lambda_: LambdaClient = aws.client("lambda")
    answer = _let_in(lambda_, deployment[function], json.dumps(event).encode(), called=called)
    document = json.load(answer["Payload"])
    if answer.get("FunctionError"):
        raise CliError(f"the {called} {verb}: {document.get('errorMessage')}", hint=hint)
    return dict(document)


def _let_in(
    lambda_: LambdaClient, name: str, payload: bytes, *, called: str
) -> InvocationResponseTypeDef:
    """Call a function until Lambda lets the call in; one that it turns away has not begun."""
    give_up = time.monotonic() + CROWDED_SECONDS
    while True:
        try:
            return lambda_.invoke(FunctionName=name, Payload=payload)
        except ClientError as error:
            if error.response["Error"]["Code"] != CROWDED:
                raise
        if time.monotonic() >= give_up:
            raise CliError(
                f"no concurrency was left for the {called} within {CROWDED_SECONDS:.0f} s",
                hint="run it again; docs/runbooks/throttles.md says who takes it",
            )
        time.sleep(AGAIN_SECONDS)
