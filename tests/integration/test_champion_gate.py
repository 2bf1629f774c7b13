"""A new model has to do at least as well as the champion on the same loans."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from credit_core.domain.model_manifest import Estimate, ModelManifest, Split
from model_build.champion_gate import beats_champion
from model_build.evaluation import evaluate
from model_build.previous import PreviousModel
from tests.builders import PRODUCT, a_manifest, an_evaluation
from tests.builders_onnx import a_linear_onnx
from tests.builders_training import a_fitted_candidate, a_split, some_loans

if TYPE_CHECKING:
    from credit_core.domain.model_manifest import Gate
    from model_build.fitted import FittedCandidate
    from model_build.loans import LoanSplit

TABLE = "a" * 64
BEFORE = "2020-01-01T00:00:00.000000Z"


@pytest.fixture(scope="module")
def split() -> LoanSplit:
    return a_split(some_loans(4_000))


@pytest.fixture(scope="module")
def fitted(split: LoanSplit) -> FittedCandidate:
    return a_fitted_candidate(split)


def a_champion(
    onnx: bytes,
    *,
    measured: Split = Split.OUT_OF_TIME,
    auc: float = 0.7,
    **training_set: str | int | None,
) -> PreviousModel:
    evaluation = an_evaluation().model_copy(
        update={"split": measured, "auc": Estimate(value=auc, low=auc - 0.05, high=auc + 0.05)}
    )
    manifest: ModelManifest = a_manifest(version="then").model_copy(
        update={
            "evaluation": evaluation,
            "training_set": {"sha256": "b" * 64, "out_of_time_from": BEFORE, **training_set},
        }
    )
    return PreviousModel(manifest, onnx)


def compared(split: LoanSplit, fitted: FittedCandidate, previous: PreviousModel | None) -> Gate:
    gate = beats_champion(
        PRODUCT,
        fitted,
        split,
        evaluate(split, fitted, seed=0),
        previous,
        training_set_sha256=TABLE,
        seed=0,
    )
    assert bool(gate.look_at) is not gate.passed
    return gate


def test_the_first_model_has_nobody_to_beat(split: LoanSplit, fitted: FittedCandidate) -> None:
    gate = compared(split, fitted, None)

    assert gate.passed
    assert gate.evidence == "there is no champion yet"


def test_doing_as_well_is_enough(split: LoanSplit, fitted: FittedCandidate) -> None:
    gate = compared(split, fitted, a_champion(fitted.onnx))

    assert gate.passed
    assert "on 1000 loans with" in gate.evidence
    assert "DeLong p 1.00" in gate.evidence or "AUC +0.0000" in gate.evidence
    assert gate.evidence.endswith("the champion was fitted on none of these loans")


def test_doing_surely_worse_is_not(split: LoanSplit, fitted: FittedCandidate) -> None:
    noise = np.random.default_rng(0).permutation(fitted.tested_probability)

    gate = compared(split, replace(fitted, tested_probability=noise), a_champion(fitted.onnx))

    assert not gate.passed
    assert "it surely ranks worse" in gate.evidence
    assert "its log loss is surely higher" in gate.evidence


def test_ranking_as_well_with_wrong_probabilities_is_worse(
    split: LoanSplit, fitted: FittedCandidate
) -> None:
    tripled = np.minimum(3 * fitted.tested_probability, 0.999)

    gate = compared(split, replace(fitted, tested_probability=tripled), a_champion(fitted.onnx))

    assert "its log loss is surely higher" in gate.evidence
    assert "ranks worse" not in gate.evidence


def test_few_defaults_do_not_excuse_a_drop_that_matters() -> None:
    """Of 50 tested defaults the interval reaches above zero; the AUC is lower by more than 0.05."""
    split = a_split(some_loans(1_200, seed=3))
    fitted = a_fitted_candidate(split)
    noise = np.random.default_rng(3).normal(0, 0.7, len(split.tested))
    mixed = np.minimum(fitted.tested_probability * np.exp(noise), 0.9)

    gate = compared(split, replace(fitted, tested_probability=mixed), a_champion(fitted.onnx))

    assert "its AUC is lower by 0.0" in gate.evidence
    assert "surely ranks worse" not in gate.evidence


def test_loans_that_the_champion_learned_from_are_left_out(
    split: LoanSplit, fitted: FittedCandidate
) -> None:
    assert split.tested.event_timestamps is not None
    border = f"{split.tested.event_timestamps[400]}Z"

    gate = compared(split, fitted, a_champion(fitted.onnx, out_of_time_from=border))

    assert "on 600 loans" in gate.evidence
    assert "400 more are left out: the champion was fitted on them" in gate.evidence


def test_where_too_few_would_remain_its_advantage_is_told(
    split: LoanSplit, fitted: FittedCandidate
) -> None:
    assert split.tested.event_timestamps is not None
    border = f"{split.tested.event_timestamps[900]}Z"

    gate = compared(split, fitted, a_champion(fitted.onnx, out_of_time_from=border))

    assert "on 1000 loans" in gate.evidence
    assert "was fitted on 900 of these loans, which favours it" in gate.evidence


def test_a_champion_of_other_inputs_is_judged_by_its_own_figures(
    split: LoanSplit, fitted: FittedCandidate
) -> None:
    champion = a_champion(fitted.onnx, auc=0.6)
    inputs = ("shoe_size", *champion.manifest.inputs[1:])
    manifest = champion.manifest.model_copy(update={"inputs": inputs})

    gate = compared(split, fitted, PreviousModel(manifest, fitted.onnx))

    assert gate.passed
    assert "inputs as they are defined no longer: shoe_size" in gate.evidence
    assert "its AUC was 0.6000, 95 % interval 0.5500 to 0.6500, on 2500 loans" in gate.evidence


def test_a_champion_of_some_of_the_inputs_is_asked_with_those(
    split: LoanSplit, fitted: FittedCandidate
) -> None:
    """An input was added since; the champion's matrix is a part of today's, in its own order."""
    champion = a_champion(a_linear_onnx(inq_last_6mths=0.1))
    inputs = champion.manifest.inputs
    swapped = (*inputs[1:], inputs[0])
    manifest = champion.manifest.model_copy(update={"inputs": swapped})

    gate = compared(split, fitted, PreviousModel(manifest, champion.onnx))

    assert "on 1000 loans" in gate.evidence


def test_a_champion_that_does_not_load_is_judged_by_its_own_figures(
    split: LoanSplit, fitted: FittedCandidate
) -> None:
    gate = compared(split, fitted, a_champion(b"no model", auc=0.95))

    assert not gate.passed
    assert "cannot be loaded" in gate.evidence
    assert "it is lower by 0.27" in gate.evidence


def test_without_time_a_champion_that_learned_from_the_loans_is_not_asked_about_them(
    fitted: FittedCandidate,
) -> None:
    timeless = a_split(replace(some_loans(), event_timestamps=None))
    fitted = a_fitted_candidate(timeless)
    champion = a_champion(
        fitted.onnx, measured=Split.CROSS_VALIDATED, auc=0.7, sha256=TABLE, out_of_time_from=None
    )

    gate = compared(timeless, fitted, champion)

    assert "it learned from this very table" in gate.evidence
    assert "its AUC was 0.7000" in gate.evidence


def test_a_champion_that_was_lucky_with_its_own_loans_does_not_stop_an_equal_model(
    fitted: FittedCandidate,
) -> None:
    """Its AUC is above the whole interval of the new one, but has an interval itself."""
    timeless = a_split(replace(some_loans(), event_timestamps=None))
    fitted = a_fitted_candidate(timeless)
    auc = evaluate(timeless, fitted, seed=0).auc

    def against(champions: float, sha256: str) -> Gate:
        return compared(
            timeless,
            fitted,
            a_champion(fitted.onnx, measured=Split.CROSS_VALIDATED, auc=champions, sha256=sha256),
        )

    assert against(auc.high + 0.01, "b" * 64).passed
    assert not against(auc.high + 0.05, "b" * 64).passed
    # On the very same loans there is less chance in it.
    assert not against(auc.value + 0.03, TABLE).passed


def test_the_last_loan_of_a_cross_validated_champion_is_one_that_it_knows(
    split: LoanSplit, fitted: FittedCandidate
) -> None:
    """A table of one instant has no time to divide it: all its loans bear the last event."""
    assert split.tested.event_timestamps is not None
    instants = split.tested.event_timestamps.copy()
    instants[:500] = instants[0]
    alike = replace(split, tested=replace(split.tested, event_timestamps=instants))
    champion = a_champion(fitted.onnx, measured=Split.CROSS_VALIDATED, last_event=f"{instants[0]}Z")

    gate = compared(alike, fitted, champion)

    assert "on 500 loans" in gate.evidence
    assert "500 more are left out: the champion was fitted on them" in gate.evidence


def test_without_time_it_cannot_be_told_whom_the_champion_knows(fitted: FittedCandidate) -> None:
    timeless = a_split(replace(some_loans(), event_timestamps=None))

    gate = compared(timeless, a_fitted_candidate(timeless), a_champion(fitted.onnx))

    assert gate.evidence.partition(";")[0].startswith("against then on 2400 loans")
    assert "may have been fitted on some of these loans" in gate.evidence
