"""Make a registered model the champion."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.model_artifacts import ModelArtifacts
from credit_core.adapters.model_registry import S3DynamoModelRegistry, objects_in
from credit_core.domain.product import load_product
from credit_core.settings import PromoterSettings
from credit_core.use_cases.promote import promote

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger(service="promoter")
settings = PromoterSettings.from_environment()
product = load_product(settings.product)
s3 = client("s3", pipeline_config())
registry = S3DynamoModelRegistry(
    product.name,
    s3=s3,
    bucket=settings.models_bucket,
    dynamodb=client("dynamodb", pipeline_config()),
    table=settings.registry_table,
    artifacts=ModelArtifacts(objects_in(s3, settings.models_bucket), product),
)


def handler(event: dict[str, str], _context: LambdaContext) -> dict[str, Any]:
    """Return the champion after the call; promoting the champion again changes nothing.

    Raises:
        ModelUnavailableError: The version is not registered, failed a gate, or cannot be loaded.
        RolloutConflictError: Somebody else moved the pointer meanwhile.
        StoreUnavailableError: The registry did not answer; doing it again is safe.
    """
    pointer = promote(
        product,
        event["version"],
        registry=registry,
        moved_by=event["moved_by"],
        as_of=datetime.now(UTC),
    )
    result: dict[str, Any] = {
        "champion": pointer.champion,
        "previous_champion": pointer.previous_champion,
        "revision": pointer.revision,
    }
    logger.info("promoted", moved_by=event["moved_by"], **result)
    return result
