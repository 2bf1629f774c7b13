"""The champion that a new model is measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from credit_core.domain.model_manifest import ModelManifest


@dataclass(frozen=True, slots=True)
class PreviousModel:
    """The champion when a training starts: what is said of it, and its verified bytes."""

    manifest: ModelManifest
    onnx: bytes
