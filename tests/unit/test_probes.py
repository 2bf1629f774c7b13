"""Rows on split thresholds, where a threshold that was rounded the wrong way shows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from credit_core.adapters.onnx_model import OnnxClassifier
from model_build import boosting
from model_build.candidates import CANDIDATES
from model_build.fitted import FittedCandidate
from model_build.gates import judge
from model_build.onnx_export import to_onnx
from model_build.probes import MOST_THRESHOLDS, threshold_probes
from tests.builders import PRODUCT
from tests.builders_onnx import a_linear_onnx
from tests.builders_training import a_contender, a_fitted_candidate, a_split, some_loans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from model_build.loans import LoanSplit

INPUTS = len(PRODUCT.model_features)
(ADDITIVE,) = (candidate for candidate in CANDIDATES if candidate.name == "additive")


@pytest.fixture(scope="module")
def split() -> LoanSplit:
    return a_split(some_loans(1_200))


def boosted(split: LoanSplit) -> FittedCandidate:
    """Return boosted trees with their probes, as the exporter of the moment writes them."""
    fitted, tested = split.fitted, split.tested
    parameters = boosting.SEARCHED[0]
    model = ADDITIVE.model(PRODUCT, 0, parameters, stages=41)
    model.fit(fitted.matrix, fitted.defaulted)
    onnx = to_onnx(model)
    probes = threshold_probes(onnx, tested.matrix)

    def probability(matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        return model.predict_proba(matrix)[:, 1]

    answers = probability(tested.matrix)
    return FittedCandidate(
        "additive",
        pairwise=True,
        parameters=parameters,
        onnx=onnx,
        fold_losses=np.zeros(5),
        fitted_probability=probability(fitted.matrix),
        tested_probability=answers,
        served_probability=answers,
        probes=probes,
        probed_probability=probability(probes),
    )


def test_each_threshold_is_met_and_both_its_neighbours(split: LoanSplit) -> None:
    candidate = boosted(split)

    triples = np.nan_to_num(candidate.probes, nan=-9).reshape(-1, 3, INPUTS)
    at, below, above = triples[:, 0], triples[:, 1], triples[:, 2]

    assert 10 < len(triples) <= MOST_THRESHOLDS
    moved = below < at
    assert (moved.sum(axis=1) == 1).all()
    assert np.array_equal(above > at, moved)
    assert np.array_equal(np.nextafter(below[moved], np.float32(np.inf)), at[moved])


def test_thresholds_rounded_down_answer_alike_on_every_side(split: LoanSplit) -> None:
    gates = {gate.name: gate for gate in judge(a_contender(split, boosted(split)))}

    assert gates["parity"].passed
    assert gates["same_decisions"].passed


def test_thresholds_rounded_to_the_nearest_are_found_without_a_loan_that_lies_there(
    split: LoanSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        boosting,
        "round_down_to_float32",
        lambda thresholds: thresholds.astype(np.float32).astype(np.float64),
    )

    candidate = boosted(split)
    model = OnnxClassifier(candidate.onnx, input_count=INPUTS)

    found = {gate.name: gate for gate in judge(a_contender(split, candidate))}

    assert not found["parity"].passed
    assert "rows moved onto split thresholds" in found["parity"].evidence
    loans = candidate.served_probability - model.probabilities(split.tested.matrix)[:, 1]
    assert np.abs(loans).max() < 1e-5


def test_a_scorecard_s_bins_are_thresholds_too(split: LoanSplit) -> None:
    candidate = a_fitted_candidate(split)

    assert len(threshold_probes(candidate.onnx, split.tested.matrix)) > 9


def test_a_model_without_trees_has_none(split: LoanSplit) -> None:
    assert threshold_probes(a_linear_onnx(), split.tested.matrix).shape == (0, INPUTS)


def test_probes_travel_with_the_candidate(split: LoanSplit) -> None:
    candidate = boosted(split)

    again = FittedCandidate.from_bytes(candidate.to_bytes())

    assert np.array_equal(again.probes, candidate.probes, equal_nan=True)
    assert again.probed_probability.tolist() == candidate.probed_probability.tolist()
    assert again.to_bytes() == candidate.to_bytes()


def test_a_candidate_without_probes_travels_as_well(split: LoanSplit) -> None:
    nothing = np.empty((0, 0), dtype=np.float32)
    bare = replace(boosted(split), probes=nothing, probed_probability=np.empty(0))

    assert FittedCandidate.from_bytes(bare.to_bytes()).probes.shape == (0, 0)


def test_probes_on_the_largest_number_stay_finite(split: LoanSplit) -> None:
    candidate = a_fitted_candidate(split)
    probes = threshold_probes(candidate.onnx, split.tested.matrix)

    assert not np.isinf(probes).any()
    OnnxClassifier(candidate.onnx, input_count=INPUTS).log_odds(probes)
