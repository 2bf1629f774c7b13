"""Bring one planned part of the lake into the online store."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.batch_client import batch_client
from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.entity_key_secret import entity_key_secret
from credit_core.adapters.erasures import DynamoErasures, DynamoTombstones
from credit_core.adapters.feature_files import S3FeatureLake
from credit_core.adapters.online_store_writer import PartiqlOnlineStoreWriter
from credit_core.adapters.rejected_rows import S3RejectedRows
from credit_core.adapters.run_record import S3RunRecord
from credit_core.domain.product import load_product
from credit_core.errors import InvalidFeatureFileError, StoreUnavailableError
from credit_core.ports import Tally
from credit_core.settings import MaterializerSettings
from credit_core.use_cases.erase import cover_erasures
from credit_core.use_cases.materialize import materialize
from credit_core.use_cases.plan_materialization import part_of_document

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from credit_core.ports import FilePart

CONNECTIONS = 4
MEMORY_MB = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024"))

logger = Logger(service="materializer")
settings = MaterializerSettings.from_environment()
product = load_product(settings.product)
s3 = client("s3", pipeline_config())
store = PartiqlOnlineStoreWriter(
    batch_client(connections=CONNECTIONS), settings.online_store_table, connections=CONNECTIONS
)
dynamodb = client("dynamodb", pipeline_config(connections=CONNECTIONS))
erasures = DynamoErasures(dynamodb, settings.registry_table, product=product.name)
tombstones = DynamoTombstones(dynamodb, settings.online_store_table, connections=CONNECTIONS)


def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Materialize the planned ``part`` for the run ``run_id``, and leave a tally of its rows.

    A file that is not what its view defines is an answer, not a failure of this function: its
    tally says why it was refused. The answer to the state machine is empty, because those of all
    workers must fit one state.

    Raises:
        StoreUnavailableError: A store did not answer; doing the part again completes it.
    """
    started = time.perf_counter()
    run_id, number = event["run_id"], event["part"]["n"]
    part = part_of_document(event["part"])
    try:
        covered()
        tally = tally_of(part, run_id=run_id)
    except StoreUnavailableError as error:
        raise StoreUnavailableError(f"{part.name}: {error}") from error
    record = S3RunRecord(s3, settings.results_bucket, run_id=run_id)
    record.keep_tally(number, tally)
    seconds = round(time.perf_counter() - started, 3)
    logger.info("materialized", run_id=run_id, duration_seconds=seconds, **asdict(tally))
    return {}


@cache
def covered() -> int:
    """Have the tombstones of new views there before a row is; once for each process."""
    secret = entity_key_secret(settings.entity_key_secret)
    return cover_erasures(product, secret=secret, erasures=erasures, tombstones=tombstones)


def tally_of(part: FilePart, *, run_id: str) -> Tally:
    """Materialize a part; return what became of its rows, or why it was refused."""
    try:
        return materialize(
            product,
            part,
            lake=S3FeatureLake(s3, settings.lake_bucket, memory_mb=MEMORY_MB // 2),
            store=store,
            rejected_rows=S3RejectedRows(s3, settings.results_bucket, run_id=run_id),
            secret=entity_key_secret(settings.entity_key_secret),
            as_of=datetime.now(UTC),
            wait=time.sleep,
        )
    except InvalidFeatureFileError as error:
        return Tally(part.name, refused=str(error))
