"""Fetches a registered model and verifies it before it is loaded, from bytes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from credit_core.adapters.aws_calls import CALL_ERRORS
from credit_core.adapters.onnx_model import OnnxModel
from credit_core.domain.model_manifest import (
    ModelManifest,
    manifest_key,
    model_key,
    signature_key,
    verify_sha256,
)
from credit_core.errors import (
    GoldenVectorError,
    ModelUnavailableError,
    SignatureInvalidError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from credit_core.adapters.aws_calls import Bucket
    from credit_core.domain.model_manifest import ModelReference
    from credit_core.domain.product import CreditProduct

GOLDEN_LOG_ODDS = 1e-4
"""How far an answer may lie from the registered one: another processor adds in another order."""


class ModelArtifacts:
    """The models of one product, each with its signature.

    Args:
        read: Returns the object under a key of the models bucket, or raises ModelUnavailableError.
        product: What the models are for.
        is_signed: Tells whether a signature of a manifest's bytes is this service's.
    """

    def __init__(
        self,
        read: Callable[[str], bytes],
        product: CreditProduct,
        *,
        is_signed: Callable[[bytes, bytes], bool],
    ) -> None:
        self._read = read
        self._product = product
        self._is_signed = is_signed

    def load(self, model: ModelReference) -> OnnxModel:
        """Return a registered model, ready to run.

        Raises:
            ArtifactIntegrityError: Manifest or model are not the bytes that were registered.
            SignatureInvalidError: The manifest is not signed by this service.
            GoldenVectorError: The model answers otherwise than when it was registered.
            ModelUnavailableError: They cannot be fetched, or the model is not for this product.
        """
        return verified_model(
            self._read,
            self._product.name,
            version=model.version,
            manifest_sha256=model.manifest_sha256,
            is_signed=self._is_signed,
            check=lambda manifest: manifest.check_serves(self._product),
        )

    def check(self, model: ModelReference) -> None:
        """Check that what lies in the bucket is still what was registered; nothing is loaded.

        Raises:
            ArtifactIntegrityError: Manifest or model are not the bytes that were registered.
            ModelUnavailableError: They cannot be fetched.
        """
        manifest = verified_manifest(
            self._read,
            self._product.name,
            version=model.version,
            manifest_sha256=model.manifest_sha256,
        )
        verified_onnx(self._read, manifest)


def verified_model(
    read: Callable[[str], bytes],
    product: str,
    *,
    version: str,
    manifest_sha256: str,
    is_signed: Callable[[bytes, bytes], bool] | None = None,
    check: Callable[[ModelManifest], None] = lambda _: None,
) -> OnnxModel:
    """Return a registered model, ready to run.

    The manifest is known by its hash and has the model's, so nothing that was changed after its
    registration can be loaded. Whoever can write the registry could name another hash: what
    decides is therefore signed as well.

    Args:
        read: Returns the object under a key of the models bucket.
        product: Name of the product.
        version: The model's version.
        manifest_sha256: The SHA-256 under which its manifest was registered.
        is_signed: Tells whether a signature of a manifest's bytes is this service's; None where
            the hash itself is beyond doubt, as in a receipt.
        check: Raises ModelUnavailableError for a manifest whose model is not to be fetched.

    Raises:
        ArtifactIntegrityError: Manifest or model are not the bytes that were registered.
        SignatureInvalidError: The manifest is not signed by this service.
        GoldenVectorError: The model answers otherwise than when it was registered.
        ModelUnavailableError: They cannot be fetched, or the model does not run.
    """
    manifest = verified_manifest(
        read, product, version=version, manifest_sha256=manifest_sha256, is_signed=is_signed
    )
    check(manifest)
    body = verified_onnx(read, manifest)
    model = OnnxModel.from_bytes(body, manifest, manifest_sha256=manifest_sha256)
    check_golden_vectors(model)
    return model


def verified_manifest(
    read: Callable[[str], bytes],
    product: str,
    *,
    version: str,
    manifest_sha256: str,
    is_signed: Callable[[bytes, bytes], bool] | None = None,
) -> ModelManifest:
    """Return the manifest of a registered model; the arguments are those of ``verified_model``.

    Raises:
        ArtifactIntegrityError: It is not the bytes that were registered.
        SignatureInvalidError: It is not signed by this service.
        ModelUnavailableError: It cannot be fetched, or is of another model.
    """
    key = manifest_key(product, version)
    body = read(key)
    verify_sha256(key, body, manifest_sha256)
    if is_signed is not None and not is_signed(body, read(signature_key(product, version))):
        raise SignatureInvalidError(key)
    manifest = ModelManifest.from_json(body)
    if (manifest.product, manifest.version) != (product, version):
        raise ModelUnavailableError(
            f"{key} is the manifest of {manifest.product}'s model {manifest.version}"
        )
    return manifest


def verified_onnx(read: Callable[[str], bytes], manifest: ModelManifest) -> bytes:
    """Return the ONNX file that a manifest was registered with.

    Raises:
        ArtifactIntegrityError: It is not the bytes that were registered.
        ModelUnavailableError: It cannot be fetched.
    """
    key = model_key(manifest.product, manifest.version)
    body = read(key)
    verify_sha256(key, body, manifest.onnx_sha256)
    return body


def check_golden_vectors(model: OnnxModel) -> None:
    """Check that a model answers here what it answered where it was registered.

    Raises:
        GoldenVectorError: It does not.
        ModelUnavailableError: The vectors are not of the model's inputs.
    """
    golden, inputs = model.manifest.golden, len(model.manifest.inputs)
    if not golden:
        return
    if any(len(vector.model_input) != inputs for vector in golden):
        raise ModelUnavailableError(
            f"the golden vectors of model {model.manifest.version} have other inputs than it has"
        )
    # None becomes NaN, which the model knows as unknown.
    matrix = np.array([vector.model_input for vector in golden], dtype=np.float32)
    registered = np.array([vector.log_odds for vector in golden])
    difference = np.abs(model.log_odds(matrix) - registered)
    differing = int(np.count_nonzero(~(difference <= GOLDEN_LOG_ODDS)))
    if differing:
        raise GoldenVectorError(
            model.manifest.version,
            differing=differing,
            of=len(golden),
            largest=float(np.max(difference)),
        )


def objects_in(bucket: Bucket) -> Callable[[str], bytes]:
    """Return how the scorer reads objects.

    No deadline is set: while no request runs, Lambda stops a function's threads, and a deadline
    might count that time. Each wait for the next bytes has its limit.
    """

    def read(key: str) -> bytes:
        try:
            return bucket.read(key, deadline=math.inf)
        except CALL_ERRORS as error:
            raise ModelUnavailableError(f"{key} cannot be read: {error}") from None

    return read
