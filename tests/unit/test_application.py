"""The request body: every fault is named with its place, and no value is repeated."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_core.domain.application import ApplicationReader
from credit_core.domain.strict_json import MAXIMUM_BODY_BYTES
from credit_core.errors import InvalidRequestError
from tests.builders import AN_APPLICATION, PRODUCT, a_body

read = ApplicationReader(PRODUCT)


def faults_of(body: str | bytes | None) -> dict[str, str]:
    with pytest.raises(InvalidRequestError) as caught:
        read(body)
    return {fault.path: fault.message for fault in caught.value.faults}


def test_a_good_body_becomes_keys_and_features() -> None:
    application = read(a_body())

    assert application.application_id == "application-1"
    assert application.entity_keys == {"applicant_id": "applicant-1", "addr_state": "CA"}
    assert application.features["annual_income"] == 60_000


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("annual_income", -1, "must be at least 0"),
        ("annual_income", "987654", "must be a number"),
        ("annual_income", True, "must be a number"),
        ("annual_income", None, "must be a number"),
        ("loan_amount", 40_001, "must be at most 40000"),
        ("term_months", 36.5, "must be an integer"),
        ("term_months", ..., "is required"),
        ("employment_years", ..., "is required; send null if it is unknown"),
        ("verification_status", "987654", "must be one of 'not_verified', "),
        ("addr_state", "CA\n", "must match [A-Z]{2}"),
        ("application_id", "", "must match "),
        ("application_id", "x" * 65, "must match "),
        ("application_id", "..", "must match "),
        ("sub_grade", "A1", "is not a field of this product"),
    ],
)
def test_a_bad_field_is_named_with_what_is_expected_there(
    field: str, value: object, message: str
) -> None:
    faults = faults_of(a_body(**{field: value}))

    assert list(faults) == [field]
    assert faults[field].startswith(message)
    assert "987654" not in faults[field]


def test_all_faults_are_reported_at_once() -> None:
    faults = faults_of(a_body(annual_income=-1, term_months="x", addr_state=..., colour="red"))

    assert set(faults) == {"annual_income", "term_months", "addr_state", "colour"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "a JSON object is expected; the body is empty"),
        ("", "a JSON object is expected; the body is empty"),
        ("[]", "a JSON object is expected"),
        ("null", "a JSON object is expected"),
        ("{", "the body is not JSON (line 1, column 2)"),
        (b"\xff{}", "the body is not UTF-8"),
        ("\ud800", "the body is not UTF-8"),
        ('{"annual_income": NaN}', "NaN is not JSON"),
        ('{"annual_income": -Infinity}', "-Infinity is not JSON"),
        ("[" * 10_000, "the body is nested too deeply"),
        ('{"annual_income": 1' + "0" * 5_000 + "}", "the body holds a number that is too long"),
        (" " * (MAXIMUM_BODY_BYTES + 1), "the body is larger than 16384 bytes"),
    ],
)
def test_what_is_not_a_json_object_is_refused(body: str | bytes | None, message: str) -> None:
    assert faults_of(body) == {"$": message}


def test_a_number_beyond_float_is_refused_and_not_taken_for_infinity() -> None:
    faults = faults_of(a_body().replace("60000", "1e999"))

    assert faults == {"annual_income": "must be a finite number"}


def test_every_name_given_twice_is_named_beside_all_other_faults() -> None:
    body = a_body(colour="red", term_months="x", annual_income=-1)
    twice = ', "annual_income": 7, "addr_state": "CA", "addr_state": "CA", "Zoë": 1, "Zoë": 2}'

    assert faults_of(body.removesuffix("}") + twice) == {
        "annual_income": "is given more than once",
        "addr_state": "is given more than once",
        "(unusual name)": "is given more than once",
        "term_months": "must be an integer",
        "colour": "is not a field of this product",
    }


@pytest.mark.parametrize("name", ["Zoë Doe " * 20, "123-45-6789 Jane Doe", "x" * 65])
def test_a_field_name_that_may_hold_a_value_is_not_repeated(name: str) -> None:
    assert faults_of(a_body(**{name: 1})) == {"(unusual name)": "is not a field of this product"}


def test_minus_zero_means_zero() -> None:
    assert read(a_body(annual_income=-0.0)).canonical == read(a_body(annual_income=0)).canonical


@given(st.permutations(sorted(AN_APPLICATION)), st.sampled_from([None, 2]))
def test_order_and_white_space_do_not_change_what_a_body_means(
    order: list[str], indent: int | None
) -> None:
    body = json.dumps({name: AN_APPLICATION[name] for name in order}, indent=indent)

    assert read(body).canonical == read(a_body()).canonical


@given(st.text() | st.binary())
def test_any_other_bytes_are_refused_and_nothing_else_is_raised(body: str | bytes) -> None:
    with pytest.raises(InvalidRequestError):
        read(body)
