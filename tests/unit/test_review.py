from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_core.domain.application import APPLICATION_ID_PATTERN
from credit_core.domain.policy_definition import Outcome
from credit_core.domain.review import Review, ReviewReader, adverse_action_codes
from credit_core.errors import BodyTooLargeError, InvalidRequestError
from tests.builders import PRODUCT
from tests.builders_records import A_REVIEW, a_review_body

CODES = adverse_action_codes(PRODUCT)
read_review = ReviewReader(PRODUCT)


def faults_of(body: str) -> dict[str, str]:
    with pytest.raises(InvalidRequestError) as caught:
        read_review(body)
    return {fault.path: fault.message for fault in caught.value.faults}


def test_an_approval_needs_no_codes() -> None:
    assert read_review(a_review_body()) == Review(
        "review-1", 1, Outcome.APPROVE, "a.smith", "Pay slips show a higher income", ()
    )


def test_a_decline_takes_codes_of_features_and_of_rules() -> None:
    rule = PRODUCT.policy.rules[0].code
    codes = [rule, PRODUCT.model_features[0].adverse_action.code]

    review = read_review(a_review_body(outcome="decline", adverse_action_codes=codes))

    assert review.adverse_action_codes == tuple(codes)
    assert review.as_document()["adverse_action_codes"] == codes


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"review_id": ""}, "review_id"),
        ({"review_id": "a/b"}, "review_id"),
        ({"review_id": "a" * 65}, "review_id"),
        ({"review_id": 7}, "review_id"),
        ({"review_id": "x\n"}, "review_id"),
        ({"revision": ...}, "revision"),
        ({"revision": 0}, "revision"),
        ({"revision": 1.5}, "revision"),
        ({"revision": "1"}, "revision"),
        ({"revision": True}, "revision"),
        ({"outcome": "refer"}, "outcome"),
        ({"outcome": "APPROVE"}, "outcome"),
        ({"reviewer": ""}, "reviewer"),
        ({"reviewer": "a" * 129}, "reviewer"),
        ({"reviewer": ...}, "reviewer"),
        ({"reason": " \n"}, "reason"),
        ({"reason": "a" * 2_001}, "reason"),
        ({"reason": None}, "reason"),
        ({"adverse_action_codes": CODES[:1]}, "adverse_action_codes"),
        ({"outcome": "decline"}, "adverse_action_codes"),
        ({"outcome": "decline", "adverse_action_codes": []}, "adverse_action_codes"),
        ({"outcome": "decline", "adverse_action_codes": CODES[:1] * 2}, "adverse_action_codes"),
        ({"outcome": "decline", "adverse_action_codes": CODES[:5]}, "adverse_action_codes"),
        ({"outcome": "decline", "adverse_action_codes": "A"}, "adverse_action_codes"),
        ({"outcome": "decline", "adverse_action_codes": None}, "adverse_action_codes"),
        (
            {"outcome": "decline", "adverse_action_codes": [CODES[0], "NO-SUCH-CODE"]},
            "adverse_action_codes.1",
        ),
        ({"notes": "x"}, "notes"),
    ],
)
def test_a_fault_is_named_by_its_path(changes: dict[str, object], path: str) -> None:
    assert list(faults_of(a_review_body(**changes))) == [path]


@pytest.mark.parametrize("blank", ["", " \n"])
@pytest.mark.parametrize("field", ["reviewer", "reason"])
def test_a_blank_text_is_told_in_words(field: str, blank: str) -> None:
    assert faults_of(a_review_body(**{field: blank})) == {field: "must not be blank"}


def test_a_pattern_is_told_as_it_is_elsewhere() -> None:
    assert faults_of(a_review_body(review_id="a/b")) == {
        "review_id": f"must match {APPLICATION_ID_PATTERN}"
    }


def test_all_faults_are_told_at_once_and_no_value_is_repeated() -> None:
    body = a_review_body(
        review_id="canary 1", outcome="decline", reviewer="", reason=4711, extra="canary 2"
    )

    faults = faults_of(body)

    assert faults.keys() == {"review_id", "reviewer", "reason", "extra", "adverse_action_codes"}
    assert not any(word in message for message in faults.values() for word in ("canary", "4711"))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{",
        '{"reason": NaN}',
        '{"reason": "a", "reason": "b"}',
        json.dumps({"reason": "\ud800"}),
        "[" * 100_000,
    ],
)
def test_what_is_no_review_is_refused(body: str) -> None:
    with pytest.raises(InvalidRequestError):
        read_review(body)


@given(
    st.dictionaries(
        st.sampled_from([*A_REVIEW, "adverse_action_codes"]) | st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner | st.sampled_from(CODES)) | st.dictionaries(st.text(), inner)
            ),
            max_leaves=6,
        )
        | st.sampled_from([*A_REVIEW.values(), "decline"]),
    )
)
def test_whatever_comes_is_a_review_or_is_refused(document: dict[str, object]) -> None:
    try:
        review = read_review(json.dumps(document))
    except InvalidRequestError:
        return
    assert bool(review.adverse_action_codes) == (review.outcome is Outcome.DECLINE)


def test_a_review_that_is_too_long_is_not_read() -> None:
    with pytest.raises(BodyTooLargeError):
        read_review(a_review_body(reason="a" * 20_000))
