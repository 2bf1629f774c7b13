"""The models that compete, from the simplest to the ceiling, and those that lenders bring."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from model_build import boosting, challengers, scorecard
from model_build.boosting import BoostedTrees
from model_build.learning import Candidate
from model_build.scorecard import Scorecard

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CANDIDATES", "CHALLENGERS", "Candidate"]

CANDIDATES: tuple[Candidate, ...] = (
    Candidate("scorecard", pairwise=True, searched=scorecard.SEARCHED, estimator=Scorecard),
    *(
        Candidate(
            name,
            pairwise=interactions is not None,
            searched=boosting.SEARCHED,
            estimator=partial(BoostedTrees, interactions=interactions),
        )
        for name, interactions in (
            ("additive", "no_interactions"),
            ("pairwise", "pairwise"),
            ("unrestricted", None),
        )
    ),
)
"""From the simplest to the ceiling that shows what the limit to pairs costs."""

CHALLENGERS: Mapping[str, Candidate] = {
    candidate.name: candidate for candidate in (challengers.XGBOOST, challengers.NEURAL_NETWORK)
}
"""Models that a lender may want measured beside ours, by name. None can become champion."""
