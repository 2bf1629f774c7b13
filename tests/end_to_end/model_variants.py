"""The registry of the local cloud, models beside its champion, and moves of its pointer."""

from __future__ import annotations

import hashlib
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import onnx

from credit_cli.champion import find_champion
from credit_core.adapters.model_registry import S3DynamoModelRegistry
from credit_core.adapters.signing import KmsSigner
from credit_core.domain.model_manifest import RolloutPointer, model_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from credit_core.domain.model_manifest import Challenger, ModelReference


def registry_of(aws: LocalAws, deployment: Deployment, product: str) -> S3DynamoModelRegistry:
    """Return the deployment's registry, which can sign."""
    return S3DynamoModelRegistry(
        product,
        s3=aws.client("s3"),
        bucket=deployment["ModelsBucket"],
        dynamodb=aws.client("dynamodb"),
        table=deployment["RegistryTable"],
        signer=KmsSigner(aws.client("kms"), deployment["SigningKey"]),
    )


def register_variant(
    aws: LocalAws, deployment: Deployment, registry: S3DynamoModelRegistry, product: str
) -> ModelReference:
    """Register the champion with other bytes and another reference applicant: other reasons."""
    champion = find_champion(aws, deployment, product)
    assert champion is not None
    manifest = champion.manifest
    s3: S3Client = aws.client("s3")
    key = model_key(product, manifest.version)
    body = s3.get_object(Bucket=deployment["ModelsBucket"], Key=key)["Body"].read()
    model = onnx.load_from_string(body)
    version = f"end-to-end-{uuid.uuid4().hex}"
    onnx.helper.set_model_props(model, {"made_for": version})
    changed: bytes = model.SerializeToString()
    reference = tuple(
        value if value is None or name in manifest.categories else value + 1.0
        for name, value in zip(manifest.inputs, manifest.reference, strict=True)
    )
    update = {
        "version": version,
        "onnx_sha256": hashlib.sha256(changed).hexdigest(),
        "onnx_bytes": len(changed),
        "reference": reference,
    }
    report = b"<!doctype html><title>For a test</title>"
    registry.register(manifest.model_copy(update=update), changed, report, registered_by="test")
    return registry.find(version).reference


def move(
    registry: S3DynamoModelRegistry,
    champion: ModelReference,
    *,
    challenger: Challenger | None = None,
) -> RolloutPointer:
    """Move the pointer; return where it stood."""
    current = registry.champion()
    registry.move(
        RolloutPointer(
            product=current.product,
            champion=champion,
            challenger=challenger,
            previous_champion=current.champion
            if champion != current.champion
            else current.previous_champion,
            revision=current.revision + 1,
            moved_at=datetime.now(UTC),
            moved_by="end-to-end",
        )
    )
    return current
