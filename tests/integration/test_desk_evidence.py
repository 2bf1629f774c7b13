"""What the desk shows of models and days, read from S3, DynamoDB and KMS of moto's."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from credit_cli.desk.evidence import DeployedEvidence
from credit_cli.errors import CliError
from credit_core.adapters.monitoring_record import S3MonitoringRecord
from credit_core.adapters.reports import S3Reports
from credit_core.domain.model_manifest import RolloutPointer, manifest_key, report_key
from credit_core.domain.monitoring_page import monitoring_page
from credit_core.domain.places import COMPARISONS
from tests.builders import NOW, PRODUCT
from tests.builders_desk_evidence import monitored_days
from tests.builders_monitoring import A_DAY
from tests.builders_registry import REPORT, Cloud, moto_cloud, registered

if TYPE_CHECKING:
    from collections.abc import Iterator

MACHINES = {
    "RolloutStateMachine": "arn:aws:states:us-east-1:000000000000:stateMachine:rollout",
    "MonitoringStateMachine": "arn:aws:states:us-east-1:000000000000:stateMachine:monitoring",
}


@dataclass
class StateMachines:
    """Step Functions: what ran, and what is started."""

    executions: list[dict[str, Any]] = field(default_factory=list)
    started: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def get_paginator(self, _: str) -> StateMachines:
        return self

    def paginate(self, *, stateMachineArn: str) -> list[dict[str, Any]]:  # noqa: N803 (boto3's)
        assert stateMachineArn in MACHINES.values()
        return [{"executions": self.executions}]

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803 (boto3's)
        assert executionArn
        return {"error": "RolledBack", "cause": "ScorerErrors is in alarm"}

    def get_execution_history(self, **_: Any) -> dict[str, Any]:
        entered = {"stateEnteredEventDetails": {"name": "Watch"}, "type": "WaitStateEntered"}
        return {"events": [entered]}

    def start_execution(self, *, stateMachineArn: str, input: str) -> dict[str, str]:  # noqa: A002, N803 (boto3's)
        self.started.append((stateMachineArn, json.loads(input)))
        return {"executionArn": "arn:1"}


@dataclass
class Functions:
    """Lambda, with one answer."""

    answer: bytes = b"{}"
    asked: list[dict[str, Any]] = field(default_factory=list)
    fails: bool = False

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 (boto3's)
        assert FunctionName == "the-comparer"
        self.asked.append(json.loads(Payload))
        if self.fails:
            body = json.dumps({"errorMessage": "the archive did not answer"}).encode()
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(body)}
        return {"Payload": io.BytesIO(self.answer)}


@dataclass
class Local:
    """The local cloud as the desk sees it."""

    cloud: Cloud
    machines: StateMachines = field(default_factory=StateMachines)
    functions: Functions = field(default_factory=Functions)

    def client(self, service: str) -> Any:
        return {
            "s3": self.cloud.s3,
            "dynamodb": self.cloud.dynamodb,
            "kms": self.cloud.kms,
            "lambda": self.functions,
            "stepfunctions": self.machines,
        }[service]

    @property
    def evidence(self) -> DeployedEvidence:
        outputs = {
            **MACHINES,
            "ModelsBucket": "models",
            "RegistryTable": "registry",
            "ResultsBucket": "results",
            "SigningKey": self.cloud.signing_key,
            "ComparerFunction": "the-comparer",
        }
        return DeployedEvidence.of(self, outputs, PRODUCT.name)  # type: ignore[arg-type]


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Iterator[Local]:
    with moto_cloud(monkeypatch) as cloud:
        yield Local(cloud)


def keep(local: Local, day: date) -> None:
    record = S3MonitoringRecord(local.cloud.s3, "results", product=PRODUCT.name)
    summary = monitored_days()[day]
    record.keep_day(day, summary, monitoring_page(PRODUCT, summary))


def test_where_nothing_is_kept_nothing_is_found(local: Local) -> None:
    evidence = local.evidence

    assert list(evidence.models()) == []
    assert evidence.model("v1") is None
    assert evidence.report("v1") is None
    assert evidence.pointer() is None
    assert list(evidence.moves(5)) == []
    assert evidence.rollout() is None
    assert evidence.comparison() is None
    assert list(evidence.days()) == []
    assert evidence.summary(A_DAY) is None
    assert evidence.page(A_DAY) is None


def test_a_version_is_read_with_its_verified_manifest_and_report(local: Local) -> None:
    registered(local.cloud, "v1")
    registered(local.cloud, "v2")

    evidence = local.evidence

    assert {model.reference.version for model, _ in evidence.models()} == {"v1", "v2"}
    found = evidence.model("v2")
    assert found is not None
    assert found[1].version == "v2"
    assert evidence.report("v2") == REPORT


def test_a_changed_manifest_is_told_and_hides_no_other(local: Local) -> None:
    for version in ("v1", "v2"):
        registered(local.cloud, version)
    local.cloud.s3.put_object(
        Bucket="models", Key=manifest_key(PRODUCT.name, "v1"), Body=b"something else"
    )

    found = {model.reference.version: manifest for model, manifest in local.evidence.models()}

    assert isinstance(found["v1"], CliError)
    assert not isinstance(found["v2"], CliError)
    with pytest.raises(CliError):
        local.evidence.model("v1")


def test_a_changed_report_is_not_shown(local: Local) -> None:
    registered(local.cloud, "v1")
    key = report_key(PRODUCT.name, "v1")
    local.cloud.s3.put_object(Bucket="models", Key=key, Body=b"<script>steal()</script>")

    with pytest.raises(CliError, match="SHA-256"):
        local.evidence.report("v1")


def test_pointer_and_moves_are_those_of_the_registry(local: Local) -> None:
    reference = registered(local.cloud, "v1")
    local.cloud.registry.move(
        RolloutPointer(
            product=PRODUCT.name, champion=reference, revision=1, moved_at=NOW, moved_by="ada"
        )
    )

    pointer = local.evidence.pointer()

    assert pointer is not None
    assert pointer.champion.version == "v1"
    assert [move.after.moved_by for move in local.evidence.moves(5)] == ["ada"]


def test_the_latest_comparison_counts(local: Local) -> None:
    reports = S3Reports(local.cloud.s3, "results")
    for at in ("2026-11-19T010000Z", "2026-11-20T010000Z"):
        reports.keep_report(f"{COMPARISONS}{PRODUCT.name}/{at}", {"made_at": at}, ["words"])
    reports.keep_report(f"{COMPARISONS}another/2026-11-21T010000Z", {"made_at": "x"}, [])

    assert local.evidence.comparison() == {"made_at": "2026-11-20T010000Z"}


@pytest.mark.parametrize("body", [b"{", b"[]"])
def test_a_damaged_comparison_is_told(local: Local, body: bytes) -> None:
    key = f"{COMPARISONS}{PRODUCT.name}/2026-11-20T010000Z.json"
    local.cloud.s3.put_object(Bucket="results", Key=key, Body=body)

    with pytest.raises(CliError, match="can't be read"):
        local.evidence.comparison()


def test_a_comparison_is_asked_of_the_function(local: Local) -> None:
    local.evidence.compare({"from": "2026-11-01"})

    assert local.functions.asked == [{"from": "2026-11-01"}]
    local.functions.fails = True
    with pytest.raises(CliError, match="the archive did not answer"):
        local.evidence.compare({})


def test_days_are_found_the_latest_first_with_summary_and_page(local: Local) -> None:
    for day in monitored_days():
        keep(local, day)
    local.cloud.s3.put_object(
        Bucket="results", Key=f"monitoring/{PRODUCT.name}/runs/1/plan.json", Body=b"[]"
    )

    days = list(local.evidence.days())

    assert days == sorted(monitored_days(), reverse=True)
    found = local.evidence.summaries([A_DAY, A_DAY - timedelta(days=300)])
    assert found[0] is not None
    assert found[0]["figures"]["decisions"] == 300
    assert found[1] is None
    assert b"19 November 2026" in (local.evidence.page(A_DAY) or b"")


def test_a_bucket_that_refuses_is_no_empty_one(local: Local) -> None:
    local.cloud.s3.delete_bucket(Bucket="results")

    with pytest.raises(ClientError):
        local.evidence.days()
    with pytest.raises(ClientError):
        local.evidence.summary(A_DAY)


def test_monitoring_is_started_for_the_day_and_says_who_asked(local: Local) -> None:
    local.evidence.monitor(A_DAY)

    ((machine, asked),) = local.machines.started
    assert machine == MACHINES["MonitoringStateMachine"]
    assert asked == {"day": str(A_DAY), "trigger": "credit desk"}


@pytest.mark.parametrize(
    ("status", "goes_on", "state", "cause"),
    [
        ("RUNNING", True, "Watch", ""),
        ("FAILED", False, "", "ScorerErrors is in alarm"),
        ("SUCCEEDED", False, "", ""),
    ],
)
def test_the_last_run_is_told_with_where_it_is_or_why_it_ended(
    local: Local, status: str, *, goes_on: bool, state: str, cause: str
) -> None:
    began = datetime(2026, 11, 20, tzinfo=UTC)
    local.machines.executions = [
        {
            "name": "7f3c",
            "executionArn": "arn:aws:states:us-east-1:0:execution:rollout:7f3c",
            "status": status,
            "startDate": began,
        }
    ]

    found = local.evidence.rollout()

    assert found is not None
    assert (found.goes_on, found.state) == (goes_on, state)
    assert cause in found.run.cause
