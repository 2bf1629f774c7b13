"""AWS clients with deadlines of their own; botocore's defaults (60 s, many retries) never apply."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from credit_core.errors import ConfigurationError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

type AwsError = BotoCoreError | ClientError
AWS_ERRORS = (BotoCoreError, ClientError)
"""What any call through a boto3 client may raise."""

PASSING_CODES = frozenset(
    {
        "InternalServerError",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "TransactionConflictException",
    }
)
"""DynamoDB's errors that another try may not meet; all but the first come with status 400.

Source: Amazon DynamoDB Developer Guide, "Error handling with DynamoDB".
"""


def pipeline_config(*, connections: int = 10) -> Config:
    """Return the configuration for pipelines: patient, and retried with jitter."""
    return Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "max_attempts": 6},
        max_pool_connections=connections,
    )


def request_path_config(*, deadline_ms: int) -> Config:
    """Return the configuration for the scorer: short timeouts and no retries of botocore's own."""
    seconds = deadline_ms / 1_000
    return Config(
        connect_timeout=seconds,
        read_timeout=seconds,
        retries={"mode": "standard", "total_max_attempts": 1},
        tcp_keepalive=True,
        parameter_validation=False,
    )


def client(service: str, config: Config) -> Any:
    """Return a boto3 client; endpoint, region and credentials come from the environment."""
    return boto3.client(service, config=config)  # type: ignore[call-overload]


def error_code(error: AwsError) -> str:
    """Return the service's code for an error, or the error's type if no answer came."""
    if isinstance(error, ClientError):
        return error.response["Error"]["Code"]
    return type(error).__name__


def may_pass(error: AwsError) -> bool:
    """Whether another try may succeed: no answer came, or the service was busy or broken.

    What it refuses for good (a missing table, a missing permission) it refuses again.
    """
    if not isinstance(error, ClientError):
        return True
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR or error_code(error) in PASSING_CODES


@cache
def entity_key_secret(name: str) -> bytes:
    """Return the HMAC key under which entities are hashed, read once per process.

    Args:
        name: Name or ARN of the secret; its value is text of at least 32 characters.

    Raises:
        ConfigurationError: The secret cannot be read or is too short to be a key.
    """
    secrets: SecretsManagerClient = client("secretsmanager", pipeline_config())
    try:
        value = secrets.get_secret_value(SecretId=name)["SecretString"]
    except AWS_ERRORS as error:
        message = f"the entity key secret cannot be read: {type(error).__name__}"
        raise ConfigurationError(message) from None
    if len(value) < 32:  # noqa: PLR2004 (256 bits when hexadecimal; less is no key)
        message = f"the entity key secret has {len(value)} characters; it needs at least 32"
        raise ConfigurationError(message)
    return value.encode()
