from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from credit_core.domain.decision_drift import Limits, figures_of, index_by_chance
from credit_core.domain.decision_monitoring import DecisionTally, ModelKey, ModelTally
from credit_core.domain.measures import distribution_of, population_stability_index, shares_in
from tests.builders_monitoring import A_DAY, MonitoredDays

if TYPE_CHECKING:
    from numpy.typing import NDArray

REPEATED = 2_000
LIMITS = Limits(
    least_decisions=500, most_drift=0.25, most_outcome_shift=0.1, most_reason_shift=0.25
)
A_NAME = "verification_status"
CATEGORIES = 200
SHARES = 1 / np.arange(1, CATEGORIES + 1)
SHARES /= SHARES.sum()
"""A few frequent and many rare categories, as of towns or employers."""


def drift_of_categories(then: NDArray[np.int64], now: NDArray[np.int64]) -> dict[str, Any]:
    """Return the drift of an input from codes trained on to codes of a day; -1 is unknown."""
    baseline = distribution_of(then.astype(np.float32), categories=CATEGORIES)
    score = distribution_of(np.linspace(0, 1, 1_000))
    manifest = MonitoredDays().trained().manifest
    manifest = manifest.model_copy(
        update={
            "baseline": {A_NAME: baseline},
            "baseline_probability": score,
            "categories": {A_NAME: tuple(map(str, range(CATEGORIES)))},
            "training_set": {"rows_trained": len(then)},
        }
    )
    counts = shares_in(baseline, now.astype(np.float32), categories=CATEGORIES) * len(now)
    key = ModelKey("v1", "sha")
    tally = DecisionTally(decisions=len(now))
    tally.models[key] = ModelTally(
        scored=len(now),
        score=[len(now) // 10] * 10 + [0],
        inputs={A_NAME: [round(count) for count in counts]},
    )
    figures = figures_of(A_DAY, tally, {}, manifests={key: manifest}, limits=LIMITS)
    found: dict[str, Any] = figures["models"][0]["drift"]["inputs"][0]
    return found


@pytest.mark.parametrize(("bins", "decisions"), [(10, 250), (10, 2_000), (3, 100), (31, 1_000)])
def test_chance_alone_passes_what_is_said_of_it_once_in_twenty(bins: int, decisions: int) -> None:
    random = np.random.default_rng(0)
    shares = np.full(bins, 1 / bins)
    said = index_by_chance(bins, decisions)

    drawn = random.multinomial(decisions, shares, size=REPEATED) / decisions
    above = np.mean([population_stability_index(shares, now) > said for now in drawn])

    # The chi-square is its limit for many decisions; of few a little more lies above.
    assert 0.035 < above < 0.075


def test_chance_between_two_samples_passes_what_is_said_of_it_once_in_twenty() -> None:
    random = np.random.default_rng(0)
    shares = np.full(10, 0.1)
    said = index_by_chance(10, 1 / (1 / 500 + 1 / 4_000))

    one, other = (random.multinomial(size, shares, size=REPEATED) / size for size in (500, 4_000))
    above = np.mean(
        [population_stability_index(then, now) > said for then, now in zip(other, one, strict=True)]
    )

    assert 0.035 < above < 0.075


def test_more_decisions_leave_less_to_chance_and_more_bins_more() -> None:
    assert index_by_chance(10, 1_000) == pytest.approx(index_by_chance(10, 500) / 2)
    assert index_by_chance(20, 500) > index_by_chance(10, 500)
    assert index_by_chance(1, 500) > 0


def test_hundreds_of_rare_categories_are_no_drift() -> None:
    """Most are empty among 500 applicants; each by itself, their index would be above 0.4."""
    random = np.random.default_rng(0)
    then = random.choice(CATEGORIES, 10_000, p=SHARES)
    days = [drift_of_categories(then, random.choice(CATEGORIES, 500, p=SHARES)) for _ in range(100)]

    apart = [population_stability_index(day["then"], day["now"]) for day in days]
    assert min(apart) > LIMITS.most_drift
    assert max(day["index"] for day in days) < LIMITS.most_drift / 2
    assert np.mean([day["index"] > day["by_chance"] for day in days]) < 0.2


def test_a_rare_category_that_becomes_frequent_and_a_value_that_goes_missing_are_drift() -> None:
    random = np.random.default_rng(0)
    then, now = (random.choice(CATEGORIES, size, p=SHARES) for size in (10_000, 500))
    grown = np.where(random.random(500) < 0.5, CATEGORIES - 1, now)
    missing = np.where(random.random(500) < 0.1, -1, now)

    assert drift_of_categories(then, grown)["index"] > LIMITS.most_drift
    assert drift_of_categories(then, missing)["index"] > LIMITS.most_drift


def test_rare_reasons_of_declines_are_no_shift() -> None:
    random = np.random.default_rng(0)
    past, day = (random.multinomial(size, SHARES) for size in (2_000, 500))
    tallies = []
    for counts in (day, past):
        tally = DecisionTally(decisions=int(counts.sum()))
        tally.first_reasons.update({f"R{code}": int(count) for code, count in enumerate(counts)})
        tallies.append(tally)
    before = {A_DAY.replace(day=A_DAY.day - 1): tallies[1]}

    shift = figures_of(A_DAY, tallies[0], before, manifests={}, limits=LIMITS)["reason_shift"]

    assert shift["index"] < LIMITS.most_reason_shift / 2
    assert shift["index"] < 2 * shift["by_chance"]
