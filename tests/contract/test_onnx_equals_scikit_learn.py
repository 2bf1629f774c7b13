"""What ONNX Runtime serves is what was learned, for every candidate, challenger and input."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.special import expit

from credit_core.adapters.onnx_model import OnnxClassifier
from credit_core.domain.feature_matrix import UNKNOWN_CATEGORY
from credit_core.errors import ModelOutputError, ModelUnavailableError
from model_build import boosting
from model_build.candidates import CANDIDATES, CHALLENGERS
from model_build.learning import Calibration, Scorer
from model_build.onnx_export import round_down_to_float32
from tests.builders import PRODUCT
from tests.builders_training import some_loans

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEATURES = PRODUCT.model_features
CATEGORIES = [place for place, feature in enumerate(FEATURES) if feature.categories]
NUMBERS = [place for place, feature in enumerate(FEATURES) if not feature.categories]
LOANS = some_loans()
CALIBRATION = Calibration(slope=1.2, intercept=-0.1)
ALL = {candidate.name: candidate for candidate in (*CANDIDATES, *CHALLENGERS.values())}


@cache
def learned(name: str) -> Scorer:
    """Return the last stage of a candidate that learned some loans without a search."""
    for package in ALL[name].packages:
        pytest.importorskip(package)
    found = ALL[name].learn(PRODUCT, LOANS.matrix, LOANS.defaulted, ALL[name].searched[0], 0)
    return found.at(sum(1 for _ in found.scores(LOANS.matrix[:1])) - 1)


def served(scorer: Scorer) -> OnnxClassifier:
    body = scorer.to_onnx(CALIBRATION, input_count=len(FEATURES))
    return OnnxClassifier(body, input_count=len(FEATURES))


def probability(scorer: Scorer, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = expit(
        CALIBRATION.slope * scorer.score(rows) + CALIBRATION.intercept
    )
    return found


def hostile_rows() -> NDArray[np.float32]:
    """Return rows with unknowns, undeclared categories, and numbers at and beyond their ranges."""
    random = np.random.default_rng(0)
    rows = LOANS.matrix[:600].copy()
    for place in NUMBERS:
        rows[random.random(600) < 0.2, place] = np.nan
        rows[random.random(600) < 0.1, place] = np.float32(FEATURES[place].maximum or 0)
        rows[random.random(600) < 0.1, place] = np.float32(2**24 + 2)
        rows[random.random(600) < 0.1, place] = np.float32(-1e30)
        rows[random.random(600) < 0.05, place] = np.finfo(np.float32).max
    rows[random.random(600) < 0.3, CATEGORIES[0]] = UNKNOWN_CATEGORY
    rows[random.random(600) < 0.1, CATEGORIES[0]] = 17.0
    rows[0], rows[1] = np.nan, 0.0
    rows[0, CATEGORIES] = UNKNOWN_CATEGORY
    return rows


@pytest.mark.parametrize("name", ALL)
def test_onnx_equals_what_was_learned_on_hostile_input(name: str) -> None:
    scorer, rows = learned(name), hostile_rows()

    answered = served(scorer).probabilities(rows)

    assert answered.dtype == np.float32
    assert np.abs(answered[:, 1] - probability(scorer, rows)).max() < 1e-6
    assert np.abs(answered.sum(axis=1) - 1).max() < 1e-6
    assert np.ptp(answered[:, 1]) > 0.05


@pytest.mark.parametrize("name", ALL)
def test_every_stage_scores_as_it_did_on_the_way(name: str) -> None:
    for package in ALL[name].packages:
        pytest.importorskip(package)
    loans = LOANS.where(np.arange(600))
    found = ALL[name].learn(PRODUCT, loans.matrix, loans.defaulted, ALL[name].searched[0], 0)
    stages = list(found.scores(loans.matrix))

    for stage in {0, len(stages) // 2, len(stages) - 1}:
        assert found.at(stage).score(loans.matrix) == pytest.approx(stages[stage], abs=1e-4)


@pytest.mark.parametrize("name", ["additive", "pairwise", "unrestricted", "xgboost"])
def test_values_at_the_very_threshold_go_the_same_way(name: str) -> None:
    """Thresholds between neighbouring float32 numbers: rounded up, they would move one over."""
    for package in ALL[name].packages:
        pytest.importorskip(package)
    random = np.random.default_rng(0)
    matrix = LOANS.matrix.copy()
    low = np.float32(0.1)
    high = np.nextafter(low, np.float32(1))
    matrix[:, -1] = np.where(random.random(len(LOANS)) < 0.5, low, high)
    labels = (matrix[:, -1] == high).astype(np.int64)
    scorer = ALL[name].learn(PRODUCT, matrix, labels, ALL[name].searched[0], 0).at(50)

    answered = served(scorer).probabilities(matrix)[:, 1]

    assert np.abs(answered - probability(scorer, matrix)).max() < 1e-6
    assert np.ptp(answered) > 0.1


def test_a_scorecard_s_cuts_are_float32_numbers_from_the_loans() -> None:
    random = np.random.default_rng(0)
    matrix = LOANS.matrix.copy()
    place = NUMBERS[-1]
    low = np.float32(0.1)
    high = np.nextafter(low, np.float32(1))
    matrix[:, place] = np.where(random.random(len(LOANS)) < 0.5, low, high)
    labels = (random.random(len(LOANS)) < np.where(matrix[:, place] == high, 0.6, 0.1)).astype(
        np.int64
    )
    free = replace(ALL["scorecard"])
    scorer = free.learn(PRODUCT, matrix, labels, free.searched[0], 0).at(3)

    answered = served(scorer).probabilities(matrix)[:, 1]

    assert np.abs(answered - probability(scorer, matrix)).max() < 1e-6


def test_a_model_exported_without_rounding_thresholds_answers_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the claim above would miss if it could not fail."""
    random = np.random.default_rng(0)
    matrix = LOANS.matrix.copy()
    # The middle of these two rounds to the upper one.
    low = np.nextafter(np.float32(0.1), np.float32(1))
    high = np.nextafter(low, np.float32(1))
    ties = {}
    for _ in range(2):
        matrix[:, -1] = np.where(random.random(len(LOANS)) < 0.5, low, high)
        labels = (matrix[:, -1] == high).astype(np.int64)
        scorer = boosting.learn_pairwise(PRODUCT, matrix, labels, boosting.SEARCHED[0], 0).at(50)
        monkeypatch.setattr(boosting, "round_down_to_float32", lambda values: values)
        answered = served(scorer).probabilities(matrix)[:, 1]
        ties[float(low)] = np.abs(answered - probability(scorer, matrix)).max()
        low, high = high, np.nextafter(high, np.float32(1))

    assert max(ties.values()) > 0.1


@pytest.mark.parametrize("value", [0.1, -0.1, 1e-50, 16_777_217.0, 3.5])
def test_a_threshold_rounds_to_the_nearest_float32_below(value: float) -> None:
    rounded = round_down_to_float32(np.array([value]))[0]

    assert rounded <= value
    assert np.float32(rounded) == rounded
    assert float(np.nextafter(np.float32(rounded), np.float32(np.inf))) > value


@pytest.mark.parametrize("name", ["scorecard", "pairwise"])
@pytest.mark.parametrize("intercept", [-9.0, 0.0, 9.0])
def test_log_odds_are_those_of_the_score_however_small_the_probability(
    name: str, intercept: float
) -> None:
    scorer = learned(name)
    body = scorer.to_onnx(Calibration(1.0, intercept), input_count=len(FEATURES))

    log_odds = OnnxClassifier(body, input_count=len(FEATURES)).log_odds(LOANS.matrix)

    assert np.abs(log_odds - (scorer.score(LOANS.matrix) + intercept)).max() < 1e-4


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(ModelUnavailableError, match="cannot be loaded"):
        OnnxClassifier(b"not a model", input_count=3)


def test_a_model_of_other_inputs_is_refused() -> None:
    body = learned("scorecard").to_onnx(CALIBRATION, input_count=len(FEATURES))

    with pytest.raises(ModelUnavailableError, match=r"expected features tensor\(float\) \[n, 7\]"):
        OnnxClassifier(body, input_count=7)


@pytest.mark.parametrize("answer", [[np.nan, 0.5], [0.0, 1.0], [-0.1, 1.1], [np.inf, 0.5]])
def test_an_answer_that_is_no_probability_is_an_error(
    answer: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = served(learned("scorecard"))
    monkeypatch.setattr(model, "probabilities", lambda _: np.array([answer], dtype=np.float32))

    with pytest.raises(ModelOutputError, match="1 of 1 answers"):
        model.log_odds(LOANS.matrix[:1])
