"""The freshness function as deployed: its handler, a table with notes, and CloudWatch."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.metrics import CloudWatchMetrics
from credit_core.adapters.newest_events import MOST_ROUNDS, DynamoNewestEvents
from credit_core.adapters.online_store_writer import PartiqlOnlineStoreWriter
from credit_core.adapters.training_times import DynamoTrainingTimes
from credit_core.domain.metrics import Measurement, Metric, Unit
from credit_core.domain.online_store import newest_row_key, timestamp_text
from credit_core.errors import StoreUnavailableError
from credit_core.settings import FreshnessSettings
from credit_core.use_cases.materialize import write_newest
from tests.builders import NOW, PRODUCT
from tests.builders_aws import create_table
from tests.feature_rows import BUREAU, a_feature_row, never
from tests.handlers import started
from tests.left_behind import published

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient

    from tests.integration.conftest import LocalCloud

A_DAY = timedelta(days=1)


class Meter:
    """The function with a table of its own."""

    def __init__(self, cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
        mark = uuid.uuid4().hex[:8]
        self.settings = FreshnessSettings(
            stage=f"test-{mark}",
            product=PRODUCT.name,
            online_store_table=f"online-store-{mark}",
            registry_table=f"registry-{mark}",
        )
        self.dynamodb: DynamoDBClient = cloud.client("dynamodb")
        self.cloudwatch: CloudWatchClient = cloud.client("cloudwatch")
        create_table(self.dynamodb, "online-store", name=self.settings.online_store_table)
        create_table(self.dynamodb, "registry", name=self.settings.registry_table)
        for name, value in self.settings.to_environment().items():
            monkeypatch.setenv(name, value)
        self.module = started("freshness")

    def __call__(self) -> dict[str, float | None]:
        return {view["view"]: view["age_seconds"] for view in self.module.handler({}, None)}

    def register(self, version: str, *, state: str, age: timedelta) -> None:
        """Note a model as the registry does."""
        self.dynamodb.put_item(
            TableName=self.settings.registry_table,
            Item={
                "product": {"S": PRODUCT.name},
                "record": {"S": f"model#{version}"},
                "state": {"S": state},
                "created_at": {"S": timestamp_text(datetime.now(UTC) - age)},
            },
        )

    def published(self, metric: Metric, **more: str) -> list[float]:
        return published(self.cloudwatch, metric, stage=self.settings.stage, more=more)


@pytest.fixture
def meter(local_cloud_bare: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Meter:
    return Meter(local_cloud_bare, monkeypatch)


def test_the_age_of_what_was_written_arrives_at_cloudwatch(meter: Meter) -> None:
    event = datetime.now(UTC).replace(microsecond=0) - A_DAY
    rows = [a_feature_row("applicant-1", event=event - A_DAY), a_feature_row(event=event)]
    store = PartiqlOnlineStoreWriter(meter.dynamodb, meter.settings.online_store_table)
    for row in rows:
        write_newest(PRODUCT, BUREAU, [row], store=store, as_of=datetime.now(UTC), wait=never)

    ages = meter()

    assert ages["bureau"] == pytest.approx(86_400, abs=60)
    assert meter.published(Metric.FEATURE_AGE, View="bureau") == pytest.approx([86_400], abs=60)


def test_a_view_that_was_never_loaded_is_silent(meter: Meter) -> None:
    assert meter() == {"bureau": None, "region_market": None}
    assert meter.published(Metric.FEATURE_AGE, View="region_market") == []


def test_the_ages_of_champion_and_candidate_arrive_at_cloudwatch(meter: Meter) -> None:
    for version, state, age in (
        ("v1", "retired", 90 * A_DAY),
        ("v2", "champion", 30 * A_DAY),
        ("v3", "rejected", 2 * A_DAY),
    ):
        meter.register(version, state=state, age=age)

    meter()

    assert meter.published(Metric.MODEL_AGE) == pytest.approx([30], abs=0.01)
    assert meter.published(Metric.CANDIDATE_AGE) == pytest.approx([2], abs=0.01)


def test_a_registry_that_is_not_there_fails_after_the_views_were_measured(meter: Meter) -> None:
    row = a_feature_row(event=datetime.now(UTC) - A_DAY)
    store = PartiqlOnlineStoreWriter(meter.dynamodb, meter.settings.online_store_table)
    write_newest(PRODUCT, BUREAU, [row], store=store, as_of=datetime.now(UTC), wait=never)
    meter.dynamodb.delete_table(TableName=meter.settings.registry_table)

    with pytest.raises(StoreUnavailableError, match="the registry did not answer"):
        meter()

    assert meter.published(Metric.FEATURE_AGE, View="bureau")


class Busy:
    """A DynamoDB client that leaves out the second key for some rounds."""

    def __init__(self, table: str, *, rounds: int) -> None:
        self.table, self.rounds = table, rounds

    def batch_get_item(self, *, RequestItems: Any) -> Any:  # noqa: N803 (boto3's)
        keys = [key["entity_key"]["S"] for key in RequestItems[self.table]["Keys"]]
        self.rounds -= 1
        left = [key for key in keys if key == "two" and self.rounds >= 0]
        at = "2026-11-20T09:00:00.000Z"
        return {
            "Responses": {
                self.table: [
                    {"entity_key": {"S": key}, "event_timestamp": {"S": at}}
                    for key in keys
                    if key not in left
                ]
            },
            "UnprocessedKeys": {self.table: {"Keys": [{"entity_key": {"S": key}} for key in left]}}
            if left
            else {},
        }


def test_what_a_busy_table_left_out_is_asked_for_again() -> None:
    pauses: list[float] = []
    events = DynamoNewestEvents(Busy("t", rounds=2), "t", sleep=pauses.append)  # type: ignore[arg-type]

    assert set(events.read(["one", "two"])) == {"one", "two"}
    assert len(pauses) == 2


def test_what_stays_unread_is_not_taken_for_absent() -> None:
    busy = Busy("t", rounds=MOST_ROUNDS)
    events = DynamoNewestEvents(busy, "t", sleep=lambda _: None)  # type: ignore[arg-type]

    with pytest.raises(StoreUnavailableError, match="1 of 2 newest events"):
        events.read(["one", "two"])


@mock_aws
def test_a_table_that_is_not_there_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    events = DynamoNewestEvents(client("dynamodb", pipeline_config()), "no-such-table")

    with pytest.raises(StoreUnavailableError, match="ResourceNotFound"):
        events.read([newest_row_key(PRODUCT, BUREAU)])


def test_metrics_that_cloudwatch_refuses_are_no_success() -> None:
    class Refusing:
        def put_metric_data(self, **_: Any) -> None:
            raise ClientError({"Error": {"Code": "Throttling"}}, "PutMetricData")

    measurement = Measurement(Metric.FEATURE_AGE, 1.0, Unit.SECONDS, {"View": "bureau"})

    with pytest.raises(StoreUnavailableError, match="Throttling"):
        CloudWatchMetrics(Refusing()).publish([measurement], at=NOW)  # type: ignore[arg-type]


@mock_aws
def test_a_registry_that_does_not_answer_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    times = DynamoTrainingTimes(
        client("dynamodb", pipeline_config()), "no-such-table", product=PRODUCT.name
    )

    with pytest.raises(StoreUnavailableError, match="ResourceNotFound"):
        times.read()
