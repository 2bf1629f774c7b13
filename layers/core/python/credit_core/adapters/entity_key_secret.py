"""The HMAC key under which entities are hashed, from Secrets Manager."""

from __future__ import annotations

import time
from functools import cache

from credit_core.adapters.aws_calls import CALL_ERRORS, JsonApi
from credit_core.errors import ConfigurationError

DEADLINE_SECONDS = 10
"""It is read at start-up, where nobody waits but Lambda's own limit of 10 s."""


@cache
def entity_key_secret(name: str) -> bytes:
    """Return the HMAC key under which entities are hashed, read once per process.

    Args:
        name: Name or ARN of the secret; its value is text of at least 32 characters.

    Raises:
        ConfigurationError: The secret cannot be read or is too short to be a key.
    """
    secrets = JsonApi("secretsmanager", target="secretsmanager", version="1.1")
    try:
        answer = secrets.call(
            "GetSecretValue", {"SecretId": name}, deadline=time.monotonic() + DEADLINE_SECONDS
        )
    except CALL_ERRORS as error:
        message = f"the entity key secret cannot be read: {error}"
        raise ConfigurationError(message) from None
    value = str(answer.get("SecretString", ""))
    if len(value) < 32:  # noqa: PLR2004 (256 bits when hexadecimal; less is no key)
        message = f"the entity key secret has {len(value)} characters; it needs at least 32"
        raise ConfigurationError(message)
    return value.encode()
