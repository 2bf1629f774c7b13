"""Bring one feature file of the lake into the online store."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from botocore.config import Config

from credit_core.adapters.clients import client, entity_key_secret, pipeline_config
from credit_core.adapters.feature_files import S3FeatureLake
from credit_core.adapters.online_store_writer import PartiqlOnlineStoreWriter
from credit_core.adapters.rejected_rows import S3RejectedRows
from credit_core.domain.product import load_product
from credit_core.errors import InvalidFeatureFileError
from credit_core.settings import MaterializerSettings
from credit_core.use_cases.materialize import materialize

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

CONNECTIONS = 4
MEMORY_MB = int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024"))

logger = Logger(service="materializer")
settings = MaterializerSettings.from_environment()
product = load_product(settings.product)
s3 = client("s3", pipeline_config())
# Statements are built of text and numbers alone, so boto3 need not check each of them again.
batches = pipeline_config(connections=CONNECTIONS).merge(Config(parameter_validation=False))
store = PartiqlOnlineStoreWriter(
    client("dynamodb", batches), settings.online_store_table, connections=CONNECTIONS
)


def handler(event: dict[str, str], _context: LambdaContext) -> dict[str, Any]:
    """Materialize the file ``key`` of ``bucket`` for the run ``run_id``; return its counts.

    Raises:
        InvalidFeatureFileError: The file is not what its view defines; nothing was written.
        StoreUnavailableError: A store did not answer; doing the file again completes it.
    """
    started = time.perf_counter()
    bucket, key, run_id = event["bucket"], event["key"], event["run_id"]
    if bucket != settings.lake_bucket:
        raise InvalidFeatureFileError(f"{bucket}/{key}: expected a file of the lake bucket")
    done = materialize(
        product,
        key,
        lake=S3FeatureLake(s3, bucket, memory_mb=MEMORY_MB // 2),
        store=store,
        rejected_rows=S3RejectedRows(s3, settings.results_bucket, run_id=run_id),
        secret=entity_key_secret(settings.entity_key_secret),
        as_of=datetime.now(UTC),
    )
    seconds = round(time.perf_counter() - started, 3)
    logger.info("materialized", run_id=run_id, duration_seconds=seconds, **asdict(done))
    return asdict(done)
