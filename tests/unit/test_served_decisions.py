from __future__ import annotations

from datetime import date, timedelta

from credit_core.domain.loan_outcome import LoanOutcome
from credit_core.domain.receipt_archive import Days
from tests.builders import NOW
from tests.builders_evidence import A_YEAR_AGO, Trial

THAT_DAY = Days(A_YEAR_AGO.date(), A_YEAR_AGO.date())


def test_a_decision_comes_with_what_became_of_it_whenever_that_was_reported() -> None:
    trial = Trial()
    trial.decide("a")
    trial.report("a", LoanOutcome.DEFAULTED, on=date(2026, 3, 1), at=NOW)

    (found,) = trial.decisions(days=THAT_DAY)

    assert found.reported == {LoanOutcome.DEFAULTED: date(2026, 3, 1)}
    assert found.receipt["application_id"] == found.application_id == "a"


def test_decisions_of_other_days_are_left_out() -> None:
    trial = Trial()
    trial.decide("before", at=A_YEAR_AGO - timedelta(days=1))
    trial.decide("a")
    trial.decide("after", at=A_YEAR_AGO + timedelta(days=1))

    found = trial.decisions(days=THAT_DAY)

    assert [decision.application_id for decision in found] == ["a"]
    assert found.made == 1


def test_the_last_decision_on_an_application_counts_on_its_own_day() -> None:
    trial = Trial()
    first = trial.decide("a")
    second = trial.decide("a", at=A_YEAR_AGO + timedelta(days=1))
    trial.archive.objects.clear()
    trial.archive.add(first)
    trial.archive.add({**second, "revision": 2})

    assert list(trial.decisions(days=THAT_DAY)) == []
    (found,) = trial.decisions()
    assert found.receipt["revision"] == 2


def test_a_persons_word_stands() -> None:
    trial = Trial()
    record = trial.decide("a", annual_income=1_000)
    trial.review("a", "refer")
    trial.review("a", "approve")

    (found,) = trial.decisions()

    assert record["outcome"] != "approve"
    assert found.standing == "approve"


def test_where_not_all_are_read_chance_takes_some_and_outcomes_are_read_beside_them() -> None:
    trial = Trial()
    for number in range(40):
        trial.decide(f"a{number}")
    for number in range(30, 40):
        trial.report(f"a{number}", LoanOutcome.REPAID)

    found = trial.decisions(most=12)
    read = list(found)

    assert sum(each.sampled for each in read) == found.sampled == 12
    assert sum(bool(each.reported) for each in read) == 10
    assert found.unread == found.made - len(read) == 40 - len(read)
    assert [each.application_id for each in read] == [
        each.application_id for each in trial.decisions(most=12)
    ]


def test_what_cannot_be_read_is_counted() -> None:
    trial = Trial()
    trial.decide("a")
    trial.decide("b")
    trial.report("b", LoanOutcome.REPAID)
    for key in trial.archive.objects:
        if "outcome" in key or "application=a/" in key:
            trial.archive.objects[key] = b"{]"

    found = trial.decisions()

    assert list(found) == []
    assert found.damaged == 2
