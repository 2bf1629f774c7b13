"""Compare champion and challenger on the applicants whom both have judged."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.metrics import CloudWatchMetrics
from credit_core.adapters.receipt_archive import S3ReceiptArchive
from credit_core.adapters.reports import S3Reports
from credit_core.domain.places import COMPARISONS
from credit_core.domain.product import load_product
from credit_core.domain.receipt_archive import Days
from credit_core.settings import ComparerSettings
from credit_core.use_cases.compare_models import (
    compare_models,
    comparison_lines,
    publish_comparison,
)
from credit_core.use_cases.served_decisions import ServedDecisions

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

CONNECTIONS = 32

logger = Logger(service="comparer")
settings = ComparerSettings.from_environment()
product = load_product(settings.product)
s3 = client("s3", pipeline_config(connections=CONNECTIONS))
archive = S3ReceiptArchive(
    s3, settings.receipts_bucket, product=product.name, connections=CONNECTIONS
)
reports = S3Reports(s3, settings.results_bucket)
metrics = CloudWatchMetrics(client("cloudwatch", pipeline_config()))


def handler(event: dict[str, str], _context: LambdaContext) -> dict[str, Any]:
    """Compare over the days ``from`` and ``to``, by default the last ones; keep and return it.

    ``{"publish": "yes"}``, which the schedule says, has agreement and shift published too.

    Raises:
        StoreUnavailableError: A store did not answer; doing it again is safe.
    """
    started, as_of = time.perf_counter(), datetime.now(UTC)
    usual = {
        "from": str(as_of.date() - timedelta(days=settings.days - 1)),
        "to": str(as_of.date()),
    }
    decisions = ServedDecisions(archive, Days.named(usual | event), settings.most_decisions)
    document = compare_models(product, decisions, as_of=as_of)
    name = f"{COMPARISONS}{product.name}/{as_of:%Y-%m-%dT%H%M%SZ}"
    document["report"] = reports.keep_report(name, document, comparison_lines(document))
    if "publish" in event:
        publish_comparison(document, stage=settings.stage, metrics=metrics, as_of=as_of)
    logger.info(
        "compared",
        decisions=document["decisions"],
        read=document["read"],
        pairs=len(document["pairs"]),
        report=document["report"],
        duration_seconds=round(time.perf_counter() - started, 3),
    )
    return document
