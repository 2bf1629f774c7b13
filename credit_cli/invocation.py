"""Functions of the deployment, called from here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from credit_cli.errors import CliError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_lambda import LambdaClient

    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment


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
        CliError: It failed.
    """
    lambda_: LambdaClient = aws.client("lambda")
    answer = lambda_.invoke(FunctionName=deployment[function], Payload=json.dumps(event).encode())
    document = json.load(answer["Payload"])
    if answer.get("FunctionError"):
        raise CliError(f"the {called} {verb}: {document.get('errorMessage')}", hint=hint)
    return dict(document)
