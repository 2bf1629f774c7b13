"""Each gate is shown stopping a model that was doctored for it, and naming what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from model_build.candidates import CANDIDATES, fit_logistic, fit_unrestricted
from model_build.evaluate import evaluate
from model_build.gates import Contender, judge
from model_build.onnx_export import to_onnx
from model_build.train import reference_applicant
from model_build.training_set import LoanSet, split_out_of_time
from tests.builders import PRODUCT
from tests.builders_onnx import a_linear_onnx
from tests.builders_training import some_loans

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

INPUTS = tuple(feature.name for feature in PRODUCT.model_features)
INQUIRIES = INPUTS.index("inq_last_6mths")


def a_contender(pipeline: Pipeline, loans: LoanSet) -> Contender:
    train, test = split_out_of_time(loans)
    expected = pipeline.predict_proba(test.matrix)[:, 1]
    return Contender(
        product=PRODUCT,
        algorithm="doctored",
        pairwise=True,
        selection="chosen by this test",
        onnx=to_onnx(pipeline, input_count=len(INPUTS)),
        inputs=INPUTS,
        reference=reference_applicant(PRODUCT, train),
        train=train,
        test=test,
        expected=expected,
        evaluation=evaluate(test, expected, seed=0, resamples=200),
    )


@pytest.fixture(scope="module")
def loans() -> LoanSet:
    return some_loans()


@pytest.fixture(scope="module")
def healthy(loans: LoanSet) -> Contender:
    train, _ = split_out_of_time(loans)
    return a_contender(fit_logistic(PRODUCT, train.matrix, train.defaulted, 0), loans)


def failures(contender: Contender) -> dict[str, str]:
    """Return the evidence of each failed gate, by name."""
    return {gate.name: gate.evidence for gate in judge(contender) if not gate.passed}


def test_a_healthy_model_fails_nothing(healthy: Contender) -> None:
    assert failures(healthy) == {}


def test_inverted_labels_are_stopped(loans: LoanSet) -> None:
    train, _ = split_out_of_time(loans)
    inverted = fit_unrestricted(PRODUCT, train.matrix, 1 - train.defaulted, 0)

    found = failures(a_contender(inverted, loans))

    assert "its lower end must be above 0.5" in found["better_than_chance"]
    assert "expected" in found["calibration"]


def test_a_constant_model_is_stopped(loans: LoanSet) -> None:
    train, _ = split_out_of_time(loans)
    alike = np.repeat(train.matrix[:1], len(train), axis=0)
    constant = fit_logistic(PRODUCT, alike, train.defaulted, 0)

    assert "better_than_chance" in failures(a_contender(constant, loans))


def test_a_model_of_resampled_classes_is_stopped(loans: LoanSet) -> None:
    """As many defaults as repaid loans: the ranking is right, every probability too high."""
    train, _ = split_out_of_time(loans)
    bads = np.flatnonzero(train.defaulted)
    goods = np.flatnonzero(train.defaulted == 0)[: len(bads)]
    chosen = np.concatenate([bads, goods])
    balanced = fit_logistic(PRODUCT, train.matrix[chosen], train.defaulted[chosen], 0)

    assert set(failures(a_contender(balanced, loans))) == {"calibration"}


def test_interactions_of_three_features_are_stopped_by_the_reasons(loans: LoanSet) -> None:
    """It claims to be pairwise; its contributions say otherwise."""
    train, test = split_out_of_time(loans)
    first, second, third = INPUTS.index("loan_amount"), INPUTS.index("all_util"), INQUIRIES
    product_of_three = np.ones(len(loans))
    for column in (first, second, third):
        values = np.nan_to_num(loans.matrix[:, column])
        product_of_three *= np.where(values > np.median(values), 1.0, -1.0)
    labels = (product_of_three > 0).astype(np.int64)
    entangled = fit_unrestricted(PRODUCT, train.matrix, labels[: len(train)], 0)
    relabelled = LoanSet(loans.matrix, labels, loans.event_timestamps)

    found = failures(a_contender(entangled, relabelled))

    assert len(test) == len(labels) - len(train)
    assert "log-odds" in found["reasons"]


def test_the_unrestricted_candidate_is_stopped_by_its_class(healthy: Contender) -> None:
    unrestricted = replace(healthy, pairwise=CANDIDATES[-1].pairwise)

    assert set(failures(unrestricted)) == {"champion_class"}


def test_an_artifact_that_answers_otherwise_than_scikit_learn_is_stopped(
    healthy: Contender,
) -> None:
    found = failures(replace(healthy, onnx=with_coefficients_scaled(healthy.onnx, 1.1)))

    assert "ONNX and scikit-learn differ by at most" in found["parity"]
    assert "differently" in found["same_decisions"]


def test_a_model_of_float64_thresholds_is_stopped(loans: LoanSet) -> None:
    """Its inputs are told apart in float64 only: what ONNX receives is another number."""
    train, test = split_out_of_time(loans)
    fine = loans.matrix.astype(np.float64)
    fine[:, INPUTS.index("total_bal_il")] = 2.0**24 + loans.defaulted
    exact = LoanSet(fine, loans.defaulted, loans.event_timestamps)  # type: ignore[arg-type]
    pipeline = fit_unrestricted(PRODUCT, fine[: len(train)], train.defaulted, 0)  # type: ignore[arg-type]
    served = LoanSet(fine[len(train) :].astype(np.float32), test.defaulted, test.event_timestamps)

    found = failures(replace(a_contender(pipeline, exact), test=served))

    assert "parity" in found


def test_a_model_against_a_declared_direction_is_stopped(healthy: Contender) -> None:
    found = failures(replace(healthy, onnx=with_coefficients_scaled(healthy.onnx, -1.0)))

    assert "largest step the wrong way" in found["directions"]


def test_a_ratio_that_undoes_a_declared_direction_is_stopped(healthy: Contender) -> None:
    """Each coefficient has its right sign; a higher income still raises the risk."""
    undirected = replace(
        PRODUCT,
        derived_features=tuple(replace(feature, risk=None) for feature in PRODUCT.derived_features),
    )
    model = a_linear_onnx(annual_income=-1e-9, installment_debt_to_income=-0.5)

    found = failures(replace(healthy, product=undirected, onnx=model))

    assert "annual_income" in found["directions"]


def test_too_little_data_is_stopped_with_its_counts() -> None:
    few = some_loans(400)
    train, _ = split_out_of_time(few)
    pipeline = fit_logistic(PRODUCT, train.matrix, train.defaulted, 0)

    assert "300 loans with" in failures(a_contender(pipeline, few))["enough_data"]


def test_a_prohibited_input_is_stopped_and_named(healthy: Contender) -> None:
    inputs = ("int_rate", *INPUTS[1:])

    found = failures(replace(healthy, inputs=inputs))

    assert "int_rate of them among the 25 inputs" in found["allowed_inputs"]


def test_another_number_of_inputs_stops_the_judgement(healthy: Contender) -> None:
    found = failures(replace(healthy, inputs=INPUTS[:-1]))

    assert "expected features tensor(float) [n, 24]" in found["interface"]


def test_an_artifact_that_is_no_model_stops_the_judgement(healthy: Contender) -> None:
    assert "cannot be loaded" in failures(replace(healthy, onnx=b"no model"))["interface"]


def test_an_artifact_too_large_for_a_cold_start_is_stopped(
    healthy: Contender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_build.gates.LARGEST_MODEL_BYTES", 100)

    assert "at most 100" in failures(healthy)["interface"]


def test_a_probability_of_one_is_no_answer(healthy: Contender) -> None:
    found = failures(replace(healthy, onnx=with_coefficients_scaled(healthy.onnx, 1e6)))

    assert "lie outside 0 to 1" in found["reasons"]


def with_coefficients_scaled(body: bytes, factor: float) -> bytes:
    """Return the logistic model with its calibration's slope scaled: the artifact alone changes."""
    model = onnx.load_model_from_string(body)
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.op_type == "LinearClassifier" and attribute.name == "coefficients":
                scaled = [value * factor for value in attribute.floats]
                del attribute.floats[:]
                attribute.floats.extend(scaled)
                changed: bytes = model.SerializeToString()
                return changed
    raise AssertionError(sorted({node.op_type for node in model.graph.node}), tensors(model))


def tensors(model: onnx.ModelProto) -> dict[str, NDArray[np.float32]]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
