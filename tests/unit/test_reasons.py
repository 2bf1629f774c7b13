"""Reasons are exact Shapley values for models with at most pairwise interactions."""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_core.domain.feature_matrix import UNKNOWN_CATEGORY
from credit_core.domain.reasons import (
    adverse_action_reasons,
    efficiency_error,
    pairwise_shapley,
    perturbations,
)
from credit_core.domain.terms import Terms
from tests.builders import PRODUCT

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEATURES = 4
INPUTS = Terms.of(PRODUCT).inputs
KNOWN = np.ones(len(PRODUCT.model_features), dtype=np.float32)
weights = st.lists(
    st.floats(-3, 3, width=32), min_size=FEATURES * FEATURES, max_size=FEATURES * FEATURES
)
rows = st.lists(st.floats(-2, 2, width=32), min_size=FEATURES, max_size=FEATURES)


def quadratic(matrix: NDArray[np.float32], coefficients: list[float]) -> NDArray[np.float64]:
    """Return a function with main effects and all pairs, and nothing beyond."""
    form = np.array(coefficients).reshape(FEATURES, FEATURES)
    wide = matrix.astype(np.float64)
    answers: NDArray[np.float64] = (wide @ form * wide + np.sin(wide)).sum(axis=1)
    return answers


def brute_force(
    x: NDArray[np.float32], r: NDArray[np.float32], coefficients: list[float]
) -> list[float]:
    """Return Shapley values by their definition, over all coalitions."""

    def value(coalition: tuple[int, ...]) -> float:
        row = r.copy()
        row[list(coalition)] = x[list(coalition)]
        return float(quadratic(row[None, :], coefficients)[0])

    contributions = []
    for feature in range(FEATURES):
        others = [other for other in range(FEATURES) if other != feature]
        total = 0.0
        for size in range(FEATURES):
            orders = math.factorial(size) * math.factorial(FEATURES - size - 1)
            share = orders / math.factorial(FEATURES)
            for coalition in combinations(others, size):
                total += share * (value((*coalition, feature)) - value(coalition))
        contributions.append(total)
    return contributions


@given(rows, rows, weights)
def test_contributions_equal_shapley_values_by_definition(
    x: list[float], r: list[float], coefficients: list[float]
) -> None:
    applicant, reference = np.array(x, np.float32), np.array(r, np.float32)

    answers = quadratic(perturbations(applicant, reference), coefficients)

    assert pairwise_shapley(answers) == pytest.approx(
        brute_force(applicant, reference, coefficients), abs=1e-4
    )
    assert efficiency_error(answers, pairwise_shapley(answers)) < 1e-4


def test_an_interaction_of_three_features_shows_as_an_efficiency_error() -> None:
    answers = perturbations(np.full(3, 2, np.float32), np.full(3, 1, np.float32)).prod(axis=1)

    log_odds = answers.astype(np.float64)
    assert efficiency_error(log_odds, pairwise_shapley(log_odds)) == pytest.approx(0.5)


def test_reasons_are_the_strongest_of_those_that_raised_the_risk() -> None:
    names = [feature.name for feature in PRODUCT.model_features]
    contributions = np.full(len(names), -1.0)
    contributions[names.index("loan_amount")] = 0.2
    contributions[names.index("annual_income")] = 0.5

    reasons = adverse_action_reasons(INPUTS, KNOWN, contributions, points_per_log_odds=50.0, most=4)

    assert [(reason.feature, reason.contribution_points) for reason in reasons] == [
        ("annual_income", -25.0),
        ("loan_amount", -10.0),
    ]


def test_features_that_share_a_reason_give_it_once() -> None:
    names = [feature.name for feature in PRODUCT.model_features]
    contributions = np.zeros(len(names))
    for name, contribution in {"inq_fi": 0.3, "inq_last_12m": 0.2, "delinq_2yrs": 0.1}.items():
        contributions[names.index(name)] = contribution

    reasons = adverse_action_reasons(INPUTS, KNOWN, contributions, points_per_log_odds=1.0, most=4)

    assert [reason.feature for reason in reasons] == ["inq_fi", "delinq_2yrs"]


def test_an_unknown_value_is_not_called_high() -> None:
    """What raised the risk is that nobody knows; that is what the applicant is told."""
    names = [feature.name for feature in PRODUCT.model_features]
    applicant, contributions = KNOWN.copy(), np.zeros(len(names))
    for name in ("all_util", "revol_util", "verification_status", "delinq_2yrs"):
        contributions[names.index(name)] = 0.1
    applicant[names.index("all_util")] = np.nan
    applicant[names.index("verification_status")] = UNKNOWN_CATEGORY
    applicant[names.index("delinq_2yrs")] = np.nan

    reasons = adverse_action_reasons(
        INPUTS, applicant, contributions, points_per_log_odds=1.0, most=4
    )

    assert {reason.feature: (reason.code, reason.text) for reason in reasons} == {
        "all_util": (
            "UTILIZATION_UNKNOWN",
            "Your credit report states no limits to compare your balances with",
        ),
        "revol_util": (
            "UTILIZATION",
            "Proportion of balances to credit limits on your accounts is high",
        ),
        "verification_status": (
            "VERIFICATION_UNKNOWN",
            "Information was missing: Whether and how the income was verified",
        ),
        "delinq_2yrs": (
            "DELINQUENCY_UNKNOWN",
            "Information was missing: Payments 30 or more days late in two years",
        ),
    }


def test_a_default_that_was_assumed_is_not_stated_as_a_fact() -> None:
    """Nor is what was derived from it."""
    names = [feature.name for feature in PRODUCT.model_features]
    contributions = np.zeros(len(names))
    for name in ("installment_debt_to_income", "inq_fi", "annual_income"):
        contributions[names.index(name)] = 0.1

    reasons = adverse_action_reasons(
        INPUTS,
        KNOWN,
        contributions,
        points_per_log_odds=1.0,
        most=4,
        assumed=("total_bal_il", "inq_fi"),
    )

    assert {reason.feature: reason.code for reason in reasons} == {
        "installment_debt_to_income": "DEBT_BURDEN_UNKNOWN",
        "inq_fi": "INQUIRIES_UNKNOWN",
        "annual_income": "INCOME",
    }


def test_there_are_at_most_four_reasons() -> None:
    contributions = np.linspace(1.0, 2.0, len(PRODUCT.model_features))

    reasons = adverse_action_reasons(INPUTS, KNOWN, contributions, points_per_log_odds=1.0, most=4)

    assert len(reasons) == 4
    assert len({reason.code for reason in reasons}) == 4
