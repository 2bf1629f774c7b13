"""Models in S3 and DynamoDB: immutable artifacts, one item per version, one item that points.

An artifact is written on the condition that nothing lies under its key. The registry item comes
last, so that a version that can be found is complete; a crash before it is healed by a retry. Each
move of the pointer leaves an item of its own.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.adapters.dynamodb_items import from_dynamodb
from credit_core.domain.model_manifest import (
    ROLLOUT_RECORD,
    ModelReference,
    RolloutPointer,
    manifest_key,
    model_key,
    report_key,
    signature_key,
    verify_sha256,
)
from credit_core.domain.online_store import timestamp_text
from credit_core.domain.places import approvals_partition, rollout_partition
from credit_core.errors import (
    ArtifactIntegrityError,
    ModelUnavailableError,
    RolloutConflictError,
    SignatureInvalidError,
    StoreUnavailableError,
)
from credit_core.ports import Approval, ModelState, PointerMove, RegisteredModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        AttributeValueTypeDef,
        ConditionCheckTypeDef,
        PutTypeDef,
        TransactWriteItemTypeDef,
        UpdateTypeDef,
    )
    from mypy_boto3_s3 import S3Client

    from credit_core.adapters.clients import AwsError
    from credit_core.adapters.model_artifacts import ModelArtifacts
    from credit_core.adapters.signing import KmsSigner
    from credit_core.domain.model_manifest import ModelManifest
    from credit_core.ports import LoadedModel

ALREADY_THERE = {"PreconditionFailed", "ConditionalRequestConflict"}
"""S3's answers to a conditional put: an object lies there, or another put is just writing it."""

CONFLICTS = {"ConditionalCheckFailed", "TransactionConflict"}
"""Why DynamoDB cancels a transaction that lost a race."""

MODEL, MOVE, APPROVAL = "model#", "move#", "approval#"
"""What the sort keys of the registry's items begin with, beside the one pointer."""


class S3DynamoModelRegistry:
    """The registry of one product.

    Args:
        product: Name of the product.
        s3: Client for the models bucket; without, nothing is registered.
        bucket: The models bucket.
        dynamodb: Client for the registry table.
        table: The registry table.
        artifacts: Loads models as the scorer does.
        signer: Signs what is registered.
    """

    def __init__(
        self,
        product: str,
        *,
        dynamodb: DynamoDBClient,
        table: str,
        s3: S3Client | None = None,
        bucket: str = "",
        artifacts: ModelArtifacts | None = None,
        signer: KmsSigner | None = None,
    ) -> None:
        self._product = product
        self._s3 = s3
        self._bucket = bucket
        self._dynamodb = dynamodb
        self._table = table
        self._artifacts = artifacts
        self._signer = signer

    def register(
        self,
        manifest: ModelManifest,
        onnx: bytes,
        report: bytes,
        *,
        registered_by: str,
        as_of: datetime | None = None,
    ) -> None:
        """Keep a model for good, signed. Registering the same bytes again changes nothing.

        Args:
            manifest: What was found out about the model.
            onnx: The model.
            report: What a person reads about it, HTML.
            registered_by: Who or what asks for it.
            as_of: Now, with time zone; None for the moment at which the training began.

        Raises:
            ArtifactIntegrityError: Other bytes are registered under this version.
            SignatureInvalidError: What lies there as its signature is none.
            StoreUnavailableError: It is not known to be registered; doing it again is safe.
        """
        version, body = manifest.version, manifest.to_json()
        key = model_key(self._product, version)
        verify_sha256(key, onnx, manifest.onnx_sha256)
        sha256 = hashlib.sha256(body).hexdigest()
        self._put_once(key, onnx)
        self._put_once(report_key(self._product, version), report)
        self._put_once(manifest_key(self._product, version), body)
        self._sign_once(version, body)
        state = ModelState.REGISTERED if manifest.gates_passed else ModelState.REJECTED
        created_at = timestamp_text(manifest.created_at)
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item={
                    **self._key(_record_of(version)),
                    "manifest_sha256": {"S": sha256},
                    "report_sha256": {"S": hashlib.sha256(report).hexdigest()},
                    "registered_as": {"S": state},
                    "state": {"S": state},
                    "created_at": {"S": created_at},
                    "moved_at": {"S": timestamp_text(as_of or manifest.created_at)},
                    "moved_by": {"S": registered_by},
                },
                ConditionExpression="attribute_not_exists(#record)",
                ExpressionAttributeNames={"#record": "record"},
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            known = self.find(version).reference.manifest_sha256
            if known != sha256:
                key = manifest_key(self._product, version)
                raise ArtifactIntegrityError(key, expected=known, actual=sha256) from None
        except AWS_ERRORS as error:
            raise _unavailable("the registry", error) from None

    def find(self, version: str) -> RegisteredModel:
        """Return what is registered under a version.

        Raises:
            ModelUnavailableError: There is no such version.
            StoreUnavailableError: The registry did not answer.
        """
        item = self._item(_record_of(version))
        if item is None:
            raise ModelUnavailableError(f"model {version} is not registered for {self._product}")
        return _registered(item)

    def models(self) -> Iterator[RegisteredModel]:
        """Yield the registered models, in the order of their versions.

        Raises:
            StoreUnavailableError: The registry did not answer.
        """
        return map(_registered, self._items(MODEL))

    def load(self, model: ModelReference) -> LoadedModel:
        """Return a registered model, verified, as the scorer would load it.

        Raises:
            ModelUnavailableError: It cannot be loaded, or is not for this product.
        """
        if self._artifacts is None:
            raise ModelUnavailableError("this registry only registers models")
        return self._artifacts.load(model)

    def pointer(self) -> RolloutPointer | None:
        """Return the rollout pointer, or None before the first promotion.

        Raises:
            StoreUnavailableError: The registry did not answer.
        """
        item = self._item(ROLLOUT_RECORD)
        return None if item is None else RolloutPointer.model_validate_json(item["pointer"])

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

    def moves(self) -> Iterator[PointerMove]:
        """Yield the moves of the pointer, the latest first.

        Raises:
            StoreUnavailableError: The registry did not answer.
        """
        for item in self._items(MOVE, newest_first=True):
            before = item.get("before")
            yield PointerMove(
                RolloutPointer.model_validate_json(before) if before else None,
                RolloutPointer.model_validate_json(item["pointer"]),
            )

    def move(self, pointer: RolloutPointer) -> None:
        """Replace the pointer of the revision before this one, and set the models' states.

        The move itself is kept as well, in the same transaction.

        Raises:
            RolloutConflictError: The pointer is not of the revision before this one any more, or a
                model that it names was retired.
            StoreUnavailableError: It is not known to be moved; doing it again is safe.
        """
        before = self.pointer()
        if (0 if before is None else before.revision) != pointer.revision - 1:
            raise _not_at(pointer.revision - 1)
        text = {"pointer": {"S": pointer.model_dump_json()}}
        put: PutTypeDef = {
            "TableName": self._table,
            "Item": {
                **self._key(ROLLOUT_RECORD),
                **text,
                "revision": {"N": str(pointer.revision)},
            },
            "ConditionExpression": "attribute_not_exists(revision)",
        }
        if before is not None:
            put["ConditionExpression"] = "revision = :before"
            put["ExpressionAttributeValues"] = {":before": {"N": str(before.revision)}}
            text["before"] = {"S": before.model_dump_json()}
        kept = {**self._key(f"{MOVE}{pointer.revision:08}"), **text}
        roles_before, roles = ({} if before is None else _roles(before)), _roles(pointer)
        changes = [
            self._state_change(version, roles.get(version), pointer)
            for version in {**roles_before, **roles}
            if roles_before.get(version) != roles.get(version)
        ]
        writes: list[TransactWriteItemTypeDef] = [
            {"Put": put},
            {"Put": {"TableName": self._table, "Item": kept}},
            *changes,
        ]
        self._write(
            writes,
            conflict=f"the rollout pointer is not at revision {pointer.revision - 1} any more, or "
            "one of its models was retired",
        )

    def retire(self, version: str, *, revision: int, moved_by: str, as_of: datetime) -> None:
        """Take a model out of use for good, if the pointer is still of that revision.

        Args:
            version: A model that the pointer does not name.
            revision: Of the pointer that was read; 0 where there is none.
            moved_by: Who or what asks for it.
            as_of: Now, with time zone.

        Raises:
            RolloutConflictError: The pointer was moved meanwhile.
            StoreUnavailableError: It is not known to be retired; doing it again is safe.
        """
        check: ConditionCheckTypeDef = {
            "TableName": self._table,
            "Key": self._key(ROLLOUT_RECORD),
            "ConditionExpression": "attribute_not_exists(revision)",
        }
        if revision:
            check["ConditionExpression"] = "revision = :known"
            check["ExpressionAttributeValues"] = {":known": {"N": str(revision)}}
        update: UpdateTypeDef = {
            "TableName": self._table,
            "Key": self._key(_record_of(version)),
            "UpdateExpression": "SET #state = :state, moved_at = :at, moved_by = :by",
            "ConditionExpression": "attribute_exists(#record)",
            "ExpressionAttributeNames": {"#state": "state", "#record": "record"},
            "ExpressionAttributeValues": {
                ":state": {"S": ModelState.RETIRED},
                ":at": {"S": timestamp_text(as_of)},
                ":by": {"S": moved_by},
            },
        }
        self._write(
            [{"ConditionCheck": check}, {"Update": update}],
            conflict=f"the rollout pointer is not at revision {revision} any more",
        )

    def keep_approval(self, approval: Approval) -> None:
        """Note that a rollout waits for a person, or what the person said.

        Raises:
            StoreUnavailableError: It is not known to be noted; doing it again is safe.
        """
        item: dict[str, AttributeValueTypeDef] = {
            **self._key(f"{APPROVAL}{approval.version}"),
            "task_token": {"S": approval.task_token},
            "asked_at": {"S": timestamp_text(approval.asked_at)},
            "asked_by": {"S": approval.asked_by},
        }
        if approval.approved is not None:
            item["approved"] = {"BOOL": approval.approved}
        if approval.decided_at is not None:
            item["decided_at"] = {"S": timestamp_text(approval.decided_at)}
        if approval.decided_by is not None:
            item["decided_by"] = {"S": approval.decided_by}
        try:
            self._dynamodb.put_item(TableName=self._table, Item=item)
        except AWS_ERRORS as error:
            raise _unavailable("the registry", error) from None

    def approval(self, version: str) -> Approval | None:
        """Return what is noted of a version's approval, None if nobody was asked.

        Raises:
            StoreUnavailableError: The registry did not answer.
        """
        item = self._item(f"{APPROVAL}{version}")
        if item is None:
            return None
        decided_at = item.get("decided_at")
        return Approval(
            version=version,
            task_token=item["task_token"],
            asked_at=datetime.fromisoformat(item["asked_at"]),
            asked_by=item["asked_by"],
            approved=item.get("approved"),
            decided_at=datetime.fromisoformat(decided_at) if decided_at else None,
            decided_by=item.get("decided_by"),
        )

    def _state_change(
        self, version: str, role: ModelState | None, pointer: RolloutPointer
    ) -> TransactWriteItemTypeDef:
        """Return the write for a model's new role, or for the end of its old one."""
        update: UpdateTypeDef = {
            "TableName": self._table,
            "Key": self._key(_record_of(version)),
            # Without a role it is again what it was registered as.
            "UpdateExpression": "SET #state = registered_as, moved_at = :at, moved_by = :by",
            "ConditionExpression": "attribute_exists(#record)",
            "ExpressionAttributeNames": {"#state": "state", "#record": "record"},
            "ExpressionAttributeValues": {
                ":at": {"S": timestamp_text(pointer.moved_at)},
                ":by": {"S": pointer.moved_by},
            },
        }
        if role is not None:
            update["UpdateExpression"] = "SET #state = :state, moved_at = :at, moved_by = :by"
            update["ConditionExpression"] = "attribute_exists(#record) AND #state <> :retired"
            update["ExpressionAttributeValues"] = {
                **update["ExpressionAttributeValues"],
                ":state": {"S": role},
                ":retired": {"S": ModelState.RETIRED},
            }
        return {"Update": update}

    def _write(self, writes: Sequence[TransactWriteItemTypeDef], *, conflict: str) -> None:
        """Make all writes or none."""
        try:
            self._dynamodb.transact_write_items(TransactItems=writes)
        except self._dynamodb.exceptions.TransactionCanceledException as error:
            reasons = {reason.get("Code") for reason in error.response["CancellationReasons"]}
            if reasons & CONFLICTS:
                raise RolloutConflictError(conflict) from None
            raise _unavailable("the registry", error) from None
        except AWS_ERRORS as error:
            raise _unavailable("the registry", error) from None

    def _key(self, record: str) -> dict[str, AttributeValueTypeDef]:
        return {"product": {"S": self._partition(record)}, "record": {"S": record}}

    def _partition(self, record: str) -> str:
        if record.startswith(MODEL):
            return self._product
        if record.startswith(APPROVAL):
            return approvals_partition(self._product)
        return rollout_partition(self._product)

    def _item(self, record: str) -> dict[str, Any] | None:
        try:
            answer = self._dynamodb.get_item(
                TableName=self._table, Key=self._key(record), ConsistentRead=True
            )
        except AWS_ERRORS as error:
            raise _unavailable("the registry", error) from None
        item = answer.get("Item")
        return None if item is None else from_dynamodb(item)

    def _items(self, prefix: str, *, newest_first: bool = False) -> Iterator[dict[str, Any]]:
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="product = :product AND begins_with(#record, :prefix)",
            ExpressionAttributeNames={"#record": "record"},
            ExpressionAttributeValues={
                ":product": {"S": self._partition(prefix)},
                ":prefix": {"S": prefix},
            },
            ConsistentRead=True,
            ScanIndexForward=not newest_first,
        )
        try:
            for page in pages:
                yield from map(from_dynamodb, page["Items"])
        except AWS_ERRORS as error:
            raise _unavailable("the registry", error) from None

    def _models(self) -> S3Client:
        if self._s3 is None:
            raise ModelUnavailableError("this registry keeps no models")
        return self._s3

    def _sign_once(self, version: str, manifest: bytes) -> None:
        """Keep a signature of the manifest; one that lies there stays if it is one."""
        if self._signer is None:
            raise ModelUnavailableError("this registry cannot sign; it registers nothing")
        key = signature_key(self._product, version)
        if not self._put_if_absent(key, self._signer.sign(manifest)) and not self._signer.is_signed(
            manifest, self._object(key)
        ):
            raise SignatureInvalidError(manifest_key(self._product, version))

    def _put_once(self, key: str, body: bytes) -> None:
        if not self._put_if_absent(key, body):
            verify_sha256(key, body, hashlib.sha256(self._object(key)).hexdigest())

    def _put_if_absent(self, key: str, body: bytes) -> bool:
        """Put an object where none lies; return whether it was."""
        try:
            self._models().put_object(Bucket=self._bucket, Key=key, Body=body, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] in ALREADY_THERE:
                return False
            raise _unavailable(f"s3 key {key}", error) from None
        except BotoCoreError as error:
            raise _unavailable(f"s3 key {key}", error) from None
        return True

    def _object(self, key: str) -> bytes:
        try:
            return self._models().get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except AWS_ERRORS as error:
            raise _unavailable(f"s3 key {key}", error) from None


def objects_in(s3: S3Client, bucket: str) -> Callable[[str], bytes]:
    """Return how pipelines read objects."""

    def read(key: str) -> bytes:
        try:
            return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except AWS_ERRORS as error:
            raise ModelUnavailableError(f"{key} cannot be read: {error_code(error)}") from None

    return read


def _record_of(version: str) -> str:
    return f"{MODEL}{version}"


def _registered(item: Mapping[str, Any]) -> RegisteredModel:
    return RegisteredModel(
        ModelReference(
            version=item["record"].removeprefix(MODEL), manifest_sha256=item["manifest_sha256"]
        ),
        state=ModelState(item["state"]),
        created_at=datetime.fromisoformat(item["created_at"]),
        report_sha256=item["report_sha256"],
        moved_at=datetime.fromisoformat(item["moved_at"]),
        moved_by=item["moved_by"],
    )


def _roles(pointer: RolloutPointer) -> dict[str, ModelState]:
    """Return the state of each model that a pointer lets score, by version."""
    roles = {pointer.champion.version: ModelState.CHAMPION}
    if pointer.challenger is not None:
        roles[pointer.challenger.model.version] = ModelState(pointer.challenger.mode)
    return roles


def _not_at(revision: int) -> RolloutConflictError:
    return RolloutConflictError(f"the rollout pointer is not at revision {revision} any more")


def _unavailable(what: str, error: AwsError) -> StoreUnavailableError:
    return StoreUnavailableError(f"{what} did not answer: {error_code(error)}")
