"""Empty a bucket when its stack is deleted, and at no other time."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.bucket_emptier import CALLS_AT_ONCE, BucketEmptier
from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.stack_events import answer, is_being_deleted
from credit_core.errors import loggable
from credit_core.settings import EmptierSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SPARE_MS = 60_000
"""Left for the calls under way, and for the answer."""

logger = Logger(service="emptier")
settings = EmptierSettings.from_environment()
s3 = client("s3", pipeline_config(connections=CALLS_AT_ONCE))
cloudformation = client("cloudformation", pipeline_config())


def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Do what CloudFormation asks for the bucket that the event names, and tell it.

    Whatever happens CloudFormation is told: it would wait for an hour.

    Raises:
        StoreUnavailableError: CloudFormation could not be told.
    """
    failure: str | None = None
    try:
        if event["RequestType"] == "Delete" and is_being_deleted(cloudformation, settings.stack):
            failure = emptied(event["ResourceProperties"]["BucketName"], context)
    except Exception as error:  # noqa: BLE001 (it is told below)
        failure = loggable(error)
        logger.error("failed", reason=failure)  # noqa: TRY400 (a trace may hold what was asked)
    answer(event, failure=failure)


def emptied(bucket: str, context: LambdaContext) -> str | None:
    """Empty a bucket; return what is to be done if it could not be finished."""

    def has_time() -> bool:
        return context.get_remaining_time_in_millis() > SPARE_MS

    done = BucketEmptier(s3, has_time=has_time)(bucket)
    logger.info("emptied", bucket=bucket, **asdict(done))
    if done.is_empty:
        return None
    return f"{done.objects} objects of {bucket} are gone and more are left; delete the stack again"
