"""The pusher as deployed: its handler in this process, and behind a bus and a queue."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from credit_core.adapters.entity_key_secret import entity_key_secret
from credit_core.adapters.feature_files import S3FeatureLake, schema_faults
from credit_core.adapters.lake_appender import parquet
from credit_core.adapters.online_store_writer import PartiqlOnlineStoreWriter
from credit_core.adapters.rejected_rows import S3RejectedRows
from credit_core.domain.feature_event import DETAIL_TYPE
from credit_core.domain.lake_tables import lake_tables
from credit_core.domain.metrics import Metric
from credit_core.ports import FilePart
from credit_core.settings import PusherSettings
from credit_core.use_cases.materialize import materialize
from credit_core.use_cases.push import ValidEvent, inspect_event
from layers.build import FUNCTION_LAYERS, Platform, build, function_archive
from tests.builders import NOW, PRODUCT, SECRET
from tests.builders_aws import create_table
from tests.feature_rows import bureau_key, never
from tests.handlers import started
from tests.left_behind import published
from tests.pushes import HOUSEHOLD, WITH_HOUSEHOLDS, a_detail, a_household

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mypy_boto3_cloudwatch import CloudWatchClient

    from tests.integration.conftest import LocalCloud

A_MINUTE_AGO = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
PATIENCE_SECONDS = 60
ROLE = "arn:aws:iam::000000000000:role/pusher"
EVENT_ID = "5a5b9f6e-0000-4000-8000-000000000000"
TOO_MANY, MUCH = 98_765_432_101_234, 9_876_543.0
"""Values of so many digits that no time and no number of a thread in a log holds them by chance."""


class Pusher:
    """The function with a lake, a results bucket, a table and a secret of its own."""

    def __init__(self, cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cloud = cloud
        self.mark = mark = uuid.uuid4().hex[:8]
        self.settings = PusherSettings(
            stage=f"test-{mark}",
            product=PRODUCT.name,
            lake_bucket=f"lake-{mark}",
            results_bucket=f"results-{mark}",
            online_store_table=f"online-store-{mark}",
            registry_table=f"registry-{mark}",
            entity_key_secret=f"entity-key-{mark}",
        )
        self.s3 = cloud.client("s3")
        self.dynamodb = cloud.client("dynamodb")
        for bucket in (self.settings.lake_bucket, self.settings.results_bucket):
            self.s3.create_bucket(Bucket=bucket)
        create_table(self.dynamodb, "online-store", name=self.settings.online_store_table)
        create_table(self.dynamodb, "registry", name=self.settings.registry_table)
        cloud.client("secretsmanager").create_secret(
            Name=self.settings.entity_key_secret, SecretString=SECRET.decode()
        )
        for name, value in self.settings.to_environment().items():
            monkeypatch.setenv(name, value)
        self.module = started("pusher")

    def __call__(self, *bodies: str) -> dict[str, Any]:
        records = [
            {"messageId": f"message-{place}", "body": body} for place, body in enumerate(bodies)
        ]
        return dict(self.module.handler({"Records": records}, None))

    def features(self, applicant_id: str) -> dict[str, Any]:
        found = self.dynamodb.get_item(
            TableName=self.settings.online_store_table,
            Key={"entity_key": {"S": bureau_key(applicant_id)}},
            ConsistentRead=True,
        )
        return dict(json.loads(found["Item"]["features"]["S"])) if "Item" in found else {}

    def keys(self, bucket: str) -> list[str]:
        return [
            entry["Key"] for entry in self.s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        ]

    def body(self, bucket: str, key: str) -> bytes:
        return bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    def rejected_pushes(self) -> float:
        cloudwatch: CloudWatchClient = self.cloud.client("cloudwatch")
        stage = self.settings.stage
        return sum(published(cloudwatch, Metric.REJECTED_PUSHES, stage=stage, statistic="Sum"))


@pytest.fixture
def pusher(local_cloud_bare: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pusher]:
    yield Pusher(local_cloud_bare, monkeypatch)
    entity_key_secret.cache_clear()


def a_recent_detail(applicant_id: str = "applicant-1", **changes: Any) -> dict[str, Any]:
    """Return a valid row for a handler that reads the real clock."""
    return a_detail(applicant_id, **{"event": A_MINUTE_AGO, **changes})


def an_event(detail: object) -> str:
    """Return a row as EventBridge puts it into the queue."""
    return json.dumps({"id": EVENT_ID, "detail-type": DETAIL_TYPE, "detail": detail})


def test_a_row_is_appended_and_written(pusher: Pusher) -> None:
    answer = pusher(an_event(a_recent_detail(inq_fi=7)))

    assert answer == {"batchItemFailures": []}
    assert pusher.features("applicant-1")["inq_fi"] == 7
    (key,) = pusher.keys(pusher.settings.lake_bucket)
    assert key.startswith("personal_loan/features/bureau/pushed/")


def test_a_redelivered_message_leaves_one_file_and_one_row(pusher: Pusher) -> None:
    body = an_event(a_recent_detail())

    assert pusher(body, body) == pusher(body) == {"batchItemFailures": []}

    assert len(pusher.keys(pusher.settings.lake_bucket)) == 1


def test_a_refused_row_is_noted_without_values_and_counted(pusher: Pusher) -> None:
    answer = pusher(an_event(a_recent_detail("applicant-canary", inq_fi=-TOO_MANY)), "no JSON")

    assert answer == {"batchItemFailures": []}
    assert pusher.keys(pusher.settings.lake_bucket) == []
    today = datetime.now(UTC).date().isoformat()
    keys = pusher.keys(pusher.settings.results_bucket)
    assert keys == [
        f"rejected/push/{today}/{EVENT_ID}.jsonl",
        f"rejected/push/{today}/message-1.jsonl",
    ]
    noted = pusher.body(pusher.settings.results_bucket, keys[0])
    assert json.loads(noted)["reasons"] == ["inq_fi is not from 0 to 1000"]
    assert b"canary" not in noted
    assert b"98765432" not in noted
    assert pusher.rejected_pushes() == 2


def test_the_log_holds_no_value(pusher: Pusher, caplog: pytest.LogCaptureFixture) -> None:
    pusher(
        an_event(a_recent_detail("applicant-canary", delinq_amnt=MUCH)),
        an_event(a_recent_detail("applicant-canary", delinq_amnt=-MUCH)),
    )

    said = str([vars(record) for record in caplog.records])
    assert "delinq_amnt is not from 0 to" in said
    assert "canary" not in said
    assert "9876543" not in said


def test_what_a_store_does_not_take_is_delivered_again(pusher: Pusher) -> None:
    pusher.dynamodb.delete_table(TableName=pusher.settings.online_store_table)

    answer = pusher(an_event(a_recent_detail()), an_event(a_recent_detail(inq_fi=-1)))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}


def test_a_lake_that_is_not_there_is_no_reason_to_serve(pusher: Pusher) -> None:
    pusher.s3.delete_bucket(Bucket=pusher.settings.lake_bucket)

    answer = pusher(an_event(a_recent_detail()))

    assert answer == {"batchItemFailures": [{"itemIdentifier": "message-0"}]}
    assert pusher.features("applicant-1") == {}


def test_materializing_the_appended_file_reads_the_same_row(pusher: Pusher) -> None:
    """The sweep finds it later on; nothing may change then."""
    pusher(an_event(a_recent_detail(revol_util=50, all_util=None)))
    (key,) = pusher.keys(pusher.settings.lake_bucket)

    done = materialize(
        PRODUCT,
        FilePart(key),
        lake=S3FeatureLake(pusher.s3, pusher.settings.lake_bucket),
        store=PartiqlOnlineStoreWriter(pusher.dynamodb, pusher.settings.online_store_table),
        rejected_rows=S3RejectedRows(pusher.s3, pusher.settings.results_bucket, run_id="sweep"),
        secret=SECRET,
        as_of=datetime.now(UTC),
        wait=never,
    )

    assert (done.read, done.stale) == (1, 1)


def test_an_appended_file_has_the_columns_that_its_view_has(tmp_path: Path) -> None:
    found = inspect_event(WITH_HOUSEHOLDS, a_household(), secret=SECRET, as_of=NOW)
    assert isinstance(found, ValidEvent)
    path = tmp_path / "row.parquet"
    with duckdb.connect() as connection:
        path.write_bytes(parquet(connection, found.lake_row, HOUSEHOLD))
        described = connection.execute("DESCRIBE SELECT * FROM read_parquet(?)", [str(path)])
        types = {str(name): str(type_) for name, type_, *_ in described.fetchall()}
        row = connection.execute("SELECT * FROM read_parquet(?)", [str(path)]).fetchone()

    assert types == {
        "household_number": "BIGINT",
        "district": "VARCHAR",
        "event_timestamp": "TIMESTAMP",
        "created_timestamp": "TIMESTAMP",
        "tenure": "VARCHAR",
        "heating": "VARCHAR",
        "rooms": "BIGINT",
        "square_meters": "DOUBLE",
    }
    (table,) = (found for found in lake_tables(WITH_HOUSEHOLDS) if found.view is HOUSEHOLD)
    assert list(types) == list(table.columns)
    assert schema_faults(HOUSEHOLD, types) == []
    at = (NOW - timedelta(hours=1)).replace(tzinfo=None)
    assert row == (12, "West", at, at, "own", None, 3, 72.5)


# --- behind a bus and a queue --------------------------------------------------------------


class Route:
    """A bus, a rule, a queue with dead letters, and the function with its layers."""

    def __init__(self, pusher: Pusher, *, unseen_seconds: int) -> None:
        self.pusher = pusher
        self.bus = f"credit-{pusher.mark}"
        self.events = pusher.cloud.client("events")
        self.sqs = pusher.cloud.client("sqs")
        self.dead_letters, dead_letters_arn = self._queue("dead-letters", {})
        redrive = {"deadLetterTargetArn": dead_letters_arn, "maxReceiveCount": "2"}
        self.queue, queue_arn = self._queue(
            "push", {"VisibilityTimeout": str(unseen_seconds), "RedrivePolicy": json.dumps(redrive)}
        )
        self.events.create_event_bus(Name=self.bus)
        pattern = json.dumps({"detail-type": [DETAIL_TYPE]})
        self.events.put_rule(Name="rows", EventBusName=self.bus, EventPattern=pattern)
        target = {"Id": "queue", "Arn": queue_arn}
        self.events.put_targets(Rule="rows", EventBusName=self.bus, Targets=[target])
        self._map(queue_arn)

    def _queue(self, name: str, attributes: dict[str, str]) -> tuple[str, str]:
        url = self.sqs.create_queue(QueueName=f"{name}-{self.pusher.mark}", Attributes=attributes)[
            "QueueUrl"
        ]
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, answer["Attributes"]["QueueArn"]

    def _map(self, queue_arn: str) -> None:
        lambda_ = self.pusher.cloud.client("lambda")
        layers = []
        for layer in build(FUNCTION_LAYERS["pusher"], Platform.HOST):
            content = {"ZipFile": layer.archive.read_bytes()}
            version = lambda_.publish_layer_version(LayerName=layer.name, Content=content)
            layers.append(version["LayerVersionArn"])
        name = f"pusher-{self.pusher.mark}"
        lambda_.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Role=ROLE,
            Handler="handler.handler",
            Code={"ZipFile": function_archive("pusher").read_bytes()},
            Layers=layers,
            Timeout=60,
            MemorySize=1_024,
            Environment={"Variables": self.pusher.settings.to_environment()},
        )
        lambda_.create_event_source_mapping(
            FunctionName=name,
            EventSourceArn=queue_arn,
            BatchSize=10,
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )

    def send(self, *details: object) -> None:
        answer = self.events.put_events(
            Entries=[
                {
                    "EventBusName": self.bus,
                    "Source": "test",
                    "DetailType": DETAIL_TYPE,
                    "Detail": json.dumps(detail),
                }
                for detail in details
            ]
        )
        assert answer["FailedEntryCount"] == 0

    def given_up(self) -> int:
        answer = self.sqs.get_queue_attributes(
            QueueUrl=self.dead_letters, AttributeNames=["ApproximateNumberOfMessages"]
        )
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_row_put_on_the_bus_reaches_the_store_and_a_bad_one_stops_nothing(
    pusher: Pusher,
) -> None:
    route = Route(pusher, unseen_seconds=PATIENCE_SECONDS)

    route.send(a_recent_detail("applicant-1", inq_fi=-1), a_recent_detail("applicant-2", inq_fi=5))

    wait_until(lambda: pusher.features("applicant-2") != {})
    assert pusher.features("applicant-2")["inq_fi"] == 5
    wait_until(lambda: bool(pusher.keys(pusher.settings.results_bucket)))
    assert pusher.features("applicant-1") == {}
    assert route.given_up() == 0


def test_a_row_that_no_store_takes_is_tried_again_and_then_given_up(pusher: Pusher) -> None:
    pusher.s3.delete_bucket(Bucket=pusher.settings.lake_bucket)
    route = Route(pusher, unseen_seconds=1)

    route.send(a_recent_detail("applicant-1"))

    wait_until(lambda: route.given_up() == 1)
    assert pusher.features("applicant-1") == {}
