"""Rehearse new versions, for CodeDeploy before any traffic, and for people."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.function_versions import function_version, rehearsing_config
from credit_core.adapters.model_artifacts import verified_manifest
from credit_core.adapters.model_registry import S3DynamoModelRegistry, objects_in
from credit_core.adapters.signing import KmsSigner
from credit_core.domain.product import load_product
from credit_core.errors import loggable
from credit_core.settings import RehearsalSettings
from credit_core.use_cases.rehearse import BATCH, RECORDS, SCORER, Rehearsal

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from credit_core.domain.model_manifest import ModelManifest

logger = Logger(service="rehearsal")
settings = RehearsalSettings.from_environment()
product = load_product(settings.product)
s3 = client("s3", pipeline_config())
registry = S3DynamoModelRegistry(
    product.name,
    s3=s3,
    bucket=settings.models_bucket,
    dynamodb=client("dynamodb", pipeline_config()),
    table=settings.registry_table,
)
read_artifact = objects_in(s3, settings.models_bucket)
is_signed = KmsSigner(client("kms", pipeline_config()), settings.signing_key).is_signed
functions = client("lambda", rehearsing_config())
codedeploy = client("codedeploy", pipeline_config())


def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Rehearse; tell CodeDeploy, where its event says that it asks, and return what was found.

    Whatever happens CodeDeploy is told: it would wait for an hour.
    """
    try:
        result = rehearsed()
    except Exception as error:
        if "DeploymentId" in event:
            tell(event, passed=False)
        logger.exception("not rehearsed", extra={"reason": loggable(error)})
        raise
    logger.info("rehearsed", extra=result)
    if "DeploymentId" in event:
        tell(event, passed=result["passed"])
    return result


def rehearsed() -> dict[str, Any]:
    """Return how a rehearsal went.

    Raises:
        ModelUnavailableError: The champion's manifest cannot be read or trusted.
        StoreUnavailableError: The registry did not answer.
    """
    rehearsal = Rehearsal(
        product,
        functions={
            SCORER: function_version(functions, settings.scorer),
            BATCH: function_version(functions, settings.batch),
            RECORDS: function_version(functions, settings.records),
        },
        champion=champion,
        deadline_ms=settings.deadline_ms,
        mark=f"rehearsal-{uuid.uuid4().hex[:16]}",
        settle=lambda: time.sleep(settings.pointer_seconds),
    )
    return rehearsal().document()


def champion() -> ModelManifest | None:
    """Return the manifest of the model that answers now, or None before the first promotion.

    Raises:
        ModelUnavailableError: It cannot be read or trusted.
        StoreUnavailableError: The registry did not answer.
    """
    pointer = registry.pointer()
    if pointer is None:
        return None
    return verified_manifest(
        read_artifact,
        product.name,
        version=pointer.champion.version,
        manifest_sha256=pointer.champion.manifest_sha256,
        is_signed=is_signed,
    )


def tell(event: dict[str, Any], *, passed: bool) -> None:
    """Let CodeDeploy go on, or have it leave all traffic where it is."""
    codedeploy.put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status="Succeeded" if passed else "Failed",
    )
