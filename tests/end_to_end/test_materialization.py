"""Uploads, sweeps and backfills, as EventBridge and Step Functions run them."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli import materialization, pipelines
from credit_core.adapters.watermark import DynamoWatermark
from credit_core.domain.online_store import entity_key
from tests.builders import PRODUCT
from tests.feature_rows import BUREAU, a_lake_row, bureau_types, write_parquet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from tests.end_to_end.conftest import Credit

pytestmark = pytest.mark.end_to_end

SECONDS_TO_BE_ONLINE = 120
"""Each function starts cold: some seconds on a quiet machine."""


@dataclass(frozen=True)
class Lake:
    """The deployed lake, with one file of a test's own in it."""

    aws: LocalAws
    deployment: Deployment
    key: str

    def upload(self, path: Path) -> None:
        self.aws.client("s3").put_object(
            Bucket=self.deployment["LakeBucket"], Key=self.key, Body=path.read_bytes()
        )

    def item(self, applicant_id: str) -> dict[str, Any] | None:
        """Return an applicant's bureau row in the online store."""
        (secret,) = (
            found["Name"]
            for found in self.aws.client("secretsmanager").list_secrets()["SecretList"]
            if "EntityKey" in found["Name"]
        )
        value = self.aws.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
        key = entity_key(PRODUCT, BUREAU, {"applicant_id": applicant_id}, secret=value.encode())
        found = self.aws.client("dynamodb").get_item(
            TableName=self.deployment["OnlineStoreTable"],
            Key={"entity_key": {"S": key}},
            ConsistentRead=True,
        )
        item: dict[str, Any] | None = found.get("Item")
        return item


@pytest.fixture
def lake(aws: LocalAws, deployment: Deployment) -> Iterator[Lake]:
    key = f"{PRODUCT.view_prefix(BUREAU)}end-to-end-{uuid.uuid4()}.parquet"
    yield Lake(aws, deployment, key)
    # Later tests train on the lake and count its files.
    aws.client("s3").delete_object(Bucket=deployment["LakeBucket"], Key=key)


def a_file(path: Path, applicant_id: str, *, without: str | None = None) -> Path:
    now = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    row = a_lake_row(applicant_id=applicant_id, event=now, created=now)
    types = {name: type_ for name, type_ in bureau_types().items() if name != without}
    return write_parquet(path, [row], types=types)


def test_an_uploaded_file_is_online_without_anybody_asking(lake: Lake, tmp_path: Path) -> None:
    applicant_id = f"uploaded-{uuid.uuid4().hex}"
    assert lake.item(applicant_id) is None

    lake.upload(a_file(tmp_path / "x.parquet", applicant_id))

    give_up = time.monotonic() + SECONDS_TO_BE_ONLINE
    while lake.item(applicant_id) is None and time.monotonic() < give_up:
        time.sleep(0.5)
    assert lake.item(applicant_id) is not None


def test_a_backfill_shows_what_became_of_every_row(
    credit: Credit, lake: Lake, tmp_path: Path
) -> None:
    lake.upload(a_file(tmp_path / "x.parquet", "backfilled"))

    counts = credit.json("materialize", "--prefix", lake.key)
    words = credit("materialize", "--prefix", lake.key).stdout.decode()

    assert (counts["files"], counts["read"]) == (1, 1)
    assert counts["written"] + counts["stale"] == 1
    assert counts["views"] == {
        "bureau": {name: counts[name] for name in ("read", "written", "stale", "rejected")}
    }
    assert "1 file: 1 row read = 0 written + 1 stale + 0 rejected" in words
    assert "bureau" in words


def test_a_refused_file_fails_with_its_name_column_and_expectation(
    credit: Credit, lake: Lake, tmp_path: Path
) -> None:
    lake.upload(a_file(tmp_path / "x.parquet", "refused", without="revol_util"))

    done = credit("materialize", "--prefix", lake.key, check=False)

    assert done.returncode == 1
    error = done.stderr.decode()
    assert len(error.strip().splitlines()) <= 2
    assert "FilesFailed 1 of 1 files failed" in error
    assert f"{lake.key}: column revol_util is missing; bureau expects a float or double" in error
    assert "/summary.json in the results bucket" in error


def test_a_prefix_without_files_fails_in_a_sentence(credit: Credit, lake: Lake) -> None:
    done = credit("materialize", "--prefix", lake.key, check=False)

    assert done.returncode == 1
    assert f"NoFiles there is no file under {lake.key}" in done.stderr.decode()


def test_a_sweep_moves_the_watermark(credit: Credit, aws: LocalAws, deployment: Deployment) -> None:
    watermark = DynamoWatermark(
        aws.client("dynamodb"), deployment["RegistryTable"], product=PRODUCT.name
    )
    before = datetime.now(UTC)

    counts = credit.json("materialize", "--sweep")

    assert counts["read"] == counts["written"] + counts["stale"] + counts["rejected"]
    moved_to = watermark.read()
    assert moved_to is not None
    assert moved_to >= before


# --- A worker that fails --------------------------------------------------------------------


@dataclass(frozen=True)
class Throttle:
    """Lambda with no room for the materializer, and then with room again."""

    aws: LocalAws
    function: str

    def close(self) -> None:
        self.aws.client("lambda").put_function_concurrency(
            FunctionName=self.function, ReservedConcurrentExecutions=0
        )

    def open(self) -> None:
        self.aws.client("lambda").delete_function_concurrency(FunctionName=self.function)


@pytest.fixture
def throttle(aws: LocalAws) -> Iterator[Throttle]:
    throttle = Throttle(aws, "credit-local-personal-loan-materializer")
    yield throttle
    throttle.open()


def states_entered(aws: LocalAws, execution: str) -> list[str]:
    events = aws.client("stepfunctions").get_execution_history(
        executionArn=execution, maxResults=1_000
    )["events"]
    return [
        event["stateEnteredEventDetails"]["name"]
        for event in events
        if "stateEnteredEventDetails" in event
    ]


def test_a_part_whose_worker_failed_is_tried_again_in_the_same_run(
    aws: LocalAws, deployment: Deployment, lake: Lake, throttle: Throttle, tmp_path: Path
) -> None:
    applicant_id = f"repeated-{uuid.uuid4().hex}"
    lake.upload(a_file(tmp_path / "x.parquet", applicant_id))
    throttle.close()
    run = pipelines.start(aws, deployment[materialization.MACHINE], {"prefix": lake.key})
    give_up = time.monotonic() + SECONDS_TO_BE_ONLINE
    while "Reconcile" not in states_entered(aws, run):
        assert time.monotonic() < give_up
        time.sleep(0.1)
    # The parts are tried again only after this state, and some seconds long.
    throttle.open()

    counts = materialization.finished(aws, run)

    assert counts["read"] == 1
    entered = states_entered(aws, run)
    assert [name for name in entered if name in {"RepeatParts", "Reconcile", "Materialized"}] == [
        "Reconcile",
        "RepeatParts",
        "Reconcile",
        "Materialized",
    ]
    assert lake.item(applicant_id) is not None


def test_a_part_whose_worker_fails_again_fails_the_run_and_the_next_run_completes_it(
    credit: Credit, lake: Lake, throttle: Throttle, tmp_path: Path
) -> None:
    """On AWS the same run can be redriven from there; the local cloud has no redrive."""
    applicant_id = f"failed-{uuid.uuid4().hex}"
    throttle.close()
    lake.upload(a_file(tmp_path / "x.parquet", applicant_id))

    failed = credit("materialize", "--prefix", lake.key, check=False)

    assert failed.returncode == 1
    assert b"Rate Exceeded" in failed.stderr
    assert lake.item(applicant_id) is None
    throttle.open()
    counts = credit.json("materialize", "--prefix", lake.key)
    # The run that the upload started, or a scheduled sweep, may have written it just before.
    assert (counts["read"], counts["written"] + counts["stale"]) == (1, 1)
    assert lake.item(applicant_id) is not None
