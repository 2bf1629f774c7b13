"""Versions of functions, invoked as a rehearsal does."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.use_cases.rehearse import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_lambda import LambdaClient

LONGEST_WAIT_SECONDS = 40
"""For an answer: longer than any function here may take, so that its own time limit is seen."""


def rehearsing_config() -> Config:
    """Return the configuration for calls that may fail, and must be seen to."""
    return Config(
        connect_timeout=5,
        read_timeout=LONGEST_WAIT_SECONDS,
        # Throttling is no fault of a version; what it answers itself is never asked for again.
        retries={"mode": "standard", "max_attempts": 6},
    )


def function_version(client: LambdaClient, arn: str) -> Callable[[Mapping[str, Any]], Reply]:
    """Return how to call the version that an ARN names."""
    return partial(_reply, client, arn)


def _reply(client: LambdaClient, arn: str, event: Mapping[str, Any]) -> Reply:
    """Return what the version made of an event."""
    try:
        answer = client.invoke(FunctionName=arn, Payload=json.dumps(event).encode())
    except AWS_ERRORS as error:
        return Reply(fault=f"it could not be invoked ({error_code(error)})")
    try:
        document = json.loads(answer["Payload"].read())
    except ValueError:
        return Reply(fault="its answer is no JSON")
    if answer.get("FunctionError"):
        return Reply(fault=_failure(document))
    if not isinstance(document, dict):
        return Reply(fault="its answer is no JSON object")
    return Reply(document)


def _failure(document: Any) -> str:
    """Return how a function ended that did not answer; its message might hold a value."""
    named = document.get("errorType") if isinstance(document, dict) else None
    message = str(document.get("errorMessage", "")) if isinstance(document, dict) else ""
    if named == "Sandbox.Timedout" or "timed out" in message:
        return "it timed out"
    return f"it failed ({named or 'no error type'})"
