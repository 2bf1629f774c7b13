"""Make a training set of what was served, where the trainer finds it."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.receipt_archive import S3ReceiptArchive
from credit_core.adapters.reports import S3Reports
from credit_core.domain.places import SERVED_TRAINING_SETS
from credit_core.domain.product import load_product
from credit_core.domain.receipt_archive import Days
from credit_core.settings import ServedSetSettings
from credit_core.use_cases.served_decisions import ServedDecisions
from credit_core.use_cases.served_training_set import served_training_set

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

CONNECTIONS = 32

logger = Logger(service="served_set")
settings = ServedSetSettings.from_environment()
product = load_product(settings.product)
s3 = client("s3", pipeline_config(connections=CONNECTIONS))
archive = S3ReceiptArchive(
    s3, settings.receipts_bucket, product=product.name, connections=CONNECTIONS
)
reports = S3Reports(s3, settings.results_bucket)


def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Make the training set of the run ``run_id``; say where it lies and what it is made of.

    ``from`` and ``to`` name the days of the decisions, by default all that are kept; ``any_age``
    and ``unreported_repay`` are those of the use case. The answer has what a retraining asks of a
    query: ``output_location``, ``query`` and ``query_execution_id``.

    Raises:
        StoreUnavailableError: A store did not answer; doing it again is safe.
    """
    started, as_of = time.perf_counter(), datetime.now(UTC)
    usual = {
        "from": str(as_of.date() - timedelta(days=settings.receipt_days)),
        "to": str(as_of.date()),
    }
    asked = usual | {name: event[name] for name in usual if event.get(name)}
    any_age, unreported_repay = (
        bool(event.get(option)) for option in ("any_age", "unreported_repay")
    )
    found = served_training_set(
        product,
        ServedDecisions(archive, Days.named(asked), settings.most_decisions),
        as_of=as_of,
        any_age=any_age,
        unreported_repay=unreported_repay,
    )
    run_id = event["run_id"]
    location = reports.keep(
        f"{SERVED_TRAINING_SETS}{run_id}.csv", found.body, content_type="text/csv"
    )
    options = f"any_age={any_age}, unreported_repay={unreported_repay}"
    answer = {
        "output_location": location,
        "query": f"receipts of {asked['from']} to {asked['to']} with outcomes ({options})",
        "query_execution_id": run_id,
        **found.document(),
    }
    seconds = round(time.perf_counter() - started, 3)
    logger.info("made", run_id=run_id, duration_seconds=seconds, **found.document())
    return answer
