"""Candidates that learn something wrong, as the trainer would meet them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from model_build.onnx_export import LEAF, Node, trees_to_onnx
from tests.builders_training import QUICK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from credit_core.domain.product import CreditProduct
    from model_build.candidates import Candidate
    from model_build.fitted import ScorecardBin
    from model_build.learning import Calibration, Learned, Parameters
    from model_build.loans import LoanSet


@dataclass(frozen=True)
class ConstantModel:
    """Answers everybody alike, whatever it was shown."""

    @property
    def parameters(self) -> Parameters:
        return {}

    def scores(self, matrix: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
        yield self.score(matrix)

    def at(self, stage: int) -> ConstantModel:
        del stage
        return self

    def score(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.full(len(matrix), -2.0)

    def to_onnx(self, calibration: Calibration, *, input_count: int) -> bytes:
        return trees_to_onnx(-2.0, [[Node(LEAF)]], calibration, input_count=input_count)

    def points_table(
        self, product: CreditProduct, loans: LoanSet, calibration: Calibration
    ) -> tuple[ScorecardBin, ...]:
        del product, loans, calibration
        return ()


def constant() -> Candidate:
    """Return a candidate that learns nothing."""
    return replace(QUICK, name="constant", learn=lambda *_: ConstantModel())


def learning_from(
    change: Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.int64]],
    candidate: Candidate = QUICK,
) -> Candidate:
    """Return a candidate that learns from outcomes of its own making."""

    def learn(
        product: CreditProduct,
        matrix: NDArray[np.float32],
        defaulted: NDArray[np.int64],
        parameters: Parameters,
        seed: int,
    ) -> Learned:
        return candidate.learn(product, matrix, change(matrix, defaulted), parameters, seed)

    return replace(candidate, learn=learn)
