"""Records of applications on DynamoDB (moto), with the faults that DynamoDB really has."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from moto import mock_aws

from credit_core.adapters import application_records
from credit_core.adapters.application_records import DynamoApplicationRecords
from credit_core.domain.application_records import Record
from credit_core.errors import DamagedReceiptError, StoreUnavailableError
from tests.builders_aws import create_table
from tests.builders_records import recorded_decision

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

    from tests.integration.conftest import LocalCloud

KEY = {"application_id": {"S": "application-1"}, "record": {"S": "decision"}}


@pytest.fixture
def dynamodb() -> Iterator[DynamoDBClient]:
    with mock_aws():
        client = boto3.client(
            "dynamodb",
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        create_table(client, "decisions")
        yield client


class Faulty:
    """A DynamoDB client that fails on demand and otherwise is the one it wraps."""

    def __init__(self, dynamodb: DynamoDBClient) -> None:
        self._dynamodb = dynamodb
        self.exceptions = dynamodb.exceptions
        self.get_paginator = dynamodb.get_paginator
        self.faults: list[Exception] = []
        self.before_write: Callable[[], object] = lambda: None
        self.lost_answers = 0

    def transact_write_items(self, **arguments: Any) -> Any:
        self.before_write()
        if self.faults:
            raise self.faults.pop(0)
        answer = self._dynamodb.transact_write_items(**arguments)
        if self.lost_answers:
            self.lost_answers -= 1
            raise ReadTimeoutError(endpoint_url="dynamodb")
        return answer

    def cancelled(self, *codes: str) -> Exception:
        """Return how DynamoDB cancels a transaction of two writes for these reasons."""
        response: Any = {
            "Error": {"Code": "TransactionCanceledException"},
            "CancellationReasons": [{"Code": code} for code in codes],
        }
        return self.exceptions.TransactionCanceledException(response, "TransactWriteItems")


@pytest.fixture
def faulty(dynamodb: DynamoDBClient, monkeypatch: pytest.MonkeyPatch) -> Faulty:
    monkeypatch.setattr(application_records, "WAIT_SECONDS", 0)
    return Faulty(dynamodb)


@pytest.fixture
def store(faulty: Faulty) -> DynamoApplicationRecords:
    return DynamoApplicationRecords(
        faulty,  # type: ignore[arg-type]
        product="personal_loan",
        table="decisions",
        receipt_days=7,
    )


def decide(
    dynamodb: DynamoDBClient, *, record: str = "decision", revision: int = 1, **changes: Any
) -> None:
    """Put a decision's item, as far as it is read here."""
    decision = recorded_decision("refer")
    item: dict[str, Any] = {
        "application_id": {"S": "application-1"},
        "record": {"S": record},
        "outcome": {"S": decision.outcome},
        "decided_at": {"S": decision.at},
        "response": {"S": decision.document},
        "revision": {"N": str(revision)},
        "terms": {"B": b"terms"},
    }
    dynamodb.put_item(TableName="decisions", Item=item | changes)


def a_record(name: str = "review/review-1", at: str = "2026-11-21T12:00:00.000Z") -> Record:
    return Record(name, "approve", at, json.dumps({"name": name}))


def add(store: DynamoApplicationRecords, record: Record) -> bool:
    records = store.read("application-1")
    assert records is not None
    return store.add(record, to=records)


def item(dynamodb: DynamoDBClient, record: str = "decision") -> dict[str, Any]:
    key = KEY | {"record": {"S": record}}
    return dict(dynamodb.get_item(TableName="decisions", Key=key, ConsistentRead=True)["Item"])


def test_nothing_is_recorded_of_an_unknown_application(store: DynamoApplicationRecords) -> None:
    assert store.read("application-1") is None


def test_records_are_read_by_kind_and_in_order(
    store: DynamoApplicationRecords, dynamodb: DynamoDBClient
) -> None:
    decide(dynamodb, record="superseded/0002", revision=2)
    decide(dynamodb, record="superseded/0001", revision=1)
    decide(dynamodb, revision=3)
    # Later names and later clocks do not come later.
    assert add(store, a_record("review/z", at="2026-11-23T12:00:00.000Z"))
    assert add(store, a_record("outcome/repaid"))
    assert add(store, a_record("review/a", at="2026-11-22T12:00:00.000Z"))

    records = store.read("application-1")

    assert records is not None
    assert (records.revision, records.added) == (3, 3)
    assert records.decision.document == recorded_decision().document
    assert [record.name for record in records.superseded] == ["superseded/0001", "superseded/0002"]
    assert [record.name for record in records.reviews] == ["review/z", "review/a"]
    assert records.standing.name == "review/a"
    assert [record.at for record in records.outcomes] == ["2026-11-21T12:00:00.000Z"]


def test_a_review_marks_the_decision_and_changes_nothing_else_of_it(
    store: DynamoApplicationRecords, dynamodb: DynamoDBClient
) -> None:
    decide(dynamodb)
    before = item(dynamodb)

    add(store, a_record(at="2026-11-21T12:00:00.000Z"))
    add(store, a_record("review/review-2", at="2026-11-22T12:00:00.000Z"))

    assert item(dynamodb) == before | {"added": {"N": "2"}}
    assert item(dynamodb, "review/review-1") == {
        "application_id": {"S": "application-1"},
        "record": {"S": "review/review-1"},
        "product": {"S": "personal_loan"},
        "outcome": {"S": "approve"},
        "reviewed_at": {"S": "2026-11-21T12:00:00.000Z"},
        "number": {"N": "1"},
        "response": {"S": '{"name": "review/review-1"}'},
        # Seven days after the review.
        "expires_at": {"N": "1795867200"},
    }


def test_an_outcome_is_dated_when_it_was_reported(
    store: DynamoApplicationRecords, dynamodb: DynamoDBClient
) -> None:
    decide(dynamodb)

    add(store, a_record("outcome/withdrawn"))

    assert item(dynamodb, "outcome/withdrawn")["reported_at"]["S"] == "2026-11-21T12:00:00.000Z"


def test_nothing_is_added_to_a_decision_that_was_superseded_meanwhile(
    store: DynamoApplicationRecords, faulty: Faulty, dynamodb: DynamoDBClient
) -> None:
    decide(dynamodb, revision=1)
    faulty.before_write = lambda: decide(dynamodb, revision=2)

    assert not add(store, a_record())
    assert "added" not in item(dynamodb)


def test_nothing_is_added_twice_or_over_another_record(
    store: DynamoApplicationRecords, dynamodb: DynamoDBClient
) -> None:
    decide(dynamodb)
    records = store.read("application-1")
    assert records is not None

    assert store.add(a_record("review/first"), to=records)
    assert not store.add(a_record("review/second"), to=records)
    first = item(dynamodb, "review/first")
    assert not add(store, Record("review/first", "decline", "2026-11-22T12:00:00.000Z", "{}"))
    assert item(dynamodb, "review/first") == first


def test_of_concurrent_additions_each_is_recorded_in_its_place(
    local_cloud_bare: LocalCloud,
) -> None:
    """On the local cloud: moto's transactions are not isolated from each other."""
    dynamodb = local_cloud_bare.client("dynamodb")
    create_table(dynamodb, "decisions")
    store = DynamoApplicationRecords(
        dynamodb, product="personal_loan", table="decisions", receipt_days=7
    )
    decide(dynamodb)

    def until_added(name: str) -> None:
        for _ in range(100):
            if add(store, a_record(f"review/{name}")):
                return
        pytest.fail(f"{name} was never added")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(until_added, "abcdefgh"))

    numbers = {item(dynamodb, f"review/{name}")["number"]["N"] for name in "abcdefgh"}
    dynamodb.delete_table(TableName="decisions")
    assert numbers == set("12345678")


@pytest.mark.parametrize(
    "codes",
    [
        ("None", "ConditionalCheckFailed"),
        ("TransactionConflict", "None"),
        ("ThrottlingError", "None"),
        ("None", "ProvisionedThroughputExceeded"),
    ],
)
def test_a_lost_race_is_told_and_can_be_run_again(
    store: DynamoApplicationRecords,
    faulty: Faulty,
    dynamodb: DynamoDBClient,
    codes: tuple[str, ...],
) -> None:
    decide(dynamodb)
    faulty.faults = [faulty.cancelled(*codes)]

    assert [add(store, a_record()), add(store, a_record())] == [False, True]


def test_what_dynamodb_refuses_for_good_is_not_tried_again(
    store: DynamoApplicationRecords, faulty: Faulty, dynamodb: DynamoDBClient
) -> None:
    decide(dynamodb)
    faulty.faults = [faulty.cancelled("None", "ValidationError")]

    with pytest.raises(StoreUnavailableError, match="ValidationError"):
        add(store, a_record())


@pytest.mark.parametrize(
    "fault",
    [
        ReadTimeoutError(endpoint_url="dynamodb"),
        ClientError({"Error": {"Code": "ThrottlingException"}}, "TransactWriteItems"),
        ClientError({"Error": {"Code": "AccessDeniedException"}}, "TransactWriteItems"),
    ],
)
def test_a_write_that_is_not_known_to_be_done_is_told(
    store: DynamoApplicationRecords, faulty: Faulty, dynamodb: DynamoDBClient, fault: Exception
) -> None:
    decide(dynamodb)
    faulty.faults = [fault]

    with pytest.raises(StoreUnavailableError):
        add(store, a_record())


def test_a_write_whose_answer_was_lost_is_found(
    store: DynamoApplicationRecords, faulty: Faulty, dynamodb: DynamoDBClient
) -> None:
    decide(dynamodb)
    faulty.lost_answers = 1
    with pytest.raises(StoreUnavailableError):
        add(store, a_record())

    records = store.read("application-1")

    assert records is not None
    assert records.find("review/review-1") == a_record()


def test_a_lost_table_is_unavailable(
    store: DynamoApplicationRecords, dynamodb: DynamoDBClient
) -> None:
    decide(dynamodb)
    records = store.read("application-1")
    assert records is not None
    dynamodb.delete_table(TableName="decisions")

    with pytest.raises(StoreUnavailableError):
        store.read("application-1")
    with pytest.raises(StoreUnavailableError):
        store.add(a_record(), to=records)


@pytest.mark.parametrize(
    "damage",
    [
        {"response": {"N": "7"}},
        {"outcome": {"NULL": True}},
        {"added": {"S": "one"}},
        {"response": {"NULL": True}},
    ],
)
def test_a_damaged_item_is_told_as_such(
    store: DynamoApplicationRecords, dynamodb: DynamoDBClient, damage: dict[str, Any]
) -> None:
    decide(dynamodb, **damage)

    with pytest.raises(DamagedReceiptError):
        store.read("application-1")


def test_more_records_than_one_page_holds_are_read(
    store: DynamoApplicationRecords, dynamodb: DynamoDBClient
) -> None:
    decide(dynamodb, revision=8)
    long = {"response": {"S": json.dumps({"text": "a" * 350_000})}}
    for revision in range(1, 8):
        decide(dynamodb, record=f"superseded/{revision:04}", revision=revision, **long)

    records = store.read("application-1")

    assert records is not None
    assert len(records.superseded) == 7
