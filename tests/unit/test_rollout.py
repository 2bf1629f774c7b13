"""Who answers an applicant while two models are compared, and what is kept of the other one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_core.domain.application import Application
from credit_core.domain.decision import counts_of
from credit_core.domain.metrics import Metric
from credit_core.domain.model_manifest import Role
from credit_core.domain.policy import points
from credit_core.domain.policy_definition import Outcome
from credit_core.domain.rollout import Shadow, applicant_draw
from credit_core.errors import DamagedReceiptError, ModelOutputError
from credit_core.use_cases.score import SHADOW_NEEDS_SECONDS
from credit_core.use_cases.shadow import NO_TIME
from tests.builders import (
    NOW,
    PRODUCT,
    SECRET,
    WITHOUT_RULES,
    AScorer,
    LinearModel,
    a_body,
    a_manifest,
    a_model,
    a_scorer,
    a_timer,
    fresh_rows,
    key_of,
    stored,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from credit_core.domain.decision import Decision

BUREAU, REGION = PRODUCT.feature_views
ids = st.text(min_size=1, max_size=20)
shares = st.floats(0, 1)


ALONE: dict[str, Any] = {
    "entities": (),
    "feature_views": (),
    "derived_features": (),
    "policy": WITHOUT_RULES,
}
"""What makes of the product one that asks for all it needs."""


def an_application(applicant: str, application: str = "application-1") -> Application:
    return Application(application, {"applicant_id": applicant, "addr_state": "CA"}, {}, "{}")


def draw(
    applicant: str, *, application: str = "application-1", challenger: str = "v2", **changes: Any
) -> float:
    product = replace(PRODUCT, **changes) if changes else PRODUCT
    return applicant_draw(
        product, an_application(applicant, application), challenger=challenger, secret=SECRET
    )


def a_challenger(*, intercept: float = -2.5, loan_amount: float = 0.0) -> LinearModel:
    """Return a model of version v2 that refers everybody, unless told otherwise."""
    return LinearModel(
        a_model(loan_amount=loan_amount).weights,
        intercept=intercept,
        manifest=a_manifest(version="v2", onnx_sha256="2" * 64),
        manifest_sha256="3" * 64,
    )


class Silent(LinearModel):
    """A model that answers nothing that is a probability."""

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        raise ModelOutputError(f"{len(matrix)} answers lie outside 0 to 1")


class Broken(LinearModel):
    """A model that fails in a way that nobody thought of."""

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        raise RuntimeError(str(len(matrix)))


class Unexplained(LinearModel):
    """A model that answers one applicant, and not the rows from which reasons come."""

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        if len(matrix) > 1:
            raise ModelOutputError("no reasons")
        return super().log_odds(matrix)


def failing(kind: type[LinearModel]) -> LinearModel:
    known = a_challenger()
    return kind(known.weights, manifest=known.manifest, manifest_sha256=known.manifest_sha256)


def shadow_in(scorer: AScorer) -> Shadow:
    (receipt,) = scorer.store.receipts.values()
    assert receipt.shadow is not None
    return Shadow.from_receipt(receipt.shadow)


# --- assignment ----------------------------------------------------------------------------


@given(ids, ids, ids)
def test_an_applicant_draws_the_same_number_however_often_they_apply(
    applicant: str, one: str, other: str
) -> None:
    assert draw(applicant, application=one) == draw(applicant, application=other)


@given(ids, shares, shares)
def test_a_greater_share_takes_nobody_away(applicant: str, one: float, other: float) -> None:
    smaller, greater = sorted((one, other))
    number = draw(applicant)

    assert (number < greater) or not (number < smaller)


@given(ids)
def test_a_share_of_nothing_is_nobody_and_of_all_everybody(applicant: str) -> None:
    number = draw(applicant)

    assert not number < 0.0
    assert number < 1.0


def test_draws_are_uniform_and_of_two_challengers_independent() -> None:
    """With 20,000 applicants a tenth is a tenth within five standard errors."""
    count = 20_000
    one = np.array([draw(f"applicant-{number}") for number in range(count)])
    two = np.array([draw(f"applicant-{number}", challenger="v3") for number in range(count)])
    error = 5 * np.sqrt(0.1 * 0.9 / count)

    for edge in np.arange(0.0, 1.0, 0.1):
        assert np.mean((one >= edge) & (one < edge + 0.1)) == pytest.approx(0.1, abs=error)
    assert np.mean((one < 0.1) & (two < 0.1)) == pytest.approx(0.01, abs=error)
    assert abs(np.corrcoef(one, two)[0, 1]) < 5 / np.sqrt(count)


def test_the_draw_takes_the_secret() -> None:
    """Who knows ids and versions alone can't tell, or choose, who is tried on."""
    application = an_application("applicant-1")
    draws = {
        applicant_draw(PRODUCT, application, challenger="v2", secret=secret)
        for secret in (SECRET, SECRET[::-1])
    }

    assert len(draws) == 2


def test_without_entities_each_application_is_an_applicant() -> None:
    one, other = (draw("applicant-1", application=name, **ALONE) for name in ("first", "second"))

    assert one != other
    assert one == draw("applicant-2", application="first", **ALONE)


# --- shadow --------------------------------------------------------------------------------


def test_without_a_challenger_nothing_is_recorded_beside_the_decision() -> None:
    scorer = a_scorer()
    scorer()

    (receipt,) = scorer.store.receipts.values()
    assert receipt.shadow is None
    assert "shadow" not in receipt.as_record()
    assert "shadow" not in json.loads(receipt.stage_ms)


def test_a_challenger_in_shadow_is_recorded_and_never_answered() -> None:
    alone, tried = a_scorer(), a_scorer(challenger=a_challenger())

    assert tried.answer() == alone.answer()
    shadow = shadow_in(tried)
    assert shadow.probability_of_default == pytest.approx(1 / (1 + np.exp(2.5)))
    assert shadow.points == pytest.approx(points(PRODUCT.policy, -2.5), abs=0.005)
    assert (shadow.role, shadow.version) == (Role.CHALLENGER, "v2")
    assert (shadow.sha256, shadow.manifest_sha256) == ("2" * 64, "3" * 64)
    assert (shadow.outcome, shadow.fault) == (Outcome.REFER, None)
    assert json.loads(shadow.as_receipt()).keys() == {
        "role", "version", "sha256", "manifest_sha256",
        "probability_of_default", "points", "outcome", "fault",
    }  # fmt: skip


def test_a_shadow_has_the_probability_that_it_would_have_answered_with() -> None:
    """The champion in another one's shadow says what it says when it answers."""
    champion = a_model(loan_amount=1e-4, delinq_2yrs=0.5)
    alone: Any = a_scorer(model=champion)()
    tried = a_scorer(model=champion, challenger=a_challenger(), share=1.0)
    tried()

    shadow = shadow_in(tried)
    assert shadow.role is Role.CHAMPION
    assert shadow.probability_of_default == alone["probability_of_default"]
    assert (shadow.points, shadow.outcome) == (alone["points"], alone["outcome"])


def test_a_live_challenger_answers_with_reasons_and_its_name() -> None:
    challenger = a_challenger(loan_amount=3 / 12_000)
    decision: Any = a_scorer(challenger=challenger, share=1.0)()

    assert decision["outcome"] == "decline"
    assert decision["model"] == {"version": "v2", "sha256": "2" * 64, "role": "challenger"}
    assert [reason["feature"] for reason in decision["reasons"]] == ["loan_amount"]


@given(shares)
def test_the_share_decides_by_the_applicant_alone(share: float) -> None:
    scorer = a_scorer(challenger=a_challenger(), share=share)
    expected = "challenger" if draw("applicant-1") < share else "champion"

    for number in range(3):
        decision: Any = scorer(a_body(application_id=f"application-{number}"))
        assert decision["model"]["role"] == expected


@pytest.mark.parametrize(
    ("income", "past_due", "outcome"), [(5_000, 0, Outcome.DECLINE), (60_000, 4, Outcome.REFER)]
)
def test_rules_settle_the_outcome_of_both(income: int, past_due: int, outcome: Outcome) -> None:
    """Somebody whom a rule declines or refers is so by either model."""
    rows = fresh_rows() | {key_of(BUREAU): stored(BUREAU, acc_now_delinq=past_due)}
    scorer = a_scorer(rows=rows, challenger=a_challenger(intercept=-9.0))

    answered = scorer.score(a_body(annual_income=income), as_of=NOW, timer=a_timer())

    assert answered.outcome == outcome
    assert shadow_in(scorer).outcome is outcome
    assert answered.decision is not None
    assert answered.decision.shadow_agrees


def test_where_no_model_may_be_asked_none_is_recorded() -> None:
    scorer = a_scorer(rows={key_of(REGION): stored(REGION)}, challenger=a_challenger(), share=1.0)

    decision: Any = scorer()

    (receipt,) = scorer.store.receipts.values()
    assert (decision["cause"]["code"], decision["model"]) == ("features_missing", None)
    assert receipt.shadow is None


@pytest.mark.parametrize(
    ("kind", "fault"),
    [(Silent, "1 answers lie outside 0 to 1"), (Broken, "internal fault: RuntimeError at")],
)
def test_whatever_the_shadow_does_wrong_the_answer_is_the_same(
    kind: type[LinearModel], fault: str
) -> None:
    tried = a_scorer(challenger=failing(kind))

    assert tried.answer() == a_scorer().answer()
    shadow = shadow_in(tried)
    assert shadow.fault is not None
    assert shadow.fault.startswith(fault)
    assert (shadow.probability_of_default, shadow.points, shadow.outcome) == (None, None, None)


@pytest.mark.parametrize("kind", [Silent, Broken, Unexplained])
def test_where_a_live_challenger_fails_the_champion_answers(kind: type[LinearModel]) -> None:
    tried = a_scorer(challenger=failing(kind), share=1.0)

    decision = tried.score(a_body(), as_of=NOW, timer=a_timer()).decision

    assert decision is not None
    assert decision.as_response() == a_scorer()()
    assert decision.challenger_fault is not None
    assert (shadow_in(tried).role, shadow_in(tried).version) == (Role.CHALLENGER, "v2")


def test_a_champion_that_fails_refers_and_the_shadow_does_not_answer_for_it() -> None:
    champion = Silent(a_model().weights)
    scorer = a_scorer(model=champion, challenger=a_challenger(intercept=-9.0))

    decision: Any = scorer()

    assert decision["cause"]["code"] == "model_output_invalid"
    assert shadow_in(scorer).outcome is Outcome.APPROVE


def test_where_both_fail_it_is_not_the_challengers_failure() -> None:
    """An applicant whose numbers no model takes would otherwise end a rollout."""
    scorer = a_scorer(model=Silent(a_model().weights), challenger=failing(Silent), share=1.0)

    decision = scorer.score(a_body(), as_of=NOW, timer=a_timer()).decision

    assert decision is not None
    assert decision.as_response()["model"] == {
        "version": "v1",
        "sha256": "0" * 64,
        "role": "champion",
    }
    assert decision.judgement.cause is not None
    assert decision.challenger_fault is None
    assert counts_of([decision]) == {Metric.FAULT_REFERRALS: 1}


def test_what_is_counted_is_what_happened() -> None:
    def decided(challenger: LinearModel | None, share: float = 0.0) -> Decision:
        scorer = a_scorer(challenger=challenger, share=share)
        decision = scorer.score(a_body(), as_of=NOW, timer=a_timer()).decision
        assert decision is not None
        return decision

    one = [
        decided(None),
        decided(a_challenger(intercept=-3.0)),
        decided(a_challenger(), share=1.0),
        decided(failing(Silent)),
        decided(failing(Unexplained), share=1.0),
    ]

    assert counts_of(one[:1]) == {}
    assert counts_of(one) == {
        Metric.CHALLENGER_DECISIONS: 1,
        Metric.SHADOW_DECISIONS: 3,
        Metric.SHADOW_DISAGREEMENTS: 1,
        Metric.CHALLENGER_FAILURES: 2,
    }
    assert one[4].challenger_fault == "no reasons"


def test_a_champion_in_the_shadow_that_fails_does_not_touch_the_answer() -> None:
    scorer = a_scorer(model=Broken(a_model().weights), challenger=a_challenger(), share=1.0)

    answered = scorer.score(a_body(), as_of=NOW, timer=a_timer())

    assert answered.outcome == "refer"
    assert answered.decision is not None
    assert answered.decision.judgement.assessment is not None
    assert answered.decision.challenger_fault is None
    assert shadow_in(scorer).fault is not None


class ShortOfTime:
    """A timer whose deadline is nearly there."""

    def lap(self, stage: str) -> None:
        pass

    def stages_ms(self) -> dict[str, float]:
        return {}

    def remaining_seconds(self) -> float:
        return SHADOW_NEEDS_SECONDS


def test_when_time_is_short_the_answer_comes_first() -> None:
    scorer = a_scorer(challenger=a_challenger())

    answered = scorer.score(a_body(), as_of=NOW, timer=ShortOfTime())

    assert answered.outcome == "approve"
    assert shadow_in(scorer).fault == NO_TIME
    assert answered.decision is not None
    assert answered.decision.challenger_fault is None


@pytest.mark.parametrize(
    ("intercept", "agrees"), [(-3.0, True), (-2.5, False), (float("nan"), None)]
)
def test_agreement_is_of_outcomes(intercept: float, agrees: bool | None) -> None:  # noqa: FBT001 (a parameter of the test)
    challenger = failing(Silent) if intercept != intercept else a_challenger(intercept=intercept)  # noqa: PLR0124 (NaN)
    decision = a_scorer(challenger=challenger).score(a_body(), as_of=NOW, timer=a_timer()).decision

    assert decision is not None
    assert decision.shadow_agrees is agrees


# --- what a receipt keeps ------------------------------------------------------------------

WHOLE = Shadow(Role.CHALLENGER, "v2", "2" * 64, "3" * 64, 0.1, 600.0, Outcome.REFER)
FAILED = Shadow(Role.CHAMPION, "v1", "2" * 64, "3" * 64, fault="no answer")


@pytest.mark.parametrize("shadow", [WHOLE, FAILED])
def test_a_shadow_is_read_as_it_was_written(shadow: Shadow) -> None:
    assert Shadow.from_receipt(shadow.as_receipt()) == shadow


@pytest.mark.parametrize(
    "changes",
    [
        {"role": "third"},
        {"outcome": "perhaps"},
        {"outcome": None},
        {"probability_of_default": None},
        {"probability_of_default": "0.1"},
        {"points": True},
        {"version": 2},
        {"fault": "no answer"},
        {"fault": 1},
        {"surplus": 1},
    ],
)
def test_what_is_no_shadow_is_told(changes: dict[str, Any]) -> None:
    text = json.dumps(WHOLE.as_document() | changes)

    with pytest.raises(DamagedReceiptError, match="shadow cannot be read"):
        Shadow.from_receipt(text)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '"v2"'])
def test_a_text_that_is_no_shadow_is_told(text: str) -> None:
    with pytest.raises(DamagedReceiptError, match="shadow cannot be read"):
        Shadow.from_receipt(text)
