"""Take a new model back when an alarm goes off, or when its rollout has ended on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.lambda_promoter import LambdaPromoter
from credit_core.adapters.model_registry import S3DynamoModelRegistry
from credit_core.adapters.sns_channel import SnsChannel
from credit_core.domain.alarm_change import AlarmChange
from credit_core.settings import GuardSettings
from credit_core.use_cases.guard_rollout import Guard, GuardRules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from credit_core.use_cases.guard_rollout import Suspect

logger = Logger(service="guard")
settings = GuardSettings.from_environment()
guard = Guard(
    S3DynamoModelRegistry(
        settings.product,
        dynamodb=client("dynamodb", pipeline_config()),
        table=settings.registry_table,
    ),
    LambdaPromoter(client("lambda", pipeline_config()), settings.promoter_function),
    SnsChannel(client("sns", pipeline_config()), settings.page_topic),
    rules=GuardRules.of(settings),
    deployment=settings.deployment,
)


def handler(event: dict[str, Any], _context: LambdaContext) -> list[dict[str, str]]:
    """Read an SNS event of alarms, or Step Functions' event of a rollout that did not succeed.

    Returns:
        What was taken back, with the promoter's action.

    Raises:
        CreditScoringError: A model is not known to have gone, or on-call not to have been told;
            Lambda tries it again.
    """
    taken = [
        {"action": found.action, "version": found.version} for found in _taken_back(event) if found
    ]
    logger.info("guarded", taken_back=taken)
    return taken


def _taken_back(event: dict[str, Any]) -> Iterator[Suspect | None]:
    if "detail" in event:
        ended = event["detail"]
        yield guard.ended(ended["name"], status=ended["status"])
    for record in event.get("Records", []):
        change = AlarmChange.from_message(record["Sns"]["Message"])
        if change is not None:
            logger.info("alarm", alarm=change.name, state=change.state)
            yield guard.rang(change)
