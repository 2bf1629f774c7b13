"""Guarded writes to the online store, 25 at a time.

DynamoDB's BatchWriteItem takes no conditions; a PartiQL batch does, per statement. A row is
inserted; where there is an item already, it is updated under the condition that the item is
older. Which of the two is tried first is a guess that a wrong answer corrects, never a danger.
"""

from __future__ import annotations

import math
import random
import time
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from itertools import batched
from typing import TYPE_CHECKING

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.domain.online_store import timestamp_text
from credit_core.domain.product import RETENTION_TTLS
from credit_core.errors import StoreUnavailableError
from credit_core.ports import WriteCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import timedelta

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        BatchStatementErrorTypeDef,
        BatchStatementRequestTypeDef,
        UniversalAttributeValueTypeDef,
    )

    from credit_core.domain.online_store import FeatureRow

    type _Attributes = dict[str, UniversalAttributeValueTypeDef]

STATEMENTS_A_BATCH = 25
"""Limit of BatchExecuteStatement."""

MOST_ROUNDS = 30
"""Batches sent for one row at the most. Undisturbed it takes one or two; twenty where the table
is asked for twice what it gives, as a new one is by a first backfill.
"""

LONGEST_PAUSE_SECONDS = 2.0
FIRST_PAUSE_SECONDS = 0.05

PASSING_CODES = frozenset(
    {
        "InternalServerError",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "ThrottlingError",
        "TransactionConflict",
    }
)
"""Errors of a statement that another try may not meet."""

ATTRIBUTES = ("recency", "event_timestamp", "features", "expires_at")


class _Step(Enum):
    """What is tried for a row next."""

    INSERT = "insert"
    UPDATE = "update"


class PartiqlOnlineStoreWriter:
    """Writes feature rows so that the newest one stays.

    Args:
        dynamodb: The client, with at least ``connections`` connections.
        table: Name of the online store's table.
        connections: How many batches are under way at once.
        sleep: Waits that many seconds before a disturbed batch is tried again.
    """

    def __init__(
        self,
        dynamodb: DynamoDBClient,
        table: str,
        *,
        connections: int = 4,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        quoted = f'"{table}"'
        names = ", ".join(f"'{name}': ?" for name in ("entity_key", *ATTRIBUTES))
        sets = " ".join(f'SET "{name}" = ?' for name in ATTRIBUTES)
        update = f'UPDATE {quoted} {sets} WHERE "entity_key" = ?'
        self._statements = {
            _Step.INSERT: f"INSERT INTO {quoted} VALUE {{{names}}}",
            _Step.UPDATE: f'{update} AND "recency" < ?',
        }
        self._dynamodb = dynamodb
        self._sleep = sleep
        self._pool = ThreadPoolExecutor(connections, thread_name_prefix="online-store-writer")
        # New tables fill by inserts; later, nearly every entity has an item. Each failed guess
        # costs a write unit, so the guess follows what the last batch met. Threads may race for
        # it: a wrong guess is only slower.
        self._first_step = _Step.INSERT

    def write(self, rows: Sequence[FeatureRow], *, ttl: timedelta) -> WriteCounts:
        """Write rows of distinct entity keys, each unless the store holds a newer one.

        A row that the store holds already, exactly so, is stale. So is one whose first write
        succeeded while the answer to it was lost.

        Raises:
            StoreUnavailableError: Not every row is known to be settled. Writing again is safe.
        """
        batches = self._pool.map(
            lambda batch: self._write_batch(batch, ttl),
            batched(rows, STATEMENTS_A_BATCH, strict=False),
        )
        written = sum(batches)
        return WriteCounts(written, len(rows) - written)

    def _write_batch(self, rows: Sequence[FeatureRow], ttl: timedelta) -> int:
        """Settle at most 25 rows; return how many were written."""
        attributes = [stored_attributes(row, ttl) for row in rows]
        steps = dict.fromkeys(range(len(rows)), self._first_step)
        written = inserted = 0
        for attempt in range(MOST_ROUNDS):
            errors = self._execute(
                [
                    self._statement(step, rows[index], attributes[index])
                    for index, step in steps.items()
                ]
            )
            following: dict[int, _Step] = {}
            for (index, step), error in zip(steps.items(), errors, strict=True):
                if error is None:
                    written += 1
                    inserted += step is _Step.INSERT
                elif next_step := _next_step(rows[index], step, error):
                    following[index] = next_step
            if not following:
                self._first_step = _Step.INSERT if 2 * inserted > len(rows) else _Step.UPDATE
                return written
            if any(steps[index] is step for index, step in following.items()):
                self._sleep(_pause_seconds(attempt))
            steps = following
        raise StoreUnavailableError(
            f"{len(steps)} of {len(rows)} rows were not settled in {MOST_ROUNDS} attempts"
        )

    def _statement(
        self, step: _Step, row: FeatureRow, attributes: _Attributes
    ) -> BatchStatementRequestTypeDef:
        key: UniversalAttributeValueTypeDef = {"S": row.entity_key}
        values = list(attributes.values())
        if step is _Step.INSERT:
            return {"Statement": self._statements[step], "Parameters": [key, *values]}
        return {
            "Statement": self._statements[step],
            "Parameters": [*values, key, attributes["recency"]],
            # The item tells an older row from one that is not there any more.
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }

    def _execute(
        self, statements: Sequence[BatchStatementRequestTypeDef]
    ) -> list[BatchStatementErrorTypeDef | None]:
        try:
            answer = self._dynamodb.batch_execute_statement(Statements=statements)
        except AWS_ERRORS as error:
            message = f"a batch of writes to the online store failed: {error_code(error)}"
            raise StoreUnavailableError(message) from None
        return [response.get("Error") for response in answer["Responses"]]


def stored_attributes(row: FeatureRow, ttl: timedelta) -> _Attributes:
    """Return what is stored beside the key, in the order of ``ATTRIBUTES``."""
    expires_at = math.ceil((row.event_timestamp + RETENTION_TTLS * ttl).timestamp())
    return {
        "recency": {"S": row.recency},
        "event_timestamp": {"S": timestamp_text(row.event_timestamp)},
        "features": {"S": row.features_json()},
        "expires_at": {"N": str(expires_at)},
    }


def _next_step(row: FeatureRow, step: _Step, error: BatchStatementErrorTypeDef) -> _Step | None:
    """Return what to try next for a row whose statement failed, None if it is stale.

    Raises:
        StoreUnavailableError: The failure is none that trying again would mend.
    """
    code = error.get("Code", "")
    if code in PASSING_CODES:
        return step
    if code == "DuplicateItem":
        return _Step.UPDATE
    if code != "ConditionalCheckFailed":
        raise StoreUnavailableError(f"the online store refused a write: {code}")
    stored = error.get("Item")
    if not stored:
        # There never was an item, or it was removed (expired, erased) since it was met.
        return _Step.INSERT
    # Only an item without a recency of ours can get here twice; the rounds are limited.
    return _Step.UPDATE if stored.get("recency", {}).get("S", "") < row.recency else None


def _pause_seconds(attempt: int) -> float:
    """Return how long to wait, at random up to a limit that doubles with each attempt.

    Source: Brooker, Exponential Backoff and Jitter (AWS Architecture Blog, 2015), "full jitter".
    """
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**attempt)
    return random.uniform(0, longest)  # noqa: S311 (spreads retries, guards nothing)
