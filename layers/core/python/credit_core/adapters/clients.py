"""boto3 clients for everything that no applicant waits for; botocore's defaults never apply."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

type AwsError = BotoCoreError | ClientError
AWS_ERRORS = (BotoCoreError, ClientError)
"""What any call through a boto3 client may raise."""

NO_OBJECT = frozenset({"404", "NoSuchKey"})
"""S3's words for an object that is not there, said to whoever may list the bucket."""


def pipeline_config(*, connections: int = 10) -> Config:
    """Return the configuration for pipelines: patient, and retried with jitter."""
    return Config(
        connect_timeout=5,
        read_timeout=60,
        retries={"mode": "standard", "max_attempts": 6},
        max_pool_connections=connections,
    )


def answering_config() -> Config:
    """Return the configuration for functions whose caller waits: three tries within 10 seconds."""
    return Config(
        connect_timeout=1,
        read_timeout=3,
        retries={"mode": "standard", "total_max_attempts": 3},
    )


def client(service: str, config: Config) -> Any:
    """Return a boto3 client; endpoint, region and credentials come from the environment."""
    return boto3.client(service, config=config)  # type: ignore[call-overload]


def error_code(error: AwsError) -> str:
    """Return the service's code for an error, or the error's type if no answer came."""
    if isinstance(error, ClientError):
        return error.response["Error"]["Code"]
    return type(error).__name__
