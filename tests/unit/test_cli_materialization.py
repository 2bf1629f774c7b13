"""Runs that uploads started, found and added up; Step Functions and S3 played by lists."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli import materialization, pipelines
from credit_cli.aws import LocalAws
from credit_cli.deployment import Deployment
from credit_cli.errors import PipelineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ROOT = "personal_loan/features/"
ONE, TWO = f"{ROOT}bureau/1.parquet", f"{ROOT}bureau/2.parquet"


@dataclass
class Pages:
    """A paginator of one page."""

    page: dict[str, Any]

    def paginate(self, **_: str) -> Iterator[dict[str, Any]]:
        yield self.page


@dataclass
class Services:
    """Step Functions with executions in memory, and S3 with a listing."""

    files: dict[str, datetime]
    executions: list[dict[str, Any]] = field(default_factory=list)
    outcome: str = "SUCCEEDED"

    def get_paginator(self, operation: str) -> Pages:
        if operation == "list_objects_v2":
            contents = [{"Key": key, "LastModified": when} for key, when in self.files.items()]
            return Pages({"Contents": contents})
        assert operation == "list_executions"
        return Pages({"executions": self.executions})

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803 (AWS's name)
        (found,) = (one for one in self.executions if one["executionArn"] == executionArn)
        return found

    def start_execution(self, *, stateMachineArn: str, input: str) -> dict[str, str]:  # noqa: A002, ARG002, N803 (AWS's names)
        self.add(json.loads(input), status=self.outcome, started=NOW)
        return {"executionArn": self.executions[-1]["executionArn"]}

    def add(self, asked: dict[str, Any], *, status: str, started: datetime) -> None:
        number = len(self.executions)
        sums = dict.fromkeys(("files", "parts", "read", "written"), 1)
        views = {"bureau": {"read": 1, "written": 1, "stale": 0, "rejected": 0}}
        self.executions.append(
            {
                "executionArn": f"arn:aws:states:us-east-1:0:execution:materialization:{number}",
                "status": status,
                "startDate": started,
                "input": json.dumps(asked),
                "output": json.dumps(sums | {"stale": 0, "rejected": 0, "views": views}),
                "error": "FilesFailed",
                "cause": "1 of 1 files failed",
            }
        )


@dataclass(frozen=True)
class Aws(LocalAws):
    """The local cloud, with those services."""

    services: Services

    def client(self, service: str) -> Services:
        assert service in {"s3", "stepfunctions"}
        return self.services


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(materialization, "ANNOUNCED_SECONDS", 0.0)


def settled(services: Services, *, uploaded: bool = True) -> dict[str, Any]:
    outputs = {"LakeBucket": "lake", "MaterializationStateMachine": "arn:machine"}
    aws = Aws("http://127.0.0.1:4566", services)
    deployment = Deployment(aws, outputs)
    quiet: Callable[[str], None] = lambda _: None  # noqa: E731 (typed)
    return materialization.settled(aws, deployment, "personal_loan", quiet, uploaded=uploaded)


def two_files(**changes: datetime) -> Services:
    return Services({ONE: NOW, TWO: NOW} | changes)


def test_the_sums_are_those_of_the_runs_that_the_uploads_started() -> None:
    services = two_files()
    services.add({"prefix": ONE}, status="SUCCEEDED", started=NOW)
    services.add({"prefix": TWO}, status="SUCCEEDED", started=NOW)

    counts = settled(services)

    assert (counts["files"], counts["read"], counts["views"]["bureau"]["read"]) == (2, 2, 2)
    assert counts["done_before"] is False
    assert len(services.executions) == 2


def test_nothing_is_run_again_when_nothing_was_uploaded() -> None:
    services = two_files()
    services.add({"prefix": ROOT}, status="SUCCEEDED", started=NOW + timedelta(hours=1))

    counts = settled(services, uploaded=False)

    assert counts["done_before"] is True
    assert len(services.executions) == 1


@pytest.mark.parametrize(
    ("asked", "status", "started"),
    [
        ({"prefix": ONE}, "SUCCEEDED", NOW),
        ({"prefix": ROOT}, "FAILED", NOW),
        ({"prefix": ROOT}, "SUCCEEDED", NOW - timedelta(seconds=1)),
        ({"sweep": True}, "SUCCEEDED", NOW),
    ],
    ids=["one file has no run", "failed", "before the upload", "a sweep says not what it took"],
)
def test_what_no_good_run_has_taken_is_materialized_now(
    asked: dict[str, Any], status: str, started: datetime
) -> None:
    services = two_files()
    services.add(asked, status=status, started=started)

    settled(services)

    assert json.loads(services.executions[-1]["input"]) == {"prefix": ROOT}
    assert len(services.executions) == 2


def test_a_run_that_began_before_an_upload_has_not_taken_that_file() -> None:
    """Though it has taken another one, uploaded earlier, under the same prefix."""
    services = two_files(**{TWO: NOW - timedelta(hours=2)})
    services.add({"prefix": ROOT}, status="SUCCEEDED", started=NOW - timedelta(hours=1))

    settled(services)

    assert json.loads(services.executions[-1]["input"]) == {"prefix": ROOT}
    assert len(services.executions) == 2


def test_a_later_failure_is_not_hidden_by_an_earlier_success() -> None:
    services = two_files()
    services.add({"prefix": ROOT}, status="SUCCEEDED", started=NOW)
    services.add({"prefix": TWO}, status="FAILED", started=NOW + timedelta(hours=1))

    settled(services)

    assert len(services.executions) == 3


def test_pushed_rows_and_hidden_files_are_not_waited_for() -> None:
    services = Services({ONE: NOW, f"{ROOT}bureau/pushed/x.parquet": NOW, f"{ROOT}_x": NOW})
    services.add({"prefix": ONE}, status="SUCCEEDED", started=NOW)

    assert settled(services)["files"] == 1
    assert len(services.executions) == 1


def test_a_failed_run_is_told_with_where_each_file_and_cause_is_kept() -> None:
    services = two_files()
    services.outcome = "FAILED"

    with pytest.raises(PipelineError) as error:
        settled(services)

    assert error.value.message == "materialization: failed FilesFailed 1 of 1 files failed"
    assert error.value.hint == (
        "each file and its cause: runs/0/summary.json in the results bucket"
    )


# --- What was asked for ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefix", "sweep", "expected"),
    [
        (None, False, {"prefix": ROOT}),
        (ONE, False, {"prefix": ONE}),
        (None, True, {"sweep": True}),
    ],
)
def test_what_is_asked_for_is_what_the_machine_gets(
    prefix: str | None,
    sweep: bool,  # noqa: FBT001 (a parameter of the test)
    expected: dict[str, Any],
) -> None:
    asked = materialization.execution_input("personal_loan", prefix=prefix, sweep=sweep)

    assert asked == expected


@pytest.mark.parametrize(
    ("prefix", "sweep", "words"),
    [
        ("bureau/", False, f"begin with {ROOT}"),
        (ONE, True, "without --prefix"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    prefix: str,
    sweep: bool,  # noqa: FBT001 (a parameter of the test)
    words: str,
) -> None:
    with pytest.raises(UsageError, match=words):
        materialization.execution_input("personal_loan", prefix=prefix, sweep=sweep)
