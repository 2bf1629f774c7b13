"""Bring rows that were pushed to the event bus into the lake and the online store."""

from __future__ import annotations

import re
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
from credit_core.adapters.lake_appender import S3LakeAppender
from credit_core.adapters.metrics import CloudWatchMetrics
from credit_core.adapters.online_store_writer import PartiqlOnlineStoreWriter
from credit_core.adapters.rejected_rows import S3RejectedRows
from credit_core.domain.feature_event import MAXIMUM_EVENT_BYTES
from credit_core.domain.product import load_product
from credit_core.domain.strict_json import strict_json_object
from credit_core.errors import InvalidRequestError
from credit_core.settings import PusherSettings
from credit_core.use_cases.erase import cover_erasures
from credit_core.use_cases.push import FeatureEvent, push

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

EVENT_ID = re.compile(r"[0-9A-Za-z-]{1,64}")

logger = Logger(service="pusher")
settings = PusherSettings.from_environment()
product = load_product(settings.product)
s3 = client("s3", pipeline_config())
lake = S3LakeAppender(s3, settings.lake_bucket)
rejected_rows = S3RejectedRows(s3, settings.results_bucket, run_id="push")
store = PartiqlOnlineStoreWriter(
    batch_client(connections=1), settings.online_store_table, connections=1
)
dynamodb = client("dynamodb", pipeline_config())
erasures = DynamoErasures(dynamodb, settings.registry_table, product=product.name)
tombstones = DynamoTombstones(dynamodb, settings.online_store_table)
metrics = CloudWatchMetrics(client("cloudwatch", pipeline_config()))


def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Push the rows of a batch of messages; return those that the queue has to deliver again."""
    started = time.perf_counter()
    covered()
    done = push(
        product,
        [feature_event(record) for record in event["Records"]],
        stage=settings.stage,
        lake=lake,
        store=store,
        rejected_rows=rejected_rows,
        erased=erasures,
        metrics=metrics,
        secret=entity_key_secret(settings.entity_key_secret),
        as_of=datetime.now(UTC),
        wait=time.sleep,
    )
    seconds = round(time.perf_counter() - started, 3)
    log = logger.warning if done.rejected or done.unsettled else logger.info
    log("pushed", duration_seconds=seconds, **asdict(done))
    return {"batchItemFailures": [{"itemIdentifier": id_} for id_, _ in done.unsettled]}


@cache
def covered() -> int:
    """Have the tombstones of new views there before a row is; once for each process."""
    secret = entity_key_secret(settings.entity_key_secret)
    return cover_erasures(product, secret=secret, erasures=erasures, tombstones=tombstones)


def feature_event(record: dict[str, Any]) -> FeatureEvent:
    """Return the row in a message, whose body is an event of EventBridge."""
    message_id = str(record["messageId"])
    try:
        event = strict_json_object(record["body"], most_bytes=MAXIMUM_EVENT_BYTES)
    except InvalidRequestError:
        return FeatureEvent(message_id, message_id, None)
    # The sender was told this id. It becomes part of a key, so it may not be just anything.
    found = str(event.get("id"))
    event_id = found if EVENT_ID.fullmatch(found) else message_id
    return FeatureEvent(message_id, event_id, event.get("detail"))
