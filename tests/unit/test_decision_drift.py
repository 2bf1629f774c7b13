from __future__ import annotations

import numpy as np
import pytest

from credit_core.domain.decision_drift import index_by_chance
from credit_core.domain.measures import population_stability_index

REPEATED = 2_000


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
