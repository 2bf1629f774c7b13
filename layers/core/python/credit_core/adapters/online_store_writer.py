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

from credit_core.adapters.clients import AWS_ERRORS
from credit_core.domain.online_store import timestamp_text
from credit_core.domain.point_in_time import RETENTION_TTLS
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

STATEMENTS_A_BATCH = 25
"""Limit of BatchExecuteStatement."""

MOST_ROUNDS = 10
"""Batches sent for one row at the most. Undisturbed it takes one or two."""

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
    UPDATE_TIE = "update tie"


class _Settled(Enum):
    """What became of a row."""

    WRITTEN = "written"
    STALE = "stale"


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
        update = f'UPDATE {quoted} {sets} WHERE "entity_key" = ?'  # noqa: S608 (our own table)
        self._statements = {
            _Step.INSERT: f"INSERT INTO {quoted} VALUE {{{names}}}",
            _Step.UPDATE: f'{update} AND "recency" < ?',
            _Step.UPDATE_TIE: f'{update} AND "recency" = ? AND "features" < ?',
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
            lambda batch: self._write_batch(batch, ttl), batched(rows, STATEMENTS_A_BATCH)
        )
        written = sum(batches)
        return WriteCounts(written, len(rows) - written)

    def _write_batch(self, rows: Sequence[FeatureRow], ttl: timedelta) -> int:
        """Settle at most 25 rows; return how many were written."""
        steps = dict.fromkeys(range(len(rows)), self._first_step)
        attributes = [_attributes(row, ttl) for row in rows]
        written = existing = disturbed = 0
        for _ in range(MOST_ROUNDS):
            errors = self._execute(
                [
                    self._statement(step, rows[index], attributes[index])
                    for index, step in steps.items()
                ]
            )
            again: dict[int, _Step] = {}
            passing = 0
            for (index, step), error in zip(steps.items(), errors, strict=True):
                existing += (step is _Step.INSERT) == bool(error)
                outcome = _outcome(rows[index], step, error)
                if isinstance(outcome, _Step):
                    again[index] = outcome
                    passing += outcome is step
                else:
                    written += outcome is _Settled.WRITTEN
            ...
        return written
