"""Fetches a registered model and verifies it before it is loaded, from bytes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from credit_core.adapters.aws_calls import CALL_ERRORS
from credit_core.adapters.onnx_model import OnnxModel
from credit_core.domain.model_manifest import (
    ModelManifest,
    manifest_key,
    model_key,
    verify_sha256,
)
from credit_core.errors import ModelUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from credit_core.adapters.aws_calls import Bucket
    from credit_core.domain.model_manifest import RolloutPointer
    from credit_core.domain.product import CreditProduct


class ModelArtifacts:
    """The models of one product.

    Args:
        read: Returns the object under a key of the models bucket, or raises ModelUnavailableError.
        product: What the models are for.
    """

    def __init__(self, read: Callable[[str], bytes], product: CreditProduct) -> None:
        self._read = read
        self._product = product

    def load(self, pointer: RolloutPointer) -> OnnxModel:
        """Return the model a pointer names, ready to run.

        Raises:
            ArtifactIntegrityError: Manifest or model are not the bytes that were registered.
            ModelUnavailableError: They cannot be fetched, or the model is not for this product.
        """
        return verified_model(
            self._read,
            self._product.name,
            version=pointer.champion,
            manifest_sha256=pointer.manifest_sha256,
            check=lambda manifest: manifest.check_serves(self._product),
        )


def verified_model(
    read: Callable[[str], bytes],
    product: str,
    *,
    version: str,
    manifest_sha256: str,
    check: Callable[[ModelManifest], None] = lambda _: None,
) -> OnnxModel:
    """Return a registered model, ready to run.

    The manifest is known by its hash and has the model's, so nothing that was changed after its
    registration can be loaded.

    Args:
        read: Returns the object under a key of the models bucket.
        product: Name of the product.
        version: The model's version.
        manifest_sha256: The SHA-256 under which its manifest was registered.
        check: Raises ModelUnavailableError for a manifest whose model is not to be fetched.

    Raises:
        ArtifactIntegrityError: Manifest or model are not the bytes that were registered.
        ModelUnavailableError: They cannot be fetched, or the model does not run.
    """
    manifest = verified_manifest(read, product, version=version, manifest_sha256=manifest_sha256)
    check(manifest)
    key = model_key(product, version)
    body = read(key)
    verify_sha256(key, body, manifest.onnx_sha256)
    return OnnxModel.from_bytes(body, manifest, manifest_sha256=manifest_sha256)


def verified_manifest(
    read: Callable[[str], bytes], product: str, *, version: str, manifest_sha256: str
) -> ModelManifest:
    """Return the manifest of a registered model.

    Raises:
        ArtifactIntegrityError: It is not the bytes that were registered.
        ModelUnavailableError: It cannot be fetched, or is of another model.
    """
    key = manifest_key(product, version)
    body = read(key)
    verify_sha256(key, body, manifest_sha256)
    manifest = ModelManifest.from_json(body)
    if (manifest.product, manifest.version) != (product, version):
        raise ModelUnavailableError(
            f"{key} is the manifest of {manifest.product}'s model {manifest.version}"
        )
    return manifest


def objects_in(bucket: Bucket) -> Callable[[str], bytes]:
    """Return how the scorer reads objects.

    No deadline is set: where a request is not running, Lambda stops a function's threads, and
    their clocks go on. Each wait for the next bytes has its limit.
    """

    def read(key: str) -> bytes:
        try:
            return bucket.read(key, deadline=math.inf)
        except CALL_ERRORS as error:
            raise ModelUnavailableError(f"{key} cannot be read: {error}") from None

    return read
