"""The embedded sample, from Parquet through the training-set query to a judged model."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from credit_cli.sample import write_sample
from credit_core.adapters.local_lake import LocalLake
from model_build.candidates import CANDIDATES
from model_build.train import train
from model_build.training_set import read_training_set
from tests.builders import PRODUCT

if TYPE_CHECKING:
    from pathlib import Path


def test_the_sample_yields_a_champion_that_passes_every_gate(tmp_path: Path) -> None:
    """Its figures are real but few defaults make them uncertain, so the bounds are wide.

    One setting of each candidate is tried; all of them are where the state machine trains.
    """
    write_sample(tmp_path, last_day=date(2026, 11, 19), product=PRODUCT)
    result = tmp_path / "training-set.csv"
    LocalLake(PRODUCT, tmp_path).write_training_set(result)

    training_set = read_training_set(PRODUCT, result.read_bytes())
    manifest = train(
        PRODUCT,
        training_set,
        lineage={},
        started_at=datetime(2026, 11, 20, tzinfo=UTC),
        candidates=[
            replace(candidate, searched=candidate.searched[:1]) for candidate in CANDIDATES
        ],
    ).manifest

    assert (training_set.rows, training_set.referred, training_set.unservable) == (9_857, 0, {})
    assert training_set.loans.defaults == 517
    assert manifest.failed_gates == ()
    assert 0.60 < manifest.evaluation.auc.value < 0.75
    assert manifest.evaluation.auc.high - manifest.evaluation.auc.low > 0.05
    assert manifest.candidates["unrestricted"].evaluation.auc.value > 0.60
    assert manifest.pairwise
