"""Measure how old the newest event of each view is, and the model."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.metrics import CloudWatchMetrics
from credit_core.adapters.newest_events import DynamoNewestEvents
from credit_core.adapters.training_times import DynamoTrainingTimes
from credit_core.domain.product import load_product
from credit_core.settings import FreshnessSettings
from credit_core.use_cases.freshness import measure_freshness, measure_models

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger(service="freshness")
settings = FreshnessSettings.from_environment()
product = load_product(settings.product)
dynamodb = client("dynamodb", pipeline_config())
newest_events = DynamoNewestEvents(dynamodb, settings.online_store_table)
training_times = DynamoTrainingTimes(dynamodb, settings.registry_table, product=product.name)
metrics = CloudWatchMetrics(client("cloudwatch", pipeline_config()))


def handler(_event: dict[str, Any], _context: LambdaContext) -> list[dict[str, Any]]:
    """Publish the age of each view's newest event, and of the model; return the views' ages.

    Raises:
        StoreUnavailableError: A store did not answer; the next run measures again.
    """
    as_of = datetime.now(UTC)
    views = [
        asdict(view)
        for view in measure_freshness(
            product,
            stage=settings.stage,
            newest_events=newest_events,
            metrics=metrics,
            as_of=as_of,
        )
    ]
    logger.info("measured", views=views)
    # Last: a registry that does not answer leaves the views measured all the same.
    models = measure_models(
        product,
        stage=settings.stage,
        training_times=training_times,
        metrics=metrics,
        as_of=as_of,
    )
    logger.info("measured", **asdict(models))
    return views
