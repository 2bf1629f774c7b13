"""What a shell completes after `credit`: products, stages, and names of what is deployed.

A person waits for it between two keys. What is asked of a deployment is given a moment and not
awaited; without an answer nothing is completed, and nothing is ever said.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import typer  # noqa: TC002 (Typer reads annotations at run time)

from credit_cli.known_product import DEFAULT_PRODUCT
from credit_cli.target import LOCAL, STAGE_VARIABLE, STAGES, choose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment

    type Look = Callable[[Aws, Deployment], Iterable[str]]

MOMENT_SECONDS = 2.0
"""How long a deployment may take; most of it goes by before the first call is sent."""
MOMENT_VARIABLE = "CREDIT_COMPLETION_SECONDS"
"""Another time for it, where a machine or a network is slow."""


def stages() -> list[str]:
    """Return the stages of this repository."""
    return list(STAGES)


def queries() -> list[str]:
    """Return the questions that can be asked of the logs."""
    from credit_core.domain.log_queries import QUERIES  # noqa: PLC0415 (only where it is completed)

    return list(QUERIES)


def versions(context: typer.Context) -> list[str]:
    """Return the registered versions, the newest first."""

    def look(aws: Aws, deployment: Deployment) -> Iterable[str]:
        from credit_cli.registered_models import RegisteredModels  # noqa: PLC0415 (as above)

        registered = RegisteredModels.of(aws, deployment, deployment.product)
        return [model.reference.version for model in registered.models()]

    return asked(context, look)


def alarm_names(context: typer.Context) -> list[str]:
    """Return the alarms."""

    def look(aws: Aws, deployment: Deployment) -> Iterable[str]:
        from credit_cli.watched import Watched  # noqa: PLC0415 (as above)

        return [alarm.name for alarm in Watched(aws, deployment).all()]

    return asked(context, look)


def queue_names(context: typer.Context) -> list[str]:
    """Return the queues."""
    return asked(context, lambda aws, deployment: inventory(aws, deployment).queues)


def workflow_names(context: typer.Context) -> list[str]:
    """Return the workflows."""
    return asked(context, lambda aws, deployment: inventory(aws, deployment).workflows)


def function_names(context: typer.Context) -> list[str]:
    """Return the functions, and the API's access log, as `credit logs` takes them."""
    return asked(context, lambda aws, deployment: ["access", *inventory(aws, deployment).functions])


def inventory(aws: Aws, deployment: Deployment) -> Any:
    """Return what a deployment is made of."""
    from credit_cli.inventory import Inventory  # noqa: PLC0415 (botocore takes its time)

    return Inventory(aws, deployment)


def asked(context: typer.Context, look: Look) -> list[str]:
    """Return what a deployment answers within a moment; nothing if it does not, or fails.

    Args:
        context: Of the words that were typed: they name the stage and the product.
        look: What is asked.
    """
    stage = context.find_root().params.get("stage") or os.environ.get(STAGE_VARIABLE) or LOCAL
    product = context.params.get("product") or DEFAULT_PRODUCT
    found: list[str] = []

    def answer() -> None:
        from credit_cli.deployment import deployed  # noqa: PLC0415 (botocore takes its time)

        try:
            choose(stage, yes=False)
            found.extend(look(*deployed(product)))
        except Exception:  # noqa: BLE001, S110 (whatever it is, this is no place to say it)
            pass

    waiting = threading.Thread(target=answer, daemon=True)
    waiting.start()
    waiting.join(moment_seconds())
    return [] if waiting.is_alive() else found


def moment_seconds() -> float:
    """Return how long a deployment may take."""
    try:
        return float(os.environ[MOMENT_VARIABLE])
    except (KeyError, ValueError):
        return MOMENT_SECONDS
