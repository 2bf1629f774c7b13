"""Fetches a registered model from S3 and verifies it before it is loaded, from bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credit_core.adapters.clients import AWS_ERRORS
from credit_core.adapters.onnx_model import OnnxModel
from credit_core.domain.model_manifest import (
    ModelManifest,
    manifest_key,
    model_key,
    verify_sha256,
)
from credit_core.errors import ModelUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from credit_core.domain.model_manifest import RolloutPointer
    from credit_core.domain.product import CreditProduct


class ModelArtifacts:
    """The models bucket, seen by the scorer."""

    def __init__(self, s3: S3Client, bucket: str, product: CreditProduct) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._product = product

    def load(self, pointer: RolloutPointer) -> OnnxModel:
        """Return the model a pointer names, ready to run.

        The pointer carries the manifest's hash and the manifest the model's, so nothing that was
        changed after its promotion can be served.

        Raises:
            ArtifactIntegrityError: Manifest or model are not the bytes that were registered.
            ModelUnavailableError: They cannot be fetched, or the model is not for this product.
        """
        key = manifest_key(self._product.name, pointer.champion)
        body = self._fetch(key)
        verify_sha256(key, body, pointer.manifest_sha256)
        manifest = ModelManifest.from_json(body)
        manifest.check_serves(self._product)
        key = model_key(self._product.name, pointer.champion)
        body = self._fetch(key)
        verify_sha256(key, body, manifest.onnx_sha256)
        return OnnxModel.from_bytes(body, manifest)

    def _fetch(self, key: str) -> bytes:
        try:
            return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except AWS_ERRORS as error:
            raise ModelUnavailableError(f"{key} cannot be read: {type(error).__name__}") from None
