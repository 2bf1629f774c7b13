"""What a candidate is: a scikit-learn classifier, and the settings that are tried for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray
    from skl2onnx.common._container import ModelComponentContainer
    from skl2onnx.common._topology import Operator, Scope

    from credit_core.domain.product import CreditProduct, Feature
    from model_build.fitted import ScorecardBin
    from model_build.loans import LoanSet

type Parameters = Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Turns a model's score into log-odds of default: slope times score plus intercept."""

    slope: float
    intercept: float


@dataclass(kw_only=True, eq=False, repr=False)
class CreditModel(ClassifierMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """A scikit-learn classifier of loans, and how it is written to ONNX.

    It takes the float32 matrix (n, G) of ``credit_core.domain.feature_matrix``, with what is
    unknown in it, and outcomes (n,), 1 for a default. A subclass learns in stages, from the
    simplest to the most complex, and leaves scores: the higher, the likelier a default. The
    calibration that makes probabilities of them is found on loans that were held out, so it is
    a setting like any other, and takes no part in learning.

    Args:
        features: What the columns are, the product's ``model_features``.
        stages: How many stages are learned. Fewer give the same as stopping there on the way.
        slope: From score to log-odds, see ``Calibration``.
        intercept: The same.
        random_state: Of what is drawn.
    """

    features: tuple[Feature, ...]
    stages: int
    slope: float = 1.0
    intercept: float = 0.0
    random_state: int = 0

    def fit(self, matrix: NDArray[np.float32], defaulted: NDArray[np.int64]) -> Self:
        """Learn from loans, (n, G), and their outcomes, (n,)."""
        self.learn(matrix, defaulted)
        self.classes_ = np.array([0, 1])
        self.n_features_in_ = matrix.shape[1]
        return self

    def decision_function(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the log-odds of default, (n, G) to (n,)."""
        check_is_fitted(self)
        return self.slope * self.scores(matrix) + self.intercept

    def predict_proba(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the probabilities of good and bad, (n, G) to (n, 2)."""
        log_odds = self.decision_function(matrix)
        return np.column_stack([expit(-log_odds), expit(log_odds)])

    def predict(self, matrix: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return 1 where a default is likelier than none, (n, G) to (n,)."""
        return (self.decision_function(matrix) > 0).astype(np.int64)

    @abstractmethod
    def learn(self, matrix: NDArray[np.float32], defaulted: NDArray[np.int64]) -> None:
        """Learn all stages; what was learned ends with an underscore."""

    @abstractmethod
    def staged_scores(self, matrix: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
        """Yield the scores of the rows, (n, G) to (n,), at each stage."""

    @abstractmethod
    def scores(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return those of the last stage, by the library that learned."""

    @property
    @abstractmethod
    def found(self) -> Parameters:
        """What was chosen along the way, beside the settings."""

    @abstractmethod
    def add_log_odds(
        self, scope: Scope, operator: Operator, container: ModelComponentContainer
    ) -> str:
        """Add what computes the log-odds, float32 of shape (n, 1), in a converter of skl2onnx.

        Returns the name of what it leaves. ``operator`` has the matrix as input.
        """

    def points_table(self, loans: LoanSet) -> tuple[ScorecardBin, ...]:
        """Return the lines of a scorecard, in order; empty unless it is one."""
        del loans
        return ()

    def __sklearn_tags__(self) -> Any:
        """Say that unknown values are allowed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


@dataclass(frozen=True)
class Candidate:
    """A way to train a model.

    ``estimator`` makes the classifier of ``CreditModel``'s parameters and one of ``searched``.
    ``pairwise`` states that the model has no interaction of three features, so its reasons are
    exact; only such a model may become champion. ``packages`` are those that it needs beside what
    every training needs.
    """

    name: str
    pairwise: bool
    searched: tuple[Parameters, ...]
    estimator: Callable[..., CreditModel]
    packages: tuple[str, ...] = ()

    def model(
        self, product: CreditProduct, seed: int, parameters: Parameters, **settings: float
    ) -> CreditModel:
        """Return the classifier before it learned."""
        return self.estimator(
            features=product.model_features, random_state=seed, **parameters, **settings
        )
