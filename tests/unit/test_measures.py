from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score, roc_curve

from credit_core.domain.measures import (
    NAMES,
    area_under_curve,
    brier_score,
    delong_p_value,
    differences,
    distribution_of,
    estimates,
    kolmogorov_smirnov,
    measured,
    population_stability_index,
    shares_in,
)

OUTCOMES_AND_ANSWERS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 20)), min_size=2, max_size=60
).filter(lambda pairs: 0 < sum(bad for bad, _ in pairs) < len(pairs))
SHARES = st.lists(st.integers(1, 50), min_size=4, max_size=4).map(
    lambda counts: np.array(counts) / sum(counts)
)


def some_answers(
    loans: int, *, strength: float = 1.0, seed: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Return outcomes of which one in six is a default, and probabilities that tell of them."""
    random = np.random.default_rng(seed)
    defaulted = (random.random(loans) < 1 / 6).astype(np.int64)
    answers = 1 / (1 + np.exp(1.6 - random.normal(defaulted * strength)))
    return defaulted, answers


@given(OUTCOMES_AND_ANSWERS)
def test_measures_equal_scikit_learn_s_ties_included(pairs: list[tuple[int, int]]) -> None:
    bad = np.array([pair[0] for pair in pairs])
    answer = np.array([pair[1] / 20 for pair in pairs])
    false_alarms, hits, _ = roc_curve(bad, answer, drop_intermediate=False)

    assert area_under_curve(bad, answer) == pytest.approx(roc_auc_score(bad, answer))
    assert kolmogorov_smirnov(bad, answer) == pytest.approx(np.max(np.abs(hits - false_alarms)))
    assert brier_score(bad, answer) == pytest.approx(brier_score_loss(bad, answer))
    found = measured(bad, answer)
    assert found.brier[0] == pytest.approx(brier_score_loss(bad, answer))
    sure = np.clip(answer, 1e-15, 1 - 1e-15)
    assert found.log_loss[0] == pytest.approx(log_loss(bad, sure, labels=[0, 1]))
    assert found.gini[0] == pytest.approx(2 * roc_auc_score(bad, answer) - 1)


@given(OUTCOMES_AND_ANSWERS)
def test_inverting_the_answers_inverts_the_area_and_keeps_the_distance(
    pairs: list[tuple[int, int]],
) -> None:
    bad = np.array([pair[0] for pair in pairs])
    answer = np.array([pair[1] / 20 for pair in pairs])

    assert area_under_curve(bad, 1 - answer) == pytest.approx(1 - area_under_curve(bad, answer))
    assert kolmogorov_smirnov(bad, 1 - answer) == pytest.approx(kolmogorov_smirnov(bad, answer))


@given(OUTCOMES_AND_ANSWERS, st.integers(0, 100))
def test_the_order_of_the_loans_tells_nothing(pairs: list[tuple[int, int]], seed: int) -> None:
    """Loans of equal probability must not fall into this or that bin by where they stand."""
    bad = np.array([pair[0] for pair in pairs])
    answer = np.array([pair[1] / 20 for pair in pairs])
    order = np.random.default_rng(seed).permutation(len(bad))

    one, other = measured(bad, answer), measured(bad[order], answer[order])

    assert np.array(one) == pytest.approx(np.array(other))


@given(OUTCOMES_AND_ANSWERS, st.data())
def test_a_weight_counts_like_so_many_loans(
    pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
    bad = np.array([pair[0] for pair in pairs])
    answer = np.array([pair[1] / 20 for pair in pairs])
    weights = np.array(data.draw(st.lists(st.integers(1, 4), min_size=len(bad), max_size=len(bad))))

    weighted = measured(bad, answer, weights[np.newaxis].astype(float))
    repeated = measured(np.repeat(bad, weights), np.repeat(answer, weights))

    # The bins of the calibration error are those of the loans as they came.
    for name in ("auc", "ks", "brier", "log_loss"):
        assert getattr(weighted, name) == pytest.approx(getattr(repeated, name))


def test_the_same_answer_for_all_is_chance() -> None:
    bad, answer = np.array([0, 1, 0, 1]), np.full(4, 0.3)

    assert area_under_curve(bad, answer) == 0.5
    assert kolmogorov_smirnov(bad, answer) == 0
    assert measured(bad, answer).calibration_error[0] == pytest.approx(0.2)


def test_a_probability_twice_the_rate_has_the_distance_as_its_calibration_error() -> None:
    random = np.random.default_rng(3)
    truth = random.uniform(0.02, 0.4, 200_000)
    defaulted = (random.random(200_000) < truth).astype(np.int64)

    assert measured(defaulted, truth).calibration_error[0] < 0.005
    assert measured(defaulted, 2 * truth).calibration_error[0] == pytest.approx(
        truth.mean(), abs=0.005
    )


def test_a_sure_answer_that_is_wrong_costs_much_but_not_everything() -> None:
    found = measured(np.array([1, 0]), np.array([0.0, 1.0]))

    assert found.log_loss[0] == pytest.approx(-math.log(1e-15), rel=0.01)


def test_the_interval_of_the_area_is_as_wide_as_theory_says() -> None:
    """Hanley and McNeil (1982), formula 1, for the standard error of an AUC."""
    defaulted, answers = some_answers(4_000)

    auc = estimates(defaulted, answers, seed=1)["auc"]

    area, bads = auc.value, int(defaulted.sum())
    goods = len(defaulted) - bads
    pairs_of_bads, pairs_of_goods = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (
        area * (1 - area)
        + (bads - 1) * (pairs_of_bads - area**2)
        + (goods - 1) * (pairs_of_goods - area**2)
    ) / (bads * goods)
    assert auc.low < area < auc.high
    assert (auc.high - auc.low) / 3.92 == pytest.approx(np.sqrt(variance), rel=0.15)


def test_every_measure_has_an_interval_around_its_value() -> None:
    defaulted, answers = some_answers(2_000)

    found = estimates(defaulted, answers, seed=1)

    assert tuple(found) == NAMES
    # A resample's bins are less even than the loans' own, so its calibration error is larger.
    for name in set(NAMES) - {"calibration_error", "ks"}:
        assert found[name].low < found[name].value < found[name].high


def test_an_error_of_calibration_lies_within_its_own_interval() -> None:
    """Chance adds to it, and to a resample twice: plain percentiles lie above it."""
    random = np.random.default_rng(2)
    for _ in range(10):
        probability = random.uniform(0.05, 0.6, 400)
        defaulted = (random.random(400) < probability).astype(np.int64)
        found = estimates(defaulted, probability, seed=0, resamples=200)
        for name in ("ks", "calibration_error"):
            assert 0 <= found[name].low <= found[name].value <= found[name].high, name


def test_loans_of_one_applicant_do_not_count_as_so_many() -> None:
    """Each loan is there four times: the interval is that of a quarter of them."""
    random = np.random.default_rng(3)
    probability = random.uniform(0.05, 0.6, 500)
    defaulted = (random.random(500) < probability).astype(np.int64)
    once = estimates(defaulted, probability, seed=0)["auc"]
    whose = np.tile(np.arange(500), 4)
    four = np.tile(defaulted, 4), np.tile(probability, 4)

    together = estimates(*four, seed=0, applicants=whose)["auc"]
    apart = estimates(*four, seed=0)["auc"]

    assert together.high - together.low == pytest.approx(once.high - once.low, rel=0.01)
    assert apart.high - apart.low < 0.6 * (once.high - once.low)
    shifted = np.tile(random.permutation(probability), 4)
    paired = differences(four[0], four[1], shifted, seed=0, applicants=whose)["auc"]
    loose = differences(four[0], four[1], shifted, seed=0)["auc"]
    assert paired.high - paired.low > 1.5 * (loose.high - loose.low)


def test_the_same_seed_gives_the_same_interval() -> None:
    defaulted, answers = some_answers(300)

    assert estimates(defaulted, answers, seed=7) == estimates(defaulted, answers, seed=7)
    one, other = (estimates(defaulted, answers, seed=seed)["auc"] for seed in (7, 8))
    assert one.low != other.low


def test_resamples_drawn_in_parts_are_those_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    defaulted, answers = some_answers(300)
    at_once = estimates(defaulted, answers, seed=7)
    monkeypatch.setattr("credit_core.domain.measures.WEIGHTS_AT_ONCE", 3_000)

    assert estimates(defaulted, answers, seed=7) == at_once


def test_a_handful_of_defaults_still_has_an_interval() -> None:
    """Some resamples have no default at all; they are left out."""
    defaulted = np.zeros(50, dtype=np.int64)
    defaulted[:2] = 1

    auc = estimates(defaulted, np.linspace(0.5, 0.1, 50), seed=1)["auc"]

    assert auc.value == 1.0
    assert not math.isnan(auc.low)


def test_two_models_are_compared_on_the_same_resamples() -> None:
    defaulted, better = some_answers(3_000, strength=1.5)
    worse = np.random.default_rng(5).permutation(better) * 0.3 + better * 0.7

    apart = differences(defaulted, better, worse, seed=1)

    assert apart["auc"].low > 0
    assert apart["gini"].value == pytest.approx(2 * apart["auc"].value)
    assert apart["gini"].high == pytest.approx(2 * apart["auc"].high)
    same = differences(defaulted, better, better, seed=1)
    assert all((it.value, it.low, it.high) == (0, 0, 0) for it in same.values())


def test_paired_intervals_are_narrower_than_separate_ones() -> None:
    defaulted, one = some_answers(3_000)
    other = one + 0.01 * np.random.default_rng(5).normal(size=3_000)

    apart = differences(defaulted, one, other, seed=1)["auc"]

    alone = estimates(defaulted, one, seed=1)["auc"]
    assert apart.high - apart.low < (alone.high - alone.low) / 2


def test_delong_agrees_with_the_paired_bootstrap() -> None:
    defaulted, one = some_answers(3_000)
    other = one + 0.1 * np.random.default_rng(5).normal(size=3_000)

    p_value = delong_p_value(defaulted, one, other)

    apart = differences(defaulted, one, other, seed=1)["auc"]
    deviations = abs(apart.value) / ((apart.high - apart.low) / 3.92)
    assert p_value == pytest.approx(math.erfc(deviations / math.sqrt(2)), abs=0.05)


def test_delong_finds_a_difference_at_chance_as_often_as_it_says() -> None:
    """Two models of equal worth: one in five p-values below 0.2."""
    values = []
    for seed in range(200):
        random = np.random.default_rng(seed)
        defaulted = (random.random(300) < 0.2).astype(np.int64)
        truth = random.normal(defaulted * 1.0)
        one, other = (truth + random.normal(size=300) for _ in range(2))
        values.append(delong_p_value(defaulted, one, other))

    assert np.mean(np.array(values) < 0.2) == pytest.approx(0.2, abs=0.08)


def test_delong_of_a_model_with_itself_finds_nothing() -> None:
    defaulted, one = some_answers(100)

    assert delong_p_value(defaulted, one, one) == 1.0
    assert delong_p_value(defaulted, one, 2 * one + 1) == 1.0
    assert math.isnan(delong_p_value(np.array([1, 0, 0]), np.arange(3.0), np.arange(3.0)))


@given(SHARES, SHARES)
def test_stability_is_zero_of_itself_and_the_same_both_ways(
    one: np.ndarray, other: np.ndarray
) -> None:
    assert population_stability_index(one, one) == 0
    there = population_stability_index(one, other)
    assert there >= 0
    assert there == pytest.approx(population_stability_index(other, one))


def test_a_bin_that_is_empty_now_counts_and_is_finite() -> None:
    found = population_stability_index([0.5, 0.5, 0.0], [0.5, 0.0, 0.5])

    assert 1 < found < 10


def test_a_distribution_has_a_bin_for_what_is_unknown() -> None:
    column = np.concatenate([np.arange(90.0), np.full(10, np.nan)])

    found = distribution_of(column)

    assert len(found.edges) == 9
    assert len(found.shares) == 11
    assert found.shares[-1] == pytest.approx(0.1)
    assert sum(found.shares) == pytest.approx(1)
    assert found.shares[:-1] == pytest.approx([0.09] * 10)


def test_a_column_of_one_value_has_one_bin() -> None:
    found = distribution_of(np.full(5, 3.0))

    assert found.edges == ()
    assert found.shares == (1.0, 0.0)


def test_a_column_that_is_never_known_has_only_the_bin_for_it() -> None:
    assert distribution_of(np.full(5, np.nan)).shares == (0.0, 1.0)


def test_a_category_s_bins_are_its_codes() -> None:
    found = distribution_of(np.array([0.0, 1.0, 1.0, -1.0]), categories=3)

    assert found.shares == (0.25, 0.5, 0.0, 0.25)
    later = shares_in(found, np.array([2.0, 2.0]), categories=3)
    assert later.tolist() == [0, 0, 1, 0]


def test_later_numbers_fall_into_the_bins_of_earlier_ones() -> None:
    found = distribution_of(np.arange(100.0))

    later = shares_in(found, np.array([-1e9, 1e9, np.nan, found.edges[0]]))

    assert later[0] == 0.5
    assert later[-2] == later[-1] == 0.25
