"""A registry on moto's S3, DynamoDB and KMS, and real ONNX models to register in it."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
from moto import mock_aws

from credit_core.adapters.dynamodb_items import to_dynamodb
from credit_core.adapters.model_artifacts import ModelArtifacts
from credit_core.adapters.model_registry import S3DynamoModelRegistry, objects_in
from credit_core.adapters.signing import KmsSigner
from credit_core.domain.online_store import timestamp_text
from tests.builders import NOW, PRODUCT, a_manifest
from tests.builders_aws import create_signing_key, create_table
from tests.builders_onnx import a_linear_onnx

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    import pytest
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client

    from credit_core.domain.model_manifest import ModelManifest, ModelReference

ONNX = a_linear_onnx(annual_income=-1e-5)
REPORT = b"<!doctype html><title>A model</title>"


@dataclass
class Cloud:
    """The buckets, the table and the key, and a registry on them."""

    s3: S3Client
    dynamodb: DynamoDBClient
    kms: KMSClient
    signing_key: str
    registry: S3DynamoModelRegistry

    def item(self, record: str) -> dict[str, Any]:
        """Return an item of the registry."""
        product = PRODUCT.name if record.startswith("model#") else f"{PRODUCT.name}#rollout"
        key = {"product": {"S": product}, "record": {"S": record}}
        item = self.dynamodb.get_item(TableName="registry", Key=key)["Item"]
        return {name: next(iter(value.values())) for name, value in item.items()}

    def objects(self) -> dict[str, bytes]:
        """Return the objects of the models bucket by key."""
        listed = self.s3.list_objects_v2(Bucket="models").get("Contents", [])
        return {
            item["Key"]: self.s3.get_object(Bucket="models", Key=item["Key"])["Body"].read()
            for item in listed
        }

    def state(self, version: str) -> str:
        """Return the state of a model."""
        return self.registry.find(version).state.value


@contextmanager
def moto_cloud(
    monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str] | None = None
) -> Iterator[Cloud]:
    """Give a cloud with an empty registry, on moto, and a function's environment that names it."""
    credentials = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    region = {"AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in (credentials | region | dict(environment or {})).items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        cloud = a_cloud()
        monkeypatch.setenv("CREDIT_SIGNING_KEY", cloud.signing_key)
        yield cloud


def a_model_item(
    sha256: str, *, version: str = "v1", moved_at: datetime = NOW
) -> dict[str, AttributeValueTypeDef]:
    """Return the registry's item of a champion whose manifest has that SHA-256."""
    return to_dynamodb(
        {
            "product": PRODUCT.name,
            "record": f"model#{version}",
            "manifest_sha256": sha256,
            "report_sha256": "0" * 64,
            "state": "champion",
            "created_at": timestamp_text(NOW),
            "moved_at": timestamp_text(moved_at),
            "moved_by": "test",
        }
    )


def a_cloud() -> Cloud:
    """Return a cloud with an empty registry; moto must be on."""
    s3: S3Client = boto3.client("s3")
    dynamodb: DynamoDBClient = boto3.client("dynamodb")
    kms: KMSClient = boto3.client("kms")
    for bucket in ("models", "results"):
        s3.create_bucket(Bucket=bucket)
    create_table(dynamodb, "registry")
    key = create_signing_key(kms)
    signer = KmsSigner(kms, key)
    registry = S3DynamoModelRegistry(
        PRODUCT.name,
        s3=s3,
        bucket="models",
        dynamodb=dynamodb,
        table="registry",
        artifacts=ModelArtifacts(objects_in(s3, "models"), PRODUCT, is_signed=signer.is_signed),
        signer=signer,
    )
    return Cloud(s3, dynamodb, kms, key, registry)


def the_manifest(version: str = "v1", *, onnx: bytes = ONNX, **changes: Any) -> ModelManifest:
    """Return a manifest of that model."""
    return a_manifest(
        version=version,
        onnx_sha256=hashlib.sha256(onnx).hexdigest(),
        onnx_bytes=len(onnx),
        **changes,
    )


def registered(cloud: Cloud, version: str = "v1", **changes: Any) -> ModelReference:
    """Register a model and return the reference to it."""
    manifest = the_manifest(version, **changes)
    cloud.registry.register(manifest, ONNX, REPORT, registered_by="test")
    return cloud.registry.find(version).reference
