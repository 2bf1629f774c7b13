"""A registered model's own bytes, for whoever measures another one against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from credit_core.domain.model_manifest import (
    ModelManifest,
    manifest_key,
    model_key,
    verify_sha256,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class Versions(Protocol):
    """What tells the hash of a version's manifest."""

    def manifest_sha256(self, version: str) -> str:
        """Return the SHA-256 of the manifest that was registered under a version."""


def read_registered(
    product: str, version: str, *, versions: Versions, read: Callable[[str], bytes]
) -> tuple[ModelManifest, bytes]:
    """Return the manifest and the ONNX file of a version, as they were registered.

    Args:
        product: Name of the product.
        version: A registered version.
        versions: The registry, which knows the manifest's hash.
        read: Returns an object of the models bucket.

    Raises:
        ModelUnavailableError: It is not registered, or cannot be read.
        ArtifactIntegrityError: It is not what was registered.
    """
    key = manifest_key(product, version)
    body = read(key)
    verify_sha256(key, body, versions.manifest_sha256(version))
    manifest = ModelManifest.from_json(body)
    key = model_key(product, version)
    onnx = read(key)
    verify_sha256(key, onnx, manifest.onnx_sha256)
    return manifest, onnx
