"""Candidates fitted in processes of their own are the same, to the byte."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

import pytest

from credit_core.errors import TrainingDataError
from model_build import side_by_side
from model_build.candidates import Candidate
from model_build.side_by_side import fit_all
from tests.builders import PRODUCT
from tests.builders_training import QUICK, a_split, some_loans

TWIN = replace(QUICK, name="twin")


def refuse(**_settings: object) -> NoReturn:
    raise TrainingDataError("nothing to learn from")


REFUSING = Candidate("refusing", pairwise=True, searched=({},), estimator=refuse)


@pytest.fixture(autouse=True)
def _always_worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_by_side, "WORTH_A_PROCESS", 0)


def test_two_workers_fit_what_one_does_and_tell_as_much() -> None:
    split = a_split(some_loans(800))
    alone: list[str] = []
    beside: list[str] = []

    one = fit_all(PRODUCT, split, [QUICK, TWIN], seed=0, progress=alone.append, workers=1)
    two = fit_all(PRODUCT, split, [QUICK, TWIN], seed=0, progress=beside.append, workers=2)

    assert [it.to_bytes() for it in two] == [it.to_bytes() for it in one]
    assert [it.name for it in two] == ["scorecard", "twin"]
    assert set(beside) <= set(alone)
    assert "twin: fitting" in beside


def test_what_a_worker_raises_is_raised_here() -> None:
    split = a_split(some_loans(800))

    with pytest.raises(TrainingDataError, match="nothing to learn from"):
        fit_all(PRODUCT, split, [QUICK, REFUSING], seed=0, progress=lambda _: None, workers=2)
