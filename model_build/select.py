"""Which of the candidates becomes the model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model_build.fitted import FittedCandidate

RULE = (
    "the simplest candidate whose log loss, cross-validated on the loans it was fitted on, is "
    "within one standard error of the best"
)


@dataclass(frozen=True, slots=True)
class Selection:
    """The candidate that was chosen, and the figures that chose it."""

    candidate: FittedCandidate
    evidence: str


def select(fitted: Sequence[FittedCandidate]) -> Selection:
    """Choose among the candidates that may become champion, by ``RULE``.

    The tested loans have no say. The standard error is that of the difference to the best, fold by
    fold: all candidates meet the same folds, so what makes a fold hard for all cancels out.

    Args:
        fitted: The candidates, from the simplest up, measured on the same folds; at least one.

    Source: Breiman et al., Classification and Regression Trees (1984), the one-SE rule.
    """
    admissible = [candidate for candidate in fitted if candidate.pairwise]
    if not admissible:
        # Nothing to choose from; the gate on the model's class will say so.
        return Selection(fitted[0], "no candidate may become champion")
    best = min(admissible, key=lambda candidate: candidate.fold_losses.mean())
    # The best is within any error of itself.
    chosen = next(candidate for candidate in admissible if _excess(candidate, best) <= 0)
    figures = ", ".join(f"{it.name} {it.fold_losses.mean():.5f}" for it in admissible)
    if len(admissible) == 1:
        return Selection(chosen, f"{chosen.name} is the only candidate that may become champion")
    if chosen is best:
        first = chosen is admissible[0]
        others = "is the simplest" if first else "no simpler candidate is within one standard error"
        lowest = "has the lowest log loss, cross-validated on the loans it was fitted on, and"
        return Selection(chosen, f"{chosen.name} {lowest} {others}: {figures}")
    return Selection(chosen, f"{chosen.name} is {RULE}, which is {best.name}: {figures}")


def _excess(candidate: FittedCandidate, best: FittedCandidate) -> float:
    """Return by how much a candidate is worse than the best, beyond one standard error."""
    worse_by = candidate.fold_losses - best.fold_losses
    return float(worse_by.mean() - worse_by.std(ddof=1) / math.sqrt(len(worse_by)))
