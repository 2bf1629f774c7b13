"""Points and outcomes: the algebra of the scaling, and no approval by accident."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_core.domain.policy import outcome_of, points, probability
from credit_core.domain.product import Outcome
from tests.builders import PRODUCT

POLICY = PRODUCT.policy


@given(st.floats(-20, 20))
def test_doubling_the_odds_adds_exactly_the_points_to_double_odds(log_odds: float) -> None:
    gained = points(POLICY, log_odds - math.log(2)) - points(POLICY, log_odds)

    assert gained == pytest.approx(POLICY.points_to_double_odds)


def test_the_base_odds_have_the_base_points() -> None:
    assert points(POLICY, -math.log(POLICY.base_odds)) == pytest.approx(POLICY.base_points)


@given(st.floats(-700, 700))
def test_probability_and_log_odds_are_each_others_inverse(log_odds: float) -> None:
    p = probability(log_odds)

    assert 0 <= p <= 1
    if 1e-12 < p < 1 - 1e-4:
        assert math.log(p / (1 - p)) == pytest.approx(log_odds, abs=1e-6)


@pytest.mark.parametrize(
    ("p", "outcome"),
    [
        (0.0, Outcome.APPROVE),
        (POLICY.approve_up_to, Outcome.APPROVE),
        (math.nextafter(POLICY.approve_up_to, 1), Outcome.REFER),
        (math.nextafter(POLICY.decline_from, 0), Outcome.REFER),
        (POLICY.decline_from, Outcome.DECLINE),
        (1.0, Outcome.DECLINE),
    ],
)
def test_the_cutoffs_are_where_the_policy_says(p: float, outcome: Outcome) -> None:
    assert outcome_of(POLICY, p) is outcome


@pytest.mark.parametrize("p", [math.nan, math.inf, -math.inf, -0.1, 1.1])
def test_what_is_no_probability_is_referred(p: float) -> None:
    assert outcome_of(POLICY, p) is Outcome.REFER
