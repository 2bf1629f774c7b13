"""The champion's manifest: found by the rollout pointer, verified, read from S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.domain.model_manifest import (
    ROLLOUT_RECORD,
    ModelManifest,
    RolloutPointer,
    manifest_key,
    verify_sha256,
)
from credit_core.errors import ModelUnavailableError, StoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client


class ChampionManifest:
    """Registry table and models bucket of one product, seen by whoever describes its champion."""

    def __init__(
        self, product: str, *, dynamodb: DynamoDBClient, table: str, s3: S3Client, bucket: str
    ) -> None:
        self._product = product
        self._dynamodb = dynamodb
        self._table = table
        self._s3 = s3
        self._bucket = bucket

    def read(self) -> tuple[RolloutPointer, ModelManifest]:
        """Return the rollout pointer and the manifest of the champion that it names.

        Raises:
            ArtifactIntegrityError: The manifest is not the one that was promoted.
            ModelUnavailableError: There is no champion, or pointer or manifest cannot be read.
            StoreUnavailableError: Registry or bucket did not answer.
        """
        try:
            item = self._dynamodb.get_item(
                TableName=self._table,
                Key={"product": {"S": self._product}, "record": {"S": ROLLOUT_RECORD}},
                ConsistentRead=True,
            ).get("Item")
            if item is None:
                raise ModelUnavailableError("no champion has been promoted yet")
            pointer = RolloutPointer.model_validate_json(item["pointer"]["S"])
            key = manifest_key(self._product, pointer.champion)
            body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except (KeyError, ValidationError):
            raise ModelUnavailableError("the rollout pointer cannot be read") from None
        except AWS_ERRORS as error:
            raise StoreUnavailableError(
                f"the registry did not answer: {error_code(error)}"
            ) from None
        verify_sha256(key, body, pointer.manifest_sha256)
        return pointer, ModelManifest.from_json(body)
