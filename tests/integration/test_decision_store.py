"""The decision store on the emulator's DynamoDB, with the faults that DynamoDB really has."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.adapters.aws_calls import JsonApi, RefusedError
from credit_core.adapters.decision_store import READ_SHARE, DynamoDecisionStore
from credit_core.adapters.http_connection import NoAnswerError
from credit_core.adapters.stopwatch import Stopwatch
from credit_core.domain.receipt import Receipt
from credit_core.errors import DamagedReceiptError, StoreUnavailableError
from credit_core.ports import Readout
from tests.builders import PRODUCT, a_pointer
from tests.builders_aws import TABLE_KEYS, create_table
from tests.faulty_server import document, error, faulty_server, hangs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_dynamodb import DynamoDBClient

    from credit_core.adapters.http_connection import Response
    from tests.faulty_server import Answer
    from tests.integration.conftest import LocalCloud

FEATURES = ("personal_loan/bureau#1", "personal_loan/region_market#2")
KEY: Any = {"application_id": {"S": "application-1"}, "record": {"S": "decision"}}
SOON = 0.1
LATE = 5.0
"""A deadline of which even a busy machine loses a small part by itself."""
RECEIPT_DAYS = 7


class Faulty(JsonApi):
    """DynamoDB that fails on demand and otherwise is the emulator's.

    ``unprocessed`` says how often it leaves a table's keys for later, ``unreachable`` how many
    requests get no answer, ``lost_answers`` how many are done and get none, ``conflicts`` how
    many transactions are cancelled for another one.
    """

    def __init__(self) -> None:
        super().__init__("dynamodb", target="DynamoDB_20120810", version="1.0")
        self.unprocessed: dict[str, int] = {}
        self.unreachable = self.lost_answers = self.conflicts = 0
        self.asked: list[str] = []
        self.mangle: Mapping[str, Any] | None = None

    def call(
        self, operation: str, document: Mapping[str, Any], *, deadline: float
    ) -> dict[str, Any]:
        left = {}
        for table in document.get("RequestItems", {}):
            if self.unprocessed.get(table, 0) > 0:
                self.unprocessed[table] -= 1
                left[table] = document["RequestItems"][table]
        if not left:
            answer = super().call(operation, document, deadline=deadline)
            return answer if self.mangle is None else dict(self.mangle)
        wanted = {
            table: keys for table, keys in document["RequestItems"].items() if table not in left
        }
        answer = {"Responses": {}}
        if wanted:
            answer = super().call(operation, {"RequestItems": wanted}, deadline=deadline)
        return {**answer, "UnprocessedKeys": left}

    def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], **rest: Any
    ) -> Response:
        self.asked.append(headers["x-amz-target"].partition(".")[2])
        if self.unreachable:
            self.unreachable -= 1
            raise NoAnswerError("TimeoutError")
        if self.conflicts and self.asked[-1] == "TransactWriteItems":
            self.conflicts -= 1
            reasons = {"CancellationReasons": [{"Code": "TransactionConflict"}, {"Code": "None"}]}
            raise RefusedError("TransactionCanceledException", status=400, document=reasons)
        response = super()._exchange(method, path, headers, **rest)
        if self.lost_answers:
            self.lost_answers -= 1
            raise NoAnswerError("TimeoutError")
        return response


class Tables:
    """The three tables under names of their own, and a store on them."""

    def __init__(self, dynamodb: DynamoDBClient) -> None:
        self.dynamodb = dynamodb
        mark = uuid.uuid4().hex[:8]
        self.names = {kind: f"{kind}-{mark}" for kind in TABLE_KEYS}
        for kind, name in self.names.items():
            create_table(dynamodb, kind, name=name)
        self.api = Faulty()
        self.damaged: list[Exception] = []
        self.put(
            "online-store",
            entity_key=FEATURES[0],
            recency="2026-11-20T00:00:00.000Z/2026-11-20T00:00:00.000Z",
            features="{}",
        )
        self.point(a_pointer().model_dump_json())

    @property
    def store(self) -> DynamoDecisionStore:
        return store_on(self.api, self.names, self.damaged.append)

    def put(self, kind: str, **texts: str) -> None:
        item: Any = {name: {"S": text} for name, text in texts.items()}
        self.dynamodb.put_item(TableName=self.names[kind], Item=item)

    def point(self, pointer: str) -> None:
        product = f"{PRODUCT.name}#rollout"
        self.put("registry", product=product, record="rollout", pointer=pointer)

    def records(self) -> dict[str, dict[str, Any]]:
        """Return every record of the application, by name."""
        items = self.dynamodb.scan(TableName=self.names["decisions"])["Items"]
        return {str(item["record"]["S"]): item for item in items}

    def change(self, expression: str, value: Any) -> None:
        """Change the decision behind the store's back."""
        arguments: Any = {"UpdateExpression": expression}
        if "#response" in expression:
            arguments["ExpressionAttributeNames"] = {"#response": "response"}
        if value is not None:
            arguments["ExpressionAttributeValues"] = {":value": value}
        self.dynamodb.update_item(TableName=self.names["decisions"], Key=KEY, **arguments)


@pytest.fixture
def tables(local_cloud_bare: LocalCloud) -> Tables:
    return Tables(local_cloud_bare.client("dynamodb"))


def store_on(
    api: JsonApi,
    names: Mapping[str, str],
    on_damaged_pointer: Callable[[Exception], object] = lambda _: None,
) -> DynamoDecisionStore:
    return DynamoDecisionStore(
        api,
        product=PRODUCT.name,
        online_store_table=names["online-store"],
        decisions_table=names["decisions"],
        registry_table=names["registry"],
        receipt_days=RECEIPT_DAYS,
        on_damaged_pointer=on_damaged_pointer,
    )


def a_receipt(response: str = "{}", *, revision: int = 1, retryable: bool = True) -> Receipt:
    return Receipt(
        application_id="application-1",
        product=PRODUCT.name,
        fingerprint="f",
        outcome="refer",
        decided_at="2026-11-20T12:00:00.000Z",
        response=response,
        request="{}",
        served="{}",
        model_input="[1.5,null]",
        terms=bytes(range(256)),
        manifest_sha256="",
        stage_ms="{}",
        retryable=retryable,
        revision=revision,
    )


def within(seconds: float = 5.0) -> Stopwatch:
    return Stopwatch(deadline_ms=seconds * 1_000)


def read(store: DynamoDecisionStore, *, seconds: float = 5.0) -> Readout:
    return store.read(
        FEATURES, application_id="application-1", with_pointer=True, timer=within(seconds)
    )


# --- reading -------------------------------------------------------------------------------


def test_one_round_trip_brings_features_receipt_and_pointer(tables: Tables) -> None:
    tables.store.write(a_receipt(), timer=within())
    tables.api.asked.clear()

    readout = read(tables.store)

    assert tables.api.asked == ["BatchGetItem"]
    assert list(readout.rows) == [FEATURES[0]]
    assert readout.unread == frozenset()
    assert readout.receipt == a_receipt()
    assert readout.pointer == a_pointer()


def test_keys_left_unprocessed_are_asked_for_again(tables: Tables) -> None:
    tables.api.unprocessed = {tables.names["online-store"]: 2, tables.names["registry"]: 1}

    readout = read(tables.store)

    assert list(readout.rows) == [FEATURES[0]]
    assert readout.unread == frozenset()
    assert readout.pointer == a_pointer()


def test_keys_that_never_arrive_are_unread_while_there_is_time_to_write(tables: Tables) -> None:
    tables.api.unprocessed = {tables.names["online-store"]: 1_000_000}
    timer = within(LATE)

    readout = tables.store.read(
        FEATURES, application_id="application-1", with_pointer=True, timer=timer
    )

    assert readout.unread == frozenset(FEATURES)
    assert readout.pointer == a_pointer()
    assert timer.remaining_seconds() > (1 - READ_SHARE) * 0.9 * LATE


def test_a_read_that_fails_once_is_repeated(tables: Tables) -> None:
    tables.api.unreachable = 1

    assert list(read(tables.store).rows) == [FEATURES[0]]


@pytest.mark.parametrize("fault", [hangs, error("InternalServerError", status=500)])
def test_a_store_that_does_not_answer_leaves_every_key_unread(
    fault: Answer, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_server() as server:
        server.answers = [fault]
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        timer = within(LATE)

        readout = store_on(Faulty(), tables.names).read(
            FEATURES, application_id="application-1", with_pointer=True, timer=timer
        )

        assert readout == Readout(unread=frozenset(FEATURES))
        assert timer.remaining_seconds() > (1 - READ_SHARE) * 0.8 * LATE
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [{}, {"Responses": 5}, {"Responses": [5]}, {"Responses": {"t": 5}}],
)
def test_an_answer_that_is_none_of_dynamodbs_leaves_every_key_unread(
    answer: Mapping[str, Any], tables: Tables
) -> None:
    tables.api.mangle = answer

    assert read(tables.store).unread == frozenset(FEATURES)


def test_a_pointer_that_cannot_be_read_is_no_pointer_and_is_told(tables: Tables) -> None:
    tables.point('{"champion": "../../elsewhere"}')

    assert read(tables.store).pointer is None
    assert tables.store.read_pointer(timer=within()) is None
    assert [str(error) for error in tables.damaged] == [
        "the rollout pointer cannot be read (ValidationError)"
    ] * 2


# --- writing -------------------------------------------------------------------------------


def test_the_first_receipt_stays_and_is_returned(tables: Tables) -> None:
    assert tables.store.write(a_receipt("first"), timer=within()) is None
    assert tables.store.write(a_receipt("second"), timer=within()) == a_receipt("first")


def test_a_receipt_ends_as_long_after_its_decision_as_receipts_are_kept(tables: Tables) -> None:
    """The one that is superseded, too."""
    tables.store.write(a_receipt("first"), timer=within())
    tables.store.supersede(a_receipt("second", revision=2), a_receipt("first"), timer=within())

    for record in ("decision", "superseded/0001"):
        # 2026-11-20T12:00 and seven days.
        assert tables.records()[record]["expires_at"] == {"N": "1795780800"}


def test_a_write_whose_answer_was_lost_is_found_again(tables: Tables) -> None:
    tables.api.lost_answers = 1

    assert tables.store.write(a_receipt("mine"), timer=within()) == a_receipt("mine")


def test_a_receipt_that_cannot_be_written_before_the_deadline_is_an_error(tables: Tables) -> None:
    tables.api.unreachable = 1_000_000

    with pytest.raises(StoreUnavailableError, match="TimeoutError"):
        tables.store.write(a_receipt(), timer=within(SOON))

    assert len(tables.api.asked) == 2


def test_nothing_is_written_after_the_deadline(tables: Tables) -> None:
    with pytest.raises(StoreUnavailableError):
        tables.store.write(a_receipt(), timer=within(-1))

    assert tables.records() == {}


def test_what_dynamodb_refuses_for_good_is_not_asked_again(tables: Tables) -> None:
    """A table that is gone, or a permission: asking on would only use the deadline up."""
    tables.dynamodb.delete_table(TableName=tables.names["decisions"])

    readout = read(tables.store)
    with pytest.raises(StoreUnavailableError, match="ResourceNotFoundException"):
        tables.store.write(a_receipt(), timer=within(60))

    assert readout.unread == frozenset(FEATURES)
    assert tables.api.asked == ["BatchGetItem", "PutItem"]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("REMOVE fingerprint", None),
        ("SET #response = :value", {"N": "1"}),
        ("SET terms = :value", {"S": "text"}),
        ("SET revision = :value", {"S": "1"}),
        ("SET revision = :value", {"N": "1.5"}),
        ("SET retryable = :value", {"S": "true"}),
        ("SET added = :value", {"BOOL": True}),
    ],
)
def test_a_damaged_receipt_is_never_taken_for_absent(
    expression: str, value: Any, tables: Tables
) -> None:
    tables.store.write(a_receipt(), timer=within())
    tables.change(expression, value)
    name = expression.split()[1].lstrip("#")

    with pytest.raises(DamagedReceiptError, match=name):
        read(tables.store)
    with pytest.raises(DamagedReceiptError, match=name):
        tables.store.write(a_receipt("second"), timer=within())


# --- superseding ---------------------------------------------------------------------------


def test_a_superseding_receipt_takes_the_place_and_the_earlier_one_is_kept(
    tables: Tables,
) -> None:
    first, second = a_receipt("first"), a_receipt("second", revision=2, retryable=False)
    tables.store.write(first, timer=within())
    before = tables.records()["decision"]

    assert tables.store.supersede(second, first, timer=within()) is None

    assert read(tables.store).receipt == second
    kept = tables.records()["superseded/0001"]
    # What was superseded waits for nobody.
    del before["awaiting_review"]
    assert kept == before | {"record": {"S": "superseded/0001"}}


def test_a_chain_of_receipts_is_kept_whole(tables: Tables) -> None:
    receipts = [a_receipt(f"answer {number}", revision=number) for number in range(1, 5)]
    tables.store.write(receipts[0], timer=within())

    for earlier, later in pairwise(receipts):
        assert tables.store.supersede(later, earlier, timer=within()) is None

    responses = {record: item["response"]["S"] for record, item in tables.records().items()}
    assert responses == {
        "decision": "answer 4",
        "superseded/0001": "answer 1",
        "superseded/0002": "answer 2",
        "superseded/0003": "answer 3",
    }


def test_who_comes_second_is_told_the_receipt_that_superseded(tables: Tables) -> None:
    first, second = a_receipt("first"), a_receipt("second", revision=2)
    tables.store.write(first, timer=within())
    tables.store.supersede(second, first, timer=within())

    late = tables.store.supersede(a_receipt("late", revision=2), first, timer=within())

    assert late == second
    assert set(tables.records()) == {"decision", "superseded/0001"}


def test_a_receipt_with_something_added_is_not_superseded(tables: Tables) -> None:
    first = a_receipt("first")
    tables.store.write(first, timer=within())
    tables.change("SET added = :value", {"N": "1"})

    found = tables.store.supersede(a_receipt("second", revision=2), first, timer=within())

    assert found == replace(first, added=1)
    assert set(tables.records()) == {"decision"}


def test_a_supersession_whose_answer_was_lost_is_found_again(tables: Tables) -> None:
    first, second = a_receipt("first"), a_receipt("second", revision=2)
    tables.store.write(first, timer=within())
    tables.api.lost_answers = 1

    assert tables.store.supersede(second, first, timer=within()) == second
    assert set(tables.records()) == {"decision", "superseded/0001"}


def test_a_transaction_that_met_another_one_is_tried_again(tables: Tables) -> None:
    first, second = a_receipt("first"), a_receipt("second", revision=2)
    tables.store.write(first, timer=within())
    tables.api.conflicts = 1

    assert tables.store.supersede(second, first, timer=within()) is None
    assert read(tables.store).receipt == second


def test_who_loses_every_try_to_another_transaction_is_told_what_is_there_now(
    tables: Tables,
) -> None:
    first, second = a_receipt("first"), a_receipt("second", revision=2)
    tables.store.write(first, timer=within())
    tables.store.supersede(second, first, timer=within())
    tables.api.conflicts = 2

    late = tables.store.supersede(a_receipt("late", revision=2), first, timer=within())

    assert late == second


def test_a_supersession_that_did_not_happen_is_an_error(tables: Tables) -> None:
    first = a_receipt("first")
    tables.store.write(first, timer=within())
    tables.api.conflicts = 2

    with pytest.raises(StoreUnavailableError, match="TransactionCanceledException"):
        tables.store.supersede(a_receipt("second", revision=2), first, timer=within())

    tables.api.unreachable = 2
    with pytest.raises(StoreUnavailableError, match="TimeoutError"):
        tables.store.supersede(a_receipt("second", revision=2), first, timer=within())
    assert read(tables.store).receipt == first


def test_of_many_who_supersede_at_once_one_succeeds_and_all_are_told_it(tables: Tables) -> None:
    first = a_receipt("first")
    tables.store.write(first, timer=within())

    def supersede(number: int) -> Receipt:
        mine = a_receipt(f"by {number}", revision=2)
        return tables.store.supersede(mine, first, timer=within()) or mine

    with ThreadPoolExecutor(8) as threads:
        answers = set(threads.map(supersede, range(50)))

    assert answers == {read(tables.store).receipt}
    assert set(tables.records()) == {"decision", "superseded/0001"}


@pytest.mark.parametrize("answer", [document({}), error("ConditionalCheckFailedException")])
def test_a_refusal_without_the_item_is_read_again_and_never_a_decision(
    answer: Answer, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_server() as server:
        server.answers = [error("ConditionalCheckFailedException"), answer]
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)

        with pytest.raises(StoreUnavailableError):
            store_on(Faulty(), tables.names).write(a_receipt(), timer=within())
