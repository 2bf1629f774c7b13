"""Signatures over manifests, verified by KMS without botocore, as the scorer does it."""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Final

from credit_core.adapters.aws_calls import CALL_ERRORS, JsonApi, RefusedError
from credit_core.errors import ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

ALGORITHM: Final = "ECDSA_SHA_256"
"""On curve P-256. Source: NIST FIPS 186-5."""

INVALID_SIGNATURE = "KMSInvalidSignatureException"


def digest_of(manifest: bytes) -> bytes:
    """Return what is signed of a manifest: its SHA-256. It has the model's own."""
    return hashlib.sha256(manifest).digest()


def kms_verifier(key: str) -> Callable[[bytes, bytes], bool]:
    """Return what tells whether a signature of a manifest's bytes was made under a key.

    It raises ModelUnavailableError where KMS does not say.

    Args:
        key: ARN of the signing key.

    Raises:
        ConfigurationError: The environment names no region.
    """
    kms = JsonApi("kms", target="TrentService", version="1.1")

    def is_signed(manifest: bytes, signature: bytes) -> bool:
        request = {
            "KeyId": key,
            "Message": digest_of(manifest),
            "MessageType": "DIGEST",
            "Signature": signature,
            "SigningAlgorithm": ALGORITHM,
        }
        try:
            # Without a deadline, as objects are read: see model_artifacts.objects_in.
            answer = kms.call("Verify", request, deadline=math.inf)
        except CALL_ERRORS as error:
            if isinstance(error, RefusedError) and error.code == INVALID_SIGNATURE:
                return False
            raise ModelUnavailableError(f"KMS did not verify a signature: {error}") from None
        return answer.get("SignatureValid") is True

    return is_signed
