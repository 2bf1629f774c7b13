"""The archiver as deployed: its handler in this process, and behind the stream of a table."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from credit_core.adapters.decision_records import DynamoDecisionRecords
from credit_core.adapters.dynamodb_items import from_dynamodb, to_dynamodb
from credit_core.adapters.receipt_archive import S3ReceiptArchive, SqsFailedBatches
from credit_core.domain.receipt_archive import Days, archived_record
from credit_core.errors import StoreUnavailableError
from credit_core.ports import Kept
from credit_core.settings import ArchiverSettings
from layers.build import FUNCTION_LAYERS, Platform, build, function_archive
from tests.builders import NOW
from tests.builders_archive import A_DAY, TODAY, YESTERDAY, a_receipt, a_review, an_outcome
from tests.builders_aws import create_table
from tests.handlers import started

if TYPE_CHECKING:
    from collections.abc import Callable

    from credit_core.domain.application_records import StoredRecord
    from tests.integration.conftest import LocalCloud

PRODUCT = "personal_loan"
ROLE = "arn:aws:iam::000000000000:role/archiver"
PATIENCE_SECONDS = 60
# The handler has the real clock: however late it is, receipts of the fixed one are kept.
RECEIPT_DAYS = 100 * 365


class Archiver:
    """The function with a bucket, a table with its stream, and a queue of its own."""

    def __init__(self, cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cloud = cloud
        self.mark = mark = uuid.uuid4().hex[:8]
        self.s3, self.dynamodb, self.sqs = map(cloud.client, ("s3", "dynamodb", "sqs"))
        queue = self.sqs.create_queue(QueueName=f"failed-batches-{mark}")["QueueUrl"]
        self.settings = ArchiverSettings(
            product=PRODUCT,
            receipts_bucket=f"receipts-{mark}",
            receipt_days=RECEIPT_DAYS,
            decisions_table=f"decisions-{mark}",
            failed_batches_queue=queue,
        )
        self.make_bucket()
        create_table(self.dynamodb, "decisions", name=self.settings.decisions_table)
        described = self.dynamodb.update_table(
            TableName=self.settings.decisions_table,
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        )
        self.stream = described["TableDescription"]["LatestStreamArn"]
        for name, value in self.settings.to_environment().items():
            monkeypatch.setenv(name, value)
        self.module = started("archiver")

    def __call__(self, event: dict[str, Any]) -> dict[str, Any]:
        return dict(self.module.handler(event, None))

    def make_bucket(self) -> None:
        bucket = self.settings.receipts_bucket
        self.s3.create_bucket(Bucket=bucket)
        self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    def record(self, *records: StoredRecord) -> None:
        for record in records:
            self.dynamodb.put_item(
                TableName=self.settings.decisions_table, Item=to_dynamodb(record)
            )

    def versions(self) -> list[str]:
        """Return the key of each version of each object."""
        found = self.s3.list_object_versions(Bucket=self.settings.receipts_bucket)
        return sorted(version["Key"] for version in found.get("Versions", []))

    def body(self, key: str) -> bytes:
        found = self.s3.get_object(Bucket=self.settings.receipts_bucket, Key=key)
        return bytes(found["Body"].read())

    def fail_batch(self, first: datetime, last: datetime) -> None:
        arrivals = {
            "approximateArrivalOfFirstRecord": first.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "approximateArrivalOfLastRecord": last.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        self.send(json.dumps({"DDBStreamBatchInfo": arrivals}))

    def send(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.settings.failed_batches_queue, MessageBody=body)

    def waiting(self) -> int:
        """Return how many messages lie in the queue, taken or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(
            QueueUrl=self.settings.failed_batches_queue, AttributeNames=names
        )
        return sum(int(found["Attributes"][name]) for name in names)


@pytest.fixture
def archiver(local_cloud_bare: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Archiver:
    return Archiver(local_cloud_bare, monkeypatch)


def key(record: StoredRecord) -> str:
    return archived_record(record, product=PRODUCT).key


def a_stream_event(*records: StoredRecord) -> dict[str, Any]:
    """Return records as Lambda hands them over: JSON, so that bytes come in base64."""
    receipts = [{"dynamodb": {"NewImage": to_dynamodb(record)}} for record in records]
    text = json.dumps({"Records": receipts}, default=lambda _: "eJwA/w==")
    return dict(json.loads(text))


# --- the handler ---------------------------------------------------------------------------


def test_a_batch_is_archived_and_again_adds_no_version(archiver: Archiver) -> None:
    event = a_stream_event(a_receipt("a"), a_review("a"), an_outcome("a"))

    assert archiver(event) == {"new": 3, "known": 0, "failed": {}}
    assert archiver(event) == {"new": 0, "known": 3, "failed": {}}

    assert archiver.versions() == sorted(map(key, (a_receipt("a"), a_review("a"), an_outcome("a"))))


def test_an_event_without_an_image_is_no_record(archiver: Archiver) -> None:
    """Nothing removes records; but if somebody did, the archive would not be told to."""
    removal = {"dynamodb": {"Keys": {"application_id": {"S": "a"}}}}

    assert archiver({"Records": [removal]})["new"] == 0


def test_stream_and_table_give_the_same_bytes(archiver: Archiver) -> None:
    receipt = a_receipt(model_input="[1.5,null]", retryable=True)
    archiver.record(receipt)

    archiver(a_stream_event(receipt))

    (stored,) = archiver.module.records.of(Days())
    assert archiver.body(key(receipt)) == archived_record(stored, product=PRODUCT).body


def test_a_bucket_that_takes_nothing_fails_the_batch(archiver: Archiver) -> None:
    archiver.s3.delete_bucket(Bucket=archiver.settings.receipts_bucket)

    with pytest.raises(StoreUnavailableError, match=r"1 of 1 records .* NoSuchBucket"):
        archiver(a_stream_event(a_receipt()))


def test_the_check_tells_what_lacks_and_the_redrive_of_those_days_fills_it(
    archiver: Archiver,
) -> None:
    there, lacking, old = a_receipt("a"), a_receipt("b"), a_receipt("c", at=NOW - 9 * A_DAY)
    archiver.record(there, lacking, old)
    archiver(a_stream_event(there))
    days = {"from": str(YESTERDAY), "to": str(TODAY)}

    before = archiver({"check": days})
    done = archiver({"redrive": days})

    assert before["days"] == {str(TODAY): {"recorded": 2, "archived": 1}}
    assert before["missing_keys"] == [key(lacking)]
    assert (done["new"], done["complete"]) == (1, True)
    assert archiver({"check": {}})["missing_keys"] == [key(old)]


def test_days_are_kept_from_the_oldest_of_which_nothing_has_ended(archiver: Archiver) -> None:
    midnight = NOW.replace(hour=0, minute=0)

    for moment in (midnight, NOW, midnight + A_DAY - timedelta(seconds=1)):
        assert archiver.module.kept_since(moment) == TODAY - (RECEIPT_DAYS - 1) * A_DAY


def test_a_redrive_takes_the_days_from_the_failed_batches(archiver: Archiver) -> None:
    records = [a_receipt(str(number)) for number in range(25)]
    archiver.record(*records)
    for _ in range(12):
        archiver.fail_batch(NOW, NOW + timedelta(seconds=20))
    archiver.send("not a failed batch")

    done = archiver({"redrive": {}})

    assert (done["batches"], done["new"], done["complete"]) == (12, 25, True)
    assert archiver.versions() == sorted(map(key, records))
    # What nobody understands stays where somebody sees it.
    assert archiver.waiting() == 1


def test_a_redrive_that_fails_can_be_repeated_at_once(archiver: Archiver) -> None:
    archiver.record(a_receipt())
    archiver.fail_batch(NOW, NOW)
    archiver.s3.delete_bucket(Bucket=archiver.settings.receipts_bucket)
    with pytest.raises(StoreUnavailableError, match="could not be listed"):
        archiver({"redrive": {}})

    archiver.make_bucket()

    assert archiver({"redrive": {}})["new"] == 1
    assert archiver.waiting() == 0


# --- the adapters --------------------------------------------------------------------------


def test_only_the_days_asked_for_are_read_and_what_says_no_day(archiver: Archiver) -> None:
    wanted = [
        a_receipt("first-moment", at=NOW.replace(hour=0)),
        a_receipt("last-moment", at=NOW.replace(hour=23, minute=59, second=59)),
        a_receipt("old", at=NOW - 5 * A_DAY, record="decision", decided_at=...),
        a_review("old"),
        an_outcome("old"),
        {"application_id": "odd", "record": "gossip"},
    ]
    others = [
        a_receipt("yesterday", at=NOW - A_DAY, reviewed_at="2026-11-20T09:00:00.000Z"),
        a_receipt("yesterday", at=NOW - A_DAY, record="superseded/0001"),
        a_receipt("tomorrow", at=NOW + A_DAY),
        a_review("later", at=NOW + A_DAY),
        an_outcome("earlier", at=NOW - A_DAY),
    ]
    archiver.record(*wanted, *others)

    found = archiver.module.records.of(Days(TODAY, TODAY))

    names = {(record["application_id"], record["record"]) for record in found}
    assert names == {(record["application_id"], record["record"]) for record in wanted}


def test_every_record_of_a_table_of_many_pages_is_read_once(archiver: Archiver) -> None:
    # A page ends after 1 MB.
    large = "x" * 300_000
    archiver.record(*(a_receipt(str(number), request=large) for number in range(40)))

    found = [record["application_id"] for record in archiver.module.records.of(Days())]

    assert sorted(map(str, found)) == sorted(map(str, range(40)))


def test_keys_are_those_of_the_days_asked_for(archiver: Archiver) -> None:
    days = [a_receipt(str(number), at=NOW + number * A_DAY) for number in range(-2, 3)]
    archiver(a_stream_event(*days))

    found = archiver.module.receipts.keys(Days(YESTERDAY, TODAY))

    assert list(found) == [key(days[1]), key(days[2])]


def test_one_record_that_is_refused_stops_no_other() -> None:
    class Refusing:
        """S3 that denies one key, doesn't answer for another, and has a third."""

        def put_object(self, *, Key: str, IfNoneMatch: str, **_: Any) -> None:  # noqa: N803 (boto3's)
            assert IfNoneMatch == "*"
            if "application=denied/" in Key:
                raise ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject")
            if "application=silent/" in Key:
                raise EndpointConnectionError(endpoint_url="s3")
            if "application=known/" in Key:
                raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")

    names = ("denied", "silent", "known", "new")
    records = [archived_record(a_receipt(name), product=PRODUCT) for name in names]
    store = S3ReceiptArchive(Refusing(), "receipts", product=PRODUCT, connections=2)  # type: ignore[arg-type]

    kept = store.keep(records)

    denied, silent = records[0].key, records[1].key
    assert kept == Kept(1, 1, {denied: "AccessDenied", silent: "EndpointConnectionError"})


def test_a_table_or_queue_that_is_not_there_is_unavailable(archiver: Archiver) -> None:
    queue = SqsFailedBatches(archiver.sqs, f"{archiver.settings.failed_batches_queue}-none")
    for call in (
        lambda: list(DynamoDecisionRecords(archiver.dynamodb, "none").of(Days())),
        queue.take,
    ):
        with pytest.raises(StoreUnavailableError):
            call()


def test_a_kind_of_value_that_no_record_has_is_kept_as_it_is() -> None:
    assert from_dynamodb(
        {"tags": {"SS": ["a"]}, "gone": {"NULL": True}, "share": {"N": "0.5"}}
    ) == {
        "tags": '{"SS": ["a"]}',
        "gone": None,
        "share": 0.5,
    }


# --- behind the stream ---------------------------------------------------------------------


class Stream:
    """The function with its layers, which follows the table's stream as it is deployed to."""

    def __init__(self, archiver: Archiver) -> None:
        self.archiver = archiver
        self.lambda_ = archiver.cloud.client("lambda")
        layers = []
        for layer in build(FUNCTION_LAYERS["archiver"], Platform.HOST):
            content = {"ZipFile": layer.archive.read_bytes()}
            version = self.lambda_.publish_layer_version(LayerName=layer.name, Content=content)
            layers.append(version["LayerVersionArn"])
        self.function = f"archiver-{archiver.mark}"
        self.lambda_.create_function(
            FunctionName=self.function,
            Runtime="python3.13",
            Role=ROLE,
            Handler="handler.handler",
            Code={"ZipFile": function_archive("archiver").read_bytes()},
            Layers=layers,
            Timeout=60,
            MemorySize=1_024,
            Environment={"Variables": archiver.settings.to_environment()},
        )
        queue = archiver.sqs.get_queue_attributes(
            QueueUrl=archiver.settings.failed_batches_queue, AttributeNames=["QueueArn"]
        )["Attributes"]["QueueArn"]
        self.lambda_.create_event_source_mapping(
            FunctionName=self.function,
            EventSourceArn=archiver.stream,
            StartingPosition="TRIM_HORIZON",
            BatchSize=10,
            BisectBatchOnFunctionError=True,
            MaximumRetryAttempts=1,
            MaximumRecordAgeInSeconds=2,
            DestinationConfig={"OnFailure": {"Destination": queue}},
        )

    def redrive(self) -> dict[str, Any]:
        answer = self.lambda_.invoke(FunctionName=self.function, Payload=b'{"redrive": {}}')
        return dict(json.load(answer["Payload"]))


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_nothing_is_lost_while_the_archive_refuses_and_nothing_is_there_twice_after_it(
    archiver: Archiver,
) -> None:
    stream = Stream(archiver)
    now = datetime.now(UTC)
    sound = [a_receipt(f"sound-{number}", at=now) for number in range(15)]
    archiver.record(*sound)
    wait_until(lambda: len(archiver.versions()) == 15)
    for name in archiver.versions():
        archiver.s3.delete_object(
            Bucket=archiver.settings.receipts_bucket, Key=name, VersionId=version_of(archiver, name)
        )
    archiver.s3.delete_bucket(Bucket=archiver.settings.receipts_bucket)
    lost = [a_receipt(f"lost-{number}", at=datetime.now(UTC)) for number in range(25)]
    archiver.record(*lost)
    wait_until(lambda: archiver.waiting() >= 1)

    archiver.make_bucket()
    after = a_receipt("after", at=datetime.now(UTC))
    archiver.record(after)
    wait_until(lambda: key(after) in archiver.versions())
    done = stream.redrive()

    assert done["complete"], done
    assert archiver.versions() == sorted(map(key, (*sound, *lost, after)))
    assert archiver.waiting() == 0
    assert stream.redrive()["batches"] == 0


def version_of(archiver: Archiver, name: str) -> str:
    found = archiver.s3.list_object_versions(Bucket=archiver.settings.receipts_bucket, Prefix=name)
    return str(found["Versions"][0]["VersionId"])


def test_a_poison_record_holds_up_the_stream_for_a_while_and_no_longer(archiver: Archiver) -> None:
    Stream(archiver)
    now = datetime.now(UTC)
    poison = a_receipt("poison", decided_at=...)
    archiver.record(a_receipt("before", at=now), poison, a_receipt("beside", at=now))

    wait_until(lambda: archiver.waiting() == 1)
    archiver.record(a_receipt("after", at=now))

    expected = [key(a_receipt(name, at=now)) for name in ("before", "beside", "after")]
    wait_until(lambda: archiver.versions() == sorted(expected))
