"""The referral queue on the emulator's DynamoDB: written by the scorer, emptied by reviews."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ReadTimeoutError

from credit_core.adapters.application_records import DynamoApplicationRecords
from credit_core.adapters.aws_calls import JsonApi
from credit_core.adapters.decision_store import DynamoDecisionStore
from credit_core.adapters.dynamodb_items import from_dynamodb, to_dynamodb
from credit_core.adapters.referral_queue import DynamoReferralQueue
from credit_core.adapters.rehearsal_store import RehearsalStore
from credit_core.adapters.stopwatch import Stopwatch
from credit_core.domain.application_records import Record
from credit_core.domain.online_store import timestamp_text
from credit_core.domain.receipt import receipt_of
from credit_core.domain.receipt_archive import archived_record
from credit_core.domain.referrals import SHARDS, WAITING, Place, shard_of
from credit_core.errors import StoreUnavailableError
from tests.builders import NOW, PRODUCT
from tests.builders_aws import create_table
from tests.integration.test_decision_store import a_receipt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient

    from credit_core.domain.receipt import Receipt
    from tests.integration.conftest import LocalCloud

RECEIPT_DAYS = 7


class Desk:
    """A decisions table of its own, with everything that writes it and reads its queue."""

    def __init__(self, dynamodb: DynamoDBClient) -> None:
        self.dynamodb = dynamodb
        self.table = f"decisions-{uuid.uuid4().hex[:8]}"
        create_table(self.dynamodb, "decisions", name=self.table)
        self.store = DynamoDecisionStore(
            JsonApi("dynamodb", target="DynamoDB_20120810", version="1.0"),
            product=PRODUCT.name,
            online_store_table="no-table",
            decisions_table=self.table,
            registry_table="no-table",
            receipt_days=RECEIPT_DAYS,
            on_damaged_pointer=lambda error: pytest.fail(str(error)),
        )
        self.records = DynamoApplicationRecords(
            self.dynamodb, product=PRODUCT.name, table=self.table, receipt_days=RECEIPT_DAYS
        )
        self.queue = DynamoReferralQueue(self.dynamodb, self.table)

    def decide(self, application_id: str = "loan-1", **changes: Any) -> Receipt:
        receipt = a_referral(application_id, **changes)
        assert self.store.write(receipt, timer=Stopwatch(deadline_ms=5_000)) is None
        return receipt

    def add(self, name: str, application_id: str = "loan-1") -> None:
        to = self.records.read(application_id)
        assert to is not None
        assert self.records.add(Record(name, "decline", timestamp_text(NOW), "{}"), to=to)

    def item(self, application_id: str = "loan-1", record: str = "decision") -> dict[str, Any]:
        key = {"application_id": application_id, "record": record}
        return dict(
            self.dynamodb.get_item(TableName=self.table, Key=to_dynamodb(key), ConsistentRead=True)[
                "Item"
            ]
        )

    def waiting(
        self, *, after: Place | None = None, as_of: datetime = NOW, at_once: int = 26
    ) -> list[str]:
        found = self.queue.waiting(after=after, as_of=as_of, at_once=at_once)
        return [str(record["application_id"]) for record in found]


def a_referral(application_id: str = "loan-1", **changes: Any) -> Receipt:
    found = replace(
        a_receipt(),
        application_id=application_id,
        outcome="refer",
        decided_at=timestamp_text(NOW),
        retryable=True,
    )
    return replace(found, **changes)


@pytest.fixture
def desk(local_cloud_bare: LocalCloud) -> Desk:
    return Desk(local_cloud_bare.client("dynamodb"))


def test_what_was_referred_waits_and_nothing_else(desk: Desk) -> None:
    desk.decide("loan-1")
    desk.decide("loan-2", outcome="approve", retryable=False)
    desk.decide("loan-3", outcome="decline", retryable=False)

    assert desk.waiting() == ["loan-1"]
    assert WAITING not in desk.item("loan-2")


@pytest.mark.parametrize("name", ["review/r-1", "outcome/withdrawn"])
def test_who_was_reviewed_or_withdrew_waits_no_more(desk: Desk, name: str) -> None:
    desk.decide()

    desk.add(name)

    assert desk.waiting() == []
    assert WAITING not in desk.item()


def test_a_review_of_what_never_waited_changes_nothing_else(desk: Desk) -> None:
    desk.decide(outcome="decline", retryable=False)
    before = desk.item()

    desk.add("review/r-1")

    assert desk.item() == before | {"added": {"N": "1"}}
    assert desk.waiting() == []


@pytest.mark.parametrize(("outcome", "left"), [("approve", []), ("refer", ["loan-1"])])
def test_who_is_decided_anew_waits_by_the_new_outcome(
    desk: Desk, outcome: str, left: list[str]
) -> None:
    first = desk.decide()
    later = timestamp_text(NOW + timedelta(minutes=1))
    second = replace(first, outcome=outcome, revision=2, decided_at=later)

    desk.store.supersede(second, first, timer=Stopwatch(deadline_ms=5_000))

    assert desk.waiting() == left
    assert WAITING not in desk.item(record="superseded/0001")
    assert (WAITING in desk.item()) == bool(left)


def test_a_rehearsal_waits_for_nobody(desk: Desk) -> None:
    rehearsal = RehearsalStore(desk.store, product=PRODUCT, views=None, as_of=NOW)

    rehearsal.write(a_referral("golden-1"), timer=Stopwatch(deadline_ms=5_000))

    assert "application_id" in desk.item("/rehearsal/golden-1")
    assert desk.waiting() == []


def test_what_has_ended_waits_no_more(desk: Desk) -> None:
    """DynamoDB removes it only some days later."""
    desk.decide()

    assert desk.waiting(as_of=NOW + timedelta(days=RECEIPT_DAYS, minutes=-1)) == ["loan-1"]
    assert desk.waiting(as_of=NOW + timedelta(days=RECEIPT_DAYS, minutes=1)) == []


def test_what_a_release_without_the_queue_added_to_waits_no_more(desk: Desk) -> None:
    desk.decide()
    item = desk.item() | {"added": {"N": "1"}}
    desk.dynamodb.put_item(TableName=desk.table, Item=item)

    assert WAITING in desk.item()
    assert desk.waiting() == []


@pytest.mark.parametrize("at_once", [1, 3, 101])
def test_the_oldest_come_first_whatever_their_part(desk: Desk, at_once: int) -> None:
    """Each place has several at the same moment, among which an index has no order."""
    ids = [f"loan-{number:02}" for number in range(40)]
    assert {shard_of(name) for name in ids} == {str(shard) for shard in range(SHARDS)}
    for number, name in enumerate(reversed(ids)):
        desk.decide(name, decided_at=timestamp_text(NOW + timedelta(seconds=number // 5)))
    expected = sorted(ids, key=lambda name: Place.of(from_dynamodb(desk.item(name))))

    assert desk.waiting(at_once=at_once) == expected
    for known in (0, 7, 38, 39):
        after = Place.of(from_dynamodb(desk.item(expected[known])))
        assert desk.waiting(after=after, at_once=at_once) == expected[known + 1 :]


def test_a_receipt_and_its_archived_bytes_are_as_without_the_queue(desk: Desk) -> None:
    receipt = desk.decide()
    item = from_dynamodb(desk.item())
    assert receipt_of(item) == receipt

    archived = archived_record(item, product=PRODUCT.name)
    desk.add("review/r-1")

    without = {name: value for name, value in item.items() if name != WAITING}
    assert archived == archived_record(without, product=PRODUCT.name)
    assert archived == archived_record(from_dynamodb(desk.item()), product=PRODUCT.name)


@pytest.mark.parametrize("pages", [0, 1])
def test_an_index_that_does_not_answer_is_no_end_of_the_queue(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, pages: int
) -> None:
    """Whether it fails at once or between two pages."""
    for number in range(40):
        desk.decide(f"loan-{number}")
    sound = desk.dynamodb.get_paginator("query")

    class Silenced:
        def paginate(self, **asked: Any) -> Iterator[Any]:
            yield from islice(sound.paginate(**asked), pages)
            raise ReadTimeoutError(endpoint_url="dynamodb")

    monkeypatch.setattr(desk.dynamodb, "get_paginator", lambda _: Silenced())

    with pytest.raises(StoreUnavailableError, match="the referral queue could not be read"):
        desk.waiting(at_once=1)
