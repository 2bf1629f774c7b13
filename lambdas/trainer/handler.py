"""Train, judge and register a model on the training set that a query left in S3."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.model_registry import S3DynamoModelRegistry
from credit_core.adapters.query_results import read_query_result
from credit_core.domain.model_manifest import manifest_key
from credit_core.domain.product import load_product
from credit_core.settings import TrainerSettings
from model_build.train import train
from model_build.training_set import read_training_set

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

LINEAGE = ("query", "query_execution_id", "run_id", "output_location")

logger = Logger(service="trainer")
settings = TrainerSettings.from_environment()
product = load_product(settings.product)
s3 = client("s3", pipeline_config())
registry = S3DynamoModelRegistry(
    product.name,
    s3=s3,
    bucket=settings.models_bucket,
    dynamodb=client("dynamodb", pipeline_config()),
    table=settings.registry_table,
)


def handler(event: dict[str, str], _context: LambdaContext) -> dict[str, Any]:
    """Return the registered version and whether it passed its gates.

    Raises:
        TrainingDataError: The training set cannot support a model; nothing was registered.
        StoreUnavailableError: A store did not answer; doing it again completes it.
    """
    started = time.perf_counter()
    body = read_query_result(s3, event["output_location"], bucket=settings.results_bucket)
    training_set = read_training_set(product, body)
    model = train(
        product,
        training_set,
        lineage={name: event[name] for name in LINEAGE},
        started_at=datetime.fromisoformat(event["started_at"]),
    )
    registry.register(model.manifest, model.onnx)
    manifest = model.manifest
    result: dict[str, Any] = {
        "version": manifest.version,
        "gates_passed": manifest.gates_passed,
        "failed_gates": [gate.name for gate in manifest.gates if not gate.passed],
        "manifest_key": manifest_key(product.name, manifest.version),
        "auc": manifest.evaluation.auc.model_dump(),
    }
    seconds = round(time.perf_counter() - started, 3)
    logger.info("trained", run_id=event["run_id"], duration_seconds=seconds, **result)
    return result
