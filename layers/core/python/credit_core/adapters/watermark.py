"""The sweeps' watermark: an item in the registry that only moves forward."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.domain.places import watermark_partition
from credit_core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef


class DynamoWatermark:
    """Remembers up to which moment the lake of a product has been materialized.

    It lies beside the rollout pointer, but under a partition key of its own: who may move the one
    can be kept from the other.
    """

    def __init__(self, dynamodb: DynamoDBClient, table: str, *, product: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._key: dict[str, AttributeValueTypeDef] = {
            "product": {"S": watermark_partition(product)},
            "record": {"S": "watermark"},
        }

    def read(self) -> datetime | None:
        """Return the moment, or None before the first successful sweep.

        Raises:
            StoreUnavailableError: The registry did not answer.
        """
        try:
            found = self._dynamodb.get_item(
                TableName=self._table, Key=self._key, ConsistentRead=True
            )
        except AWS_ERRORS as error:
            message = f"the watermark cannot be read: {error_code(error)}"
            raise StoreUnavailableError(message) from None
        item = found.get("Item")
        return datetime.fromisoformat(item["moved_to"]["S"]) if item else None

    def move(self, to: datetime) -> bool:
        """Move it forward; return False when it is there or further already.

        Raises:
            StoreUnavailableError: It is not known to be moved; moving it again is safe.
        """
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=self._key,
                UpdateExpression="SET moved_to = :to",
                ConditionExpression="attribute_not_exists(moved_to) OR moved_to < :to",
                ExpressionAttributeValues={":to": {"S": moment_text(to)}},
            )
        except AWS_ERRORS as error:
            if isinstance(error, ClientError) and (
                error_code(error) == "ConditionalCheckFailedException"
            ):
                return False
            message = f"the watermark cannot be moved: {error_code(error)}"
            raise StoreUnavailableError(message) from None
        return True


def moment_text(moment: datetime) -> str:
    """Return a moment as text that sorts as time does.

    >>> moment_text(datetime(2026, 11, 22, 8, 30, tzinfo=UTC))
    '2026-11-22T08:30:00.000000+00:00'
    """
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
