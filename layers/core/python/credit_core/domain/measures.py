"""Measures of a probability of default against outcomes, with bootstrap intervals and tests."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from credit_core.domain.model_manifest import Distribution, Estimate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

NORMAL_95 = 1.959964
"""Standard errors from the middle of a 95 % interval of the normal distribution to its ends."""

RESAMPLES = 1_000
WEIGHTS_AT_ONCE = 4_000_000
"""Bounds memory: about so many weights of loans are held together."""

CALIBRATION_BINS = 10
STABILITY_BINS = 10
LEAST_SHARE = 1e-4
"""Stands for an empty bin, whose logarithm has no value. Its share of a PSI is then about 0.01."""
SMALLEST_PROBABILITY = 1e-15
STABLE, MOVED = 0.10, 0.25
"""Below the first index a population is stable by convention, above the second it has moved far."""

DISTANCES = ("ks", "calibration_error")
"""Measures to which chance adds, and to a resample, in which chance is at work twice, twice."""


class Measures(NamedTuple):
    """Each measure as one value, or of several weightings as an array of shape (r,)."""

    auc: NDArray[np.float64]
    ks: NDArray[np.float64]
    brier: NDArray[np.float64]
    log_loss: NDArray[np.float64]
    calibration_error: NDArray[np.float64]

    @property
    def gini(self) -> NDArray[np.float64]:
        """Twice the AUC, less one."""
        return 2 * self.auc - 1


NAMES = (*Measures._fields, "gini")


def area_under_curve(
    defaulted: NDArray[np.int64], probability_of_default: NDArray[np.float64]
) -> float:
    """Return the chance that a defaulted loan was given the higher probability, ties half.

    Source: Hanley and McNeil, Radiology 143 (1982): the area equals the Wilcoxon statistic.

    >>> area_under_curve(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    return float(measured(defaulted, probability_of_default).auc[0])


def kolmogorov_smirnov(
    defaulted: NDArray[np.int64], probability_of_default: NDArray[np.float64]
) -> float:
    """Return the largest distance between the distributions of the two outcomes.

    Source: Siddiqi, Credit Risk Scorecards (Wiley, 2006), chapter on scorecard statistics.

    >>> kolmogorov_smirnov(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.5
    """
    return float(measured(defaulted, probability_of_default).ks[0])


def brier_score(defaulted: NDArray[np.int64], probability_of_default: NDArray[np.float64]) -> float:
    """Return the mean squared error of the probability.

    Source: Brier, Monthly Weather Review 78 (1950).

    >>> round(brier_score(np.array([0, 1]), np.array([0.1, 0.8])), 3)
    0.025
    """
    return float(np.mean((probability_of_default - defaulted) ** 2))


def measured(
    defaulted: NDArray[np.int64],
    probability_of_default: NDArray[np.float64],
    weights: NDArray[np.float64] | None = None,
) -> Measures:
    """Return the measures for each of r weightings of n loans; NaN where one class is missing.

    ``calibration_error`` is the mean distance between the default rate and the mean probability
    over ten bins of about as many loans each, weighted by their sizes; loans of equal probability
    share one. Loans are sorted once; then every
    weighting costs a few cumulative sums.

    Args:
        defaulted: 1 for a default, else 0, shape (n,).
        probability_of_default: Shape (n,).
        weights: Shape (r, n); None is one weighting of ones.

    Source:
        Naeini et al., AAAI 29 (2015): expected calibration error, here with bins of equal size.
    """
    order = np.argsort(probability_of_default, kind="stable")
    probability = np.asarray(probability_of_default, dtype=np.float64)[order]
    bad = defaulted[order]
    weights = np.ones((1, len(bad))) if weights is None else weights[:, order]
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
    total = weights.sum(axis=1)
    sure = np.clip(probability, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    surprise = -np.where(bad == 1, np.log(sure), np.log1p(-sure))
    starts = np.linspace(0, len(bad), CALIBRATION_BINS, endpoint=False).astype(int)
    starts = np.unique(np.searchsorted(probability, probability[starts], side="left"))
    excess = np.add.reduceat(weights * (probability - bad), starts, axis=1)
    return Measures(
        area,
        distance,
        (weights @ (probability - bad) ** 2) / total,
        (weights @ surprise) / total,
        np.abs(excess).sum(axis=1) / total,
    )


def estimates(
    defaulted: NDArray[np.int64],
    probability_of_default: NDArray[np.float64],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    applicants: NDArray[np.int64] | None = None,
) -> dict[str, Estimate]:
    """Return each measure of ``NAMES`` with its interval.

    Intervals are percentile bootstraps over applicants, not stratified: how many of them default is
    chance too. Resamples in which all or none default are left out. Those of ``DISTANCES`` are
    moved by the bootstrap's bias, else the value itself may lie below them: they tell what as many
    other loans would show, chance included.

    Args:
        defaulted: 1 for a default, else 0, shape (n,).
        probability_of_default: Shape (n,).
        seed: The same seed draws the same resamples, so that models are compared on equal ones.
        resamples: Number of bootstrap resamples.
        applicants: Whose loan each is, shape (n,): who has two is drawn with both, because they
            end alike more often than by chance. None where each loan is another's.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapters 10 and 13; Davison
        and Hinkley, Bootstrap Methods and their Application (1997), section 3.8, on clusters.
    """
    found = _intervals(
        lambda weights: measured(defaulted, probability_of_default, weights),
        len(defaulted),
        seed=seed,
        resamples=resamples,
        applicants=applicants,
    )
    for name in DISTANCES:
        found[name] = found[name].model_copy(update={"low": max(found[name].low, 0.0)})
    return found


def differences(
    defaulted: NDArray[np.int64],
    one: NDArray[np.float64],
    other: NDArray[np.float64],
    *,
    seed: int,
    resamples: int = RESAMPLES,
    applicants: NDArray[np.int64] | None = None,
) -> dict[str, Estimate]:
    """Return by how much each measure of ``NAMES`` is larger for ``one``, on the same loans.

    Both probabilities have shape (n,). The bootstrap is paired: what makes a resample hard for both
    cancels out. Other arguments are those of ``estimates``.
    """

    def apart(weights: NDArray[np.float64] | None) -> Measures:
        pair = measured(defaulted, one, weights), measured(defaulted, other, weights)
        return Measures(*(first - second for first, second in zip(*pair, strict=True)))

    found = _intervals(apart, len(defaulted), seed=seed, resamples=resamples, applicants=applicants)
    auc = found["auc"]
    found["gini"] = Estimate(value=2 * auc.value, low=2 * auc.low, high=2 * auc.high)
    return found


def delong_p_value(
    defaulted: NDArray[np.int64], one: NDArray[np.float64], other: NDArray[np.float64]
) -> float:
    """Return how likely AUCs at least this far apart are where both models rank equally well.

    Two-sided. 1 where the two rank all loans alike; NaN with fewer than two loans of an outcome.

    Source: DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988); ranks as in Sun and Xu, IEEE
    Signal Processing Letters 21 (2014).
    """
    bad = defaulted == 1
    bads, goods = int(bad.sum()), int((~bad).sum())
    if min(bads, goods) < 2:  # noqa: PLR2004 (a variance needs two)
        return math.nan
    areas, of_bads, of_goods = [], [], []
    for probability in (one, other):
        ranks = _midranks(probability)
        of_bads.append((ranks[bad] - _midranks(probability[bad])) / goods)
        of_goods.append(1 - (ranks[~bad] - _midranks(probability[~bad])) / bads)
        areas.append(float(of_bads[-1].mean()))
    variance = sum(
        float(np.var(parts[0] - parts[1], ddof=1)) / len(parts[0]) for parts in (of_bads, of_goods)
    )
    if variance <= 0:
        return 1.0 if areas[0] == areas[1] else 0.0
    return math.erfc(abs(areas[0] - areas[1]) / math.sqrt(2 * variance))


def share_interval(events: float, trials: float) -> tuple[float, float]:
    """Return the 95 % interval of a share, 0 to 1 without trials.

    Source: Wilson, Journal of the American Statistical Association 22 (1927).

    >>> tuple(round(end, 3) for end in share_interval(5, 100))
    (0.022, 0.112)
    """
    if trials <= 0:
        return 0.0, 1.0
    share, square = events / trials, NORMAL_95**2
    centre = (share + square / (2 * trials)) / (1 + square / trials)
    spread = (
        NORMAL_95
        * math.sqrt(share * (1 - share) / trials + square / (4 * trials**2))
        / (1 + square / trials)
    )
    return max(centre - spread, 0.0), min(centre + spread, 1.0)


def population_stability_index(
    expected: Sequence[float] | NDArray[np.float64], actual: Sequence[float] | NDArray[np.float64]
) -> float:
    """Return the PSI between two binned distributions, in nats, >= 0.

    Args:
        expected: Share per bin then, shape (bins,), sum 1; 0 counts as ``LEAST_SHARE``.
        actual: Share per bin now, same bins, shape (bins,), sum 1; likewise.

    By convention below 0.10 is stable, above 0.25 calls for action.

    Source: Siddiqi, Credit Risk Scorecards (Wiley, 2006).

    >>> round(population_stability_index([0.5, 0.5], [0.4, 0.6]), 4)
    0.0405
    """
    then = np.maximum(np.asarray(expected, dtype=np.float64), LEAST_SHARE)
    now = np.maximum(np.asarray(actual, dtype=np.float64), LEAST_SHARE)
    return float(np.sum((now - then) * np.log(now / then)))


def distribution_of(column: NDArray[np.floating], *, categories: int = 0) -> Distribution:
    """Return the distribution of a column of the model's input, or of probabilities.

    Args:
        column: Shape (n,), n > 0; NaN is unknown, and -1 of a category.
        categories: How many codes there are, 0 for a number.
    """
    edges: tuple[float, ...] = ()
    if not categories:
        known = column[~np.isnan(column)]
        quantiles = np.arange(1, STABILITY_BINS) / STABILITY_BINS
        # Nothing lies above an edge that is the largest value.
        found = np.unique(np.quantile(known, quantiles, method="lower")) if known.size else known
        edges = tuple(float(edge) for edge in found if edge < known.max())
    empty = Distribution(edges=edges, shares=(0.0,) * (categories or len(edges) + 1))
    counted = shares_in(empty, column, categories=categories)
    return Distribution(edges=edges, shares=tuple(counted.tolist()))


def shares_in(
    distribution: Distribution, column: NDArray[np.floating], *, categories: int = 0
) -> NDArray[np.float64]:
    """Return the shares of a column, shape (n,), in the bins of a distribution, unknown last."""
    return counts_in(distribution, column, categories=categories) / len(column)


def counts_in(
    distribution: Distribution, column: NDArray[np.floating], *, categories: int = 0
) -> NDArray[np.int64]:
    """Return how many of a column, shape (n,), lie in each bin of a distribution, unknown last.

    Args:
        distribution: Whose bins are meant.
        column: NaN is unknown, and -1 of a category.
        categories: How many codes there are, 0 for a number.
    """
    bins = categories or len(distribution.edges) + 1
    if categories:
        places = np.where(column < 0, categories, column).astype(int)
    else:
        places = np.searchsorted(np.array(distribution.edges), column, side="left")
        places = np.where(np.isnan(column), bins, places)
    return np.bincount(places, minlength=bins + 1)


def _intervals(
    measure: Callable[[NDArray[np.float64] | None], Measures],
    loans: int,
    *,
    seed: int,
    resamples: int,
    applicants: NDArray[np.int64] | None,
) -> dict[str, Estimate]:
    random = np.random.default_rng(seed)
    drawn = []
    people = loans
    whose: slice | NDArray[np.intp] = slice(None)
    if applicants is not None:
        distinct, places = np.unique(applicants, return_inverse=True)
        if len(distinct) < loans:
            people, whose = len(distinct), places
    at_once = max(1, WEIGHTS_AT_ONCE // loans)
    for start in range(0, resamples, at_once):
        size = min(at_once, resamples - start)
        weights = random.multinomial(people, np.full(people, 1 / people), size=size)
        drawn.append(measure(weights[:, whose].astype(np.float64)))
    point = measure(None)
    found = {}
    for name in NAMES:
        values = np.concatenate([getattr(sample, name) for sample in drawn])
        value = float(getattr(point, name)[0])
        low, high = np.nanquantile(values, [0.025, 0.975])
        added = float(np.nanmean(values)) - value if name in DISTANCES else 0.0
        found[name] = Estimate(value=value, low=float(low) - added, high=float(high) - added)
    return found


def _midranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1, ties sharing the middle of theirs, shape as given."""
    order = np.sort(values)
    below = np.searchsorted(order, values, side="left")
    up_to = np.searchsorted(order, values, side="right")
    return (below + up_to + 1) / 2
