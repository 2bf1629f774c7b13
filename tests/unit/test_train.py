"""Training on made-up loans: what is written down of a model, and that it repeats."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from credit_core.adapters.onnx_model import OnnxClassifier
from credit_core.domain.feature_matrix import with_derived
from credit_core.domain.model_manifest import ModelManifest, Split
from model_build.baselines import golden_vectors, reference_applicant
from model_build.code_version import code_sha256
from model_build.previous import PreviousModel
from model_build.train import TrainedModel, train
from tests.builders import PRODUCT
from tests.builders_onnx import a_linear_onnx
from tests.builders_training import QUICK, a_training_set, some_loans, some_rows

STARTED = datetime(2026, 11, 20, 12, tzinfo=UTC)
LINEAGE = {"query": "SELECT 1", "query_execution_id": "q-1", "run_id": "run-1"}
CEILING = replace(QUICK, name="ceiling", pairwise=False)
POSITIONS = {feature.name: place for place, feature in enumerate(PRODUCT.model_features)}


def a_model(*candidates: object, previous: PreviousModel | None = None) -> TrainedModel:
    return train(
        PRODUCT,
        a_training_set(some_rows()),
        lineage=LINEAGE,
        started_at=STARTED,
        candidates=candidates,  # type: ignore[arg-type]
        previous=previous,
    )


@pytest.fixture(scope="module")
def trained() -> TrainedModel:
    return a_model(QUICK)


def test_the_same_training_set_and_start_give_the_same_bytes(trained: TrainedModel) -> None:
    again = a_model(QUICK)

    assert again.onnx == trained.onnx
    assert again.manifest.to_json() == trained.manifest.to_json()
    assert again.report == trained.report


def test_a_healthy_model_passes_every_gate(trained: TrainedModel) -> None:
    assert [gate for gate in trained.manifest.gates if not gate.passed] == []
    assert len({gate.name for gate in trained.manifest.gates}) == 23


def test_trained_again_on_the_same_loans_it_equals_the_champion(trained: TrainedModel) -> None:
    again = a_model(QUICK, previous=PreviousModel(trained.manifest, trained.onnx))

    gates = {gate.name: gate for gate in again.manifest.gates}
    assert again.manifest.gates_passed
    assert "AUC +0.0000" in gates["beats_champion"].evidence
    assert "none of these loans" in gates["beats_champion"].evidence
    assert trained.manifest.version in gates["drift"].evidence


def test_the_manifest_says_where_the_model_came_from(trained: TrainedModel) -> None:
    manifest = trained.manifest

    assert manifest.version.startswith("20261120T120000Z-")
    assert manifest.version.endswith(manifest.onnx_sha256[:12])
    assert manifest.training_set.items() >= LINEAGE.items()
    assert manifest.training_set["rows"] == manifest.training_set["rows_labelled"] == 2_400
    assert manifest.training_set["rows_trained"] == 1_800
    assert manifest.training_set["out_of_time_from"] == "2026-10-15T00:00:00.000000Z"
    assert manifest.evaluation.split is Split.OUT_OF_TIME
    assert manifest.evaluation.loans == 600
    assert set(manifest.libraries) > {"scikit-learn", "onnx", "onnxruntime"}
    assert manifest.code_sha256 == code_sha256()


def test_without_time_the_manifest_says_nothing_of_it() -> None:
    timeless = a_training_set(some_rows(1_200))
    timeless = replace(timeless, loans=replace(timeless.loans, event_timestamps=None))

    manifest = train(PRODUCT, timeless, lineage={}, started_at=STARTED, candidates=[QUICK]).manifest

    assert manifest.evaluation.split is Split.CROSS_VALIDATED
    assert manifest.evaluation.loans == manifest.training_set["rows_trained"] == 1_200
    assert manifest.evaluation.first_event is None
    assert manifest.training_set["out_of_time_from"] is None
    assert ModelManifest.from_json(manifest.to_json()) == manifest


def test_the_manifest_survives_its_own_json(trained: TrainedModel) -> None:
    body = trained.manifest.to_json()

    assert ModelManifest.from_json(body) == trained.manifest
    assert "NaN" not in json.dumps(json.loads(body))


def test_all_candidates_are_measured_and_the_chosen_one_is_said() -> None:
    manifest = a_model(QUICK, CEILING).manifest

    assert manifest.algorithm == "scorecard"
    assert set(manifest.candidates) == {"scorecard", "ceiling"}
    assert not manifest.candidates["ceiling"].pairwise
    assert manifest.selection == "scorecard is the only candidate that may become champion"
    assert manifest.candidates["scorecard"].evaluation == manifest.evaluation
    assert manifest.parameters == manifest.candidates["scorecard"].parameters


def test_without_a_choice_the_gate_on_the_model_s_class_says_so() -> None:
    manifest = a_model(CEILING).manifest

    failed = {gate.name: gate.evidence for gate in manifest.gates if not gate.passed}
    assert set(failed) == {"champion_class"}
    assert "interactions of any order" in failed["champion_class"]


def test_the_baseline_is_that_of_the_loans_trained_on(trained: TrainedModel) -> None:
    manifest = trained.manifest

    assert set(manifest.baseline) == set(POSITIONS)
    assert all(
        sum(it.shares) == pytest.approx(1)
        for it in (*manifest.baseline.values(), manifest.baseline_probability)
    )
    assert manifest.baseline["employment_years"].shares[-1] == pytest.approx(0.1, abs=0.03)


def test_progress_names_the_candidate_and_what_comes_last() -> None:
    told: list[str] = []

    train(
        PRODUCT,
        a_training_set(some_rows(1_200)),
        lineage={},
        started_at=STARTED,
        candidates=[QUICK],
        progress=told.append,
    )

    assert told[0] == "scorecard: fitting"
    assert told[-1] == "judging"


def test_golden_vectors_are_answered_again(trained: TrainedModel) -> None:
    golden = trained.manifest.golden
    model = OnnxClassifier(trained.onnx, input_count=len(trained.manifest.inputs))
    matrix = np.array([vector.model_input for vector in golden], dtype=np.float32)

    assert len(golden) >= 16
    assert model.log_odds(matrix).tolist() == [vector.log_odds for vector in golden]
    assert np.ptp(model.log_odds(matrix)) > 1


def test_golden_vectors_are_nobody_s_and_yet_consistent() -> None:
    """No loan has all the values of one, and what is derived follows from the rest."""
    loans = some_loans(600)
    model = OnnxClassifier(a_linear_onnx(inq_last_6mths=0.3), input_count=len(POSITIONS))

    golden = golden_vectors(PRODUCT, loans, model, seed=0)

    matrix = np.array([vector.model_input for vector in golden], dtype=np.float32)
    known = {row.tobytes() for row in loans.matrix}
    base = len(PRODUCT.base_features)
    assert not {row.tobytes() for row in matrix} & known
    derived = with_derived(PRODUCT, matrix[:, :base]).astype(np.float32)
    assert np.array_equal(derived, matrix, equal_nan=True)


def test_golden_vectors_lie_at_the_cut_offs() -> None:
    model = OnnxClassifier(
        a_linear_onnx(intercept=-3.0, inq_last_6mths=0.1), input_count=len(POSITIONS)
    )

    golden = golden_vectors(PRODUCT, some_loans(600), model, seed=0)

    answers = np.array([1 / (1 + np.exp(-vector.log_odds)) for vector in golden])
    for cutoff in (PRODUCT.policy.approve_up_to, PRODUCT.policy.decline_from):
        assert np.abs(answers - cutoff).min() < 0.005


def test_a_model_that_answers_with_no_probability_has_no_golden_vectors() -> None:
    model = OnnxClassifier(a_linear_onnx(intercept=-500.0), input_count=len(POSITIONS))

    assert golden_vectors(PRODUCT, some_loans(200), model, seed=0) == ()


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
