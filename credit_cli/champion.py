"""The champion model, as the registry and its manifest describe it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from credit_cli.registered_models import RegisteredModels
from credit_core.domain.model_manifest import Split

if TYPE_CHECKING:
    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment
    from credit_core.domain.model_manifest import (
        Estimate,
        Evaluation,
        ModelManifest,
        RolloutPointer,
    )


@dataclass(frozen=True)
class Champion:
    """The model that answers, and the pointer that makes it so."""

    pointer: RolloutPointer
    manifest: ModelManifest


def find_champion(aws: Aws, deployment: Deployment, product: str) -> Champion | None:
    """Return the champion of a product, or None where nothing was promoted.

    Raises:
        DeploymentError: The pointer can't be read.
        CliError: The registry names a model that can't be read, or is not what was registered.
    """
    registered = RegisteredModels.of(aws, deployment, product)
    pointer = registered.pointer()
    if pointer is None:
        return None
    model = registered.find(pointer.champion.version)
    return Champion(pointer, registered.manifest(model))


def quality(evaluation: Evaluation) -> str:
    """Say a model's quality in a line, 95 % intervals included."""
    later = " later" if evaluation.split is Split.OUT_OF_TIME else ""
    return (
        f"AUC {interval(evaluation.auc)}, KS {interval(evaluation.ks)}, "
        f"Brier {interval(evaluation.brier, digits=4)}, on {evaluation.loans:,}{later} loans "
        f"of which {evaluation.defaults:,} defaulted"
    )


def interval(estimate: Estimate, *, digits: int = 3) -> str:
    """Return a value with its 95 % interval."""
    return f"{estimate.value:.{digits}f} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"
