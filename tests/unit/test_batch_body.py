from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_core.domain.batch_body import LARGEST_BATCH, MAXIMUM_BATCH_BYTES, applications_in
from credit_core.errors import BodyTooLargeError, InvalidRequestError
from tests.builders import a_body

ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def faults_of(body: str | bytes | None) -> dict[str, str]:
    with pytest.raises(InvalidRequestError) as caught:
        applications_in(body)
    return {fault.path: fault.message for fault in caught.value.faults}


@given(st.lists(ANY_JSON, min_size=1, max_size=10), st.sampled_from([None, 1]))
def test_each_application_is_handed_on_as_it_was_written(
    applications: list[object], indent: int | None
) -> None:
    body = json.dumps({"applications": applications}, indent=indent)

    texts = applications_in(body)

    assert [json.loads(text) for text in texts] == json.loads(body)["applications"]
    assert all(text in body for text in texts)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_whatever_comes_is_taken_apart_or_refused(body: bytes) -> None:
    try:
        texts = applications_in(body)
    except InvalidRequestError:
        return
    assert all(json.loads(text) is not ... for text in texts)


@given(st.data())
def test_what_json_refuses_is_refused(data: st.DataObject) -> None:
    """One character less or more than a batch: Python's own parser is the judge."""
    body = json.dumps({"applications": [{"a": [1, {"b": "]},{"}]}, {"c": "\\"}]})
    place = data.draw(st.integers(0, len(body) - 1))
    broken = body[:place] + data.draw(st.sampled_from(["", ",", "]", "}", '"', "{", "["]))
    broken += body[place + data.draw(st.integers(0, 1)) :]

    try:
        expected = json.loads(broken)
    except ValueError:
        with pytest.raises(InvalidRequestError):
            applications_in(broken)
        return
    if isinstance(expected, dict) and expected.keys() == {"applications"}:
        assert [json.loads(text) for text in applications_in(broken)] == expected["applications"]


@pytest.mark.parametrize(
    "fault",
    [
        '{"annual_income": 1, "annual_income": 2}',
        f'{{"annual_income": {"9" * 5_000}}}',
        '{"annual_income": 1e999}',
        "null",
        "[]",
        json.dumps({"applicant_id": "\ud800"}),
    ],
)
def test_what_is_wrong_with_one_application_does_not_stop_the_batch(fault: str) -> None:
    sound = a_body()

    assert applications_in(f'{{"applications": [{sound}, {fault}]}}') == (sound, fault)


@pytest.mark.parametrize(
    "body",
    [
        None,
        "",
        b"\xff",
        "[]",
        "7",
        "9" * 5_000,
        '{"applications": [{}]',
        '{"applications": [{},]}',
        '{"applications": [,{}]}',
        '{"applications": [{} {}]}',
        '{"applications": [{}]} x',
        '{"applications" [{}]}',
        "{applications: [{}]}",
        '{"applications": [NaN]}',
        '{"applications": [' + "[" * 100_000 + "]}",
    ],
)
def test_what_is_no_json_object_is_refused_as_a_whole(body: str | bytes | None) -> None:
    assert list(faults_of(body)) == ["$"]


@pytest.mark.parametrize("applications", ["[]", "{}", "null", '"text"', "[" + "1," * 100 + "1]"])
def test_a_batch_lists_from_1_to_100_applications(applications: str) -> None:
    assert faults_of(f'{{"applications": {applications}}}') == {
        "applications": f"must list from 1 to {LARGEST_BATCH} applications"
    }


def test_a_batch_has_applications() -> None:
    assert faults_of("{}") == {"applications": "is required"}


def test_all_faults_of_a_batch_are_told_at_once() -> None:
    body = '{"applications": [1], "applications": [2], "priority": 1, "a b": 2}'

    assert faults_of(body) == {
        "applications": "is given more than once",
        "priority": "is not a field of a batch",
        "(unusual name)": "is not a field of a batch",
    }


def test_a_name_may_be_written_with_escapes() -> None:
    assert applications_in(r'{"\u0061pplications": [1]}') == ("1",)


def test_a_batch_has_as_much_room_as_its_applications_alone() -> None:
    largest = a_body(applicant_id="a" * 16_000)
    full = '{"applications": [' + ",".join([largest] * 100) + "]}"
    assert len(applications_in(full)) == 100

    with pytest.raises(BodyTooLargeError):
        applications_in(full + " " * (MAXIMUM_BATCH_BYTES - len(full) + 1))
