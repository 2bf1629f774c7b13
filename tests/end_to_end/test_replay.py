"""Decisions made over HTTP replay identically, also when another model is champion."""

from __future__ import annotations

import hashlib
import json
import random
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import onnx
import pytest

from credit_cli.champion import find_champion
from credit_cli.checkout import Checkout
from credit_core.adapters.model_registry import S3DynamoModelRegistry
from credit_core.domain.model_manifest import RolloutPointer, model_key
from credit_core.domain.places import receipts_prefix
from credit_core.domain.product import load_product

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from tests.end_to_end.conftest import Client, Credit

pytestmark = pytest.mark.end_to_end

PRODUCT = load_product("personal_loan")
COUNT = 1_000
CLIENTS = 4
PATIENCE_SECONDS = 120


@pytest.fixture(scope="module")
def registry(aws: LocalAws, deployment: Deployment) -> S3DynamoModelRegistry:
    return S3DynamoModelRegistry(
        PRODUCT.name,
        s3=aws.client("s3"),
        bucket=deployment["ModelsBucket"],
        dynamodb=aws.client("dynamodb"),
        table=deployment["RegistryTable"],
    )


@pytest.fixture(scope="module")
def another_version(aws: LocalAws, deployment: Deployment, registry: S3DynamoModelRegistry) -> str:
    """A registered model with other bytes and another reference applicant: other reasons."""
    champion = find_champion(aws, deployment, PRODUCT.name)
    assert champion is not None
    manifest = champion.manifest
    s3: S3Client = aws.client("s3")
    key = model_key(PRODUCT.name, manifest.version)
    body = s3.get_object(Bucket=deployment["ModelsBucket"], Key=key)["Body"].read()
    model = onnx.load_from_string(body)
    version = f"end-to-end-{uuid.uuid4().hex}"
    onnx.helper.set_model_props(model, {"made_for": version})
    changed: bytes = model.SerializeToString()
    reference = tuple(
        value if value is None or name in manifest.categories else value + 1.0
        for name, value in zip(manifest.inputs, manifest.reference, strict=True)
    )
    update = {
        "version": version,
        "onnx_sha256": hashlib.sha256(changed).hexdigest(),
        "onnx_bytes": len(changed),
        "reference": reference,
    }
    registry.register(manifest.model_copy(update=update), changed)
    return version


def promote(registry: S3DynamoModelRegistry, version: str) -> str:
    """Make a version the champion; return the one that was it before."""
    current = registry.pointer()
    assert current is not None
    registry.move(
        RolloutPointer(
            product=PRODUCT.name,
            champion=version,
            manifest_sha256=registry.manifest_sha256(version),
            revision=current.revision + 1,
            moved_at=datetime.now(UTC),
            moved_by="end-to-end",
            previous_champion=current.champion,
        )
    )
    return current.champion


@pytest.fixture(scope="module")
def decisions(
    client: Client, registry: S3DynamoModelRegistry, another_version: str
) -> Iterator[list[dict[str, Any]]]:
    """A thousand decisions, half of them by a newer model; it stays champion for these tests."""
    prefix, half = f"replay-{uuid.uuid4().hex}", COUNT // 2
    decided = decide(client, varied(prefix, range(half)))
    before = promote(registry, another_version)
    try:
        wait_for(client, f"{prefix}-warm", another_version)
        yield decided + decide(client, varied(prefix, range(half, COUNT)))
    finally:
        promote(registry, before)


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
    credit: Credit, decisions: list[dict[str, Any]], another_version: str
) -> None:
    names = [decision["application_id"] for decision in decisions]

    replayed = credit.json("decisions", "replay", *names)

    assert replayed["replayed"] >= COUNT  # a referral that could be sent again is kept too
    assert replayed["all_identical"] is True
    models = {it["model"]["version"] for it in decisions if it["model"]}
    assert len(models) == 2
    assert another_version in models
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
