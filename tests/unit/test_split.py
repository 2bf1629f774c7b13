from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from credit_core.errors import TrainingDataError
from model_build.loans import LoanSet
from model_build.split import split_loans
from tests.builders import PRODUCT

FIRST_DAY = np.datetime64("2026-08-01", "us")


def loans_at(hours: list[int], *, every: int = 4) -> LoanSet:
    """Return loans so many hours after the first day, every fourth of which defaulted."""
    count = len(hours)
    return LoanSet(
        np.arange(count, dtype=np.float32).reshape(-1, 1),
        (np.arange(count) % every == 0).astype(np.int64),
        FIRST_DAY + np.array(hours, dtype="timedelta64[h]"),
        np.arange(count),
        {},
    )


def test_the_last_quarter_in_time_is_kept_to_measure_with() -> None:
    split = split_loans(PRODUCT, loans_at(list(range(1_000))), seed=1)

    assert split.out_of_time
    assert (len(split.fitted), len(split.tested)) == (750, 250)
    assert split.fitted.event_timestamps is not None
    assert split.tested.event_timestamps is not None
    assert split.fitted.event_timestamps.max() < split.tested.event_timestamps.min()


@pytest.mark.parametrize(
    ("hours", "fitted"),
    [
        ([*range(600), *[600] * 300, *range(901, 1_001)], 600),
        ([*[1] * 900, *[2] * 100], 900),
        ([*[1] * 400, *[2] * 100, *[3] * 500], 500),
    ],
)
def test_loans_of_one_instant_are_never_on_both_sides(hours: list[int], fitted: int) -> None:
    """The border is the instant that leaves nearest to a quarter; of two, the earlier."""
    split = split_loans(PRODUCT, loans_at(hours), seed=1)

    assert len(split.fitted) == fitted


def test_without_time_all_loans_are_fitted_on_and_measured_in_folds() -> None:
    loans = replace(loans_at(list(range(400))), event_timestamps=None)

    split = split_loans(PRODUCT, loans, seed=1)

    assert not split.out_of_time
    assert split.fitted is loans
    assert split.tested is loans
    held_out = np.concatenate([held_out for _, held_out in split.folds])
    assert sorted(held_out) == list(range(400))


def test_one_instant_for_all_is_no_time_to_split_by() -> None:
    assert not split_loans(PRODUCT, loans_at([5] * 400), seed=1).out_of_time


def test_folds_hold_the_same_share_of_defaults_and_follow_the_seed() -> None:
    loans = loans_at(list(range(1_000)))

    folds = split_loans(PRODUCT, loans, seed=1).folds

    fitted = split_loans(PRODUCT, loans, seed=1).fitted
    assert {int(fitted.defaulted[held_out].sum()) for _, held_out in folds} <= {37, 38}
    again, other = (split_loans(PRODUCT, loans, seed=seed).folds for seed in (1, 2))
    assert all(np.array_equal(one[1], two[1]) for one, two in zip(folds, again, strict=True))
    assert not np.array_equal(folds[0][1], other[0][1])


def test_no_fold_parts_the_loans_of_an_applicant() -> None:
    loans = replace(
        loans_at(list(range(600))), event_timestamps=None, applicants=np.arange(600) // 3
    )

    for fitted, held_out in split_loans(PRODUCT, loans, seed=1).folds:
        assert not set(loans.applicants[fitted]) & set(loans.applicants[held_out])


def test_too_few_defaults_are_counted_in_the_refusal() -> None:
    loans = replace(loans_at(list(range(200))), defaulted=np.zeros(200, dtype=np.int64))

    with pytest.raises(
        TrainingDataError, match=r"150 loans to train on have 0 defaults \(defaulted is 1\)"
    ):
        split_loans(PRODUCT, loans, seed=1)


def test_defaults_of_one_applicant_alone_cannot_be_divided() -> None:
    defaulted = (np.arange(300) < 100).astype(np.int64)
    applicants = np.where(defaulted == 1, 0, np.arange(300))
    loans = replace(
        loans_at(list(range(300))),
        event_timestamps=None,
        applicants=applicants,
        defaulted=defaulted,
    )

    with pytest.raises(TrainingDataError, match="too few applicants have one of them"):
        split_loans(PRODUCT, loans, seed=1)


def test_no_loan_at_all_is_said() -> None:
    with pytest.raises(TrainingDataError, match="no loan that could have been scored"):
        split_loans(PRODUCT, loans_at([]), seed=1)
