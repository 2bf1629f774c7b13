"""A DynamoDB client that spends little on batches of statements.

boto3 walks through every parameter of a batch, and through every item of its answer, by the shapes
of its service model. Here a batch is JSON at once, and so is its answer: DynamoDB's wire format is
what callers write and read anyway. Signing, retries, credentials and errors stay botocore's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from botocore.config import Config

from credit_core.adapters.clients import client, pipeline_config

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

OPERATION = "dynamodb.BatchExecuteStatement"
BODY = "credit_batch_body"
USER_AGENT = "credit-decisions"
"""A fixed one: boto3 would put its own together anew for each request, from thirty parts."""
OK = 200


def batch_client(*, connections: int) -> DynamoDBClient:
    """Return a DynamoDB client for that many batches at once, to be used as any other."""
    # Statements are built of text and numbers alone, so boto3 need not check each of them again.
    lean = Config(parameter_validation=False, user_agent=USER_AGENT)
    dynamodb: DynamoDBClient = client(
        "dynamodb", pipeline_config(connections=connections).merge(lean)
    )
    events: Any = dynamodb.meta.events  # its types know of no handler that returns something
    events.register(f"provide-client-params.{OPERATION}", _take_body)
    events.register(f"before-call.{OPERATION}", _give_body)
    events.register(f"before-parse.{OPERATION}", _read_answer)
    return dynamodb


def _take_body(params: dict[str, Any], context: dict[str, Any], **_: object) -> dict[str, Any]:
    """Keep the request's JSON for later, and leave boto3 an empty one to serialize."""
    context[BODY] = json.dumps(params).encode()
    return {"Statements": []}


def _give_body(params: dict[str, Any], context: dict[str, Any], **_: object) -> None:
    params["body"] = context[BODY]


def _read_answer(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object
) -> None:
    """Read an answer's responses, and leave boto3 the rest; errors of a whole batch are its own."""
    if response_dict["status_code"] == OK:
        answer = json.loads(response_dict["body"])
        customized_response_dict["Responses"] = answer["Responses"]
        response_dict["body"] = b"{}"
