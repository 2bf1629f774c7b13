"""Loans with outcomes as arrays, and which of them a model is fitted on and measured with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

type Fold = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Positions of the loans to fit on, and of those held out."""


@dataclass(frozen=True, slots=True)
class LoanSet:
    """Loans in order of time, or as they came where the data has none.

    ``matrix`` is the model input, float32 of shape (n, G); ``defaulted`` is int of shape (n,),
    1 for a default; ``event_timestamps`` is datetime64[us] of shape (n,), UTC, or None;
    ``applicants`` has one number per applicant, shape (n,): loans of one never lie on both sides of
    a fold. ``groups`` has the group of each loan by the name of the product's monitored groups,
    text of shape (n,), "" where not stated.
    """

    matrix: NDArray[np.float32]
    defaulted: NDArray[np.int64]
    event_timestamps: NDArray[np.datetime64] | None
    applicants: NDArray[np.int64]
    groups: Mapping[str, NDArray[np.str_]]

    def __len__(self) -> int:
        """Return the number of loans."""
        return len(self.defaulted)

    @property
    def defaults(self) -> int:
        """Number of loans that defaulted."""
        return int(self.defaulted.sum())

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> LoanSet:
        """Return the loans that a mask, shape (n,), or positions choose."""
        return LoanSet(
            self.matrix[chosen],
            self.defaulted[chosen],
            None if self.event_timestamps is None else self.event_timestamps[chosen],
            self.applicants[chosen],
            {name: values[chosen] for name, values in self.groups.items()},
        )


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """The loans to train on and test with, and what was left out.

    ``referred`` rows lack a view that a decision cannot do without; ``unservable`` counts, by
    column, rows with a value outside the product's definition. Scoring would have refused both, so
    the model must not learn from them. ``features_newer`` counts, by view, loans whose features
    are newer than the application: none, unless the table was made by hand. ``not_labelled`` rows
    have no outcome yet.
    """

    loans: LoanSet
    sha256: str
    rows: int
    referred: int
    unservable: Mapping[str, int]
    unservable_rows: int
    features_newer: Mapping[str, int]
    not_labelled: int


@dataclass(frozen=True, slots=True)
class LoanSplit:
    """Which loans the final model is fitted on and which measure it.

    Out of time, ``fitted`` are the earlier loans and ``tested`` the later ones. Cross-validated,
    both are all loans, and what measures a model are its answers for the folds that it was not
    fitted on. ``folds`` are positions within ``fitted``, whole applicants each.
    """

    fitted: LoanSet
    tested: LoanSet
    folds: tuple[Fold, ...]
    out_of_time: bool
