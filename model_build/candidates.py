"""The models that compete, from the simplest to the ceiling, and those that lenders bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_build import boosting, challengers, scorecard
from model_build.learning import Candidate

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CANDIDATES", "CHALLENGERS", "Candidate"]

CANDIDATES: tuple[Candidate, ...] = (
    Candidate(
        "scorecard",
        pairwise=True,
        searched=scorecard.SEARCHED,
        learn=scorecard.learn_scorecard,
    ),
    Candidate("additive", pairwise=True, searched=boosting.SEARCHED, learn=boosting.learn_additive),
    Candidate("pairwise", pairwise=True, searched=boosting.SEARCHED, learn=boosting.learn_pairwise),
    Candidate(
        "unrestricted",
        pairwise=False,
        searched=boosting.SEARCHED,
        learn=boosting.learn_unrestricted,
    ),
)
"""From the simplest to the ceiling that shows what the limit to pairs costs."""

CHALLENGERS: Mapping[str, Candidate] = {
    candidate.name: candidate for candidate in (challengers.XGBOOST, challengers.NEURAL_NETWORK)
}
"""Models that a lender may want measured beside ours, by name. None can become champion."""
