"""What ONNX Runtime serves is what scikit-learn trained, for every candidate and any input."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from credit_core.adapters.onnx_model import OnnxClassifier
from credit_core.domain.feature_matrix import UNKNOWN_CATEGORY
from credit_core.errors import ModelOutputError, ModelUnavailableError
from model_build.candidates import CANDIDATES, Candidate, fit_pairwise
from model_build.onnx_export import round_down_to_float32, to_onnx
from tests.builders import PRODUCT
from tests.builders_training import some_loans

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

FEATURES = PRODUCT.model_features
CATEGORIES = [place for place, feature in enumerate(FEATURES) if feature.categories]
NUMBERS = [place for place, feature in enumerate(FEATURES) if not feature.categories]
LOANS = some_loans()


def served(pipeline: Pipeline) -> OnnxClassifier:
    body = to_onnx(pipeline, input_count=len(FEATURES))
    return OnnxClassifier(body, input_count=len(FEATURES))


def hostile_rows() -> NDArray[np.float32]:
    """Return rows with unknowns, undeclared categories, and numbers at and beyond their ranges."""
    random = np.random.default_rng(0)
    rows = LOANS.matrix[:600].copy()
    for place in NUMBERS:
        rows[random.random(600) < 0.2, place] = np.nan
        rows[random.random(600) < 0.1, place] = np.float32(FEATURES[place].maximum or 0)
        rows[random.random(600) < 0.1, place] = np.float32(2**24 + 2)
        rows[random.random(600) < 0.1, place] = np.float32(-1e30)
    rows[random.random(600) < 0.3, CATEGORIES[0]] = UNKNOWN_CATEGORY
    rows[random.random(600) < 0.1, CATEGORIES[0]] = 17.0
    rows[0], rows[1] = np.nan, 0.0
    rows[0, CATEGORIES] = UNKNOWN_CATEGORY
    return rows


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_onnx_equals_scikit_learn_on_hostile_input(candidate: Candidate) -> None:
    pipeline = candidate.fit(PRODUCT, LOANS.matrix, LOANS.defaulted, 0)
    rows = hostile_rows()

    answered = served(pipeline).probabilities(rows)

    assert answered.dtype == np.float32
    assert np.abs(answered - pipeline.predict_proba(rows)).max() < 1e-6


def test_values_at_the_very_threshold_go_the_same_way() -> None:
    """Thresholds between neighbouring float32 numbers: rounded up, they would move one over."""
    random = np.random.default_rng(0)
    matrix = LOANS.matrix.copy()
    low = np.float32(0.1)
    high = np.nextafter(low, np.float32(1))
    matrix[:, -1] = np.where(random.random(len(LOANS)) < 0.5, low, high)
    labels = (matrix[:, -1] == high).astype(np.int64)
    pipeline = fit_pairwise(PRODUCT, matrix, labels, 0)

    answered = served(pipeline).probabilities(matrix)

    assert np.abs(answered - pipeline.predict_proba(matrix)).max() < 1e-6
    assert np.ptp(answered[:, 1]) > 0.1


@pytest.mark.parametrize("value", [0.1, -0.1, 1e-50, 16_777_217.0, 3.5])
def test_a_threshold_rounds_to_the_nearest_float32_below(value: float) -> None:
    rounded = round_down_to_float32(np.array([value]))[0]

    assert rounded <= value
    assert np.float32(rounded) == rounded
    assert float(np.nextafter(np.float32(rounded), np.float32(np.inf))) > value


def test_log_odds_are_those_of_the_probabilities() -> None:
    pipeline = fit_pairwise(PRODUCT, LOANS.matrix, LOANS.defaulted, 0)
    probability = pipeline.predict_proba(LOANS.matrix)[:, 1]

    log_odds = served(pipeline).log_odds(LOANS.matrix)

    assert np.abs(log_odds - np.log(probability / (1 - probability))).max() < 1e-5


def test_bytes_that_are_no_model_are_refused() -> None:
    with pytest.raises(ModelUnavailableError, match="cannot be loaded"):
        OnnxClassifier(b"not a model", input_count=3)


def test_a_model_of_other_inputs_is_refused() -> None:
    pipeline = CANDIDATES[0].fit(PRODUCT, LOANS.matrix, LOANS.defaulted, 0)
    body = to_onnx(pipeline, input_count=len(FEATURES))

    with pytest.raises(ModelUnavailableError, match=r"expected features tensor\(float\) \[n, 7\]"):
        OnnxClassifier(body, input_count=7)


@pytest.mark.parametrize("answer", [[np.nan, 0.5], [0.0, 1.0], [-0.1, 1.1], [np.inf, 0.5]])
def test_an_answer_that_is_no_probability_is_an_error(
    answer: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = CANDIDATES[0].fit(PRODUCT, LOANS.matrix, LOANS.defaulted, 0)
    model = served(pipeline)
    monkeypatch.setattr(model, "probabilities", lambda _: np.array([answer], dtype=np.float32))

    with pytest.raises(ModelOutputError, match="1 of 1 answers"):
        model.log_odds(LOANS.matrix[:1])
