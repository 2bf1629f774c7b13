from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, roc_auc_score, roc_curve

from model_build.evaluate import (
    area_under_curve,
    brier_score,
    evaluate,
    kolmogorov_smirnov,
)
from tests.builders_training import some_loans

OUTCOMES_AND_ANSWERS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 20)), min_size=2, max_size=60
).filter(lambda pairs: 0 < sum(bad for bad, _ in pairs) < len(pairs))


@given(OUTCOMES_AND_ANSWERS)
def test_measures_equal_scikit_learn_s_ties_included(pairs: list[tuple[int, int]]) -> None:
    bad = np.array([pair[0] for pair in pairs])
    answer = np.array([pair[1] / 20 for pair in pairs])
    false_alarms, hits, _ = roc_curve(bad, answer, drop_intermediate=False)

    assert area_under_curve(bad, answer) == pytest.approx(roc_auc_score(bad, answer))
    assert kolmogorov_smirnov(bad, answer) == pytest.approx(np.max(np.abs(hits - false_alarms)))
    assert brier_score(bad, answer) == pytest.approx(brier_score_loss(bad, answer))


@given(OUTCOMES_AND_ANSWERS)
def test_inverting_the_answers_inverts_the_area_and_keeps_the_distance(
    pairs: list[tuple[int, int]],
) -> None:
    bad = np.array([pair[0] for pair in pairs])
    answer = np.array([pair[1] / 20 for pair in pairs])

    assert area_under_curve(bad, 1 - answer) == pytest.approx(1 - area_under_curve(bad, answer))
    assert kolmogorov_smirnov(bad, 1 - answer) == pytest.approx(kolmogorov_smirnov(bad, answer))


def test_the_same_answer_for_all_is_chance() -> None:
    bad, answer = np.array([0, 1, 0, 1]), np.full(4, 0.3)

    assert area_under_curve(bad, answer) == 0.5
    assert kolmogorov_smirnov(bad, answer) == 0


def test_the_interval_of_the_area_is_as_wide_as_theory_says() -> None:
    """Hanley and McNeil (1982), formula 1, for the standard error of an AUC."""
    loans = some_loans(4_000)
    random = np.random.default_rng(1)
    answers = 1 / (1 + np.exp(-random.normal(loans.defaulted * 1.0)))

    auc = evaluate(loans, answers, seed=1).auc

    area, bads = auc.value, loans.defaults
    goods = len(loans) - bads
    pairs_of_bads, pairs_of_goods = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (
        area * (1 - area)
        + (bads - 1) * (pairs_of_bads - area**2)
        + (goods - 1) * (pairs_of_goods - area**2)
    ) / (bads * goods)
    assert auc.low < area < auc.high
    assert (auc.high - auc.low) / 3.92 == pytest.approx(np.sqrt(variance), rel=0.15)


def test_the_same_seed_gives_the_same_interval() -> None:
    loans = some_loans(300)
    answers = np.random.default_rng(2).random(300)

    assert evaluate(loans, answers, seed=7) == evaluate(loans, answers, seed=7)
    assert evaluate(loans, answers, seed=7).auc.low != evaluate(loans, answers, seed=8).auc.low


def test_counts_and_period_are_those_of_the_loans() -> None:
    loans = some_loans(300)

    found = evaluate(loans, np.random.default_rng(2).random(300), seed=7, resamples=10)

    assert (found.loans, found.defaults) == (300, loans.defaults)
    assert found.first_event == "2026-08-01T00:00:00.000000Z"
    assert found.last_event == "2026-08-13T11:00:00.000000Z"
