"""Move the rollout pointer, for the rollout's state machine, for the guard and for people."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger

from credit_core.adapters.clients import client, pipeline_config
from credit_core.adapters.model_artifacts import ModelArtifacts
from credit_core.adapters.model_registry import S3DynamoModelRegistry, objects_in
from credit_core.adapters.running_rollouts import RunningRollouts
from credit_core.adapters.signing import KmsSigner
from credit_core.adapters.sns_channel import SnsChannel
from credit_core.domain.model_manifest import who_answers
from credit_core.domain.product import load_product
from credit_core.errors import Fault, InvalidRequestError
from credit_core.settings import PromoterSettings
from credit_core.use_cases.rollout import Rollout, approval_request
from credit_core.use_cases.rollout_history import placed, rollout_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext

    from credit_core.domain.model_manifest import RolloutPointer

logger = Logger(service="promoter")
settings = PromoterSettings.from_environment()
product = load_product(settings.product)
s3 = client("s3", pipeline_config())
registry = S3DynamoModelRegistry(
    product.name,
    s3=s3,
    bucket=settings.models_bucket,
    dynamodb=client("dynamodb", pipeline_config()),
    table=settings.registry_table,
    artifacts=ModelArtifacts(
        objects_in(s3, settings.models_bucket),
        product,
        is_signed=KmsSigner(client("kms", pipeline_config()), settings.signing_key).is_signed,
    ),
)
rollouts = RunningRollouts(client("stepfunctions", pipeline_config()), settings.rollout_machine)
inform = SnsChannel(client("sns", pipeline_config()), settings.inform_topic)


def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Do the event's ``action`` with its ``version`` for ``moved_by``; return what answers then.

    Any action may be done again. ``share`` needs a ``share`` of applicants, ``ask`` a
    ``task_token`` and the ``hours`` that there are to approve; ``promote`` may say that the version
    must be ``from_trial``. A rollout whose model is taken back is stopped, unless it asks for that
    itself, by its ``execution``.

    Raises:
        ModelUnavailableError: The version is not registered, failed a gate, or cannot be loaded.
        RolloutConflictError: The pointer stands otherwise than the action supposes.
        InvalidRequestError: The event lacks something, or asks for what there is not.
        StoreUnavailableError: The registry, or whoever is to be told, did not answer; doing it
            again is safe.
    """
    missing = [name for name in ("version", "moved_by") if not isinstance(event.get(name), str)]
    if missing or event.get("action") not in ACTIONS:
        faults = [Fault(name, "must be text") for name in missing]
        if event.get("action") not in ACTIONS:
            faults.append(Fault("action", f"must be one of {', '.join(ACTIONS)}"))
        raise InvalidRequestError(faults)
    rollout = Rollout(
        product.name,
        registry,
        moved_by=event["moved_by"],
        as_of=datetime.now(UTC),
        needs_approval=settings.needs_approval,
    )
    result = who_answers(ACTIONS[event["action"]](rollout, event))
    asked = {name: event.get(name) for name in ("action", "version", "share", "moved_by")}
    logger.info("rollout", asked=json.dumps(asked), **result)
    return result


def approval_asked(rollout: Rollout, event: dict[str, Any]) -> RolloutPointer | None:
    """Note that a rollout waits for approval, and say so to whoever can give it."""
    pointer = rollout.ask(event["version"], event["task_token"])
    inform.tell(
        *approval_request(
            event["version"],
            asked_by=event["moved_by"],
            hours=event["hours"],
            stage=settings.stage,
            product=product.name,
        )
    )
    return pointer


def taken_back(rollout: Rollout, event: dict[str, Any]) -> RolloutPointer:
    """Take a model back and stop the rollouts of all that have left their places with it."""
    before, version = registry.pointer(), event["version"]
    back = rollout.withdraw if event["action"] == "withdraw" else rollout.roll_back
    after = back(version)
    moves = list(registry.moves())
    for left in (placed(before) | {version}) - placed(after):
        name = rollout_of(left, moves)
        if name is not None and rollouts.arn(name) != event.get("execution"):
            rollouts.stop(name, cause=f"model {left} was taken back by {after.moved_by}")
    return after


ACTIONS: Mapping[str, Callable[[Rollout, dict[str, Any]], RolloutPointer | None]] = {
    "check": lambda rollout, event: rollout.check(event["version"]),
    "shadow": lambda rollout, event: rollout.shadow(event["version"]),
    "share": lambda rollout, event: rollout.share(event["version"], event["share"]),
    "promote": lambda rollout, event: rollout.promote(
        event["version"], from_trial=event.get("from_trial", False)
    ),
    "standing": lambda rollout, _event: rollout.standing(),
    "withdraw": taken_back,
    "rollback": taken_back,
    "retire": lambda rollout, event: rollout.retire(event["version"]),
    "ask": approval_asked,
}
