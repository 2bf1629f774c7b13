"""Measures a fitted candidate on the loans that its measuring model has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.measures import (
    distribution_of,
    estimates,
    population_stability_index,
    shares_in,
)
from credit_core.domain.model_manifest import Estimate, Evaluation, Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from model_build.fitted import FittedCandidate
    from model_build.loans import LoanSplit

STABILITY_RESAMPLES = 1_000


def evaluate(split: LoanSplit, candidate: FittedCandidate, *, seed: int) -> Evaluation:
    """Return all measures of a candidate, each with its bootstrap interval."""
    tested = split.tested
    found = estimates(
        tested.defaulted, candidate.tested_probability, seed=seed, applicants=tested.applicants
    )
    return Evaluation(
        split=Split.OUT_OF_TIME if split.out_of_time else Split.CROSS_VALIDATED,
        loans=len(tested),
        defaults=tested.defaults,
        stability=stability(candidate.fitted_probability, candidate.tested_probability, seed=seed),
        first_event=event_text(tested.event_timestamps, 0),
        last_event=event_text(tested.event_timestamps, -1),
        **found,
    )


def stability(fitted: NDArray[np.float64], tested: NDArray[np.float64], *, seed: int) -> Estimate:
    """Return the population stability index of the probability, fitted to tested loans.

    The interval is a percentile bootstrap over both populations within bins that stay where they
    are, moved by the bootstrap's bias: chance alone moves a share, and a resample's twice.

    Args:
        fitted: Probabilities of the loans fitted on, shape (m,).
        tested: Probabilities of the loans tested with, shape (n,).
        seed: Of the resamples.
    """
    baseline = distribution_of(fitted)
    then, now = np.array(baseline.shares), shares_in(baseline, tested)
    random = np.random.default_rng(seed)
    drawn = [
        population_stability_index(one / len(fitted), other / len(tested))
        for one, other in zip(
            random.multinomial(len(fitted), then, STABILITY_RESAMPLES),
            random.multinomial(len(tested), now, STABILITY_RESAMPLES),
            strict=True,
        )
    ]
    value = population_stability_index(then, now)
    low, high = np.quantile(drawn, [0.025, 0.975]) - (np.mean(drawn) - value)
    return Estimate(value=value, low=max(float(low), 0.0), high=float(high))


def event_text(events: NDArray[np.datetime64] | None, position: int) -> str | None:
    """Return a loan's UTC time as the receipts write it, None where the data has no time."""
    return None if events is None else f"{np.datetime_as_string(events[position], unit='us')}Z"
