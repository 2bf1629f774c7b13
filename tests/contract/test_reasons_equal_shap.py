"""The contributions of a decision are the exact Shapley values, as the shap package finds them.

Shap is asked for its exact interventional values of scikit-learn's trees. They are in the trees'
raw score; the calibration is affine in log-odds, so it scales them. A category's columns together
are one feature, and so are their values.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
import shap

from credit_core.domain.explanation import contributions_of
from credit_core.domain.feature_matrix import exact_matrix
from credit_core.domain.judgement import Judge
from credit_core.domain.policy_definition import Outcome
from credit_core.domain.reasons import efficiency_error, pairwise_shapley, perturbations
from credit_core.domain.terms import Terms
from model_build.boosting import BoostedTrees
from tests.builders import PRODUCT
from tests.sample_loans import CALIBRATION, fitted_model, model_of, sample
from tests.unit.test_explanation_of_declines import check_reasons

if TYPE_CHECKING:
    from numpy.typing import NDArray

APPLICANTS = 500
LARGEST_ERROR_LOG_ODDS = 1e-3
TERMS = Terms.of(PRODUCT)
JUDGE = Judge(TERMS)
NAMES = [given.name for given in TERMS.inputs]


def applicants() -> NDArray[np.int64]:
    """Return the places of 500 loans, spread evenly over the sample."""
    places: NDArray[np.int64] = np.linspace(0, len(sample().loans) - 1, APPLICANTS).astype(np.int64)
    return places


def row_of(place: int) -> NDArray[np.float64]:
    """Return a loan's model input before its cast, shape (G,)."""
    known = sample().known[place]
    row: NDArray[np.float64] = exact_matrix(
        PRODUCT, {name: (value,) for name, value in known.items()}
    )[0]
    return row


def explained(name: str, place: int) -> tuple[NDArray[np.float64], float]:
    """Return an applicant's contributions in the order of the inputs, and the log-odds."""
    row, model = row_of(place), model_of(name)
    assessment = JUDGE(row, model).assessment
    assert assessment is not None
    found = contributions_of(TERMS, row, model.reference, assessment)
    by_name = {contribution.feature: contribution.log_odds for contribution in found}
    return np.array([by_name[feature] for feature in NAMES]), assessment.log_odds


def values_by_shap(name: str, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return shap's values of each input in log-odds of default, (n, G) to (n, G)."""
    model, reference = fitted_model(name), model_of(name).reference
    assert isinstance(model, BoostedTrees)
    columns = model.columns_
    explainer = shap.TreeExplainer(
        model.classifier_,
        data=columns(reference[np.newaxis]).astype(np.float64),
        feature_perturbation="interventional",
    )
    by_column = explainer.shap_values(columns(rows).astype(np.float64))
    values = np.zeros(rows.shape)
    for column, position in enumerate(columns.positions):
        values[:, position] += CALIBRATION.slope * by_column[:, column]
    return values


@pytest.mark.parametrize("name", ["additive", "pairwise"])
def test_contributions_equal_shap_s_exact_values(name: str) -> None:
    places = applicants()

    found = np.array([explained(name, place)[0] for place in places.tolist()])

    expected = values_by_shap(name, sample().loans.matrix[places])
    assert np.abs(found - expected).max() < LARGEST_ERROR_LOG_ODDS
    # Neither are they all but nothing.
    assert np.abs(expected).max() > 0.3
    assert (np.abs(expected).max(axis=0) > LARGEST_ERROR_LOG_ODDS).sum() > 5


@pytest.mark.parametrize("name", ["scorecard", "additive", "pairwise"])
def test_contributions_sum_to_the_difference_of_log_odds(name: str) -> None:
    reference = float(model_of(name).log_odds(model_of(name).reference[np.newaxis])[0])

    errors = [
        abs(contributions.sum() - (log_odds - reference))
        for contributions, log_odds in (explained(name, place) for place in applicants().tolist())
    ]

    assert max(errors) < LARGEST_ERROR_LOG_ODDS


def test_of_a_model_without_the_limit_to_pairs_they_do_not() -> None:
    """What the two claims above would miss if they could not fail."""
    model = model_of("unrestricted")
    rows = sample().loans.matrix[applicants()]

    answers = [model.log_odds(perturbations(row, model.reference)) for row in rows]
    errors = [efficiency_error(log_odds, pairwise_shapley(log_odds)) for log_odds in answers]

    assert np.median(errors) > LARGEST_ERROR_LOG_ODDS
    assert max(errors) > 0.1


@pytest.mark.parametrize("name", ["scorecard", "additive", "pairwise"])
def test_each_decline_of_the_sample_has_reasons_that_counted_against_it(name: str) -> None:
    model = model_of(name)
    cutoff = PRODUCT.policy.decline_from
    log_odds = model.log_odds(sample().loans.matrix)
    declined = np.flatnonzero(log_odds > math.log(cutoff / (1 - cutoff)))

    outcomes = {
        check_reasons(JUDGE, TERMS, row_of(place), model, ()).outcome for place in declined.tolist()
    }

    assert len(declined) > 300
    assert Outcome.APPROVE not in outcomes
    assert Outcome.DECLINE in outcomes
