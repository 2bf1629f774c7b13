"""Add up what the workers of a run left behind, and judge the run."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.metrics import CloudWatchMetrics
from credit_core.adapters.run_record import S3RunRecord
from credit_core.adapters.watermark import DynamoWatermark
from credit_core.settings import ReconcilerSettings
from credit_core.use_cases.plan_materialization import part_document
from credit_core.use_cases.reconcile import (
    REPEATED_AT_ONCE,
    Limits,
    count_rejected,
    reconcile,
)

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

CONNECTIONS = 16

logger = Logger(service="reconciler")
settings = ReconcilerSettings.from_environment()
s3 = client("s3", pipeline_config(connections=CONNECTIONS))
watermark = DynamoWatermark(
    client("dynamodb", pipeline_config()), settings.registry_table, product=settings.product
)
metrics = CloudWatchMetrics(client("cloudwatch", pipeline_config()))
limits = Limits(settings.rejected_rows_share, settings.failed_files_share)


def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Reconcile the run ``run_id``; return its sums, its verdict, and the parts to try again.

    ``missing_before`` is how many parts had left no tally before they were tried again, if they
    were, and ``repeated_in_bulk`` whether that was by a plan of their own. Where such a plan is to
    be done again, the answer has its ``missing_key``, and else the parts themselves.

    Raises:
        StoreUnavailableError: A store did not answer; reconciling again is safe.
    """
    run_id, moves_to = event["run_id"], event["watermark"]
    record = S3RunRecord(s3, settings.results_bucket, run_id=run_id, connections=CONNECTIONS)
    outcome = reconcile(
        record,
        run_id=run_id,
        prefix=event["prefix"],
        hidden=event["hidden"],
        moves_watermark_to=datetime.fromisoformat(moves_to) if moves_to else None,
        watermark=watermark,
        limits=limits,
        missing_before=event["missing_before"],
        repeated_in_bulk=event["repeated_in_bulk"],
    )
    count_rejected(
        outcome,
        stage=settings.stage,
        product=settings.product,
        metrics=metrics,
        as_of=datetime.now(UTC),
    )
    document = outcome.document()
    failed = document.pop("failed")
    document.pop("missing")
    logger.info("reconciled", run_id=run_id, failed=len(failed), **document)
    one_by_one = not outcome.verdict and not outcome.in_bulk
    repeated = islice(outcome.missing, REPEATED_AT_ONCE if one_by_one else 0)
    return {
        "counts": {name: document[name] for name in ("prefix", "files", "parts", "views")}
        | asdict(outcome.counts),
        "verdict": document["verdict"],
        "missing": len(outcome.missing),
        "missing_key": record.missing_key if outcome.in_bulk else None,
        "repeat": [part_document(number, outcome.planned[number]) for number in repeated],
    }
