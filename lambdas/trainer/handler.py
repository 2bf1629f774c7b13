"""The steps of a retraining: check the loans, fit a candidate, judge the fitted, register."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.model_artifacts import verified_manifest, verified_onnx
from credit_core.adapters.model_registry import S3DynamoModelRegistry, objects_in
from credit_core.adapters.query_results import read_query_result
from credit_core.adapters.retraining_lock import DynamoRetrainingLock
from credit_core.adapters.signing import KmsSigner
from credit_core.adapters.training_run_record import S3TrainingRunRecord
from credit_core.domain.product import load_product
from credit_core.settings import TrainerSettings
from model_build.candidates import CANDIDATES
from model_build.previous import PreviousModel
from model_build.retraining import Retraining

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger(service="trainer")
settings = TrainerSettings.from_environment()
product = load_product(settings.product)
s3 = client("s3", pipeline_config())
dynamodb = client("dynamodb", pipeline_config())
lock = DynamoRetrainingLock(dynamodb, settings.registry_table, product=product.name)
signer = KmsSigner(client("kms", pipeline_config()), settings.signing_key)
registry = S3DynamoModelRegistry(
    product.name,
    s3=s3,
    bucket=settings.models_bucket,
    dynamodb=dynamodb,
    table=settings.registry_table,
    signer=signer,
)


def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Do one step, ``action``, of the run ``execution``; any may be done again.

    Raises:
        RetrainingSupersededError: Another run has taken over since; nothing was done.
        TrainingDataError: The training set cannot support a model.
        ModelUnavailableError: The champion, to be measured against, cannot be loaded.
        StoreUnavailableError: A store did not answer; doing it again completes it.
    """
    started = time.perf_counter()
    lock.claim(event["execution"])
    run_id = event["execution"].rpartition(":")[2]
    record = S3TrainingRunRecord(s3, settings.results_bucket, run_id=run_id)
    result = step(event, Retraining(product, record, previous_model, CANDIDATES))
    seconds = round(time.perf_counter() - started, 3)
    logger.info(event["action"], run_id=run_id, duration_seconds=seconds, **result)
    return result


def step(event: dict[str, Any], run: Retraining) -> dict[str, Any]:
    """Do what the event asks for."""
    if event["action"] == "register":
        run_id = event["execution"].rpartition(":")[2]
        return run.register(registry, registered_by=f"retraining/{run_id}")
    body = read_query_result(s3, event["output_location"], bucket=settings.results_bucket)
    match event["action"]:
        case "check":
            return run.check(body)
        case "fit":
            return run.fit(body, event["candidate"])
        case "judge":
            return run.judge(
                body,
                champion=event["champion"],
                lineage=event["lineage"],
                started_at=datetime.fromisoformat(event["started_at"]),
            )
    raise ValueError(f"there is no step {event['action']!r}")


def previous_model(version: str | None) -> PreviousModel | None:
    """Return the model of a version, or the present champion; None before the first one."""
    if version is None:
        pointer = registry.pointer()
        if pointer is None:
            return None
        version = pointer.champion.version
    read = objects_in(s3, settings.models_bucket)
    manifest = verified_manifest(
        read,
        product.name,
        version=version,
        manifest_sha256=registry.find(version).reference.manifest_sha256,
        is_signed=signer.is_signed,
    )
    return PreviousModel(manifest, verified_onnx(read, manifest))
