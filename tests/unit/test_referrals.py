"""The referral queue: who waits in it, in which order, and what is told of them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_core.domain.application import APPLICATION_ID_PATTERN
from credit_core.domain.online_store import timestamp_text
from credit_core.domain.referrals import (
    LARGEST_PAGE,
    SHARDS,
    USUAL_PAGE,
    WAITING,
    Place,
    referral,
    shard_of,
    waiting,
)
from credit_core.errors import InvalidRequestError
from credit_core.use_cases.referrals import PageAsked, waiting_referrals
from tests.builders import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from credit_core.domain.application_records import StoredRecord

IDS = st.from_regex(APPLICATION_ID_PATTERN, fullmatch=True)
PLACES = st.builds(Place, st.datetimes().map(lambda at: f"{at.isoformat()[:19]}.000Z"), IDS)


def a_record(application_id: str = "loan-1", **changes: Any) -> dict[str, Any]:
    response = {
        "application_id": application_id,
        "cause": {"code": "between_cutoffs", "detail": "a person decides", "retryable": False},
        "decided_by": {"kind": "cutoff", "code": "between_cutoffs"},
        "probability_of_default": 0.1122,
        "points": 561.25,
        "risk_band": "D",
        "reasons": [{"text": "Number of recent inquiries"}],
        "feature_status": {},
        "model": {"version": "v1", "sha256": "0" * 64, "role": "champion"},
        "policy_version": "2026-11-2",
    }
    record = {
        "application_id": application_id,
        "record": "decision",
        "decided_at": timestamp_text(NOW),
        "revision": 1,
        "response": json.dumps(response),
    }
    return record | changes


class Waiting:
    """A queue in memory."""

    def __init__(self, records: Sequence[StoredRecord]) -> None:
        self._records = sorted(records, key=Place.of)

    def waiting(
        self, *, after: Place | None, as_of: datetime, at_once: int
    ) -> Iterator[StoredRecord]:
        assert as_of == NOW
        assert at_once > 0
        return (it for it in self._records if after is None or Place.of(it) > after)


def page(queue: Waiting, **parameters: str) -> dict[str, Any]:
    document = waiting_referrals(queue, PageAsked.of(parameters), as_of=NOW)
    found: dict[str, Any] = json.loads(document)
    return found


def test_the_pages_are_the_queue() -> None:
    records = [
        a_record(f"loan-{place}", decided_at=timestamp_text(NOW - timedelta(minutes=place // 3)))
        for place in range(20)
    ]
    queue = Waiting(records)

    found = page(queue, limit="7")
    told = list(found["referrals"])
    while found["next"]:
        found = page(queue, limit="7", after=found["next"])
        told += found["referrals"]

    assert told == [referral(record) for record in sorted(records, key=Place.of)]


def test_a_full_last_page_has_no_next_one() -> None:
    queue = Waiting([a_record(f"loan-{place}") for place in range(USUAL_PAGE)])

    found = page(queue)

    assert len(found["referrals"]) == USUAL_PAGE
    assert found["next"] is None


def test_an_empty_queue_is_an_empty_page() -> None:
    assert page(Waiting([])) == {"referrals": [], "next": None}


def test_what_is_told_is_what_was_decided_and_nothing_of_the_applicant() -> None:
    assert referral(a_record()) == {
        "application_id": "loan-1",
        "revision": 1,
        "decided_at": timestamp_text(NOW),
        "cause": {"code": "between_cutoffs", "detail": "a person decides", "retryable": False},
        "decided_by": {"kind": "cutoff", "code": "between_cutoffs"},
        "probability_of_default": 0.1122,
        "points": 561.25,
        "risk_band": "D",
        "policy_version": "2026-11-2",
        "model_version": "v1",
    }


@pytest.mark.parametrize("response", ["", "[]", "[" * 100_000, "{not json", None, 7])
def test_a_decision_that_cant_be_read_is_told_of_all_the_same(response: object) -> None:
    told = referral(a_record(response=response))

    assert told["application_id"] == "loan-1"
    assert told["cause"] is told["points"] is told["model_version"] is None


@pytest.mark.parametrize("outcome", ["approve", "decline"])
def test_what_was_decided_waits_for_nobody(outcome: str) -> None:
    assert waiting({"application_id": "loan-1", "outcome": outcome}) == {}


@given(IDS)
def test_a_referral_waits_in_the_shard_of_its_id(application_id: str) -> None:
    found = waiting({"application_id": application_id, "outcome": "refer"})

    assert found == {WAITING: shard_of(application_id)}
    assert found[WAITING] in {str(shard) for shard in range(SHARDS)}


def test_the_shards_are_about_even() -> None:
    """Of the ids that clients count up, too."""
    counts = dict.fromkeys(map(str, range(SHARDS)), 0)
    for number in range(8_000):
        counts[shard_of(f"loan-{number}")] += 1

    assert 700 < min(counts.values()) <= max(counts.values()) < 1_300


@given(PLACES)
def test_a_cursor_is_a_place(place: Place) -> None:
    assert Place.at(place.cursor) == place


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        *(({"limit": text}, "limit") for text in ("0", "101", "-1", "+1", "1.0", "", "x", "²")),
        ({"limit": "1" * 5_000}, "limit"),
        *(({"after": text}, "after") for text in ("", "loan-1", "2026-11-22_loan-1")),
        ({"after": "2026-11-22T10:55:03.193Z_a/b"}, "after"),
        ({"after": "2026-11-22T10:55:03.193Z_a\n"}, "after"),
        ({"page": "2"}, "page"),
        ({"4711 Main Street": "2"}, "(unusual name)"),
    ],
)
def test_a_parameter_at_fault_is_named(parameters: dict[str, str], path: str) -> None:
    with pytest.raises(InvalidRequestError) as found:
        PageAsked.of(parameters)

    assert [fault.path for fault in found.value.faults] == [path]


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(InvalidRequestError) as found:
        PageAsked.of({"limit": str(LARGEST_PAGE + 1), "after": "x", "offset": "1"})

    assert {fault.path for fault in found.value.faults} == {"limit", "after", "offset"}
