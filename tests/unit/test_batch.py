"""A batch: each application judged as if it had come alone."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from credit_core.adapters.stopwatch import Stopwatch
from credit_core.errors import (
    ApplicationConflictError,
    InvalidRequestError,
    StoreUnavailableError,
)
from credit_core.use_cases.batch import ScoreBatch
from credit_core.use_cases.score import Answer
from tests.builders import NOW, AScorer, a_body, a_scorer, a_timer

if TYPE_CHECKING:
    from collections.abc import Sequence


def judge(scorer: AScorer, *bodies: str, threads: int = 4) -> list[Answer | Exception]:
    batch = ScoreBatch(scorer.score, threads=threads, now=lambda: NOW, timer=lambda _: a_timer())
    return batch(bodies, timer=a_timer())


def texts(answers: Sequence[Answer | Exception]) -> list[str]:
    assert all(isinstance(answer, Answer) for answer in answers), answers
    return [answer.body for answer in answers if isinstance(answer, Answer)]


def bodies(count: int) -> list[str]:
    return [a_body(application_id=f"application-{number}") for number in range(count)]


def test_answers_are_those_of_single_calls_in_the_order_of_the_batch() -> None:
    alone = a_scorer()
    applications = bodies(20)

    answers = judge(a_scorer(), *applications)

    assert texts(answers) == [alone.answer(body) for body in applications]


def test_a_faulty_application_harms_no_other() -> None:
    first, _, third = bodies(3)

    answers = judge(a_scorer(), first, a_body(annual_income=-1), third)

    assert [type(answer) for answer in answers] == [Answer, InvalidRequestError, Answer]


def test_an_unexpected_fault_harms_no_other() -> None:
    scorer = a_scorer()
    faults = iter([None, ZeroDivisionError("4711"), None])

    def before_write() -> None:
        fault = next(faults)
        if fault:
            raise fault

    scorer.store.before_write = before_write

    answers = judge(scorer, *bodies(3), threads=1)

    assert [type(answer) for answer in answers] == [Answer, ZeroDivisionError, Answer]


def test_the_same_application_twice_is_decided_once() -> None:
    scorer = a_scorer()

    first, second = judge(scorer, a_body(), a_body())

    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert first.body == second.body
    assert [first.replayed, second.replayed] == [False, True]
    assert len(scorer.store.receipts) == 1


@pytest.mark.parametrize("threads", [1, 8])
def test_of_two_bodies_under_one_id_the_first_is_decided(threads: int) -> None:
    scorer = a_scorer()
    others = bodies(10)

    answers = judge(
        scorer, a_body(loan_amount=9_000), *others, a_body(loan_amount=9_001), threads=threads
    )

    assert isinstance(answers[0], Answer)
    assert isinstance(answers[-1], ApplicationConflictError)
    assert json.loads(scorer.store.receipts["application-1"].request)["loan_amount"] == 9_000


def test_a_batch_finds_what_a_single_call_decided() -> None:
    scorer = a_scorer()
    decided = scorer.answer(a_body())

    assert texts(judge(scorer, a_body())) == [decided]


def test_several_applications_are_judged_at_once() -> None:
    all_are_here = threading.Barrier(4, timeout=10)

    def score(_body: str, **_others: object) -> Answer:
        all_are_here.wait()
        return Answer("{}", "refer", replayed=False)

    batch = ScoreBatch(score, threads=4, now=lambda: NOW, timer=lambda _: a_timer())

    assert len(texts(batch(bodies(4), timer=a_timer()))) == 4


def test_what_has_not_begun_in_time_is_not_judged() -> None:
    seconds = iter(range(100))
    scorer = a_scorer()
    batch = ScoreBatch(scorer.score, threads=1, now=lambda: NOW, timer=lambda _: a_timer())

    answers = batch(
        bodies(5), timer=Stopwatch(deadline_ms=3_500, clock=lambda: float(next(seconds)))
    )

    assert [type(answer) for answer in answers] == [Answer] * 3 + [StoreUnavailableError] * 2
    assert len(scorer.store.receipts) == 3


def test_no_application_may_take_longer_than_the_batch_has_left() -> None:
    left = []

    def timer(seconds: float) -> Stopwatch:
        left.append(seconds)
        return a_timer()

    batch = ScoreBatch(a_scorer().score, threads=1, now=lambda: NOW, timer=timer)
    batch(bodies(2), timer=Stopwatch(deadline_ms=2_000))

    assert 0 < left[1] <= left[0] <= 2


def test_each_application_is_decided_at_its_own_instant() -> None:
    instants = iter([NOW, NOW + timedelta(seconds=5)])
    batch = ScoreBatch(
        a_scorer().score, threads=1, now=lambda: next(instants), timer=lambda _: a_timer()
    )

    answers = texts(batch(bodies(2), timer=a_timer()))

    assert [json.loads(answer)["decided_at"] for answer in answers] == [
        "2026-11-20T12:00:00.000Z",
        "2026-11-20T12:00:05.000Z",
    ]
