"""What a candidate is: how it learns, and what learning leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from credit_core.domain.product import CreditProduct
    from model_build.fitted import ScorecardBin
    from model_build.loans import LoanSet

type Parameters = Mapping[str, str | int | float]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Turns a model's score into log-odds of default: slope times score plus intercept."""

    slope: float
    intercept: float


class Scorer(Protocol):
    """A model that scores: the higher, the likelier a default."""

    @property
    def parameters(self) -> Parameters:
        """What was chosen along the way, beside the parameters that it learned with."""
        ...

    def score(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the score of each row, (n, G) to (n,), by the library that learned."""
        ...

    def to_onnx(self, calibration: Calibration, *, input_count: int) -> bytes:
        """Return the calibrated model as ONNX; the same model gives the same bytes."""
        ...

    def points_table(
        self, product: CreditProduct, loans: LoanSet, calibration: Calibration
    ) -> tuple[ScorecardBin, ...]:
        """Return the lines of a scorecard, in order; empty unless it is one."""
        ...


class Learned(Protocol):
    """A model at every stage of learning, from the simplest to the most complex."""

    def scores(self, matrix: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
        """Yield the scores of the rows, (n, G) to (n,), at each stage."""
        ...

    def at(self, stage: int) -> Scorer:
        """Return the model at a stage, counted from 0."""
        ...


type Learn = Callable[
    [CreditProduct, NDArray[np.float32], NDArray[np.int64], Parameters, int], Learned
]


@dataclass(frozen=True)
class Candidate:
    """A way to train a model.

    ``learn`` takes the product, the matrix (n, G), outcomes (n,), one of the ``searched``
    parameters and a seed. ``pairwise`` states that the model has no interaction of three features,
    so its reasons are exact; only such a model may become champion. ``packages`` are those that it
    needs beside what every training needs.
    """

    name: str
    pairwise: bool
    searched: tuple[Parameters, ...]
    learn: Learn
    packages: tuple[str, ...] = ()
