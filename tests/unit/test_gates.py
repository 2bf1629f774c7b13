"""Each gate is shown stopping a model that was doctored for it, and naming what is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from credit_core.domain.product import MonitoredGroup
from model_build.evaluation import evaluate
from model_build.gates import ON_LOADED, calibration_slope, judge
from tests.builders import PRODUCT
from tests.builders_onnx import a_linear_onnx
from tests.builders_training import a_contender, a_fitted_candidate, a_split, some_loans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from credit_core.domain.model_manifest import Gate
    from credit_core.domain.product import CreditProduct
    from model_build.gates import Contender
    from model_build.loans import LoanSplit

INPUTS = tuple(feature.name for feature in PRODUCT.model_features)
INQUIRIES = INPUTS.index("inq_last_6mths")


@pytest.fixture(scope="module")
def split() -> LoanSplit:
    return a_split(some_loans())


@pytest.fixture(scope="module")
def healthy(split: LoanSplit) -> Contender:
    return a_contender(split, a_fitted_candidate(split))


def answering(contender: Contender, tested: NDArray[np.float64]) -> Contender:
    """Return the contender as if its measuring model had answered so."""
    candidate = replace(contender.candidate, tested_probability=tested)
    return replace(
        contender,
        candidate=candidate,
        evaluation=evaluate(contender.split, candidate, seed=0),
    )


def serving(contender: Contender, body: bytes) -> Contender:
    """Return the contender with another artifact: nothing else knows."""
    return replace(contender, candidate=replace(contender.candidate, onnx=body))


def failures(contender: Contender) -> dict[str, Gate]:
    """Return each failed gate by name; all say what to look at."""
    failed = {gate.name: gate for gate in judge(contender) if not gate.passed}
    assert all(gate.look_at for gate in failed.values())
    return failed


def test_a_healthy_model_fails_nothing(healthy: Contender) -> None:
    gates = judge(healthy)

    assert [gate for gate in gates if not gate.passed] == []
    assert [gate.look_at for gate in gates if gate.look_at] == []
    assert [gate.name for gate in gates] == ["champion_class", "interface", *ON_LOADED]


def test_a_model_that_ranks_the_wrong_way_round_is_stopped(healthy: Contender) -> None:
    found = failures(answering(healthy, 0.4 - healthy.candidate.tested_probability / 2))

    assert "the labels look inverted" in found["not_inverted"].evidence
    assert "1 must mean default" in found["not_inverted"].look_at
    assert "not surely better than chance" in found["quality_floor"].evidence


def test_a_constant_model_is_stopped(healthy: Contender) -> None:
    found = failures(serving(healthy, a_linear_onnx(intercept=-1.6)))

    assert "answers span 0 log-odds" in found["not_constant"].evidence
    assert "given to 100.0% of the loans" in found["not_constant"].evidence


def test_a_model_that_hardly_moves_is_stopped(healthy: Contender) -> None:
    """Its answers all differ, in the third digit."""
    found = failures(serving(healthy, a_linear_onnx(intercept=-1.6, annual_income=-1e-9)))

    assert "(at least 0.01)" in found["not_constant"].evidence


def test_a_ranking_of_no_use_is_stopped_by_how_much_it_lacks(healthy: Contender) -> None:
    noise = np.random.default_rng(42).uniform(0.1, 0.2, len(healthy.split.tested))

    found = failures(answering(healthy, noise))

    assert "too low; not surely better than chance" in found["quality_floor"].evidence


def test_a_model_of_resampled_classes_is_stopped(healthy: Contender) -> None:
    """As many defaults as repaid loans: the ranking is right, every probability too high."""
    odds = healthy.candidate.tested_probability / (1 - healthy.candidate.tested_probability)
    odds *= 5

    found = failures(answering(healthy, odds / (1 + odds)))

    assert set(found) == {"calibration"}
    assert "risk is overestimated" in found["calibration"].evidence
    assert "resampled or weighted" in found["calibration"].look_at


@pytest.mark.parametrize(
    ("stretch", "said"), [(6.0, "the model is too sure of itself"), (0.1, "too timid")]
)
def test_a_slope_far_from_one_is_stopped(healthy: Contender, stretch: float, said: str) -> None:
    """The mean stays where it is; only the distances from it are wrong."""
    answers = healthy.candidate.tested_probability
    log_odds = np.log(answers / (1 - answers))
    stretched = stretch * (log_odds - log_odds.mean()) + log_odds.mean()

    found = failures(answering(healthy, 1 / (1 + np.exp(-stretched))))

    assert said in found["calibration"].evidence


def test_the_slope_of_outcomes_drawn_from_the_answers_is_one() -> None:
    random = np.random.default_rng(0)
    log_odds = random.normal(-2, 1, 20_000)
    answers = 1 / (1 + np.exp(-log_odds))
    defaulted = (random.random(20_000) < answers).astype(np.int64)
    halved = 1 / (1 + np.exp(-log_odds / 2))

    slope, error = calibration_slope(defaulted, answers)

    assert slope == pytest.approx(1, abs=3 * error)
    assert 0 < error < 0.05
    assert calibration_slope(defaulted, halved)[0] == pytest.approx(2 * slope)


def test_equal_answers_have_no_slope() -> None:
    assert calibration_slope(np.array([0, 1, 0]), np.full(3, 0.3)) == (1.0, np.inf)


def test_answers_that_are_perfect_have_a_slope_that_ends(healthy: Contender) -> None:
    perfect = np.where(healthy.split.tested.defaulted == 1, 0.9, 0.05)

    slope, _ = calibration_slope(healthy.split.tested.defaulted, perfect)

    assert np.isfinite(slope)


def test_interactions_of_three_features_are_stopped_by_the_reasons(healthy: Contender) -> None:
    """It claims to be pairwise; its contributions say otherwise."""
    found = failures(serving(healthy, a_product_of_three()))

    assert "log-odds" in found["reasons"].evidence
    assert "three or more" in found["reasons"].look_at


def test_a_candidate_of_any_interactions_is_stopped_by_its_class(healthy: Contender) -> None:
    unrestricted = replace(healthy, candidate=replace(healthy.candidate, pairwise=False))

    assert set(failures(unrestricted)) == {"champion_class"}


def test_an_artifact_that_answers_otherwise_than_the_fitted_model_is_stopped(
    healthy: Contender,
) -> None:
    found = failures(serving(healthy, with_weights_scaled(healthy.candidate.onnx, 1.1)))

    rows = len(healthy.split.tested) + len(healthy.candidate.probes)
    assert f"by more in {rows}" in found["parity"].evidence
    assert "differently" in found["same_decisions"].evidence
    assert "off by at most" in found["golden_vectors"].evidence


def test_a_single_row_that_differs_is_enough(healthy: Contender) -> None:
    served = healthy.candidate.served_probability.copy()
    served[17] += 2e-5

    found = failures(
        replace(healthy, candidate=replace(healthy.candidate, served_probability=served))
    )

    assert set(found) == {"parity"}
    assert "by more in 1" in found["parity"].evidence
    assert "rounded to the nearest" in found["parity"].look_at


def test_an_answer_that_is_no_number_is_stopped(healthy: Contender) -> None:
    served = healthy.candidate.served_probability.copy()
    served[3] = np.nan

    found = failures(
        replace(healthy, candidate=replace(healthy.candidate, served_probability=served))
    )

    assert "by more in 1" in found["parity"].evidence


def test_a_decision_that_flips_at_the_cut_off_is_stopped(healthy: Contender) -> None:
    """Eight millionths apart: within the limit of parity, on two sides of the cut-off."""
    served = healthy.candidate.served_probability.copy()
    cutoff = PRODUCT.policy.approve_up_to
    row = int(np.argmin(np.abs(served - cutoff)))
    side = 1 if served[row] > cutoff else -1
    policy = replace(PRODUCT.policy, approve_up_to=served[row] - side * 4e-6)
    served[row] -= side * 8e-6

    found = failures(
        replace(
            healthy,
            product=replace(PRODUCT, policy=policy),
            candidate=replace(healthy.candidate, served_probability=served),
        )
    )

    assert set(found) == {"same_decisions"}
    assert "decide 1 of 600 loans" in found["same_decisions"].evidence


def test_a_model_against_a_declared_direction_is_stopped(healthy: Contender) -> None:
    found = failures(serving(healthy, a_linear_onnx(inq_last_6mths=-0.5)))

    assert "(inq_last_6mths; limit" in found["directions"].evidence
    assert "inq_last_6mths" in found["directions"].look_at


def test_a_ratio_that_undoes_a_declared_direction_is_stopped(healthy: Contender) -> None:
    """Each coefficient has its right sign; a higher income still raises the risk."""
    undirected = replace(
        PRODUCT,
        derived_features=tuple(replace(feature, risk=None) for feature in PRODUCT.derived_features),
    )
    model = a_linear_onnx(annual_income=-1e-9, installment_debt_to_income=-0.5)

    found = failures(replace(serving(healthy, model), product=undirected))

    assert "annual_income" in found["directions"].evidence


def test_another_order_of_inputs_is_stopped(healthy: Contender) -> None:
    found = failures(replace(healthy, inputs=INPUTS[::-1]))

    assert "not the product's, in its order" in found["interface"].evidence


def test_another_number_of_inputs_stops_the_judgement(healthy: Contender) -> None:
    found = failures(replace(healthy, inputs=INPUTS[:-1]))

    assert "expected features tensor(float) [n, 24]" in found["interface"].evidence


def test_of_a_model_that_does_not_load_no_gate_is_passed(healthy: Contender) -> None:
    found = failures(serving(healthy, b"no model"))

    assert "cannot be loaded" in found.pop("interface").evidence
    assert set(found) == set(ON_LOADED)
    assert {gate.evidence for gate in found.values()} == {"not reached: the model does not load"}


def test_an_artifact_too_large_for_a_cold_start_is_stopped_by_how_much(
    healthy: Contender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_build.gates.LARGEST_MODEL_BYTES", 100)

    excess = len(healthy.candidate.onnx) - 100
    assert f"{excess} bytes too large" in failures(healthy)["interface"].evidence


def test_probabilities_that_do_not_sum_to_one_are_stopped(healthy: Contender) -> None:
    model = onnx.load_model_from_string(a_linear_onnx(inq_last_6mths=0.1))
    model.graph.node[-1].op_type = "Sigmoid"
    model.graph.node[-1].ClearField("attribute")
    for tensor in model.graph.initializer:
        if tensor.name == "bias":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(2, -1, np.float32), "bias"))

    found = failures(serving(healthy, model.SerializeToString()))

    assert "do not sum to one" in found["interface"].evidence


def test_a_probability_of_one_is_no_answer(healthy: Contender) -> None:
    found = failures(serving(healthy, with_weights_scaled(healthy.candidate.onnx, 1e6)))

    assert "lie outside 0 to 1" in found["reasons"].evidence
    assert "lie outside 0 to 1" in found["not_constant"].evidence


def test_golden_vectors_that_another_machine_wrote_are_compared(healthy: Contender) -> None:
    golden = (
        replaced := healthy.golden[0].model_copy(
            update={"log_odds": healthy.golden[0].log_odds + 0.01}
        ),
        *healthy.golden[1:],
    )

    assert replaced in golden
    found = failures(replace(healthy, golden=golden))
    assert "off by at most 1.0e-02 log-odds" in found["golden_vectors"].evidence


def test_without_golden_vectors_nothing_was_checked(healthy: Contender) -> None:
    assert set(failures(replace(healthy, golden=()))) == {"golden_vectors"}


def by_income(split: LoanSplit, least_ratio: float | None) -> tuple[CreditProduct, LoanSplit]:
    """Return a product that monitors a group that has to do with income."""
    # The product's own cut-off approves six of these loans, which prove nothing.
    product = replace(
        PRODUCT,
        policy=replace(PRODUCT.policy, approve_up_to=0.095),
        monitored_groups=(
            MonitoredGroup(
                name="district",
                description="Where the branch is",
                values=("north", "south"),
                least_ratio=least_ratio,
            ),
        ),
    )
    income = split.tested.matrix[:, INPUTS.index("annual_income")]
    districts = np.where(income < np.median(income), "north", "south")
    return product, replace(split, tested=replace(split.tested, groups={"district": districts}))


def test_a_group_that_is_approved_too_seldom_stops_the_model(healthy: Contender) -> None:
    product, split = by_income(healthy.split, least_ratio=0.8)

    found = failures(replace(healthy, product=product, split=split))

    assert set(found) == {"adverse_impact"}
    assert "district: north are approved 0." in found["adverse_impact"].evidence
    assert "(at least 0.8)" in found["adverse_impact"].evidence
    assert "district north" in found["adverse_impact"].look_at


def test_a_group_without_a_least_ratio_is_reported_only(healthy: Contender) -> None:
    product, split = by_income(healthy.split, least_ratio=None)

    gates = {gate.name: gate for gate in judge(replace(healthy, product=product, split=split))}

    assert gates["adverse_impact"].passed
    assert "(reported only)" in gates["adverse_impact"].evidence


def with_weights_scaled(body: bytes, factor: float) -> bytes:
    """Return a model of trees with their answers scaled: the artifact alone changes."""
    model = onnx.load_model_from_string(body)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name in {"target_weights", "base_values"}:
                scaled = [value * factor for value in attribute.floats]
                del attribute.floats[:]
                attribute.floats.extend(scaled)
    changed: bytes = model.SerializeToString()
    return changed


def a_product_of_three() -> bytes:
    """Return a model whose log-odds are the product of three inputs' logarithms."""
    helper = onnx.helper
    names = ["loan_amount", "annual_income", "term_months"]
    chosen = np.array([INPUTS.index(name) for name in names], dtype=np.int64)
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["features", "chosen"], ["three"], axis=1),
            helper.make_node("Log", ["three"], ["logarithms"]),
            helper.make_node("ReduceProd", ["logarithms"], ["product"], axes=None, keepdims=1),
            helper.make_node("Mul", ["product", "halves"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        ],
        "three",
        [helper.make_tensor_value_info("features", 1, [None, len(INPUTS)])],
        [helper.make_tensor_value_info("probabilities", 1, [None, 2])],
        [
            onnx.numpy_helper.from_array(chosen, "chosen"),
            onnx.numpy_helper.from_array(np.array([[0.003, -0.003]], np.float32), "halves"),
        ],
    )
    reduction = graph.node[2]
    reduction.input.append("axes")
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([1], np.int64), "axes"))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    body: bytes = model.SerializeToString()
    return body
