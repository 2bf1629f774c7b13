"""Measures of a probability of default against outcomes, with bootstrap intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.model_manifest import Estimate, Evaluation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from model_build.training_set import LoanSet

RESAMPLES = 1_000
RESAMPLES_AT_ONCE = 100
"""Bounds memory: so many rows of n weights are held together."""


def evaluate(
    loans: LoanSet,
    probability_of_default: NDArray[np.float64],
    *,
    seed: int,
    resamples: int = RESAMPLES,
) -> Evaluation:
    """Measure discrimination and accuracy on loans that no training step saw.

    Intervals are percentile bootstraps over loans, not stratified: how many of them default is
    chance too. Resamples in which all or none default are left out.

    Args:
        loans: n loans with outcomes.
        probability_of_default: Shape (n,).
        seed: The same seed draws the same resamples, so that candidates are compared on equal
            ones.
        resamples: Number of bootstrap resamples.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    measured = _measures(loans.defaulted, probability_of_default, np.ones((1, len(loans))))
    random = np.random.default_rng(seed)
    drawn = []
    for start in range(0, resamples, RESAMPLES_AT_ONCE):
        size = min(RESAMPLES_AT_ONCE, resamples - start)
        weights = random.multinomial(len(loans), np.full(len(loans), 1 / len(loans)), size=size)
        drawn.append(_measures(loans.defaulted, probability_of_default, weights.astype(float)))
    low, high = np.nanquantile(np.concatenate(drawn), [0.025, 0.975], axis=0)
    auc, ks, brier = (
        Estimate(value=float(value), low=float(least), high=float(most))
        for value, least, most in zip(measured[0], low, high, strict=True)
    )
    return Evaluation(
        loans=len(loans),
        defaults=loans.defaults,
        auc=auc,
        ks=ks,
        brier=brier,
        first_event=event_text(loans.event_timestamps[0]),
        last_event=event_text(loans.event_timestamps[-1]),
    )


def area_under_curve(
    defaulted: NDArray[np.int64], probability_of_default: NDArray[np.float64]
) -> float:
    """Return the chance that a defaulted loan was given the higher probability, ties half.

    Source: Hanley and McNeil, Radiology 143 (1982): the area equals the Wilcoxon statistic.

    >>> area_under_curve(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    weights = np.ones((1, len(defaulted)))
    return float(_measures(defaulted, probability_of_default, weights)[0, 0])


def kolmogorov_smirnov(
    defaulted: NDArray[np.int64], probability_of_default: NDArray[np.float64]
) -> float:
    """Return the largest distance between the distributions of the two outcomes.

    Source: Siddiqi, Credit Risk Scorecards (Wiley, 2006), chapter on scorecard statistics.

    >>> kolmogorov_smirnov(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.5
    """
    weights = np.ones((1, len(defaulted)))
    return float(_measures(defaulted, probability_of_default, weights)[0, 1])


def brier_score(defaulted: NDArray[np.int64], probability_of_default: NDArray[np.float64]) -> float:
    """Return the mean squared error of the probability.

    Source: Brier, Monthly Weather Review 78 (1950).

    >>> round(brier_score(np.array([0, 1]), np.array([0.1, 0.8])), 3)
    0.025
    """
    return float(np.mean((probability_of_default - defaulted) ** 2))


def event_text(moment: np.datetime64) -> str:
    """Return a UTC instant as ISO 8601 text."""
    return f"{np.datetime_as_string(moment, unit='us')}Z"


def _measures(
    defaulted: NDArray[np.int64],
    probability_of_default: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return AUC, KS and Brier score for each of r weightings of the loans, shape (r, 3).

    Loans are sorted once; then every weighting costs two cumulative sums. A weighting without a
    default, or with nothing else, gives NaN.
    """
    order = np.argsort(probability_of_default, kind="stable")
    probability, bad = probability_of_default[order], defaulted[order]
    weights = weights[:, order]
    # Loans of equal probability are one step of both distributions.
    ends = np.append(np.flatnonzero(np.diff(probability)), len(probability) - 1)
    bads = np.cumsum(weights * bad, axis=1)[:, ends]
    goods = np.cumsum(weights * (1 - bad), axis=1)[:, ends]
    with np.errstate(invalid="ignore", divide="ignore"):
        bads /= bads[:, -1:]
        goods /= goods[:, -1:]
        steps = np.diff(bads, axis=1, prepend=0)
        # Below a step all goods count, within it (a tie) half of them.
        area = np.sum(steps * (goods - np.diff(goods, axis=1, prepend=0) / 2), axis=1)
        distance = np.max(np.abs(goods - bads), axis=1)
    errors = (weights @ (probability - bad) ** 2) / weights.sum(axis=1)
    return np.column_stack([area, distance, errors])
