"""Candidates that learn something wrong, as the trainer would meet them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from model_build.learning import CreditModel
from model_build.onnx_export import add_trees
from tests.builders_training import QUICK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from skl2onnx.common._container import ModelComponentContainer
    from skl2onnx.common._topology import Operator, Scope

    from model_build.candidates import Candidate
    from model_build.learning import Parameters


@dataclass(kw_only=True, eq=False, repr=False)
class ConstantModel(CreditModel):
    """Answers everybody alike, whatever it was shown."""

    stages: int = 1

    def learn(self, matrix: NDArray[np.float32], defaulted: NDArray[np.int64]) -> None:
        del matrix, defaulted
        self.base_ = -2.0

    def staged_scores(self, matrix: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
        yield self.scores(matrix)

    def scores(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.full(len(matrix), self.base_)

    @property
    def found(self) -> Parameters:
        return {}

    def add_log_odds(
        self, scope: Scope, operator: Operator, container: ModelComponentContainer
    ) -> str:
        return add_trees(scope, operator, container, self.base_, [])


def constant() -> Candidate:
    """Return a candidate that learns nothing."""
    return replace(QUICK, name="constant", searched=({},), estimator=ConstantModel)


def learning_from(
    change: Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.int64]],
    candidate: Candidate = QUICK,
) -> Candidate:
    """Return a candidate that learns from outcomes of its own making."""

    def estimator(**settings: object) -> CreditModel:
        model = candidate.estimator(**settings)
        learn = model.learn
        model.learn = lambda matrix, defaulted: learn(  # type: ignore[method-assign]
            matrix, change(matrix, defaulted)
        )
        return model

    return replace(candidate, estimator=estimator)
