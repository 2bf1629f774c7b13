"""The decision store on DynamoDB (moto), with the faults that DynamoDB really has."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from moto import mock_aws

from credit_core.adapters.clients import may_pass
from credit_core.adapters.decision_store import DynamoDecisionStore
from credit_core.adapters.stopwatch import Stopwatch
from credit_core.domain.decision import Receipt
from credit_core.errors import StoreUnavailableError
from tests.builders import PRODUCT, a_pointer
from tests.builders_aws import TABLE_KEYS, create_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def dynamodb() -> Iterator[DynamoDBClient]:
    with mock_aws():
        client = boto3.client(
            "dynamodb",
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        for kind in TABLE_KEYS:
            create_table(client, kind)
        yield client


class Faulty:
    """A DynamoDB client that fails on demand and otherwise is the one it wraps."""

    def __init__(self, dynamodb: DynamoDBClient) -> None:
        self._dynamodb = dynamodb
        self.exceptions = dynamodb.exceptions
        self.unprocessed: dict[str, int] = {}
        self.unreachable = 0
        self.lost_answers = 0
        self.calls = 0

    def batch_get_item(self, RequestItems: dict[str, Any]) -> Any:  # noqa: N803 (boto3's name)
        self.calls += 1
        if self.unreachable:
            self.unreachable -= 1
            raise ReadTimeoutError(endpoint_url="dynamodb")
        left = {}
        for table in list(RequestItems):
            if self.unprocessed.get(table, 0) > 0:
                self.unprocessed[table] -= 1
                left[table] = RequestItems[table]
        wanted = {table: asked for table, asked in RequestItems.items() if table not in left}
        response: Any = {"Responses": {}}
        if wanted:
            response = self._dynamodb.batch_get_item(RequestItems=wanted)
        return {**response, "UnprocessedKeys": left}

    def put_item(self, **arguments: Any) -> Any:
        self.calls += 1
        if self.unreachable:
            self.unreachable -= 1
            raise ClientError({"Error": {"Code": "InternalServerError"}}, "PutItem")
        answer = self._dynamodb.put_item(**arguments)
        if self.lost_answers:
            self.lost_answers -= 1
            raise ReadTimeoutError(endpoint_url="dynamodb")
        return answer


@pytest.fixture
def faulty(dynamodb: DynamoDBClient) -> Faulty:
    dynamodb.put_item(
        TableName="online-store",
        Item={
            "entity_key": {"S": "personal_loan/bureau#1"},
            "recency": {"S": "2026-11-20T00:00:00.000000Z/2026-11-20T00:00:00.000000Z"},
            "features": {"S": "{}"},
        },
    )
    dynamodb.put_item(
        TableName="registry",
        Item={
            "product": {"S": PRODUCT.name},
            "record": {"S": "rollout"},
            "pointer": {"S": a_pointer().model_dump_json()},
        },
    )
    return Faulty(dynamodb)


def a_store(faulty: Faulty) -> DynamoDecisionStore:
    client: Any = faulty
    return DynamoDecisionStore(
        client,
        product=PRODUCT.name,
        online_store_table="online-store",
        decisions_table="decisions",
        registry_table="registry",
    )


def a_receipt(response: str = "{}") -> Receipt:
    return Receipt(
        application_id="application-1",
        product=PRODUCT.name,
        fingerprint="f",
        outcome="refer",
        decided_at="2026-11-20T12:00:00.000000Z",
        response=response,
        request="{}",
        served="{}",
        stage_ms="{}",
    )


KEYS = ("personal_loan/bureau#1", "personal_loan/region_market#2")
SOON = 0.05


def read(store: DynamoDecisionStore, *, deadline_ms: float = 5_000) -> Any:
    return store.read(
        KEYS,
        application_id="application-1",
        with_pointer=True,
        timer=Stopwatch(deadline_ms=deadline_ms),
    )


def test_one_round_trip_brings_features_receipt_and_pointer(faulty: Faulty) -> None:
    store = a_store(faulty)
    store.write(a_receipt(), timer=Stopwatch(deadline_ms=5_000))
    faulty.calls = 0

    readout = read(store)

    assert faulty.calls == 1
    assert list(readout.rows) == ["personal_loan/bureau#1"]
    assert readout.unread == frozenset()
    assert readout.receipt == a_receipt()
    assert readout.pointer == a_pointer()


def test_keys_left_unprocessed_are_asked_for_again(faulty: Faulty) -> None:
    faulty.unprocessed = {"online-store": 2, "registry": 1}

    readout = read(a_store(faulty))

    assert list(readout.rows) == ["personal_loan/bureau#1"]
    assert readout.unread == frozenset()
    assert readout.pointer == a_pointer()


def test_keys_that_never_arrive_are_unread_when_the_deadline_passes(faulty: Faulty) -> None:
    faulty.unprocessed = {"online-store": 1_000_000}
    started = time.monotonic()

    readout = read(a_store(faulty), deadline_ms=SOON * 1_000)

    assert readout.unread == frozenset(KEYS)
    assert readout.pointer == a_pointer()
    assert time.monotonic() - started < SOON + 2


def test_a_read_that_fails_once_is_repeated(faulty: Faulty) -> None:
    faulty.unreachable = 1

    assert list(read(a_store(faulty)).rows) == ["personal_loan/bureau#1"]


def test_a_store_that_does_not_answer_leaves_every_key_unread(faulty: Faulty) -> None:
    faulty.unreachable = 1_000_000

    assert read(a_store(faulty), deadline_ms=SOON * 1_000).unread == frozenset(KEYS)


def test_the_first_receipt_stays_and_is_returned(faulty: Faulty) -> None:
    store = a_store(faulty)
    timer = Stopwatch(deadline_ms=5_000)

    assert store.write(a_receipt("first"), timer=timer) is None
    assert store.write(a_receipt("second"), timer=timer) == a_receipt("first")


def test_a_write_whose_answer_was_lost_is_found_again(faulty: Faulty) -> None:
    faulty.lost_answers = 1

    earlier = a_store(faulty).write(a_receipt("mine"), timer=Stopwatch(deadline_ms=5_000))

    assert earlier == a_receipt("mine")


def test_a_receipt_that_cannot_be_written_before_the_deadline_is_an_error(faulty: Faulty) -> None:
    faulty.unreachable = 1_000_000

    with pytest.raises(StoreUnavailableError, match="InternalServerError"):
        a_store(faulty).write(a_receipt(), timer=Stopwatch(deadline_ms=SOON * 1_000))


def test_what_dynamodb_refuses_for_good_is_not_asked_again(
    dynamodb: DynamoDBClient, faulty: Faulty
) -> None:
    """A table that is gone, or a permission: asking on would only use the deadline up."""
    dynamodb.delete_table(TableName="decisions")
    store = a_store(faulty)

    readout = read(store)
    with pytest.raises(StoreUnavailableError, match="ResourceNotFoundException"):
        store.write(a_receipt(), timer=Stopwatch(deadline_ms=60_000))

    assert readout.unread == frozenset(KEYS)
    assert faulty.calls == 2


@pytest.mark.parametrize(
    ("code", "status", "passing"),
    [
        ("ThrottlingException", 400, True),
        ("ProvisionedThroughputExceededException", 400, True),
        ("InternalServerError", 500, True),
        ("ServiceUnavailable", 503, True),
        ("AccessDeniedException", 400, False),
        ("ResourceNotFoundException", 400, False),
        ("ValidationException", 400, False),
    ],
)
def test_only_errors_that_may_pass_are_tried_again(code: str, status: int, passing: bool) -> None:  # noqa: FBT001 (a parameter of the table)
    error = ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "PutItem",
    )

    assert may_pass(error) is passing


def test_a_pointer_that_cannot_be_read_is_no_pointer(
    dynamodb: DynamoDBClient, faulty: Faulty
) -> None:
    dynamodb.put_item(
        TableName="registry",
        Item={
            "product": {"S": PRODUCT.name},
            "record": {"S": "rollout"},
            "pointer": {"S": '{"champion": "../../elsewhere"}'},
        },
    )

    assert read(a_store(faulty)).pointer is None
