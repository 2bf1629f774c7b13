"""Erase an applicant: called by a person, with keys that are neither logged nor answered."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.entity_key_secret import entity_key_secret
from credit_core.adapters.erasable_lake import S3ErasableLake
from credit_core.adapters.erased_receipts import DynamoApplicantRecords, S3EndingReceipts
from credit_core.adapters.erasures import DynamoErasures, DynamoTombstones
from credit_core.domain.erasure import Retention, is_genuine
from credit_core.domain.product import load_product
from credit_core.errors import InvalidErasureError
from credit_core.settings import EraserSettings
from credit_core.use_cases.erase import EraseApplicant
from credit_core.use_cases.plan_materialization import PartBounds

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

CONNECTIONS = 16
LEFT_SECONDS = 60
"""Kept of the function's time for what comes after the search, and for one more file."""

logger = Logger(service="eraser")
settings = EraserSettings.from_environment()
product = load_product(settings.product)
config = pipeline_config(connections=CONNECTIONS)
dynamodb, s3 = client("dynamodb", config), client("s3", config)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Erase the applicant with ``keys``; call it again while the answer is not ``complete``.

    ``{"verify": {"text": ..., "seal": ...}}`` asks whether a certificate is one of this service's.
    ``seconds`` is for how long this call may search the lake, by default as long as it can.

    Raises:
        InvalidErasureError: Nobody can be erased by these keys; the message repeats none.
        StoreUnavailableError: A store did not answer; doing it again is safe.
    """
    started = time.perf_counter()
    secret = entity_key_secret(settings.entity_key_secret)
    if "verify" in event:
        given = event["verify"]
        return {"genuine": is_genuine(str(given["text"]), str(given["seal"]), secret=secret)}
    keys, asked = event.get("keys"), event.get("seconds")
    if not isinstance(keys, dict):
        raise InvalidErasureError('expected {"keys": {...}}')
    most = context.get_remaining_time_in_millis() / 1_000 - LEFT_SECONDS
    until = started + (min(float(asked), most) if isinstance(asked, int | float) else most)
    erase = EraseApplicant(
        product=product,
        stage=settings.stage,
        secret=secret,
        retention=Retention(
            kept=timedelta(days=settings.receipt_days), duty=timedelta(days=settings.duty_days)
        ),
        bounds=PartBounds(size=settings.split_bytes, rows=settings.split_rows),
        erasures=DynamoErasures(dynamodb, settings.registry_table, product=product.name),
        tombstones=DynamoTombstones(dynamodb, settings.online_store_table),
        records=DynamoApplicantRecords(dynamodb, settings.decisions_table),
        archive=S3EndingReceipts(s3, settings.receipts_bucket, connections=CONNECTIONS),
        lake=S3ErasableLake(s3, settings.lake_bucket),
    )
    done = erase(keys, as_of=datetime.now(UTC), has_time=lambda: time.perf_counter() < until)
    logger.info(
        "erased" if done.is_complete else "going on",
        applicant=done.erasure.applicant,
        already=done.already,
        on_their_way=done.on_their_way,
        searched_files=done.erasure.lake.searched,
        duration_seconds=round(time.perf_counter() - started, 3),
    )
    return done.document()
