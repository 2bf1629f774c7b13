"""Compare what decisions were served with what the lake had for that moment."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.entity_key_secret import entity_key_secret
from credit_core.adapters.erasures import DynamoErasures
from credit_core.adapters.feature_files import S3FeatureLake
from credit_core.adapters.metrics import CloudWatchMetrics
from credit_core.adapters.receipt_archive import S3ReceiptArchive
from credit_core.adapters.reports import S3Reports
from credit_core.domain.places import SKEW_REPORTS
from credit_core.domain.product import load_product
from credit_core.domain.receipt_archive import Days
from credit_core.settings import SkewSettings
from credit_core.use_cases.plan_materialization import PartBounds
from credit_core.use_cases.served_decisions import ServedDecisions
from credit_core.use_cases.skew import measure_skew, publish_skew, skew_lines

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

CONNECTIONS = 32

logger = Logger(service="skew")
settings = SkewSettings.from_environment()
product = load_product(settings.product)
bounds = PartBounds(size=settings.split_bytes, rows=settings.split_rows)
s3 = client("s3", pipeline_config(connections=CONNECTIONS))
archive = S3ReceiptArchive(
    s3, settings.receipts_bucket, product=product.name, connections=CONNECTIONS
)
lake = S3FeatureLake(s3, settings.lake_bucket)
erasures = DynamoErasures(
    client("dynamodb", pipeline_config()), settings.registry_table, product=product.name
)
reports = S3Reports(s3, settings.results_bucket)
metrics = CloudWatchMetrics(client("cloudwatch", pipeline_config()))


def handler(event: dict[str, str], _context: LambdaContext) -> dict[str, Any]:
    """Check the days ``from`` and ``to``, by default yesterday; keep, publish and return it.

    Raises:
        ConfigurationError: The secret of the entity keys cannot be read.
        StoreUnavailableError: A store did not answer; doing it again is safe.
    """
    started, as_of = time.perf_counter(), datetime.now(UTC)
    yesterday = str(as_of.date() - timedelta(days=1))
    days = Days.named({"from": yesterday, "to": yesterday} | event)
    document = measure_skew(
        product,
        ServedDecisions(archive, days, settings.most_decisions),
        lake=lake,
        erased=erasures,
        bounds=bounds,
        secret=entity_key_secret(settings.entity_key_secret),
        settling=timedelta(minutes=settings.settling_minutes),
        as_of=as_of,
    )
    name = f"{SKEW_REPORTS}{product.name}/{as_of:%Y-%m-%dT%H%M%SZ}"
    document["report"] = reports.keep_report(name, document, skew_lines(document))
    publish_skew(document, stage=settings.stage, metrics=metrics, as_of=as_of)
    skewed = sum(view["skewed"] for view in document["views"].values())
    log = logger.warning if skewed else logger.info
    log(
        "checked",
        decisions=document["decisions"],
        read=document["read"],
        skewed=skewed,
        report=document["report"],
        duration_seconds=round(time.perf_counter() - started, 3),
    )
    return document
