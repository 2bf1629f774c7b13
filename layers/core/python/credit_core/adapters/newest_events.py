"""The newest event of each view, as materialization and pushes note it in the online store."""

from __future__ import annotations

import random
import time
from datetime import datetime
from typing import TYPE_CHECKING

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        KeysAndAttributesOutputTypeDef,
        KeysAndAttributesTypeDef,
    )

MOST_ROUNDS = 5
"""How often what a busy table left out is asked for again."""

PAUSE_SECONDS = 0.2


class DynamoNewestEvents:
    """Reads the notes in one BatchGetItem.

    Args:
        dynamodb: The client.
        table: Name of the online store's table.
        sleep: Waits that many seconds before keys that were left out are asked for again.
    """

    def __init__(
        self,
        dynamodb: DynamoDBClient,
        table: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._sleep = sleep

    def read(self, keys: Sequence[str]) -> dict[str, datetime]:
        """Return the event timestamp under each key; a key without an item is left out.

        Raises:
            StoreUnavailableError: The table did not answer, or not completely: what was not read
                is not taken for absent.
        """
        if not keys:  # DynamoDB refuses to be asked for none
            return {}
        request: Mapping[str, KeysAndAttributesTypeDef | KeysAndAttributesOutputTypeDef] = {
            self._table: {
                "Keys": [{"entity_key": {"S": key}} for key in keys],
                "ProjectionExpression": "entity_key, event_timestamp",
            }
        }
        found: dict[str, datetime] = {}
        for attempt in range(MOST_ROUNDS):
            if attempt:
                self._sleep(PAUSE_SECONDS * 2**attempt * random.random())  # noqa: S311 (jitter)
            try:
                answer = self._dynamodb.batch_get_item(RequestItems=request)
            except AWS_ERRORS as error:
                message = f"the newest events could not be read: {error_code(error)}"
                raise StoreUnavailableError(message) from None
            for item in answer["Responses"].get(self._table, []):
                key, event = item["entity_key"]["S"], item["event_timestamp"]["S"]
                found[key] = datetime.fromisoformat(event)
            request = answer.get("UnprocessedKeys", {})
            if not request:
                return found
        left = len(request[self._table]["Keys"])
        raise StoreUnavailableError(
            f"{left} of {len(keys)} newest events were not read in {MOST_ROUNDS} attempts"
        )
