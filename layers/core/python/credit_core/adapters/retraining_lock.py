"""The lock that keeps retrainings of a product one at a time: an item that names its holder.

The state machine takes it when it starts, and gives it back when it ends well. A run that failed
keeps it, so that it can be redriven; the next run takes it over, having asked Step Functions
whether the holder still runs. A redriven run goes on at the step that failed and never comes by the
state that takes the lock, so each step claims it anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.domain.places import RETRAINING_LOCK, retraining_partition
from credit_core.errors import RetrainingSupersededError, StoreUnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LOST = "ConditionalCheckFailedException"


class DynamoRetrainingLock:
    """The lock of one product's retraining, in the registry table."""

    def __init__(self, dynamodb: DynamoDBClient, table: str, *, product: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._partition = retraining_partition(product)

    def claim(self, execution: str) -> None:
        """Hold the lock for an execution: it does already, or nobody does.

        Args:
            execution: The execution's ARN.

        Raises:
            RetrainingSupersededError: Another execution holds it.
            StoreUnavailableError: It is not known who holds it; claiming it again is safe.
        """
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item={
                    "product": {"S": self._partition},
                    "record": {"S": RETRAINING_LOCK},
                    "holder": {"S": execution},
                },
                ConditionExpression="attribute_not_exists(holder) OR holder = :me",
                ExpressionAttributeValues={":me": {"S": execution}},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except AWS_ERRORS as error:
            if isinstance(error, ClientError) and error_code(error) == LOST:
                held: Any = error.response
                holder: str = held["Item"]["holder"]["S"]
                raise RetrainingSupersededError(holder.rpartition(":")[2]) from None
            message = f"the retraining lock cannot be claimed: {error_code(error)}"
            raise StoreUnavailableError(message) from None
