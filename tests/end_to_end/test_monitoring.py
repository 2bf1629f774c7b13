"""A day of the archive, monitored by the deployed state machine."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.domain.metrics import NAMESPACE, Metric

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_s3 import S3Client

    from credit_cli.aws import LocalAws
    from tests.end_to_end.conftest import Caller, Credit

pytestmark = pytest.mark.end_to_end

BATCHES, A_BATCH = 10, 100
"""More than are like those in training: other tests decide about a thousand or two."""


@dataclass(frozen=True)
class Others:
    """Applicants with less income than nearly all of those trained on: when, and by which model."""

    day: date
    model: str
    decisions: int


@pytest.fixture
def others(
    callers: dict[str, Caller],
    an_application: Callable[..., dict[str, Any]],
    archived: Callable[[], None],
) -> Others:
    """Return them, decided and archived: most of them, should midnight or a new model divide them.

    A function takes the model of a test before for the champion until it reads the pointer again.
    """
    marked = uuid.uuid4().hex[:8]
    decisions: list[dict[str, Any]] = []
    for batch in range(BATCHES):
        applications = [
            an_application(application_id=f"drift-{marked}-{batch}-{number}", annual_income=11_000)
            for number in range(A_BATCH)
        ]
        body = {"applications": applications}
        answer = callers["application"]("POST", "/v1/decision-batches", body)
        assert answer.status == 200
        decisions += [result["decision"] for result in answer.document()["results"]]
    archived()
    counts = Counter(
        (datetime.fromisoformat(decision["decided_at"]).date(), decision["model"]["version"])
        for decision in decisions
        if decision["model"]
    )
    [((day, model), count)] = counts.most_common(1)
    return Others(day, model, count)


def test_applicants_who_are_others_than_in_training_are_told_on_the_page_and_as_a_metric(
    credit: Credit, aws: LocalAws, others: Others, tmp_path: Path
) -> None:
    out = tmp_path / "day.html"

    done = credit("monitor", "--day", str(others.day), "--out", str(out), "--json", check=False)

    found = json.loads(done.stdout)
    figures = found["figures"]
    assert done.returncode == 1
    assert figures["decisions"] >= others.decisions
    assert figures["damaged"]["count"] == 0
    (model,) = (each for each in figures["models"] if each["version"] == others.model)
    (drift,) = (each for each in model["drift"]["inputs"] if each["name"] == "annual_income")
    assert drift["index"] > 0.25
    # Which ones is told of the worst: the other tests' applicants are others, too.
    assert any("moved far from training" in finding for finding in figures["findings"])
    assert b"annual_income" in out.read_bytes().replace(b"<wbr>", b"")
    s3: S3Client = aws.client("s3")
    bucket, _, key = found["summary"].removeprefix("s3://").partition("/")
    kept = json.load(s3.get_object(Bucket=bucket, Key=key)["Body"])
    assert kept["tally"]["decisions"] == figures["decisions"]
    cloudwatch: CloudWatchClient = aws.client("cloudwatch")
    listed = cloudwatch.list_metrics(Namespace=NAMESPACE, MetricName=Metric.FEATURE_DRIFT)
    features = {
        dimension["Value"]
        for metric in listed["Metrics"]
        for dimension in metric["Dimensions"]
        if dimension["Name"] == "Feature"
    }
    assert "annual_income" in features


def test_a_day_that_is_monitored_again_gives_the_same(
    credit: Credit, archived: Callable[[], None]
) -> None:
    archived()
    today = str(datetime.now(UTC).date())

    once, again = (
        json.loads(credit("monitor", "--day", today, "--json", check=False).stdout)
        for _ in range(2)
    )

    assert again == once
