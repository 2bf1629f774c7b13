"""What a model report is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from credit_core.domain.model_manifest import ModelManifest
    from credit_core.domain.product import CreditProduct
    from model_build.fitted import FittedCandidate
    from model_build.loans import LoanSplit, TrainingSet


class Classifier(Protocol):
    """A model as it is served: an ``OnnxClassifier``."""

    def probabilities(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities of good and bad, (n, G) to (n, 2)."""


@dataclass(frozen=True, slots=True)
class ReportInputs:
    """A judged model, the loans it was judged on, and every candidate that was fitted beside it.

    ``fitted`` is by candidate name and holds ``manifest.algorithm``, whose ONNX file ``model`` has
    loaded; it is None where that file could not be loaded, which a gate says.
    """

    product: CreditProduct
    manifest: ModelManifest
    split: LoanSplit
    fitted: Mapping[str, FittedCandidate]
    model: Classifier | None
    training_set: TrainingSet
