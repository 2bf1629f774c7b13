"""Tell what a day's decisions were like: plan a run, tally a part of it, sum it up."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.metrics import CloudWatchMetrics
from credit_core.adapters.monitoring_record import S3MonitoringRecord, manifests_in
from credit_core.adapters.receipt_archive import S3ReceiptArchive
from credit_core.domain.decision_drift import Limits
from credit_core.domain.monitoring_page import monitoring_page
from credit_core.domain.product import load_product
from credit_core.settings import MonitorSettings
from credit_core.use_cases.monitor import (
    first_day_before,
    in_short,
    plan_day,
    publish_day,
    summarize_day,
    tally_part,
)

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

CONNECTIONS = 32
A_DAY = timedelta(days=1)

logger = Logger(service="monitor")
settings = MonitorSettings.from_environment()
product = load_product(settings.product)
limits = Limits(
    settings.least_decisions,
    settings.most_drift,
    settings.most_outcome_shift,
    settings.most_reason_shift,
)
s3 = client("s3", pipeline_config(connections=CONNECTIONS))
archive = S3ReceiptArchive(
    s3, settings.receipts_bucket, product=product.name, connections=CONNECTIONS
)
record = S3MonitoringRecord(s3, settings.results_bucket, product=product.name)
manifest_of = manifests_in(s3, settings.models_bucket, product=product.name)
metrics = CloudWatchMetrics(client("cloudwatch", pipeline_config()))


def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Do the step ``action`` of the run ``run_id``.

    Raises:
        DamagedReceiptError: What another step has left cannot be read.
        StoreUnavailableError: A store did not answer; doing the step again is safe.
        ValueError: The run was asked for something that is no day, or has not begun.
    """
    started = time.perf_counter()
    steps = {"plan": plan, "tally": tally, "report": report}
    answer, told = steps[event["action"]](event)
    logger.info(
        event["action"],
        run_id=event["run_id"],
        duration_seconds=round(time.perf_counter() - started, 3),
        **told,
    )
    return answer


def plan(event: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Cut a day into parts: ``day`` if it is named, else that before the run's start."""
    day = _day(event)
    parts = plan_day(archive, day, decisions_a_part=settings.decisions_a_part)
    record.keep_plan(event["run_id"], parts)
    told = {"day": str(day), "parts": len(parts)}
    return {"day": str(day), "parts": list(range(len(parts)))}, told


def tally(event: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Count a part; the answer is empty, because those of all parts must fit one state."""
    run_id, number = event["run_id"], event["part"]
    found = tally_part(archive, record.part(run_id, number), manifest_of=manifest_of)
    record.keep_tally(run_id, number, found)
    return {}, {"part": number, "decisions": found.decisions, "damaged": found.damaged}


def report(event: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Add up the parts, and say what the day was like; what is long past is not published."""
    day, started_on = date.fromisoformat(event["day"]), _started_on(event)
    summary = summarize_day(
        product.name,
        day,
        record.tallies(event["run_id"], event["parts"]),
        before=record.days(first_day_before(day), day - A_DAY),
        manifest_of=manifest_of,
        limits=limits,
    )
    kept, page = record.keep_day(day, summary, monitoring_page(product, summary))
    if day >= started_on - A_DAY:
        publish_day(
            summary,
            stage=settings.stage,
            each_feature=settings.drift_per_feature,
            metrics=metrics,
            as_of=datetime.now(UTC),
        )
    figures = in_short(summary["figures"])
    told = {
        "day": str(day),
        "decisions": figures["decisions"],
        "damaged": figures["damaged"]["count"],
        "findings": figures["findings"],
        "report": page,
    }
    answer = {"product": product.name, "day": str(day), "summary": kept, "report": page}
    return {**answer, "figures": figures}, told


def _day(event: dict[str, Any]) -> date:
    named, started_on = event["day"], _started_on(event)
    if named is None:
        return started_on - A_DAY
    try:
        day = date.fromisoformat(named)
    except (TypeError, ValueError):
        raise ValueError(f"{named!r} is no day; a day is written YYYY-MM-DD") from None
    if day > started_on:
        raise ValueError(f"{day} has not begun; the run began on {started_on} (UTC)")
    return day


def _started_on(event: dict[str, Any]) -> date:
    return datetime.fromisoformat(event["started_at"]).date()
