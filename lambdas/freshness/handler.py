"""Measure how old the newest event of each view is."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.metrics import CloudWatchMetrics
from credit_core.adapters.newest_events import DynamoNewestEvents
from credit_core.domain.product import load_product
from credit_core.settings import FreshnessSettings
from credit_core.use_cases.freshness import measure_freshness

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger(service="freshness")
settings = FreshnessSettings.from_environment()
product = load_product(settings.product)
newest_events = DynamoNewestEvents(
    client("dynamodb", pipeline_config()), settings.online_store_table
)
metrics = CloudWatchMetrics(client("cloudwatch", pipeline_config()))


def handler(_event: dict[str, Any], _context: LambdaContext) -> list[dict[str, Any]]:
    """Publish the age of each view's newest event; return the ages.

    Raises:
        StoreUnavailableError: A store did not answer; the next run measures again.
    """
    views = [
        asdict(view)
        for view in measure_freshness(
            product,
            stage=settings.stage,
            newest_events=newest_events,
            metrics=metrics,
            as_of=datetime.now(UTC),
        )
    ]
    logger.info("measured", views=views)
    return views
