from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from credit_core.domain.loan_outcome import LoanOutcome
from credit_core.domain.model_manifest import Role
from credit_core.domain.point_in_time import training_set_columns
from credit_core.domain.product import Defaults
from credit_core.domain.receipt import row_of
from credit_core.use_cases.served_training_set import LeftOut, served_training_set
from model_build.training_set import read_training_set
from tests.builders import NOW, PRODUCT, TOLERANT_PRODUCT, stored
from tests.builders_evidence import A_YEAR_AGO, Trial, key_of_applicant

if TYPE_CHECKING:
    from credit_core.domain.product import CreditProduct
    from credit_core.use_cases.served_training_set import ServedTrainingSet

LABEL = PRODUCT.label.name
A_DAY = timedelta(days=1)


def made(
    trial: Trial, *, product: CreditProduct = PRODUCT, as_of: datetime = NOW, **options: bool
) -> ServedTrainingSet:
    return served_training_set(product, trial.decisions(), as_of=as_of, **options)


def rows_of(found: ServedTrainingSet) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(found.body.decode())))


def a_trial_of(count: int) -> Trial:
    """Return a trial of approved loans, every third of which defaulted."""
    trial = Trial()
    for number in range(count):
        name = f"a{number:03}"
        trial.decide(name, at=A_YEAR_AGO + number * timedelta(minutes=1), loan_amount=500 + number)
        trial.report(name, LoanOutcome.REPAID if number % 3 else LoanOutcome.DEFAULTED)
    return trial


def test_each_reported_loan_is_a_row_of_the_training_sets_columns() -> None:
    found = made(a_trial_of(9))

    assert (found.decisions, found.rows, found.defaults) == (9, 9, 3)
    assert found.body.decode().splitlines()[0].split(",") == list(training_set_columns(PRODUCT))
    assert [row[LABEL] for row in rows_of(found)] == ["1", "0", "0"] * 3
    assert [row["loan_amount"] for row in rows_of(found)][:2] == ["500.0", "501.0"]


def test_the_trainer_reads_the_very_numbers_that_the_model_was_given() -> None:
    trial = a_trial_of(9)
    receipts = {
        str(found.application_id): row_of(str(found.receipt["model_input"]))
        for found in trial.decisions()
    }

    training_set = read_training_set(PRODUCT, made(trial).body)

    expected = np.array([receipts[name] for name in sorted(receipts)]).astype(np.float32)
    np.testing.assert_array_equal(training_set.loans.matrix, expected)
    assert training_set.loans.defaulted.tolist() == [1, 0, 0] * 3


def test_defaults_that_stood_for_a_missing_view_are_what_was_served() -> None:
    bureau, region = TOLERANT_PRODUCT.feature_views
    defaults = Defaults({feature.name: 3 for feature in region.features})
    tolerant = replace(
        TOLERANT_PRODUCT, feature_views=(bureau, replace(region, when_missing=defaults))
    )
    trial = Trial(product=tolerant)
    trial.decide("a", rows=trial.rows_of("a", A_YEAR_AGO))
    trial.report("a", LoanOutcome.REPAID)

    found = made(trial, product=tolerant)

    (row,) = rows_of(found)
    served = (row[f"{region.name}_event_timestamp"], row["region_applications"])
    assert served == ("", "3")
    assert len(read_training_set(tolerant, found.body).loans) == 1


def test_a_loan_counts_when_the_horizon_has_passed() -> None:
    trial = Trial()
    trial.decide("young", at=NOW - PRODUCT.label.horizon + A_DAY)
    trial.report("young", LoanOutcome.DEFAULTED, on=(NOW - A_DAY).date())
    trial.decide("old", at=NOW - PRODUCT.label.horizon)
    trial.report("old", LoanOutcome.REPAID, on=(NOW - A_DAY).date())

    assert [row["application_id"] for row in rows_of(made(trial))] == ["old"]
    assert made(trial).left_out[LeftOut.TOO_YOUNG] == 1
    assert made(trial, any_age=True).rows == 2


def test_a_default_after_the_horizon_is_none() -> None:
    trial = Trial()
    trial.decide("a")
    on = A_YEAR_AGO.date() + PRODUCT.label.horizon + A_DAY
    trial.report("a", LoanOutcome.DEFAULTED, on=on)
    trial.decide("b")
    trial.report("b", LoanOutcome.DEFAULTED, on=on - A_DAY)
    trial.report("b", LoanOutcome.REPAID, on=on)

    assert [row[LABEL] for row in rows_of(made(trial))] == ["0", "1"]


def test_what_nobody_reported_is_left_out_unless_silence_means_repaid() -> None:
    trial = Trial()
    trial.decide("a")

    assert made(trial).left_out[LeftOut.NOT_REPORTED] == 1
    assert [row[LABEL] for row in rows_of(made(trial, unreported_repay=True))] == ["0"]
    early = made(trial, unreported_repay=True, as_of=A_YEAR_AGO + A_DAY)
    assert early.left_out[LeftOut.NOT_REPORTED] == 1


def test_applications_without_a_loan_are_no_rows() -> None:
    trial = Trial()
    trial.decide("declined", annual_income=1_000)
    trial.decide("withdrawn")
    trial.report("withdrawn", LoanOutcome.WITHDRAWN)

    found = made(trial, unreported_repay=True)

    assert (found.rows, found.left_out[LeftOut.NO_LOAN]) == (0, 2)


def test_a_loan_that_a_person_granted_without_features_teaches_nothing() -> None:
    trial = Trial()
    trial.decide("a", rows={})
    trial.review("a", "approve")
    trial.report("a", LoanOutcome.REPAID)

    assert made(trial).left_out[LeftOut.NOT_SERVED] == 1


def test_a_receipt_of_other_features_is_left_out_and_counted() -> None:
    trial = a_trial_of(1)
    first, *others = PRODUCT.request_features
    wider = replace(PRODUCT, request_features=(replace(first, unit="lions"), *others))

    assert made(trial, product=wider).left_out[LeftOut.OTHER_DEFINITION] == 1


def test_a_feature_that_was_dropped_since_does_not_matter() -> None:
    trial = a_trial_of(1)
    view, *views = PRODUCT.feature_views
    used = {name for derived in PRODUCT.derived_features for name in derived.inputs}
    dropped = next(each for each in view.features if each.name not in used)
    kept = tuple(each for each in view.features if each is not dropped)
    narrower = replace(
        PRODUCT,
        feature_views=(replace(view, features=kept), *views),
        policy=replace(PRODUCT.policy, rules=()),
    )

    found = made(trial, product=narrower)

    assert found.rows == 1
    assert dropped.name not in rows_of(found)[0]


@pytest.mark.parametrize(
    "change",
    [{"terms": "eA=="}, {"model_input": "[1]"}, {"served": "{}x"}, {"decided_at": "never"}],
)
def test_a_damaged_receipt_is_counted_and_ends_nothing(change: dict[str, str]) -> None:
    trial = a_trial_of(2)
    (key,) = (key for key in trial.archive.objects if "a000/decision" in key)
    record = json.loads(trial.archive.objects[key])
    trial.archive.objects[key] = json.dumps({**record, **change}).encode()

    training_set = made(trial)

    assert (training_set.rows, training_set.left_out[LeftOut.DAMAGED]) == (1, 1)


def test_decisions_of_a_challenger_are_rows_like_all_others() -> None:
    trial = Trial(share=1.0)
    receipt = trial.decide("a")
    trial.report("a", LoanOutcome.REPAID)

    assert json.loads(str(receipt["response"]))["model"]["role"] == Role.CHALLENGER
    assert made(trial).rows == 1


def test_every_decision_is_a_row_or_counted() -> None:
    trial = a_trial_of(5)
    trial.decide("declined", annual_income=1_000)
    trial.decide("silent")
    trial.decide("stale", rows={key_of_applicant("stale"): stored(PRODUCT.feature_views[0])})

    found = made(trial).document()

    assert found["decisions"] == found["rows"] + sum(found["left_out"].values()) == 8
