"""Exact reasons for a decision: Shapley values of a model with at most pairwise interactions.

For such a function f, an applicant x and a reference applicant r, the Shapley value of feature i
needs no coalitions beyond four::

    phi_i = 1/2 [f(x) - f(x with i from r)] + 1/2 [f(r with i from x) - f(r)]

because a pair's share is split evenly between its two features and a single feature's effect is
in both differences. All 2G + 2 rows are one matrix, so one model run answers for the decision
and for its reasons. Contributions are in log-odds of default and sum to f(x) - f(r).

Source: Shapley (1953), applied to the interventional value function with a single reference
(Lundberg et al., Nature Machine Intelligence 2, 2020, section on interventional TreeExplainer).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.feature_matrix import UNKNOWN_CATEGORY

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from credit_core.domain.terms import ModelInput


@dataclass(frozen=True, slots=True)
class Reason:
    """One adverse-action reason: a feature that counted against this applicant, and by how much.

    ``contribution_log_odds`` is positive (towards default); ``contribution_points`` is the same
    in points and negative (points lost). A hard rule's reason has neither.
    """

    code: str
    text: str
    feature: str
    contribution_log_odds: float | None = None
    contribution_points: float | None = None


def perturbations(
    applicant: NDArray[np.float32], reference: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the rows that ``pairwise_shapley`` needs, shape (2G + 2, G).

    Row 0 is the applicant, row 1 the reference; then G rows of the applicant with feature i from
    the reference, then G rows of the reference with feature i from the applicant.

    Args:
        applicant: Model input of the applicant, shape (G,).
        reference: Model input of the reference applicant, shape (G,).
    """
    count = applicant.shape[0]
    rows = np.empty((2 * count + 2, count), dtype=np.float32)
    rows[0] = applicant
    rows[1] = reference
    without, alone = rows[2 : count + 2], rows[count + 2 :]
    without[:] = applicant
    alone[:] = reference
    np.fill_diagonal(without, reference)
    np.fill_diagonal(alone, applicant)
    return rows


def pairwise_shapley(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the contribution of each feature to the log-odds of default, shape (G,).

    Args:
        log_odds: The model's answers for the rows of ``perturbations``, shape (2G + 2,).

    >>> x, r = np.array([3.0, 5.0], np.float32), np.array([1.0, 2.0], np.float32)
    >>> pairwise_shapley(perturbations(x, r).astype(np.float64).prod(axis=1))
    array([7., 6.])
    """
    count = (log_odds.shape[0] - 2) // 2
    without, alone = log_odds[2 : count + 2], log_odds[count + 2 :]
    contributions: NDArray[np.float64] = 0.5 * ((log_odds[0] - without) + (alone - log_odds[1]))
    return contributions


def efficiency_error(log_odds: NDArray[np.float64], contributions: NDArray[np.float64]) -> float:
    """Return how far the contributions are from summing to f(x) - f(r), in log-odds.

    It is zero, up to rounding, exactly when no interaction of three or more features is at work.
    """
    return float(abs(contributions.sum() - (log_odds[0] - log_odds[1])))


def adverse_action_reasons(
    inputs: Sequence[ModelInput],
    applicant: NDArray[np.floating],
    contributions: NDArray[np.float64],
    *,
    points_per_log_odds: float,
    most: int,
    assumed: Collection[str] = (),
) -> tuple[Reason, ...]:
    """Return at most ``most`` reasons, the strongest first, each of another code and text.

    Only features that raised the risk count. Where two features share a reason, the stronger
    one stands for it. A value that was not known, or assumed in place of one that was not, is not
    called high or low: the reason says so.

    Args:
        inputs: The G model inputs in matrix order.
        applicant: Model input of the applicant, shape (G,).
        contributions: Log-odds of default per feature, shape (G,).
        points_per_log_odds: Points lost per unit of log-odds of default, > 0.
        most: How many reasons at the most.
        assumed: Names of the features whose declared default was served.
    """
    reasons: dict[str, Reason] = {}
    for index in np.argsort(-contributions, kind="stable").tolist():
        contribution = float(contributions[index])
        if contribution <= 0 or len(reasons) == most:
            break
        given = inputs[index]
        code, text = stated(given, float(applicant[index]), assumed=assumed)
        # Two codes may say the same of what is not known; an applicant is told it once.
        if code not in reasons and text not in {reason.text for reason in reasons.values()}:
            reasons[code] = Reason(
                code,
                text,
                given.name,
                contribution,
                -contribution * points_per_log_odds,
            )
    return tuple(reasons.values())


def stated(given: ModelInput, value: float, *, assumed: Collection[str] = ()) -> tuple[str, str]:
    """Return code and text of an input's reason, for its value."""
    reason = given.adverse_action
    unknown = value == UNKNOWN_CATEGORY if given.categories else math.isnan(value)
    if not (unknown or is_assumed(given, assumed)):
        return reason.code, reason.text
    text = reason.text_if_unknown or f"Information was missing: {given.description}"
    return f"{reason.code}_UNKNOWN", text


def is_assumed(given: ModelInput, assumed: Collection[str]) -> bool:
    """Whether an input's default was served, or it was derived from such a default."""
    return given.name in assumed or any(name in assumed for name in given.derived_from)
