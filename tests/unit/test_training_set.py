from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from credit_core.domain.product import Defaults
from credit_core.errors import TrainingDataError
from model_build.training_set import read_training_set
from tests.builders import PRODUCT, TOLERANT_PRODUCT
from tests.builders_training import FIRST_DAY, as_csv, some_rows

FEATURES = [feature.name for feature in PRODUCT.model_features]


def test_a_number_a_null_and_a_category_arrive_in_the_matrix() -> None:
    rows = some_rows(3)
    rows[0] |= {"loan_amount": "12000.0", "employment_years": "", "verification_status": "verified"}

    loans = read_training_set(PRODUCT, as_csv(rows)).loans

    first = dict(zip(FEATURES, loans.matrix[0].tolist(), strict=True))
    assert loans.matrix.dtype == np.float32
    assert first["loan_amount"] == 12_000
    assert np.isnan(first["employment_years"])
    assert first["verification_status"] == 2


def test_a_loan_that_a_decision_would_have_referred_is_not_learnt_from() -> None:
    rows = some_rows(4)
    rows[1]["bureau_event_timestamp"] = ""
    rows[2]["region_market_event_timestamp"] = (FIRST_DAY - timedelta(days=36)).isoformat(sep=" ")

    found = read_training_set(PRODUCT, as_csv(rows))

    assert (found.rows, found.referred, len(found.loans)) == (4, 2, 2)


def test_a_view_that_may_be_missing_leaves_nulls_instead() -> None:
    bureau, region = TOLERANT_PRODUCT.feature_views
    features = tuple(replace(feature, nullable=True) for feature in bureau.features)
    bureau = replace(bureau, features=features, when_missing=Defaults())
    product = replace(TOLERANT_PRODUCT, feature_views=(bureau, region))
    rows = some_rows(2)
    rows[0] |= dict.fromkeys((feature.name for feature in bureau.features), "")
    rows[0]["bureau_event_timestamp"] = ""

    found = read_training_set(product, as_csv(rows, product=product))

    assert (found.referred, found.unservable_rows, len(found.loans)) == (0, 0, 2)
    assert np.isnan(found.loans.matrix[0, FEATURES.index("inq_last_6mths")])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("annual_income", "-1"),
        ("annual_income", ""),
        ("annual_income", "NaN"),
        ("term_months", "36.5"),
        ("verification_status", "unheard_of"),
        ("inq_last_6mths", "1e300"),
    ],
)
def test_a_loan_with_a_value_that_scoring_refuses_is_not_learnt_from(
    column: str, value: str
) -> None:
    rows = some_rows(3)
    rows[1][column] = value

    found = read_training_set(PRODUCT, as_csv(rows))

    assert (found.rows, found.unservable, len(found.loans)) == (3, {column: 1}, 2)


def test_a_fingerprint_tells_training_sets_apart() -> None:
    rows = some_rows(3)
    first = read_training_set(PRODUCT, as_csv(rows)).sha256
    rows[0]["loan_amount"] = "501"

    assert read_training_set(PRODUCT, as_csv(rows)).sha256 != first


def test_a_missing_column_is_named() -> None:
    body = as_csv(some_rows(2)).replace(b"annual_income", b"yearly_income")

    with pytest.raises(TrainingDataError, match=r"lacks column\(s\) annual_income"):
        read_training_set(PRODUCT, body)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("loan_amount", "much", "loan_amount holds text that is no number"),
        ("event_timestamp", "yesterday", "event_timestamp holds text that is no timestamp"),
        ("event_timestamp", "2026-08-01 00:00:00+00:00", "event_timestamp has a time zone"),
        ("defaulted", "2", "label defaulted must be 0 or 1"),
    ],
)
def test_what_cannot_be_read_is_said_without_its_value(
    column: str, value: str, message: str
) -> None:
    rows = some_rows(2)
    rows[1][column] = value

    with pytest.raises(TrainingDataError, match=message):
        read_training_set(PRODUCT, as_csv(rows))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "lacks column"),
        (b"\xff\xfe", "no CSV"),
        (as_csv([]), "no application has a label yet"),
        (as_csv(some_rows(1)) + b"1,2\r\n", "a row has 2 fields"),
    ],
)
def test_an_empty_or_broken_result_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(TrainingDataError, match=message):
        read_training_set(PRODUCT, body)
