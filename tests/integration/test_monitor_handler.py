"""The monitor as deployed: its handler on real stores, step by step as the state machine does."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.domain.metrics import Metric
from credit_core.domain.model_manifest import manifest_key
from credit_core.errors import StoreUnavailableError
from credit_core.settings import MonitorSettings
from tests.builders import PRODUCT
from tests.builders_monitoring import Applicants, MonitoredDays
from tests.handlers import started
from tests.left_behind import body_at, published

if TYPE_CHECKING:
    from datetime import date

    from tests.integration.conftest import LocalCloud


class Monitor:
    """The function, with buckets and a stage of its own."""

    def __init__(self, cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stage = mark = uuid.uuid4().hex[:8]
        # Runs of one test begin on one day, whatever midnight passes meanwhile.
        self._next_start = datetime.now(UTC).replace(hour=12)
        self.yesterday = self._next_start.date() - timedelta(days=1)
        self.s3, self.cloudwatch = cloud.client("s3"), cloud.client("cloudwatch")
        self.receipts, self.models, self.results = (
            f"{name}-{mark}" for name in ("receipts", "models", "results")
        )
        for bucket in (self.receipts, self.models, self.results):
            self.s3.create_bucket(Bucket=bucket)
        settings = MonitorSettings(
            stage=mark,
            product=PRODUCT.name,
            receipts_bucket=self.receipts,
            models_bucket=self.models,
            results_bucket=self.results,
            decisions_a_part=20,
            least_decisions=50,
            most_drift=0.25,
            most_outcome_shift=0.1,
            most_reason_shift=0.25,
            drift_per_feature=True,
        )
        for name, value in settings.to_environment().items():
            monkeypatch.setenv(name, value)
        self.handler = started("monitor").handler
        self.days = MonitoredDays()
        self.model = self.days.trained(on=200)
        self.put_manifest(self.model.manifest.to_json())

    def put_manifest(self, body: bytes) -> None:
        key = manifest_key(PRODUCT.name, self.model.manifest.version)
        self.s3.put_object(Bucket=self.models, Key=key, Body=body)

    def decide(self, day: date, count: int, applicants: Applicants = Applicants()) -> None:  # noqa: B008 (it is frozen)
        """Decide on a day, and put the receipts into the bucket."""
        self.days.archive.objects.clear()
        self.days.decide(day, count, model=self.model, applicants=applicants)
        for key, body in self.days.archive.objects.items():
            self.s3.put_object(Bucket=self.receipts, Key=key, Body=body)

    def start(self) -> str:
        """Return when a run begins, each later than the one before."""
        self._next_start += timedelta(seconds=1)
        return self._next_start.isoformat()

    def step(self, action: str, run_id: str, **asked: Any) -> dict[str, Any]:
        event = {"action": action, "run_id": run_id, **asked}
        answer = dict(self.handler(json.loads(json.dumps(event)), None))
        return dict(json.loads(json.dumps(answer)))

    def run(self, day: date | None = None) -> dict[str, Any]:
        """Play the state machine: a run of a day, by default of yesterday."""
        run_id, started_at = uuid.uuid4().hex, self.start()
        named = str(day) if day else None
        plan = self.step("plan", run_id, day=named, started_at=started_at)
        for part in plan["parts"]:
            assert self.step("tally", run_id, part=part) == {}
        return self.step(
            "report", run_id, day=plan["day"], parts=len(plan["parts"]), started_at=started_at
        )

    def body(self, location: str) -> bytes:
        return body_at(self.s3, location)

    def published(self, metric: Metric, **more: str) -> list[float]:
        return published(self.cloudwatch, metric, stage=self.stage, more=more)


@pytest.fixture
def monitor(local_cloud_bare: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Monitor:
    return Monitor(local_cloud_bare, monkeypatch)


def test_yesterday_is_monitored_kept_and_published(monitor: Monitor) -> None:
    monitor.decide(monitor.yesterday, 60, Applicants(income=20_000))
    monitor.decide(monitor.yesterday - timedelta(days=1), 5)

    found = monitor.run()

    figures = found["figures"]
    assert (found["day"], figures["decisions"]) == (str(monitor.yesterday), 60)
    assert found["report"].endswith(f"monitoring/personal_loan/day={monitor.yesterday}/report.html")
    assert b"Decisions of a day" in monitor.body(found["report"])
    kept = json.loads(monitor.body(found["summary"]))
    assert kept["tally"]["decisions"] == 60
    assert kept["figures"]["findings"] == figures["findings"]
    drifts = {each["name"]: each["index"] for each in figures["models"][0]["drift"]["inputs"]}
    assert drifts["annual_income"] > 0.25
    assert monitor.published(Metric.MONITORED_DECISIONS) == [60]
    assert monitor.published(Metric.FEATURE_DRIFT) == [pytest.approx(max(drifts.values()))]
    assert monitor.published(Metric.FEATURE_DRIFT, Feature="annual_income") == [
        pytest.approx(drifts["annual_income"])
    ]
    assert monitor.published(Metric.MISSING_FEATURES, View="bureau") == [0]


def test_a_day_that_is_monitored_twice_has_the_same_files(monitor: Monitor) -> None:
    monitor.decide(monitor.yesterday, 50)

    once = monitor.run()
    bodies = [monitor.body(once[name]) for name in ("summary", "report")]
    again = monitor.run()

    assert again == once
    assert [monitor.body(again[name]) for name in ("summary", "report")] == bodies


def test_days_before_are_compared_with_and_one_that_cannot_be_read_is_not(
    monitor: Monitor,
) -> None:
    for age in (3, 2, 1):
        monitor.decide(monitor.yesterday - timedelta(days=age), 50)
        kept = monitor.run(monitor.yesterday - timedelta(days=age))["summary"]
    bucket, _, key = kept.removeprefix("s3://").partition("/")
    monitor.s3.put_object(Bucket=bucket, Key=key, Body=b'{"tally": {"decisions": 7}}')
    monitor.decide(monitor.yesterday, 50)

    before = monitor.run()["figures"]["before"]

    assert (before["days"], before["decisions"]) == (2, 100)


def test_what_is_long_past_is_told_and_not_published(monitor: Monitor) -> None:
    """An alarm is about now; its metric says when it was measured."""
    monitor.decide(monitor.yesterday - timedelta(days=5), 3)

    found = monitor.run(monitor.yesterday - timedelta(days=5))

    assert found["figures"]["decisions"] == 3
    assert monitor.published(Metric.MONITORED_DECISIONS) == []


def test_a_day_without_decisions_is_published_as_such(monitor: Monitor) -> None:
    found = monitor.run()

    assert found["figures"]["decisions"] == 0
    assert monitor.published(Metric.MONITORED_DECISIONS) == [0]


def test_a_manifest_that_is_not_what_was_registered_judges_nobody(monitor: Monitor) -> None:
    monitor.decide(monitor.yesterday, 60)
    monitor.put_manifest(monitor.model.manifest.to_json() + b" ")

    (model,) = monitor.run()["figures"]["models"]

    assert model["drift"] is None
    assert "manifest.json" in model["not_judged"]
    assert monitor.published(Metric.FEATURE_DRIFT) == []


def test_a_part_that_was_not_tallied_ends_the_run(monitor: Monitor) -> None:
    monitor.decide(monitor.yesterday, 50)
    started_at = monitor.start()
    plan = monitor.step("plan", "run-1", day=None, started_at=started_at)
    for part in plan["parts"][:-1]:
        monitor.step("tally", "run-1", part=part)

    with pytest.raises(StoreUnavailableError, match="NoSuchKey"):
        monitor.step(
            "report", "run-1", day=plan["day"], parts=len(plan["parts"]), started_at=started_at
        )


@pytest.mark.parametrize("lost", ["receipts", "models", "results"])
def test_a_bucket_that_does_not_answer_ends_the_step(monitor: Monitor, lost: str) -> None:
    monitor.decide(monitor.yesterday, 5)
    bucket = getattr(monitor, lost)
    for found in monitor.s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        monitor.s3.delete_object(Bucket=bucket, Key=found["Key"])
    monitor.s3.delete_bucket(Bucket=bucket)

    with pytest.raises(StoreUnavailableError, match="NoSuchBucket"):
        monitor.run()


@pytest.mark.parametrize(
    ("day", "why"),
    [("yesterday", "is no day"), (7, "is no day"), ("2999-01-01", "has not begun")],
)
def test_what_is_no_day_is_refused(monitor: Monitor, day: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        monitor.step("plan", "run-1", day=day, started_at=monitor.start())
