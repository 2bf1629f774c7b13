"""Guarded writes, against an emulator that speaks DynamoDB's PartiQL."""

from __future__ import annotations

import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ReadTimeoutError

from credit_core.adapters.online_store_writer import MOST_ROUNDS, PartiqlOnlineStoreWriter
from credit_core.domain.online_store import feature_row, row_from_stored
from credit_core.errors import StoreUnavailableError
from credit_core.ports import WriteCounts
from tests.builders import NOW
from tests.builders_aws import create_table
from tests.feature_rows import AN_HOUR_AGO, BUREAU, a_feature_row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from mypy_boto3_dynamodb import DynamoDBClient

    from credit_core.domain.online_store import FeatureRow
    from tests.integration.conftest import LocalCloud

type Statement = dict[str, Any]


class Disturbed:
    """A DynamoDB client that lets a test come between a batch and its answer."""

    def __init__(self, dynamodb: DynamoDBClient) -> None:
        self._dynamodb = dynamodb
        self.batches: list[list[Statement]] = []
        self.before: Callable[[Statement], Any] = lambda _: None
        """Called for each statement; what it returns, if anything, is the answer instead."""

    def batch_execute_statement(self, *, Statements: list[Statement]) -> Any:  # noqa: N803 (boto3's)
        """Run the statements one by one, but for those that the test answers itself."""
        self.batches.append(Statements)
        responses = []
        for statement in Statements:
            answer = self.before(statement)
            if answer is None:
                (answer,) = self._dynamodb.batch_execute_statement(
                    Statements=[statement]  # type: ignore[list-item]
                )["Responses"]
            responses.append(answer)
        return {"Responses": responses}


class Store:
    """A table of its own, its writer, and what lies in it."""

    def __init__(self, dynamodb: DynamoDBClient) -> None:
        self.dynamodb = dynamodb
        self.disturbed = Disturbed(dynamodb)
        # A hyphen and a reserved word: names must be quoted.
        self.table = f"online-store-table-{uuid.uuid4().hex[:8]}"
        self.pauses: list[float] = []
        create_table(dynamodb, "online-store", name=self.table)
        self.writer = self.a_writer(dynamodb)

    def a_writer(self, dynamodb: object, *, connections: int = 2) -> PartiqlOnlineStoreWriter:
        return PartiqlOnlineStoreWriter(
            dynamodb,  # type: ignore[arg-type]
            self.table,
            connections=connections,
            sleep=self.pauses.append,
        )

    def write(self, *rows: FeatureRow, disturbed: bool = False) -> WriteCounts:
        writer = self.a_writer(self.disturbed) if disturbed else self.writer
        return writer.write(rows, ttl=BUREAU.ttl)

    def item(self, key: str) -> dict[str, Any]:
        found = self.dynamodb.get_item(TableName=self.table, Key={"entity_key": {"S": key}})
        return dict(found.get("Item", {}))

    def row(self, key: str) -> FeatureRow:
        item = self.item(key)
        return row_from_stored(
            BUREAU, key, recency_text=item["recency"]["S"], features_json=item["features"]["S"]
        )

    def remove(self, key: str) -> None:
        self.dynamodb.delete_item(TableName=self.table, Key={"entity_key": {"S": key}})


@pytest.fixture
def store(local_cloud_bare: LocalCloud) -> Store:
    return Store(local_cloud_bare.client("dynamodb"))


def older(row: FeatureRow, **changes: Any) -> FeatureRow:
    return a_row_at(row, row.event_timestamp - timedelta(seconds=1), **changes)


def a_row_at(
    row: FeatureRow, event: datetime, *, created: datetime | None = None, **changes: Any
) -> FeatureRow:
    return feature_row(
        BUREAU,
        row.entity_key,
        event_timestamp=event,
        created_timestamp=created or event,
        features={**row.features, **changes},
    )


ROW = a_feature_row()
NEWER = a_row_at(ROW, AN_HOUR_AGO + timedelta(milliseconds=1), inq_fi=2)


def test_a_new_row_is_stored_as_the_scorer_reads_it(store: Store) -> None:
    assert store.write(ROW) == WriteCounts(written=1, stale=0)

    assert store.row(ROW.entity_key) == ROW
    item = store.item(ROW.entity_key)
    assert set(item) == {"entity_key", "recency", "event_timestamp", "features", "expires_at"}
    expected = (AN_HOUR_AGO + 2 * BUREAU.ttl).timestamp()
    assert item["expires_at"] == {"N": str(int(expected))}


def test_a_newer_row_replaces_an_older_one(store: Store) -> None:
    store.write(ROW)

    assert store.write(NEWER) == WriteCounts(written=1, stale=0)
    assert store.row(ROW.entity_key) == NEWER


def test_an_older_row_never_replaces_a_newer_one(store: Store) -> None:
    """The fault of the best known feature store: there the last write wins."""
    store.write(NEWER)

    assert store.write(ROW) == WriteCounts(written=0, stale=1)
    assert store.row(ROW.entity_key) == NEWER


def test_a_correction_of_the_same_event_replaces_what_it_corrects(store: Store) -> None:
    correction = a_row_at(ROW, ROW.event_timestamp, created=NOW, inq_fi=9)
    store.write(ROW)

    assert store.write(correction) == WriteCounts(written=1, stale=0)
    assert store.write(ROW) == WriteCounts(written=0, stale=1)
    assert store.row(ROW.entity_key) == correction


def test_the_same_row_again_is_stale(store: Store) -> None:
    store.write(ROW)

    assert store.write(ROW) == WriteCounts(written=0, stale=1)


def test_of_two_truths_of_one_instant_the_same_one_stays_in_either_order(store: Store) -> None:
    one, other = ROW, a_row_at(ROW, ROW.event_timestamp, inq_fi=7)
    stored = []
    for first, second in ((one, other), (other, one)):
        store.remove(ROW.entity_key)
        store.write(first)
        store.write(second)
        stored.append(store.row(ROW.entity_key))

    assert stored[0] == stored[1]


def test_more_rows_than_fit_one_batch_are_all_written(store: Store) -> None:
    rows = [a_feature_row(f"applicant-{number}") for number in range(61)]

    assert store.write(*rows) == WriteCounts(written=61, stale=0)
    assert store.write(*rows, NEWER) == WriteCounts(written=1, stale=61)


def test_no_batch_exceeds_what_dynamodb_takes(store: Store) -> None:
    rows = [a_feature_row(f"applicant-{number}") for number in range(61)]
    store.write(*rows[:30])

    store.write(*rows, disturbed=True)

    for batch in store.disturbed.batches:
        assert len(batch) <= 25
        assert len({str(statement["Parameters"]) for statement in batch}) == len(batch)
        assert all(len(statement["Statement"]) <= 8_192 for statement in batch)


def test_writers_at_the_same_time_leave_the_newest_rows(store: Store) -> None:
    rows = [
        a_row_at(a_feature_row(f"applicant-{number % 10}"), AN_HOUR_AGO - timedelta(days=number))
        for number in range(60)
    ]
    histories = [rows[start : start + 10] for start in range(0, 60, 10)]
    shuffled = histories * 3
    random.Random(1).shuffle(shuffled)  # noqa: S311 (one order for every run)

    def write(history: Sequence[FeatureRow]) -> WriteCounts:
        return store.a_writer(store.dynamodb, connections=1).write(history, ttl=BUREAU.ttl)

    with ThreadPoolExecutor(6) as pool:
        counts = list(pool.map(write, shuffled))

    assert sum(count.written + count.stale for count in counts) == 180
    assert [store.row(row.entity_key) for row in histories[0]] == histories[0]


def test_an_item_that_vanishes_in_between_is_written_anew(store: Store) -> None:
    """It expired, or was erased, between the refused insert and the update."""
    store.write(NEWER)

    def erase_before_update(statement: Statement) -> None:
        if statement["Statement"].startswith("UPDATE"):
            store.remove(ROW.entity_key)

    store.disturbed.before = erase_before_update

    assert store.write(ROW, disturbed=True) == WriteCounts(written=1, stale=0)
    assert store.row(ROW.entity_key) == ROW


def test_a_newer_row_that_slips_in_between_is_left_alone(store: Store) -> None:
    def newer_before_insert(statement: Statement) -> None:
        if statement["Statement"].startswith("INSERT"):
            store.write(NEWER)

    store.disturbed.before = newer_before_insert

    assert store.write(ROW, disturbed=True) == WriteCounts(written=0, stale=1)
    assert store.row(ROW.entity_key) == NEWER


@pytest.mark.parametrize(
    "code", ["ThrottlingError", "ProvisionedThroughputExceeded", "InternalServerError"]
)
def test_a_throttled_statement_is_tried_again_after_a_pause(store: Store, code: str) -> None:
    rows = [a_feature_row(f"applicant-{number}") for number in range(10)]
    left = 12

    def throttle(_: Statement) -> Any:
        nonlocal left
        left -= 1
        return {"Error": {"Code": code}} if left >= 0 else None

    store.disturbed.before = throttle

    assert store.write(*rows, disturbed=True) == WriteCounts(written=10, stale=0)
    assert all(store.row(row.entity_key) == row for row in rows)
    assert [len(batch) for batch in store.disturbed.batches] == [10, 10, 2]
    assert len(store.pauses) == 2


def test_a_store_that_stays_throttled_is_unavailable_and_says_how_much_is_open(
    store: Store,
) -> None:
    store.disturbed.before = lambda _: {"Error": {"Code": "ThrottlingError"}}

    with pytest.raises(StoreUnavailableError, match=f"1 of 1 rows .* {MOST_ROUNDS} attempts"):
        store.write(ROW, disturbed=True)


def test_a_refused_statement_is_not_tried_again(store: Store) -> None:
    store.disturbed.before = lambda _: {"Error": {"Code": "AccessDenied", "Message": "no"}}

    with pytest.raises(StoreUnavailableError, match="AccessDenied"):
        store.write(ROW, disturbed=True)

    assert len(store.disturbed.batches) == 1


def test_a_store_that_does_not_answer_is_unavailable(store: Store) -> None:
    def no_answer(_: Statement) -> None:
        raise ReadTimeoutError(endpoint_url="http://127.0.0.1")

    store.disturbed.before = no_answer

    with pytest.raises(StoreUnavailableError, match="ReadTimeoutError"):
        store.write(ROW, disturbed=True)


def test_a_table_that_is_not_there_is_unavailable(store: Store) -> None:
    writer = PartiqlOnlineStoreWriter(store.dynamodb, "no-such-table")

    with pytest.raises(StoreUnavailableError, match="ResourceNotFound"):
        writer.write([ROW], ttl=BUREAU.ttl)


def test_entities_that_are_known_are_updated_at_the_first_try(store: Store) -> None:
    """A refused insert costs a write unit; on the day after, every entity is known."""
    rows = [a_feature_row(f"applicant-{number}") for number in range(100)]
    store.write(*rows)
    writer = store.a_writer(store.disturbed, connections=1)

    writer.write([a_row_at(row, NEWER.event_timestamp) for row in rows], ttl=BUREAU.ttl)

    assert len(store.disturbed.batches) == 5


def test_a_foreign_item_without_a_recency_stops_the_writer_but_not_for_ever(store: Store) -> None:
    store.dynamodb.put_item(TableName=store.table, Item={"entity_key": {"S": ROW.entity_key}})

    with pytest.raises(StoreUnavailableError, match="1 of 1 rows were not settled"):
        store.write(ROW)
