"""Decisions made over HTTP replay identically, also when another model is champion."""

from __future__ import annotations

import json
import random
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli.checkout import Checkout
from credit_core.domain.places import receipts_prefix
from credit_core.domain.product import load_product
from tests.end_to_end.model_variants import move, register_variant, registry_of
from tests.end_to_end.on_call import ENDING_TRIALS, OnCall

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from credit_core.adapters.model_registry import S3DynamoModelRegistry
    from credit_core.domain.model_manifest import ModelReference
    from tests.end_to_end.conftest import Client, Credit

pytestmark = pytest.mark.end_to_end

PRODUCT = load_product("personal_loan")
COUNT = 1_000
CLIENTS = 4
PATIENCE_SECONDS = 120


@pytest.fixture(scope="module")
def registry(aws: LocalAws, deployment: Deployment) -> S3DynamoModelRegistry:
    return registry_of(aws, deployment, PRODUCT.name)


@pytest.fixture(scope="module")
def another(
    aws: LocalAws, deployment: Deployment, registry: S3DynamoModelRegistry
) -> ModelReference:
    """A registered model with other bytes and another reference applicant: other reasons."""
    return register_variant(aws, deployment, registry, PRODUCT.name)


@pytest.fixture(scope="module")
def decisions(
    aws: LocalAws,
    deployment: Deployment,
    client: Client,
    registry: S3DynamoModelRegistry,
    another: ModelReference,
) -> Iterator[list[dict[str, Any]]]:
    """A thousand decisions, half of them by a newer model; it stays champion for these tests."""
    # What tests before made ring would take the newer model back.
    for alarm in ENDING_TRIALS:
        OnCall(aws, deployment).calm(alarm)
    prefix, half = f"replay-{uuid.uuid4().hex}", COUNT // 2
    decided = decide(client, varied(prefix, range(half)))
    before = move(registry, another)
    try:
        wait_for(client, f"{prefix}-warm", another.version)
        yield decided + decide(client, varied(prefix, range(half, COUNT)))
    finally:
        move(registry, before.champion, challenger=before.challenger)


def varied(prefix: str, numbers: range) -> Iterator[dict[str, Any]]:
    """Yield applications that rules decline, that lack features, and that the model judges."""
    example = json.loads(Checkout().example_application.read_bytes())
    chance = random.Random(numbers.start)  # noqa: S311 (variety, no secret)
    for number in numbers:
        yield example | {
            "application_id": f"{prefix}-{number}",
            "loan_amount": round(chance.uniform(500, 40_000), 2),
            "term_months": chance.choice([36, 60]),
            "annual_income": round(chance.choice([0, 3e4, 6e4]) + chance.uniform(0, 9e4), 2),
            "employment_years": chance.randrange(11),
            "applicant_id": chance.choice([example["applicant_id"]] * 19 + ["nobody-we-know"]),
        }


def decide(client: Client, applications: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(client, applications))
    assert {answer.status for answer in answers} == {200}
    return [answer.document() for answer in answers]


def wait_for(client: Client, prefix: str, version: str) -> None:
    """Wait until a model answers; it is loaded beside the old one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        (decision,) = decide(client, varied(f"{prefix}-{uuid.uuid4().hex[:8]}", range(1, 2)))
        if decision["model"] and decision["model"]["version"] == version:
            return
        time.sleep(0.5)
    pytest.fail(f"{version} did not become champion within {PATIENCE_SECONDS} s")


def test_a_thousand_decisions_replay_identically_after_a_newer_model_is_champion(
    credit: Credit, decisions: list[dict[str, Any]], another: ModelReference
) -> None:
    names = [decision["application_id"] for decision in decisions]

    replayed = credit.json("decisions", "replay", *names)

    assert replayed["replayed"] >= COUNT  # a referral that could be sent again is kept too
    assert replayed["all_identical"] is True
    models = {it["model"]["version"] for it in decisions if it["model"]}
    assert len(models) == 2
    assert another.version in models
    assert {it["decided_by"]["kind"] for it in decisions} == {"cutoff", "fault", "rule"}


def test_they_replay_from_copies_of_the_buckets_too(
    credit: Credit,
    decisions: list[dict[str, Any]],
    aws: LocalAws,
    deployment: Deployment,
    tmp_path: Path,
) -> None:
    """As an auditor does, who has the files and no access to what is running."""
    prefix = decisions[0]["application_id"].rpartition("-")[0]
    receipts, models = tmp_path / "receipts", tmp_path / "models"
    copy(aws, deployment["ModelsBucket"], f"{PRODUCT.name}/", models)
    deadline, found = time.monotonic() + PATIENCE_SECONDS, 0
    while found < COUNT and time.monotonic() < deadline:
        time.sleep(1)
        archive, bucket = receipts_prefix(PRODUCT.name), deployment["ReceiptsBucket"]
        found = copy(aws, bucket, archive, receipts, having=f"application={prefix}-")

    places = ["--receipts", str(receipts), "--models", str(models)]
    replayed = credit.json("decisions", "replay", "--all", *places)

    assert replayed["replayed"] >= COUNT
    assert replayed["all_identical"] is True


def copy(aws: LocalAws, bucket: str, prefix: str, folder: Path, *, having: str = "") -> int:
    """Copy objects into a folder, those that are not there; return how many are there."""
    s3: S3Client = aws.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [it["Key"] for page in pages for it in page.get("Contents", []) if having in it["Key"]]
    for key in keys:
        path = folder / key
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    return len(keys)
