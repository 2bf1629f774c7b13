"""Models that must not answer anybody, from a table to the gate that names what is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from model_build import boosting
from model_build.candidates import CANDIDATES
from model_build.train import train
from tests.builders import PRODUCT
from tests.builders_hostile import constant, learning_from
from tests.builders_training import QUICK, a_training_set, some_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from credit_core.domain.model_manifest import Gate
    from model_build.candidates import Candidate
    from tests.builders_training import Row

STARTED = datetime(2026, 11, 20, 12, tzinfo=UTC)
LABEL = PRODUCT.label.name
TREES = replace(CANDIDATES[1], searched=CANDIDATES[1].searched[:1])


def failures(rows: list[Row], candidate: Candidate = QUICK) -> dict[str, Gate]:
    """Return the failed gates of a whole training, by name."""
    training_set = a_training_set(rows)
    model = train(PRODUCT, training_set, lineage={}, started_at=STARTED, candidates=[candidate])
    assert not model.manifest.gates_passed
    assert model.report
    return {gate.name: gate for gate in model.manifest.gates if not gate.passed}


def inverted(row: Row) -> Row:
    return row | {LABEL: "1" if row[LABEL] == "0" else "0"}


def test_a_table_of_inverted_labels_is_stopped() -> None:
    found = failures([inverted(row) for row in some_rows()])

    assert "the labels look inverted" in found["labels"].evidence
    assert f"the column {LABEL}: 1 must mean default" in found["labels"].look_at


def test_labels_that_were_inverted_in_the_past_are_stopped() -> None:
    """Coded otherwise before a migration: the model is measured on labels that are right."""
    rows = some_rows()
    found = failures([*(inverted(row) for row in rows[:1_800]), *rows[1_800:]], TREES)

    assert "labels" in found
    assert {"not_inverted", "quality_floor"} & set(found)


def test_a_model_that_learned_the_inverse_ranks_no_better_than_chance() -> None:
    """Its calibration saw the right outcomes and gave the ranking no weight."""
    found = failures(some_rows(), learning_from(lambda _, defaulted: 1 - defaulted))

    assert "quality_floor" in found


def test_a_constant_model_is_stopped() -> None:
    found = failures(some_rows(), constant())

    assert "given to 100.0% of the loans" in found["not_constant"].evidence
    assert set(found) == {"not_constant", "quality_floor"}


@pytest.mark.parametrize("candidate", [QUICK, TREES], ids=lambda candidate: candidate.name)
def test_loans_that_are_all_alike_are_stopped(candidate: Candidate) -> None:
    first, *others = some_rows()
    names = [feature.name for feature in PRODUCT.base_features]
    alike = [row | {name: first[name] for name in names} for row in [first, *others]]

    found = failures(alike, candidate)

    assert "always the same: loan_amount" in found["informative_inputs"].evidence
    assert "not_constant" in found


@pytest.mark.parametrize("candidate", [QUICK, TREES], ids=lambda candidate: candidate.name)
def test_a_leaking_column_is_stopped_and_named(candidate: Candidate) -> None:
    random = np.random.default_rng(0)
    rows = [
        row | {"total_bal_il": str(int(row[LABEL]) * 40_000 + int(random.integers(50_000)))}
        for row in some_rows()
    ]

    found = failures(rows, candidate)

    assert set(found) == {"leakage"}
    assert "total_bal_il AUC 0.9" in found["leakage"].evidence
    assert "when total_bal_il is written" in found["leakage"].look_at


def test_thresholds_in_float64_that_onnx_flips_are_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Above 2**23 every float32 is whole, so halfway between two there is none.

    scikit-learn splits halfway in float64. Rounded to the nearest, as a plain export does, half of
    these thresholds land on the upper value and send it to the other side.
    """
    rows = [
        row | {"total_bal_il": str(9_000_000 + place % 4 + 4 * int(row[LABEL]) * (place % 2))}
        for place, row in enumerate(some_rows())
    ]
    safe = train(PRODUCT, a_training_set(rows), lineage={}, started_at=STARTED, candidates=[TREES])
    monkeypatch.setattr(boosting, "round_down_to_float32", to_the_nearest)

    found = failures(rows, TREES)

    assert "parity" not in {gate.name for gate in safe.manifest.gates if not gate.passed}
    assert "ONNX and the fitted model differ by at most" in found["parity"].evidence
    assert "rounded to the nearest" in found["parity"].look_at
    assert "differently" in found["same_decisions"].evidence


def to_the_nearest(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    return thresholds.astype(np.float32).astype(np.float64)
