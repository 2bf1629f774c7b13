"""Reviews and outcomes beside a decision: once, consistent, in one order."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_core.domain.application_records import ApplicationRecords
from credit_core.domain.loan_outcome import LoanOutcome, date_fault, read_outcome_report
from credit_core.domain.review import ReviewReader, adverse_action_codes
from credit_core.errors import (
    ApplicationUnknownError,
    CreditScoringError,
    DamagedReceiptError,
    InvalidRequestError,
    RecordConflictError,
    StoreUnavailableError,
)
from credit_core.use_cases.records import Recorded, records_of, report_outcome, review_decision
from tests.builders import NOW, PRODUCT
from tests.builders_records import FakeRecordStore, a_review_body, an_outcome_body

LATER = NOW + timedelta(days=1)
CODE = adverse_action_codes(PRODUCT)[0]
read_review = ReviewReader(PRODUCT)


@pytest.fixture
def store() -> FakeRecordStore:
    """A store with one referred application."""
    store = FakeRecordStore()
    store.decide("refer")
    return store


def review(
    store: FakeRecordStore,
    *,
    application_id: str = "application-1",
    as_of: datetime = LATER,
    **changes: object,
) -> Recorded:
    return review_decision(
        store,
        read_review(a_review_body(**changes)),
        application_id=application_id,
        client_id="desk-client",
        as_of=as_of,
    )


def report(store: FakeRecordStore, *, as_of: datetime = LATER, **changes: object) -> Recorded:
    return report_outcome(
        store,
        read_outcome_report(an_outcome_body(**changes)),
        client_id="servicing-client",
        as_of=as_of,
    )


def document_of(store: FakeRecordStore) -> dict[str, Any]:
    return dict(json.loads(records_of(store, "application-1").as_text()))


def test_before_any_review_the_decision_stands(store: FakeRecordStore) -> None:
    document = document_of(store)

    assert document["standing"] == {
        "outcome": "refer",
        "by": "model",
        "at": "2026-11-20T12:00:00.000Z",
    }
    assert (document["reviews"], document["outcomes"], document["superseded"]) == ([], [], [])


def test_a_review_stands_and_the_decision_stays_as_it_was(store: FakeRecordStore) -> None:
    before = store.applications["application-1"].decision

    recorded = review(store)

    assert recorded.created
    assert store.applications["application-1"].decision == before
    document = document_of(store)
    assert document["standing"] == {
        "outcome": "approve",
        "by": "person",
        "at": "2026-11-21T12:00:00.000Z",
    }
    assert document["reviews"] == [
        {
            "application_id": "application-1",
            "review_id": "review-1",
            "revision": 1,
            "outcome": "approve",
            "reviewer": "a.smith",
            "reason": "Pay slips show a higher income",
            "adverse_action_codes": [],
            "client_id": "desk-client",
            "decided_at": "2026-11-20T12:00:00.000Z",
            "reviewed_at": "2026-11-21T12:00:00.000Z",
        }
    ]


def test_the_decisions_text_is_embedded_as_it_was_answered(store: FakeRecordStore) -> None:
    records = records_of(store, "application-1")

    assert records.decision.document in records.as_text()


def test_the_last_review_stands_whatever_the_clocks_say(store: FakeRecordStore) -> None:
    review(store, review_id="first", outcome="approve", as_of=LATER)
    review(
        store,
        review_id="second",
        outcome="decline",
        adverse_action_codes=[CODE],
        as_of=LATER - timedelta(hours=1),
    )

    assert document_of(store)["standing"]["outcome"] == "decline"


@pytest.mark.parametrize("outcome", ["approve", "decline", "refer"])
def test_any_decision_can_be_reviewed(outcome: str) -> None:
    store = FakeRecordStore()
    store.decide(outcome)

    assert review(store).created


def test_a_repeated_review_is_answered_with_the_same_text(store: FakeRecordStore) -> None:
    first = review(store)

    again = review(store, as_of=LATER + timedelta(days=1))

    assert again == Recorded(first.document, created=False)
    assert len(document_of(store)["reviews"]) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"revision": 2},
        {"outcome": "decline", "adverse_action_codes": [CODE]},
        {"reason": "Another one"},
        {"reviewer": "b.jones"},
    ],
)
def test_a_review_id_stands_for_one_review(store: FakeRecordStore, change: dict[str, Any]) -> None:
    review(store)

    with pytest.raises(RecordConflictError, match="review/review-1"):
        review(store, **change)


@pytest.mark.parametrize("revision", [1, 3])
def test_only_the_decision_that_the_person_saw_is_reviewed(
    store: FakeRecordStore, revision: int
) -> None:
    store.decide("refer", revision=2)

    with pytest.raises(RecordConflictError, match="of revision 2 now; look at it first"):
        review(store, revision=revision)
    assert review(store, revision=2).created


def test_a_decision_made_again_between_look_and_review_is_not_reviewed(
    store: FakeRecordStore,
) -> None:
    store.before_add = lambda: store.decide("approve", revision=2)

    with pytest.raises(RecordConflictError, match="decided again meanwhile"):
        review(store)


@pytest.mark.parametrize("outcome", LoanOutcome)
def test_what_has_an_outcome_is_not_reviewed_any_more(outcome: LoanOutcome) -> None:
    store = FakeRecordStore()
    store.decide("approve")
    earlier = review(store)
    report(store, outcome=outcome)

    with pytest.raises(RecordConflictError, match=f"^{outcome} was reported before$"):
        review(store, review_id="review-2")
    assert review(store) == Recorded(earlier.document, created=False)


def test_what_was_never_decided_cannot_be_reviewed(store: FakeRecordStore) -> None:
    with pytest.raises(ApplicationUnknownError):
        review(store, application_id="application-2")
    with pytest.raises(ApplicationUnknownError):
        report(store, application_id="application-2")
    with pytest.raises(ApplicationUnknownError):
        records_of(store, "application-2")


def test_a_review_that_lost_a_race_is_added_to_what_is_there_then(store: FakeRecordStore) -> None:
    def somebody_else() -> None:
        store.before_add = lambda: None
        review(store, review_id="theirs")

    store.before_add = somebody_else

    assert review(store, review_id="mine").created
    assert [found["review_id"] for found in document_of(store)["reviews"]] == ["theirs", "mine"]


def test_the_same_review_sent_twice_at_once_is_recorded_once(store: FakeRecordStore) -> None:
    def the_other_call() -> None:
        store.before_add = lambda: None
        review(store)

    store.before_add = the_other_call

    assert not review(store).created
    assert len(document_of(store)["reviews"]) == 1


def test_an_application_that_never_rests_is_unavailable(store: FakeRecordStore) -> None:
    numbers = iter(range(1_000))

    def somebody_else() -> None:
        store.before_add, meanwhile = (lambda: None), store.before_add
        review(store, review_id=f"theirs-{next(numbers)}")
        store.before_add = meanwhile

    store.before_add = somebody_else

    with pytest.raises(StoreUnavailableError):
        review(store, review_id="mine")


def test_an_approved_loan_is_repaid(store: FakeRecordStore) -> None:
    review(store, outcome="approve")

    recorded = report(store, outcome="repaid", date="2026-11-21")

    assert json.loads(recorded.document) == {
        "application_id": "application-1",
        "outcome": "repaid",
        "date": "2026-11-21",
        "client_id": "servicing-client",
        "reported_at": "2026-11-21T12:00:00.000Z",
    }
    assert document_of(store)["outcomes"] == [json.loads(recorded.document)]
    assert document_of(store)["standing"]["outcome"] == "approve"


@pytest.mark.parametrize("outcome", ["repaid", "defaulted"])
def test_what_was_not_approved_is_neither_repaid_nor_defaulted(
    store: FakeRecordStore, outcome: str
) -> None:
    with pytest.raises(RecordConflictError, match="what stands is refer"):
        report(store, outcome=outcome)


def test_any_application_can_be_withdrawn(store: FakeRecordStore) -> None:
    assert report(store, outcome="withdrawn").created


def test_a_withdrawn_application_has_no_loan() -> None:
    store = FakeRecordStore()
    store.decide("approve")
    report(store, outcome="withdrawn")

    with pytest.raises(RecordConflictError, match="withdrawn was reported before"):
        report(store, outcome="repaid")


def test_a_loan_is_not_withdrawn() -> None:
    store = FakeRecordStore()
    store.decide("approve")
    report(store, outcome="defaulted")

    with pytest.raises(RecordConflictError, match="defaulted was reported before"):
        report(store, outcome="withdrawn")


EARLY, SAME, LATE = "2026-11-20", "2026-11-21", "2026-11-22"


@pytest.mark.parametrize(
    ("first", "second", "days"),
    [
        # A recovery comes with the default or after it, ...
        ("defaulted", "repaid", {EARLY: False, SAME: True, LATE: True}),
        # ... and a repayment ends a loan: a default that is told late lies before it.
        ("repaid", "defaulted", {EARLY: True, SAME: False, LATE: False}),
        ("withdrawn", "repaid", {EARLY: False, SAME: False, LATE: False}),
        ("withdrawn", "defaulted", {EARLY: False, SAME: False, LATE: False}),
        ("repaid", "withdrawn", {EARLY: False, SAME: False, LATE: False}),
        ("defaulted", "withdrawn", {EARLY: False, SAME: False, LATE: False}),
    ],
)
@pytest.mark.parametrize("day", [EARLY, SAME, LATE])
def test_outcomes_follow_each_other_as_they_can(
    first: str, second: str, days: dict[str, bool], day: str
) -> None:
    store = FakeRecordStore()
    store.decide("approve")
    report(store, outcome=first, date=SAME)

    if days[day]:
        assert report(store, outcome=second, date=day).created
        return
    with pytest.raises(RecordConflictError):
        report(store, outcome=second, date=day)


@given(st.permutations(list(LoanOutcome)), st.lists(st.integers(0, 2), min_size=3, max_size=3))
def test_whatever_is_reported_in_whatever_order_the_history_can_be(
    outcomes: list[LoanOutcome], days: list[int]
) -> None:
    store = FakeRecordStore()
    store.decide("approve")
    for outcome, day in zip(outcomes, days, strict=True):
        with suppress(RecordConflictError):
            report(store, outcome=outcome, date=[EARLY, SAME, LATE][day])

    told = {found["outcome"]: found["date"] for found in document_of(store)["outcomes"]}
    assert "withdrawn" not in told or len(told) == 1
    if len(told) == 2:
        assert told["defaulted"] <= told["repaid"]


@pytest.mark.parametrize("document", ["{", "{}", '{"date": 7}', '{"date": "today"}'])
def test_after_an_outcome_that_cannot_be_read_none_is_added(document: str) -> None:
    store = FakeRecordStore()
    store.decide("approve")
    report(store, outcome="defaulted")
    found = store.applications["application-1"]
    damaged = replace(found.outcomes[0], document=document)
    store.applications["application-1"] = replace(found, outcomes=(damaged,))

    with pytest.raises(DamagedReceiptError):
        report(store, outcome="repaid")


def test_a_repeated_report_is_answered_with_the_same_text_whatever_stands_now() -> None:
    store = FakeRecordStore()
    store.decide("approve")
    first = report(store, outcome="defaulted")
    report(store, outcome="repaid")

    again = report(store, outcome="defaulted", as_of=LATER + timedelta(days=3))

    assert again == Recorded(first.document, created=False)


def test_another_date_is_a_conflict() -> None:
    store = FakeRecordStore()
    store.decide("approve")
    report(store, date="2026-11-20")

    with pytest.raises(RecordConflictError):
        report(store, date="2026-11-21")


@pytest.mark.parametrize(
    ("day", "fault"),
    [
        ("2026-11-18", "is before the decision"),
        ("2026-11-20", None),
        ("2026-11-21", None),
        # Noon in UTC: it is the next day already where clocks are ahead by 14 hours.
        ("2026-11-22", None),
        ("2026-11-23", "is in the future"),
        ("9999-12-31", "is in the future"),
        ("0001-01-01", "is before the decision"),
    ],
)
def test_an_outcome_lies_between_the_decision_and_now(day: str, fault: str | None) -> None:
    store = FakeRecordStore()
    store.decide("approve")

    if fault is None:
        assert report(store, date=day).created
        return
    with pytest.raises(RecordConflictError, match=f"^date {fault}$"):
        report(store, date=day)


@given(st.integers(-12 * 60, 14 * 60), st.timedeltas(timedelta(0), timedelta(days=4_000)))
def test_today_is_a_fair_date_wherever_the_lender_is(minutes: int, after: timedelta) -> None:
    now = NOW + after
    today = (now + timedelta(minutes=minutes)).date()

    assert date_fault(today, decided_at=now, as_of=now) is None


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"application_id": "a b"}, "application_id"),
        ({"outcome": "late"}, "outcome"),
        ({"date": "2026-02-30"}, "date"),
        ({"date": "20261120"}, "date"),
        ({"date": "2026-11-20T00:00:00Z"}, "date"),
        ({"date": "\u0662026-11-20"}, "date"),
        ({"date": 1_700_000_000}, "date"),
        ({"amount": 5}, "amount"),
    ],
)
def test_a_fault_of_a_report_is_named_by_its_path(changes: dict[str, object], path: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_outcome_report(an_outcome_body(**changes))

    assert [fault.path for fault in caught.value.faults] == [path]


@pytest.mark.parametrize("document", ["", "{", "[]", '"text"', "null"])
def test_a_damaged_record_is_told_as_such(store: FakeRecordStore, document: str) -> None:
    found = store.applications["application-1"]
    damaged = type(found.decision)("decision", "refer", found.decision.at, document)
    store.applications["application-1"] = ApplicationRecords("application-1", damaged, revision=1)

    with pytest.raises(DamagedReceiptError):
        records_of(store, "application-1").as_text()


def test_a_decision_without_a_time_has_no_outcome(store: FakeRecordStore) -> None:
    found = store.applications["application-1"]
    damaged = type(found.decision)("decision", "approve", "yesterday", "{}")
    store.applications["application-1"] = ApplicationRecords("application-1", damaged, revision=1)

    with pytest.raises(DamagedReceiptError):
        report(store)


def test_a_message_holds_no_free_text(store: FakeRecordStore) -> None:
    review(store, reason="canary reason", reviewer="canary reviewer")

    with pytest.raises(CreditScoringError) as caught:
        review(store, reason="another canary")

    assert "canary" not in str(caught.value)


def test_times_are_in_utc(store: FakeRecordStore) -> None:
    recorded = review(store, as_of=datetime(2026, 11, 21, 12, tzinfo=UTC))

    assert json.loads(recorded.document)["reviewed_at"].endswith("Z")
