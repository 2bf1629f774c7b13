"""What ONNX Runtime serves is what was learned, for every candidate, challenger and input."""

from __future__ import annotations

from copy import copy
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from credit_core.adapters.onnx_model import OUTPUT_NAME, OnnxClassifier
from credit_core.domain.feature_matrix import UNKNOWN_CATEGORY
from credit_core.errors import ModelOutputError, ModelUnavailableError
from model_build import boosting
from model_build.candidates import CANDIDATES, CHALLENGERS
from model_build.onnx_export import OPSETS, round_down_to_float32, to_onnx
from tests.builders import PRODUCT
from tests.builders_training import some_loans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from model_build.learning import CreditModel

FEATURES = PRODUCT.model_features
CATEGORIES = [place for place, feature in enumerate(FEATURES) if feature.categories]
NUMBERS = [place for place, feature in enumerate(FEATURES) if not feature.categories]
LOANS = some_loans()
CALIBRATION = {"slope": 1.2, "intercept": -0.1}
ALL = {candidate.name: candidate for candidate in (*CANDIDATES, *CHALLENGERS.values())}


def unfitted(name: str, **settings: float) -> CreditModel:
    for package in ALL[name].packages:
        pytest.importorskip(package)
    return ALL[name].model(PRODUCT, 0, ALL[name].searched[0], **CALIBRATION, **settings)


@cache
def learned(name: str) -> CreditModel:
    """Return a candidate that learned some loans, all stages, without a search."""
    return unfitted(name).fit(LOANS.matrix, LOANS.defaulted)


def served(model: CreditModel) -> OnnxClassifier:
    return OnnxClassifier(to_onnx(model), input_count=len(FEATURES))


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
    model, rows = learned(name), hostile_rows()

    answered = served(model).probabilities(rows)

    assert answered.dtype == np.float32
    assert np.abs(answered - model.predict_proba(rows)).max() < 1e-6
    assert np.abs(answered.sum(axis=1) - 1).max() < 1e-6
    assert np.ptp(answered[:, 1]) > 0.05


@pytest.mark.parametrize("name", ALL)
def test_every_stage_scores_as_it_did_on_the_way(name: str) -> None:
    loans = LOANS.where(np.arange(600))
    scores = list(unfitted(name).fit(loans.matrix, loans.defaulted).staged_scores(loans.matrix))

    for stages in {1, len(scores) // 2 + 1, len(scores)}:
        model = unfitted(name, stages=stages).fit(loans.matrix, loans.defaulted)
        assert model.scores(loans.matrix) == pytest.approx(scores[stages - 1], abs=1e-4)


@pytest.mark.parametrize("name", ["additive", "pairwise", "unrestricted", "xgboost"])
def test_values_at_the_very_threshold_go_the_same_way(name: str) -> None:
    """Thresholds between neighbouring float32 numbers: rounded up, they would move one over."""
    random = np.random.default_rng(0)
    matrix = LOANS.matrix.copy()
    low = np.float32(0.1)
    high = np.nextafter(low, np.float32(1))
    matrix[:, -1] = np.where(random.random(len(LOANS)) < 0.5, low, high)
    labels = (matrix[:, -1] == high).astype(np.int64)
    model = unfitted(name, stages=51).fit(matrix, labels)

    answered = served(model).probabilities(matrix)

    assert np.abs(answered - model.predict_proba(matrix)).max() < 1e-6
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
    model = unfitted("scorecard", stages=4).fit(matrix, labels)

    answered = served(model).probabilities(matrix)

    assert np.abs(answered - model.predict_proba(matrix)).max() < 1e-6


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
        model = unfitted("pairwise", stages=51).fit(matrix, labels)
        monkeypatch.setattr(boosting, "round_down_to_float32", lambda values: values)
        answered = served(model).probabilities(matrix)
        ties[float(low)] = np.abs(answered - model.predict_proba(matrix)).max()
        low, high = high, np.nextafter(high, np.float32(1))

    assert max(ties.values()) > 0.1


@pytest.mark.parametrize("value", [0.1, -0.1, 1e-50, 16_777_217.0, 3.5])
def test_a_threshold_rounds_to_the_nearest_float32_below(value: float) -> None:
    rounded = round_down_to_float32(np.array([value]))[0]

    assert rounded <= value
    assert np.float32(rounded) == rounded
    assert float(np.nextafter(np.float32(rounded), np.float32(np.inf))) > value


@pytest.mark.parametrize("name", ["scorecard", "pairwise", "neural_network"])
@pytest.mark.parametrize("intercept", [-9.0, 0.0, 9.0])
def test_log_odds_are_those_of_the_score_however_small_the_probability(
    name: str, intercept: float
) -> None:
    model = copy(learned(name)).set_params(slope=1.0, intercept=intercept)

    log_odds = served(model).log_odds(LOANS.matrix)

    assert np.abs(log_odds - model.decision_function(LOANS.matrix)).max() < 1e-4


@pytest.mark.parametrize("name", ALL)
def test_what_is_served_is_written_by_skl2onnx_with_fixed_operators(name: str) -> None:
    """And nothing but the answer is computed: neither labels nor encodings of categories."""
    model = onnx.load_model_from_string(to_onnx(learned(name)))

    assert (model.producer_name, model.graph.name) == ("skl2onnx", "credit_model")
    assert [(it.domain, it.version) for it in model.opset_import] == list(OPSETS.items())
    assert [it.name for it in model.graph.output] == [OUTPUT_NAME]
    operators = [node.op_type for node in model.graph.node]
    if name == "neural_network":
        assert operators.count("MatMul") == 2
    else:
        assert operators == ["TreeEnsembleRegressor", "Mul", "Softmax"]


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(ModelUnavailableError, match="cannot be loaded"):
        OnnxClassifier(b"not a model", input_count=3)


def test_a_model_of_other_inputs_is_refused() -> None:
    body = to_onnx(learned("scorecard"))

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
