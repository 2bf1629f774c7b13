"""What a model says that is scored beside the one that answers, and is never answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credit_core.domain.rollout import Shadow
from credit_core.errors import ModelOutputError, fault_location

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy as np
    from numpy.typing import NDArray

    from credit_core.domain.judgement import Judge
    from credit_core.domain.model_manifest import Role
    from credit_core.ports import LoadedModel

NO_TIME = "no time was left"
INTERNAL = "internal fault: "
"""Begins a fault that another release, or another moment, may not have again."""


def shadow_of(
    judge: Judge,
    row: NDArray[np.float64],
    model: LoadedModel,
    *,
    role: Role,
    assumed: Collection[str] = (),
    in_time: bool = True,
) -> Shadow:
    """Return what a model says of one applicant. Whatever goes wrong is a fault in it, no error.

    Args:
        judge: Judges under the terms of the decision.
        row: Model input before its cast to float32, shape (G,).
        model: Who did not answer.
        role: As what it is there.
        assumed: Names of the features whose declared default was served.
        in_time: Whether there is time to ask.
    """
    manifest = model.manifest
    name = (role, manifest.version, manifest.onnx_sha256, model.manifest_sha256)
    if not in_time:
        return Shadow(*name, fault=NO_TIME)
    try:
        return Shadow(*name, *judge.opinion(row, model, assumed=assumed))
    except ModelOutputError as error:
        return Shadow(*name, fault=str(error))
    except Exception as error:  # noqa: BLE001 (no fault of it may touch the answer)
        return Shadow(*name, fault=f"{INTERNAL}{fault_location(error)}")


def is_passing(fault: str | None) -> bool:
    """Whether a shadow's fault is one that need not happen again."""
    return fault is not None and (fault == NO_TIME or fault.startswith(INTERNAL))
