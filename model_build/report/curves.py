"""What the plots of a model's answers show: curves and tables of answers against outcomes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from credit_core.domain.measures import share_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from credit_core.domain.policy_definition import Policy

BAND_RESAMPLES = 200
BAND_GRID = np.linspace(0, 1, 81)
MOST_STEPS = 240
"""Corners of a drawn curve: more are not seen, and each takes space."""
NEWTON_STEPS = 50


class Bin(NamedTuple):
    """Loans of similar probability of default, and how many of them defaulted.

    ``low`` and ``high`` are the 95 % interval of the default rate.
    """

    loans: int
    defaults: int
    least: float
    most: float
    expected: float
    observed: float
    low: float
    high: float


class Recalibration(NamedTuple):
    """The line that maps the model's log-odds onto those observed; 0 and 1 where it is right."""

    intercept: float
    intercept_error: float
    slope: float
    slope_error: float


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve of shares, each of shape (k,)."""

    across: NDArray[np.float64]
    upward: NDArray[np.float64]


def receiver_operating_curve(
    defaulted: NDArray[np.int64], probability: NDArray[np.float64]
) -> Curve:
    """Return the share of defaults found against that of good loans given up, (0, 0) to (1, 1)."""
    falls = np.argsort(-probability, kind="stable")
    bad, answers = defaulted[falls], probability[falls]
    ends = np.append(np.flatnonzero(np.diff(answers)), len(answers) - 1)
    bads, goods = np.cumsum(bad)[ends], np.cumsum(1 - bad)[ends]
    return Curve(
        np.concatenate([[0.0], goods / max(goods[-1], 1)]),
        np.concatenate([[0.0], bads / max(bads[-1], 1)]),
    )


def receiver_operating_band(
    defaulted: NDArray[np.int64], probability: NDArray[np.float64], *, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the 95 % band of the curve at each of ``BAND_GRID``, by a bootstrap of loans."""
    random = np.random.default_rng(seed)
    found = np.empty((BAND_RESAMPLES, len(BAND_GRID)))
    for place in range(BAND_RESAMPLES):
        drawn = random.integers(len(defaulted), size=len(defaulted))
        curve = receiver_operating_curve(defaulted[drawn], probability[drawn])
        found[place] = np.interp(BAND_GRID, curve.across, curve.upward)
    low, high = np.quantile(found, [0.025, 0.975], axis=0)
    return low, high


def thinned(curve: Curve) -> Curve:
    """Return the curve with at most ``MOST_STEPS`` corners, its ends among them."""
    count = len(curve.across)
    if count <= MOST_STEPS:
        return curve
    # Evenly along its length, so that steep and flat parts keep their shape.
    length = np.concatenate(
        [[0.0], np.cumsum(np.hypot(np.diff(curve.across), np.diff(curve.upward)))]
    )
    kept = np.unique(np.searchsorted(length, np.linspace(0, length[-1], MOST_STEPS)))
    kept = np.unique(np.concatenate([[0], kept, [count - 1]]))
    return Curve(curve.across[kept], curve.upward[kept])


def cumulative(values: NDArray[np.float64], grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of values at or below each of the grid, shape of the grid."""
    if not len(values):
        return np.zeros(len(grid))
    return np.searchsorted(np.sort(values), grid, side="right") / len(values)


def equal_bins(
    defaulted: NDArray[np.int64], probability: NDArray[np.float64], bins: int = 10
) -> list[Bin]:
    """Return bins of as many loans each, by rising probability, fewer where there are few."""
    order = np.argsort(probability, kind="stable")
    parts = np.array_split(order, min(bins, max(len(order), 1)))
    return [bin_of(defaulted[part], probability[part]) for part in parts if len(part)]


def bin_of(defaulted: NDArray[np.int64], probability: NDArray[np.float64]) -> Bin:
    """Return what is true of some loans; without any, no rates."""
    loans, defaults = len(defaulted), int(defaulted.sum())
    low, high = share_interval(defaults, loans)
    if not loans:
        return Bin(0, 0, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan)
    return Bin(
        loans,
        defaults,
        float(probability.min()),
        float(probability.max()),
        float(probability.mean()),
        defaults / loans,
        low,
        high,
    )


def recalibration(
    defaulted: NDArray[np.int64], log_odds: NDArray[np.float64]
) -> Recalibration | None:
    """Return intercept and slope of the outcomes on the model's log-odds, shape (n,) both.

    The intercept is that of a slope of 1: by how much all log-odds are too low. None where the
    outcomes do not determine them.

    Source: Cox, Biometrika 45 (1958); Steyerberg, Clinical Prediction Models (Springer, 2019).
    """
    if defaulted.min() == defaulted.max() or np.ptp(log_odds) == 0:
        return None
    ones = np.ones((len(log_odds), 1))
    line = _logistic(np.column_stack([ones, log_odds]), defaulted, np.zeros(len(log_odds)))
    level = _logistic(ones, defaulted, log_odds)
    if line is None or level is None:
        return None
    return Recalibration(level[0][0], level[1][0], line[0][1], line[1][1])


def _logistic(
    columns: NDArray[np.float64], defaulted: NDArray[np.int64], offset: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return coefficients and their standard errors, by Newton's method; None if there are none."""
    weights = np.zeros(columns.shape[1])
    for _ in range(NEWTON_STEPS):
        with np.errstate(over="ignore"):
            answers = 1 / (1 + np.exp(-(columns @ weights + offset)))
        curvature = columns.T @ (columns * (answers * (1 - answers))[:, np.newaxis])
        try:
            inverse = np.linalg.inv(curvature)
        except np.linalg.LinAlgError:
            return None
        step = inverse @ (columns.T @ (defaulted - answers))
        weights = weights + step
        if not np.isfinite(weights).all():
            return None
        if np.max(np.abs(step)) < 1e-8:  # noqa: PLR2004 (log-odds; far below what is shown)
            return weights, np.sqrt(np.diag(inverse))
    return None


class Approved(NamedTuple):
    """What approving up to a probability means: which share, and how many of it default."""

    cutoff: float
    share: float
    default_rate: float
    low: float
    high: float


def approvals(
    defaulted: NDArray[np.int64], probability: NDArray[np.float64], most: int = 60
) -> list[Approved]:
    """Return what each of some cut-offs approves, from few loans to all."""
    order = np.argsort(probability, kind="stable")
    bad = np.cumsum(defaulted[order])
    total = len(order)
    # With fewer, the rate jumps from loan to loan.
    first = min(max(20, total // 40), total)
    return [
        _approved(float(probability[order[size - 1]]), int(bad[size - 1]), int(size), total)
        for size in np.unique(np.linspace(first, total, most).astype(int))
    ]


def approved_at(
    defaulted: NDArray[np.int64], probability: NDArray[np.float64], cutoff: float
) -> Approved:
    """Return what one cut-off approves."""
    chosen = probability <= cutoff
    return _approved(cutoff, int(defaulted[chosen].sum()), int(chosen.sum()), len(chosen))


def _approved(cutoff: float, defaults: int, size: int, total: int) -> Approved:
    low, high = share_interval(defaults, size)
    return Approved(cutoff, size / total, defaults / size if size else math.nan, low, high)


def log_odds_of(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log-odds, shape as given; a sure answer becomes a very sure one."""
    inside = np.clip(probability, 1e-9, 1 - 1e-9)
    result: NDArray[np.float64] = np.log(inside) - np.log1p(-inside)
    return result


def points_of(policy: Policy, log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points of log-odds of default, shape as given; see ``policy.points``."""
    factor = policy.points_to_double_odds / math.log(2)
    result: NDArray[np.float64] = policy.base_points + factor * (
        -log_odds - math.log(policy.base_odds)
    )
    return result
