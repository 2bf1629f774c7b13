"""When a product's models were trained, as the registry notes it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.adapters.model_registry import MODEL
from credit_core.errors import StoreUnavailableError
from credit_core.ports import ModelState
from credit_core.use_cases.freshness import TrainedAt

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoTrainingTimes:
    """Reads a product's registered models in one query.

    Which of them is the champion stands in its item: a move of the pointer sets both at once.
    """

    def __init__(self, dynamodb: DynamoDBClient, table: str, *, product: str) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._product = product

    def read(self) -> TrainedAt:
        """Return when the champion and the newest model were trained.

        Raises:
            StoreUnavailableError: The registry did not answer.
        """
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="product = :product AND begins_with(#record, :models)",
            ProjectionExpression="#state, created_at",
            ExpressionAttributeNames={"#record": "record", "#state": "state"},
            ExpressionAttributeValues={
                ":product": {"S": self._product},
                ":models": {"S": MODEL},
            },
        )
        try:
            models = [
                (item["state"]["S"], datetime.fromisoformat(item["created_at"]["S"]))
                for page in pages
                for item in page["Items"]
            ]
        except AWS_ERRORS as error:
            message = f"the registry did not answer: {error_code(error)}"
            raise StoreUnavailableError(message) from None
        return TrainedAt(
            champion=next((at for state, at in models if state == ModelState.CHAMPION), None),
            newest=max((at for _, at in models), default=None),
        )
