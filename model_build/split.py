"""Which loans a model is fitted on, and which measure it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from credit_core.errors import TrainingDataError
from model_build.loans import LoanSplit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from credit_core.domain.product import CreditProduct
    from model_build.loans import Fold, LoanSet

HOLDOUT_SHARE = 0.25
"""Share of the loans, the last ones in time, that no training step sees."""

FOLDS = 5

FEWEST_OF_A_CLASS = 20
"""Below this many goods or bads on a side of the split nothing can be fitted or measured."""


def split_loans(product: CreditProduct, loans: LoanSet, *, seed: int) -> LoanSplit:
    """Keep the last quarter in time to measure with; without time, cross-validate.

    Loans of one instant all lie on one side, so the share is as near to a quarter as instants
    allow. An applicant who came again may lie on both: so will those who come to the served model.
    Loans that all bear the same instant have no time to split by. Folds are stratified by outcome
    and hold whole applicants.

    Args:
        product: Whose loans these are, for its label's name.
        loans: In order of time, where they have any.
        seed: Of the folds.

    Raises:
        TrainingDataError: A side has too few loans that defaulted, or too few that did not.
    """
    label = product.label.name
    if len(loans) == 0:
        raise TrainingDataError("the training set has no loan that could have been scored")
    border = _border(loans)
    if border is None:
        _require_both_outcomes(label, "", loans)
        return LoanSplit(loans, loans, _folds(label, loans, seed=seed), out_of_time=False)
    positions = np.arange(len(loans))
    fitted, tested = loans.where(positions < border), loans.where(positions >= border)
    _require_both_outcomes(label, " to train on", fitted)
    _require_both_outcomes(label, " to test with", tested)
    return LoanSplit(fitted, tested, _folds(label, fitted, seed=seed), out_of_time=True)


def _border(loans: LoanSet) -> int | None:
    """Return the position where the tested loans begin, None if no instant divides the loans."""
    instants = loans.event_timestamps
    if instants is None:
        return None
    begins = np.flatnonzero(instants[1:] != instants[:-1]) + 1
    if not begins.size:
        return None
    tested = 1 - begins / len(loans)
    # Of two that are as near, the earlier: more loans to measure with. Rounded, because 1 - 0.6
    # and 0.1 are no exact doubles.
    return int(begins[np.argmin(np.abs(tested - HOLDOUT_SHARE).round(9))])


def _folds(label: str, loans: LoanSet, *, seed: int) -> tuple[Fold, ...]:
    alone = len(np.unique(loans.applicants)) == len(loans)
    kind = StratifiedKFold if alone else StratifiedGroupKFold
    divided: list[Fold] = list(
        kind(FOLDS, shuffle=True, random_state=seed).split(
            loans.matrix, loans.defaulted, None if alone else loans.applicants
        )
    )
    for part in (part for fold in divided for part in fold):
        if _fewest(loans.defaulted[part]) == 0:
            raise TrainingDataError(
                f"the loans cannot be divided into {FOLDS} folds of whole applicants that all hold "
                f"both values of {label}: too few applicants have one of them"
            )
    return tuple(divided)


def _fewest(defaulted: NDArray[np.int64]) -> int:
    bads = int(defaulted.sum())
    return min(bads, len(defaulted) - bads)


def _require_both_outcomes(label: str, purpose: str, loans: LoanSet) -> None:
    if _fewest(loans.defaulted) < FEWEST_OF_A_CLASS:
        raise TrainingDataError(
            f"the {len(loans)} loans{purpose} have {loans.defaults} defaults ({label} is 1) and "
            f"{len(loans) - loans.defaults} others; each must be at least {FEWEST_OF_A_CLASS}"
        )
