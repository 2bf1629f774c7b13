"""Training on made-up loans: what is chosen, what is written down, and that it repeats."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from credit_core.domain.model_manifest import ModelManifest
from model_build.candidates import CANDIDATES, Candidate, fit_logistic
from model_build.train import TrainedModel, reference_applicant, select, train
from model_build.training_set import LoanSet, read_training_set
from tests.builders import PRODUCT
from tests.builders_training import as_csv, some_loans, some_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

    from credit_core.domain.product import CreditProduct

STARTED = datetime(2026, 11, 20, 12, tzinfo=UTC)
LINEAGE = {"query": "SELECT 1", "query_execution_id": "q-1", "run_id": "run-1"}
LOGISTIC, UNRESTRICTED = CANDIDATES[0], CANDIDATES[-1]
POSITIONS = {feature.name: place for place, feature in enumerate(PRODUCT.model_features)}


def a_model(*candidates: Candidate) -> TrainedModel:
    training_set = read_training_set(PRODUCT, as_csv(some_rows()))
    return train(PRODUCT, training_set, lineage=LINEAGE, started_at=STARTED, candidates=candidates)


@pytest.fixture(scope="module")
def logistic() -> TrainedModel:
    return a_model(LOGISTIC)


def test_the_same_training_set_and_start_give_the_same_bytes(logistic: TrainedModel) -> None:
    again = a_model(LOGISTIC)

    assert again.onnx == logistic.onnx
    assert again.manifest.to_json() == logistic.manifest.to_json()


def test_boosted_trees_repeat_to_the_byte_as_well() -> None:
    additive = CANDIDATES[1]

    assert a_model(additive).onnx == a_model(additive).onnx


def test_a_healthy_model_passes_every_gate(logistic: TrainedModel) -> None:
    assert [gate.name for gate in logistic.manifest.gates if not gate.passed] == []
    assert len(logistic.manifest.gates) == 10


def test_the_manifest_says_where_the_model_came_from(logistic: TrainedModel) -> None:
    manifest = logistic.manifest

    assert manifest.version.startswith("20261120T120000Z-")
    assert manifest.version.endswith(manifest.onnx_sha256[:12])
    assert manifest.training_set.items() >= LINEAGE.items()
    assert manifest.training_set["rows"] == 2_400
    assert manifest.training_set["rows_trained"] == 1_800
    assert manifest.evaluation.loans == 600
    assert set(manifest.libraries) > {"scikit-learn", "onnx", "onnxruntime"}


def test_the_manifest_survives_its_own_json(logistic: TrainedModel) -> None:
    body = logistic.manifest.to_json()

    assert ModelManifest.from_json(body) == logistic.manifest
    assert "NaN" not in json.dumps(json.loads(body))


def test_a_candidate_outside_the_pairwise_class_is_measured_but_never_chosen() -> None:
    manifest = a_model(LOGISTIC, UNRESTRICTED).manifest

    assert manifest.algorithm == "logistic"
    assert set(manifest.candidates) == {"logistic", "unrestricted"}


def test_without_a_choice_the_gate_on_the_model_s_class_says_so() -> None:
    manifest = a_model(UNRESTRICTED).manifest

    failed = {gate.name: gate.evidence for gate in manifest.gates if not gate.passed}
    assert "interactions of any order" in failed["champion_class"]


def test_the_simplest_of_equal_candidates_is_chosen() -> None:
    """The twin is the same model under another name, so no figure can tell them apart."""
    twin = replace(LOGISTIC, name="twin")

    assert select(PRODUCT, some_loans(), [LOGISTIC, twin], seed=1).candidate is LOGISTIC
    assert select(PRODUCT, some_loans(), [twin, LOGISTIC], seed=1).candidate is twin


def test_a_clearly_better_candidate_beats_a_simpler_one() -> None:
    blind = Candidate("blind", pairwise=True, fit=fit_blindly)

    chosen = select(PRODUCT, some_loans(), [blind, LOGISTIC], seed=1)

    assert chosen.candidate is LOGISTIC
    assert "blind 0." in chosen.evidence


def test_the_reference_applicant_is_the_typical_good_one() -> None:
    loans = some_loans()
    goods = loans.matrix[loans.defaulted == 0]

    reference = reference_applicant(PRODUCT, loans)

    income = POSITIONS["annual_income"]
    assert reference[income] == np.median(goods[:, income])
    codes, counts = np.unique(goods[:, POSITIONS["verification_status"]], return_counts=True)
    assert reference[POSITIONS["verification_status"]] == codes[counts.argmax()]
    assert not np.isnan(reference[POSITIONS["employment_years"]])


def test_a_feature_that_is_never_known_has_no_reference_value() -> None:
    loans = some_loans(200)
    loans.matrix[:, POSITIONS["employment_years"]] = np.nan

    assert np.isnan(reference_applicant(PRODUCT, loans)[POSITIONS["employment_years"]])


def test_no_coefficient_contradicts_its_declared_direction() -> None:
    """Here more inquiries mean fewer defaults: the feature is left out, not turned around."""
    loans = some_loans()
    inverted = 1 - loans.defaulted

    pipeline = fit_logistic(PRODUCT, loans.matrix, inverted, 0)

    taken = pipeline["encode"].transformers_[0][2]
    assert POSITIONS["inq_last_6mths"] not in taken
    assert POSITIONS["total_bal_il"] in taken


def test_an_extreme_income_counts_no_more_than_a_high_one() -> None:
    loans = some_loans()
    pipeline = fit_logistic(PRODUCT, loans.matrix, loans.defaulted, 0)
    rich, richer = loans.matrix[:1].copy(), loans.matrix[:1].copy()
    rich[0, POSITIONS["annual_income"]] = loans.matrix[:, POSITIONS["annual_income"]].max()
    richer[0, POSITIONS["annual_income"]] = 1e7

    assert pipeline.predict_proba(rich).tolist() == pipeline.predict_proba(richer).tolist()


@pytest.mark.parametrize("candidate", CANDIDATES, ids=lambda candidate: candidate.name)
def test_a_feature_that_is_never_known_is_left_out(candidate: Candidate) -> None:
    loans = some_loans(400)
    loans.matrix[:, POSITIONS["employment_years"]] = np.nan

    pipeline = candidate.fit(PRODUCT, loans.matrix, loans.defaulted, 0)

    assert POSITIONS["employment_years"] not in pipeline["encode"].transformers_[0][2]
    assert pipeline.predict_proba(loans.matrix).shape == (400, 2)


def fit_blindly(
    product: CreditProduct, matrix: NDArray[np.float32], defaulted: NDArray[np.int64], seed: int
) -> Pipeline:
    """Fit on nothing but noise."""
    noise = np.random.default_rng(seed).permutation(defaulted)
    return fit_logistic(product, matrix, noise, seed)


def test_loans_keep_their_order_when_some_are_chosen() -> None:
    loans = some_loans(50)

    chosen = loans.where(loans.defaulted == 1)

    assert isinstance(chosen, LoanSet)
    assert len(chosen) == chosen.defaults == loans.defaults
