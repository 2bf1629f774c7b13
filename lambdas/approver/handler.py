"""Pass a person's word to the rollout that waits for it.

It is apart from the promoter, so that who may move models need not be let to approve them.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.model_registry import S3DynamoModelRegistry
from credit_core.adapters.waiting_rollouts import WaitingRollouts
from credit_core.domain.model_manifest import who_answers
from credit_core.errors import Fault, InvalidRequestError
from credit_core.settings import ApproverSettings
from credit_core.use_cases.rollout import Rollout

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

ACTIONS = ("approve", "reject")
TEXTS = ("version", "moved_by")

logger = Logger(service="approver")
settings = ApproverSettings.from_environment()
registry = S3DynamoModelRegistry(
    settings.product,
    dynamodb=client("dynamodb", pipeline_config()),
    table=settings.registry_table,
)
waiting = WaitingRollouts(client("stepfunctions", pipeline_config()))


def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Do the event's ``action``, approve or reject, with its ``version`` for ``moved_by``.

    Returns:
        What answers at that moment. The same word can be given again.

    Raises:
        RolloutConflictError: No rollout of the version waits, another word was given before, or
            who approves asked for it.
        InvalidRequestError: The event lacks something, or asks for what there is not.
        StoreUnavailableError: The registry did not answer; doing it again is safe.
    """
    faults = [Fault(name, "must be text") for name in TEXTS if not isinstance(event.get(name), str)]
    if event.get("action") not in ACTIONS:
        faults.append(Fault("action", f"must be one of {', '.join(ACTIONS)}"))
    if faults:
        raise InvalidRequestError(faults)
    rollout = Rollout(
        settings.product, registry, moved_by=event["moved_by"], as_of=datetime.now(UTC)
    )
    approved = event["action"] == "approve"
    result = who_answers(rollout.decide(event["version"], approved=approved, resume=waiting.resume))
    asked = {name: event[name] for name in ("action", *TEXTS)}
    logger.info("approval", asked=json.dumps(asked), **result)
    return result
