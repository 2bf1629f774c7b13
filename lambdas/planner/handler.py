"""Decide what a run of the materialization does, and keep the plan for its workers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.feature_files import S3FeatureLake
from credit_core.adapters.run_record import S3RunRecord
from credit_core.adapters.watermark import DynamoWatermark
from credit_core.domain.product import load_product
from credit_core.errors import InvalidFeatureFileError
from credit_core.settings import PlannerSettings
from credit_core.use_cases.plan_materialization import PartBounds, plan_prefix, plan_sweep

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from credit_core.use_cases.plan_materialization import Plan

logger = Logger(service="planner")
settings = PlannerSettings.from_environment()
product = load_product(settings.product)
bounds = PartBounds(size=settings.split_bytes, rows=settings.split_rows)
s3 = client("s3", pipeline_config())
lake = S3FeatureLake(s3, settings.lake_bucket)
watermark = DynamoWatermark(
    client("dynamodb", pipeline_config()), settings.registry_table, product=product.name
)


def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Plan the run ``run_id`` with the state machine's ``input``; say where the plan lies.

    Raises:
        InvalidFeatureFileError: The input asks for nothing that this product has.
        StoreUnavailableError: A store did not answer; planning again is safe.
    """
    run_id = event["run_id"]
    plan = planned(event["input"])
    record = S3RunRecord(s3, settings.results_bucket, run_id=run_id)
    record.keep_plan(plan.parts)
    document: dict[str, Any] = {
        "prefix": plan.prefix,
        "files": plan.files,
        "parts": len(plan.parts),
        "hidden": plan.hidden,
        "watermark": plan.watermark and plan.watermark.isoformat(),
        "bucket": settings.results_bucket,
        "key": record.plan_key,
    }
    logger.info("planned", run_id=run_id, **document)
    return document


def planned(asked: dict[str, Any]) -> Plan:
    """Return the plan for ``{"prefix": ...}`` or ``{"sweep": true}``."""
    if asked.get("sweep") is True:
        return plan_sweep(
            product,
            lake=lake,
            footers=lake,
            bounds=bounds,
            watermark=watermark,
            overlap=timedelta(hours=settings.sweep_overlap_hours),
            as_of=datetime.now(UTC),
        )
    prefix = asked.get("prefix")
    if not isinstance(prefix, str):
        raise InvalidFeatureFileError('expected the input {"prefix": "..."} or {"sweep": true}')
    return plan_prefix(product, prefix, lake=lake, footers=lake, bounds=bounds)
