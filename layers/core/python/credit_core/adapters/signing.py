"""Signatures over manifests, made by KMS; the private key never leaves it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.adapters.verifying import ALGORITHM, INVALID_SIGNATURE, digest_of
from credit_core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient


class KmsSigner:
    """Signs manifests, and tells whether a signature is one of its key.

    Args:
        kms: Client for KMS.
        key: ARN of the signing key.
    """

    def __init__(self, kms: KMSClient, key: str) -> None:
        self._kms = kms
        self._key = key

    def sign(self, manifest: bytes) -> bytes:
        """Return a signature of a manifest's bytes, in DER; no two are equal.

        Raises:
            StoreUnavailableError: KMS did not sign.
        """
        try:
            answer = self._kms.sign(
                KeyId=self._key,
                Message=digest_of(manifest),
                MessageType="DIGEST",
                SigningAlgorithm=ALGORITHM,
            )
        except AWS_ERRORS as error:
            raise StoreUnavailableError(f"KMS did not sign: {error_code(error)}") from None
        return answer["Signature"]

    def is_signed(self, manifest: bytes, signature: bytes) -> bool:
        """Return whether it is a signature of these bytes under the key.

        Raises:
            StoreUnavailableError: KMS did not verify it.
        """
        try:
            answer = self._kms.verify(
                KeyId=self._key,
                Message=digest_of(manifest),
                MessageType="DIGEST",
                Signature=signature,
                SigningAlgorithm=ALGORITHM,
            )
        except AWS_ERRORS as error:
            if error_code(error) == INVALID_SIGNATURE:
                return False
            raise StoreUnavailableError(
                f"KMS did not verify a signature: {error_code(error)}"
            ) from None
        return answer["SignatureValid"]
