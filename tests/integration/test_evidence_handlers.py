"""The comparer, the served-set function and the skew meter as deployed: handlers on real stores."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.adapters.feature_files import S3FeatureLake
from credit_core.adapters.query_results import read_query_result
from credit_core.domain.loan_outcome import LoanOutcome
from credit_core.domain.metrics import Metric
from credit_core.errors import StoreUnavailableError
from credit_core.ports import FilePart, StoredFeatures
from credit_core.settings import ComparerSettings, ServedSetSettings, SkewSettings
from model_build.training_set import read_training_set
from tests.builders import PRODUCT, SECRET
from tests.builders_aws import create_table
from tests.builders_evidence import Trial, key_of_applicant
from tests.feature_rows import BUREAU, BUREAU_KEY, a_lake_row, write_parquet
from tests.handlers import started
from tests.left_behind import body_at, published

if TYPE_CHECKING:
    from pathlib import Path

    from credit_core.ports import LakeRow
    from tests.integration.conftest import LocalCloud

MOST = 1_000


class Evidence:
    """The functions with buckets and a secret of their own."""

    def __init__(self, cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stage = mark = uuid.uuid4().hex[:8]
        self.s3, self.cloudwatch = cloud.client("s3"), cloud.client("cloudwatch")
        self.receipts, self.results, self.lake = (
            f"{name}-{mark}" for name in ("receipts", "results", "lake")
        )
        for bucket in (self.receipts, self.results, self.lake):
            self.s3.create_bucket(Bucket=bucket)
        create_table(cloud.client("dynamodb"), "registry", name=f"registry-{mark}")
        cloud.client("secretsmanager").create_secret(
            Name=f"entity-key-{mark}", SecretString=SECRET.decode()
        )
        buckets: dict[str, Any] = {
            "product": PRODUCT.name,
            "receipts_bucket": self.receipts,
            "results_bucket": self.results,
            "most_decisions": MOST,
        }
        self._settings = {
            "comparer": ComparerSettings(stage=mark, days=500, **buckets),
            "served_set": ServedSetSettings(receipt_days=500, **buckets),
            "skew": SkewSettings(
                stage=mark,
                lake_bucket=self.lake,
                registry_table=f"registry-{mark}",
                entity_key_secret=f"entity-key-{mark}",
                settling_minutes=0,
                split_bytes=2**24,
                split_rows=2**20,
                **buckets,
            ),
        }
        self._monkeypatch = monkeypatch

    def __call__(self, name: str, event: dict[str, Any]) -> dict[str, Any]:
        for variable, value in self._settings[name].to_environment().items():
            self._monkeypatch.setenv(variable, value)
        answer = dict(started(name).handler(event, None))
        json.dumps(answer)
        return answer

    def archive(self, trial: Trial) -> None:
        """Put what a trial archived into the bucket."""
        for key, body in trial.archive.objects.items():
            self.s3.put_object(Bucket=self.receipts, Key=key, Body=body)

    def body(self, location: str) -> bytes:
        return body_at(self.s3, location)

    def published(self, metric: Metric, **more: str) -> list[float]:
        return published(self.cloudwatch, metric, stage=self.stage, more=more)


@pytest.fixture
def evidence(local_cloud_bare: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Evidence:
    return Evidence(local_cloud_bare, monkeypatch)


@pytest.fixture
def trial() -> Trial:
    """Twelve loans of more than a year ago, each third of which defaulted."""
    trial = Trial()
    decided = datetime.now(UTC) - timedelta(days=400)
    for number in range(12):
        trial.decide(f"a{number}", at=decided)
        outcome = LoanOutcome.REPAID if number % 3 else LoanOutcome.DEFAULTED
        trial.report(
            f"a{number}",
            outcome,
            on=(decided + timedelta(days=100)).date(),
            at=decided + timedelta(days=101),
        )
    return trial


def test_a_comparison_is_kept_in_words_and_as_a_document(evidence: Evidence, trial: Trial) -> None:
    evidence.archive(trial)

    found = evidence("comparer", {})

    (pair,) = found["pairs"]
    assert (pair["decisions"], pair["loans"]["reported"]) == (12, 12)
    kept = json.loads(evidence.body(found["report"]))
    assert kept == {name: value for name, value in found.items() if name != "report"}
    words = evidence.body(found["report"].replace(".json", ".txt")).decode()
    assert "Champion v1, challenger v2" in words
    assert evidence.published(Metric.MODEL_AGREEMENT) == []


def test_the_weekly_run_publishes_agreement(evidence: Evidence, trial: Trial) -> None:
    evidence.archive(trial)

    found = evidence("comparer", {"publish": "yes"})

    share = found["pairs"][0]["agreement"]["share"]["value"]
    assert evidence.published(Metric.MODEL_AGREEMENT) == [pytest.approx(share)]


def test_the_days_that_are_asked_for_are_compared(evidence: Evidence, trial: Trial) -> None:
    evidence.archive(trial)

    found = evidence("comparer", {"from": "2020-01-01", "to": "2020-01-31"})

    assert (found["decisions"], found["pairs"]) == (0, [])


def test_the_trainer_reads_what_the_served_set_function_left(
    evidence: Evidence, trial: Trial
) -> None:
    evidence.archive(trial)

    found = evidence("served_set", {"run_id": "run-1"})

    body = read_query_result(evidence.s3, found["output_location"], bucket=evidence.results)
    training_set = read_training_set(PRODUCT, body)
    assert (found["rows"], found["defaults"]) == (12, 4)
    assert training_set.loans.defaulted.tolist().count(1) == 4
    assert not training_set.referred
    assert not training_set.unservable
    assert {"query", "query_execution_id"} <= found.keys()


def test_loans_of_any_age_are_taken_when_asked_for(evidence: Evidence) -> None:
    young = Trial()
    today = datetime.now(UTC)
    young.decide("a", at=today - timedelta(minutes=1))
    young.report("a", LoanOutcome.REPAID, on=today.date(), at=today)
    evidence.archive(young)

    assert evidence("served_set", {"run_id": "run-1"})["rows"] == 0
    assert evidence("served_set", {"run_id": "run-2", "any_age": True})["rows"] == 1


def test_an_archive_that_does_not_answer_ends_the_run(evidence: Evidence) -> None:
    evidence.s3.delete_bucket(Bucket=evidence.receipts)

    with pytest.raises(StoreUnavailableError, match="the archive could not be listed"):
        evidence("comparer", {})


# --- skew ----------------------------------------------------------------------------------


def deliver(evidence: Evidence, tmp_path: Path, *rows: LakeRow) -> None:
    path = write_parquet(tmp_path / f"{uuid.uuid4().hex}.parquet", rows)
    key = BUREAU_KEY.replace("part-1", path.stem)
    evidence.s3.put_object(Bucket=evidence.lake, Key=key, Body=path.read_bytes())


def decided_with(row: LakeRow, *, at: datetime) -> Trial:
    """Return a trial of one decision on that row of the applicant ``a`` and a sound region's."""
    trial = Trial()
    assert row.event_timestamp is not None
    assert row.created_timestamp is not None
    times = (
        moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for moment in (row.event_timestamp, row.created_timestamp)
    )
    names = (feature.name for feature in BUREAU.features)
    features = json.dumps(dict(zip(names, row.values, strict=True)))
    stored = StoredFeatures("/".join((*times, "0001")), features)
    trial.decide("a", at=at, rows=trial.rows(at) | {key_of_applicant("a"): stored})
    return trial


def test_what_the_lake_has_was_served_without_skew_and_a_changed_value_shows(
    evidence: Evidence, tmp_path: Path
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    event = now - timedelta(days=1)
    row, other = (
        a_lake_row(applicant_id="a", event=event, created=event, inq_last_6mths=number)
        for number in (1, 2)
    )
    stranger = a_lake_row(applicant_id="b", event=event, created=event)
    deliver(evidence, tmp_path, row, stranger)
    today = {"from": str(now.date()), "to": str(now.date())}

    evidence.archive(decided_with(row, at=now))
    sound = evidence("skew", today)

    assert sound["views"]["bureau"]["findings"]["equal"] == 1
    assert sound["views"]["bureau"]["skewed"] == 0
    assert evidence.published(Metric.FEATURE_SKEW, View="bureau") == [0.0]

    evidence.archive(decided_with(other, at=now))
    skewed = evidence("skew", today)

    found = skewed["views"]["bureau"]
    assert found["findings"]["other_values"] == found["skewed"] == 1
    assert found["features"]["inq_last_6mths"]["differing"] == 1
    assert evidence.published(Metric.FEATURE_SKEW, View="bureau") == [1.0]
    assert (
        "inq_last_6mths differs in 1"
        in evidence.body(skewed["report"].replace(".json", ".txt")).decode()
    )


def test_only_the_entities_of_decisions_are_taken_from_a_file(
    evidence: Evidence, tmp_path: Path
) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    rows = [
        a_lake_row(applicant_id=name, event=now - timedelta(days=age), created=now)
        for name in "abc"
        for age in (1, 5, 90)
    ]
    rows.append(a_lake_row(applicant_id=None, event=now))
    deliver(evidence, tmp_path, *rows)
    (file,) = evidence.s3.list_objects_v2(Bucket=evidence.lake)["Contents"]
    asked: list[tuple[str | int, ...]] = []

    def is_wanted(keys: tuple[str | int, ...]) -> bool:
        asked.append(keys)
        return keys != ("b",)

    lake = S3FeatureLake(evidence.s3, evidence.lake)
    with lake.open(FilePart(file["Key"]), BUREAU) as opened:
        found = list(opened.rows_of(is_wanted, first_event=now - timedelta(days=5), last_event=now))
        none = list(opened.rows_of(lambda _: False, first_event=now, last_event=now))

    assert sorted(asked) == [("a",), ("b",), ("c",)]
    assert none == []
    assert [
        (row.keys, row.event_timestamp) for row in sorted(found, key=lambda row: row.position)
    ] == [((name,), now - timedelta(days=age)) for name in "ac" for age in (1, 5)]
