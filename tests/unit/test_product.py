"""A product definition: what follows from it, and that a broken one lists all its faults."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from credit_core.domain.feature_matrix import feature_matrix
from credit_core.domain.product import (
    DerivedFeature,
    DType,
    Feature,
    FeatureView,
    Policy,
    ProhibitedInput,
    load_product,
    safe_ratio,
)
from credit_core.errors import InvalidProductError
from tests.builders import PRODUCT

AMOUNT = PRODUCT.request_features[0]
BUREAU = PRODUCT.feature_views[0]


def faults_of(**changes: Any) -> str:
    with pytest.raises(InvalidProductError) as caught:
        dataclasses.replace(PRODUCT, **changes)
    return str(caught.value)


def test_the_interest_rate_and_the_grade_cannot_be_inputs() -> None:
    assert {unwanted.name for unwanted in PRODUCT.prohibited} == {"int_rate", "sub_grade"}

    rate = dataclasses.replace(AMOUNT, name="int_rate")

    assert "int_rate: prohibited as an input" in faults_of(
        request_features=(*PRODUCT.request_features, rate)
    )


def test_every_model_feature_has_a_reason_a_lender_could_send() -> None:
    for feature in PRODUCT.model_features:
        assert len(feature.adverse_action.text) > 10
        assert feature.adverse_action.text[0].isupper()


def test_all_faults_are_listed_with_their_place() -> None:
    policy = Policy(
        version="1",
        approve_up_to=0.2,
        decline_from=0.1,
        base_points=600,
        base_odds=20,
        points_to_double_odds=0,
        maximum_reasons=9,
    )
    wrong = Feature(
        name="Wrong",
        description="",
        dtype=DType.INTEGER,
        adverse_action=AMOUNT.adverse_action,
        minimum=0,
        maximum=2**24 + 1,
    )
    view = FeatureView(
        name="empty", description="", entity=BUREAU.entity, ttl=timedelta(0), features=()
    )

    message = faults_of(
        policy=policy,
        request_features=(*PRODUCT.request_features, AMOUNT, wrong),
        feature_views=(*PRODUCT.feature_views, view),
        prohibited=(ProhibitedInput(name="delinq_2yrs", reason="for this test"),),
    )

    for fault in (
        "approve_up_to < decline_from",
        "points_to_double_odds must be positive",
        "maximum_reasons must be from 1 to 4",
        "'Wrong': names are",
        "Wrong: state its unit",
        "Wrong: integers beyond 2**24",
        "loan_amount: defined 2 times",
        "empty: ttl must be positive",
        "empty: has no features",
        "delinq_2yrs: prohibited as an input (for this test)",
    ):
        assert fault in message


def test_a_derived_feature_needs_inputs_that_exist_and_are_numbers() -> None:
    derived = DerivedFeature(
        name="odd",
        description="",
        dtype=DType.FLOAT,
        unit="ratio",
        minimum=0,
        maximum=1,
        adverse_action=AMOUNT.adverse_action,
        inputs=("nowhere", "verification_status"),
        function=safe_ratio,
    )

    message = faults_of(derived_features=(derived,))

    assert "odd: its input 'nowhere' is not a feature" in message
    assert "odd: its input 'verification_status' is a category" in message


@pytest.mark.parametrize("name", ["nowhere", "../etc", "os.path"])
def test_a_product_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(InvalidProductError, match="fault"):
        load_product(name)


def columns_of(**changes: object) -> dict[str, list[object]]:
    columns: dict[str, list[object]] = {
        feature.name: [feature.categories[0] if feature.categories else 1.0]
        for feature in PRODUCT.base_features
    }
    return columns | {name: [value] for name, value in changes.items()}


def matrix_of(**changes: object) -> dict[str, float]:
    row = feature_matrix(PRODUCT, columns_of(**changes))[0]
    names = [feature.name for feature in PRODUCT.model_features]
    return {name: float(value) for name, value in zip(names, row, strict=True)}


def test_unknown_numbers_become_nan_and_unknown_categories_minus_one() -> None:
    row = matrix_of(employment_years=None, verification_status=None, total_il_high_credit_limit=0.0)

    assert np.isnan(row["employment_years"])
    assert row["verification_status"] == -1
    assert np.isnan(row["installment_utilization"])


def test_no_income_is_the_heaviest_burden_and_not_an_unknown_one() -> None:
    without, low = matrix_of(annual_income=0.0), matrix_of(annual_income=100.0)

    assert without["payment_to_income"] > low["payment_to_income"]
    assert without["installment_debt_to_income"] > low["installment_debt_to_income"]


def test_a_row_scored_alone_equals_the_same_row_in_a_table() -> None:
    columns = {name: values * 3 for name, values in columns_of(loan_amount=9_999.0).items()}

    table = feature_matrix(PRODUCT, columns)

    alone = feature_matrix(PRODUCT, columns_of(loan_amount=9_999.0))
    assert table.dtype == np.float32
    assert np.array_equal(table[1], alone[0], equal_nan=True)
