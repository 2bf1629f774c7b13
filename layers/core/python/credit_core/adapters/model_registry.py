"""Models in S3 and DynamoDB: immutable artifacts, one item per version, one item that points.

An artifact is written on the condition that nothing lies under its key. The registry item comes
last, so that a version that can be found is complete; a crash before it is healed by a retry.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.domain.model_manifest import (
    ROLLOUT_RECORD,
    RolloutPointer,
    manifest_key,
    model_key,
    verify_sha256,
)
from credit_core.domain.online_store import timestamp_text
from credit_core.errors import (
    ArtifactIntegrityError,
    ModelUnavailableError,
    RolloutConflictError,
    StoreUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import PutTypeDef, TransactWriteItemTypeDef
    from mypy_boto3_s3 import S3Client

    from credit_core.adapters.clients import AwsError
    from credit_core.adapters.model_artifacts import ModelArtifacts
    from credit_core.domain.model_manifest import ModelManifest
    from credit_core.ports import LoadedModel

ALREADY_THERE = {"PreconditionFailed", "ConditionalRequestConflict"}
"""S3's answers to a conditional put: an object lies there, or another put is just writing it."""

CONFLICTS = {"ConditionalCheckFailed", "TransactionConflict"}
"""Why DynamoDB cancels a transaction that lost a race."""


class S3DynamoModelRegistry:
    """The registry of one product.

    Args:
        product: Name of the product.
        s3: Client for the models bucket.
        bucket: The models bucket.
        dynamodb: Client for the registry table.
        table: The registry table.
        artifacts: Loads models as the scorer does.
    """

    def __init__(
        self,
        product: str,
        *,
        s3: S3Client,
        bucket: str,
        dynamodb: DynamoDBClient,
        table: str,
        artifacts: ModelArtifacts | None = None,
    ) -> None:
        self._product = product
        self._s3 = s3
        self._bucket = bucket
        self._dynamodb = dynamodb
        self._table = table
        self._artifacts = artifacts

    def register(self, manifest: ModelManifest, onnx: bytes) -> None:
        """Keep a model for good. Registering the same bytes again changes nothing.

        Raises:
            ArtifactIntegrityError: Other bytes are registered under this version.
            StoreUnavailableError: It is not known to be registered; doing it again is safe.
        """
        key = model_key(self._product, manifest.version)
        verify_sha256(key, onnx, manifest.onnx_sha256)
        body = manifest.to_json()
        sha256 = hashlib.sha256(body).hexdigest()
        self._put_once(key, onnx)
        key = manifest_key(self._product, manifest.version)
        self._put_once(key, body)
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item={
                    "product": {"S": self._product},
                    "record": {"S": _record_of(manifest.version)},
                    "manifest_sha256": {"S": sha256},
                    "state": {"S": "registered" if manifest.gates_passed else "rejected"},
                    "created_at": {"S": timestamp_text(manifest.created_at)},
                },
                ConditionExpression="attribute_not_exists(#record)",
                ExpressionAttributeNames={"#record": "record"},
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            registered = self.manifest_sha256(manifest.version)
            if registered != sha256:
                raise ArtifactIntegrityError(key, expected=registered, actual=sha256) from None
        except AWS_ERRORS as error:
            raise _unavailable("the registry", error) from None

    def manifest_sha256(self, version: str) -> str:
        """Return the SHA-256 of the manifest that was registered under a version.

        Raises:
            ModelUnavailableError: There is no such version.
            StoreUnavailableError: The registry did not answer.
        """
        text = self._attribute(_record_of(version), "manifest_sha256")
        if text is None:
            raise ModelUnavailableError(f"model {version} is not registered for {self._product}")
        return text

    def load(self, pointer: RolloutPointer) -> LoadedModel:
        """Return the model that a pointer names, verified, as the scorer would load it.

        Raises:
            ModelUnavailableError: It cannot be loaded, or is not for this product.
        """
        if self._artifacts is None:
            raise ModelUnavailableError("this registry only registers models")
        return self._artifacts.load(pointer)

    def pointer(self) -> RolloutPointer | None:
        """Return the rollout pointer, or None before the first promotion.

        Raises:
            StoreUnavailableError: The registry did not answer.
        """
        text = self._attribute(ROLLOUT_RECORD, "pointer")
        return None if text is None else RolloutPointer.model_validate_json(text)

    def champion(self) -> RolloutPointer:
        """Return the rollout pointer where there has to be one.

        Raises:
            ModelUnavailableError: No champion was promoted, or the pointer cannot be read.
            StoreUnavailableError: The registry did not answer.
        """
        try:
            pointer = self.pointer()
        except (KeyError, ValidationError):
            raise ModelUnavailableError("the rollout pointer cannot be read") from None
        if pointer is None:
            raise ModelUnavailableError("no champion has been promoted yet")
        return pointer

    def move(self, pointer: RolloutPointer) -> None:
        """Replace the pointer of the revision before this one, and set both models' states.

        Raises:
            RolloutConflictError: The pointer is not of the revision before this one any more.
            StoreUnavailableError: It is not known to be moved; doing it again is safe.
        """
        put: PutTypeDef = {
            "TableName": self._table,
            "Item": {
                "product": {"S": self._product},
                "record": {"S": ROLLOUT_RECORD},
                "pointer": {"S": pointer.model_dump_json()},
                "revision": {"N": str(pointer.revision)},
            },
            "ConditionExpression": "attribute_not_exists(revision)",
        }
        if pointer.revision > 1:
            put["ConditionExpression"] = "revision = :before"
            put["ExpressionAttributeValues"] = {":before": {"N": str(pointer.revision - 1)}}
        writes: list[TransactWriteItemTypeDef] = [
            {"Put": put},
            self._state_change(pointer.champion, "champion"),
        ]
        if pointer.previous_champion is not None:
            writes.append(self._state_change(pointer.previous_champion, "retired"))
        try:
            self._dynamodb.transact_write_items(TransactItems=writes)
        except self._dynamodb.exceptions.TransactionCanceledException as error:
            reasons = {reason.get("Code") for reason in error.response["CancellationReasons"]}
            if reasons & CONFLICTS:
                message = f"the rollout pointer is not at revision {pointer.revision - 1} any more"
                raise RolloutConflictError(message) from None
            raise _unavailable("the registry", error) from None
        except AWS_ERRORS as error:
            raise _unavailable("the registry", error) from None

    def _state_change(self, version: str, state: str) -> TransactWriteItemTypeDef:
        return {
            "Update": {
                "TableName": self._table,
                "Key": {"product": {"S": self._product}, "record": {"S": _record_of(version)}},
                "UpdateExpression": "SET #state = :state",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": {":state": {"S": state}},
            }
        }

    def _attribute(self, record: str, name: str) -> str | None:
        try:
            answer = self._dynamodb.get_item(
                TableName=self._table,
                Key={"product": {"S": self._product}, "record": {"S": record}},
                ConsistentRead=True,
            )
        except AWS_ERRORS as error:
            raise _unavailable("the registry", error) from None
        item = answer.get("Item")
        return item[name]["S"] if item is not None else None

    def _put_once(self, key: str, body: bytes) -> None:
        try:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] not in ALREADY_THERE:
                raise _unavailable(f"s3 key {key}", error) from None
            self._check_same(key, body)
        except BotoCoreError as error:
            raise _unavailable(f"s3 key {key}", error) from None

    def _check_same(self, key: str, body: bytes) -> None:
        try:
            existing = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except AWS_ERRORS as error:
            raise _unavailable(f"s3 key {key}", error) from None
        verify_sha256(key, body, hashlib.sha256(existing).hexdigest())


def objects_in(s3: S3Client, bucket: str) -> Callable[[str], bytes]:
    """Return how pipelines read objects."""

    def read(key: str) -> bytes:
        try:
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except AWS_ERRORS as error:
            raise ModelUnavailableError(f"{key} cannot be read: {error_code(error)}") from None

    return read


def _record_of(version: str) -> str:
    return f"model#{version}"


def _unavailable(what: str, error: AwsError) -> StoreUnavailableError:
    return StoreUnavailableError(f"{what} did not answer: {error_code(error)}")
