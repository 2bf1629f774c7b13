"""Which candidate becomes the model: the simplest that is not surely worse."""

from __future__ import annotations

import numpy as np
import pytest

from model_build.fitted import FittedCandidate
from model_build.select import select


def a_candidate(name: str, *losses: float, pairwise: bool = True) -> FittedCandidate:
    nothing = np.zeros(0)
    return FittedCandidate(name, pairwise, {}, b"", np.array(losses), nothing, nothing, nothing)


SIMPLE = a_candidate("simple", 0.50, 0.52, 0.48, 0.51, 0.49)


def test_the_simplest_of_equal_candidates_is_chosen() -> None:
    twin = a_candidate("twin", *SIMPLE.fold_losses)

    assert select([SIMPLE, twin]).candidate is SIMPLE
    assert "and is the simplest: " in select([SIMPLE, twin]).evidence
    assert select([twin, SIMPLE]).candidate is twin


def test_a_gain_within_one_standard_error_is_not_worth_more_complexity() -> None:
    """Better by 0.002 on average, with a standard error of 0.003."""
    complex_one = a_candidate("complex", 0.49, 0.525, 0.47, 0.515, 0.49)

    selection = select([SIMPLE, complex_one])

    assert selection.candidate is SIMPLE
    assert selection.evidence.endswith("which is complex: simple 0.50000, complex 0.49800")


def test_a_clearly_better_candidate_beats_a_simpler_one() -> None:
    better = a_candidate("better", *(SIMPLE.fold_losses - 0.01))

    selection = select([SIMPLE, better])

    assert selection.candidate is better
    assert selection.evidence.startswith("better has the lowest log loss")
    assert selection.evidence.endswith("standard error: simple 0.50000, better 0.49000")


def test_folds_that_are_hard_for_all_say_nothing_against_the_better_one() -> None:
    """The losses spread far more than they differ, but the difference is the same in each fold."""
    hard = a_candidate("hard", 0.2, 0.9, 0.4, 0.7, 0.3)
    better = a_candidate("better", *(hard.fold_losses - 0.01))

    assert select([hard, better]).candidate is better


def test_a_candidate_outside_the_pairwise_class_is_never_chosen() -> None:
    ceiling = a_candidate("ceiling", *(SIMPLE.fold_losses / 2), pairwise=False)

    selection = select([SIMPLE, ceiling])

    assert selection.candidate is SIMPLE
    assert selection.evidence == "simple is the only candidate that may become champion"


def test_where_none_may_become_champion_the_first_stands_for_them() -> None:
    ceiling = a_candidate("ceiling", 0.1, 0.1, pairwise=False)

    selection = select([ceiling])

    assert selection.candidate is ceiling
    assert selection.evidence == "no candidate may become champion"


@pytest.mark.parametrize("worst", [0.5, 5.0])
def test_a_candidate_may_be_best_however_much_its_folds_differ(worst: float) -> None:
    wild = a_candidate("wild", 0.1, worst, 0.1, 0.1, 0.1)
    dull = a_candidate("dull", *([worst] * 5))

    assert select([dull, wild]).candidate is wild
