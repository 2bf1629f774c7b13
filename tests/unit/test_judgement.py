"""Hard rules come first, then the cut-offs; whatever cannot be known or trusted is referred."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from credit_core.domain.judgement import Cause, DeciderKind, Judge, Judgement, ReferralCause
from credit_core.domain.policy import band_of
from credit_core.domain.product import Band, Comparison, Condition, Outcome, Rule, RuleKind
from credit_core.domain.terms import Terms
from tests.builders import PRODUCT, LinearModel, a_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMES = [feature.name for feature in PRODUCT.model_features]
GOOD, BAD = a_model(), LinearModel(a_model(loan_amount=1e-4).weights, intercept=0.0)
STALE = Cause(ReferralCause.FEATURES_STALE, "bureau is stale")


def a_row(**values: float) -> NDArray[np.float64]:
    row = np.ones(len(NAMES))
    for name, value in values.items():
        row[NAMES.index(name)] = value
    return row


def a_rule(*when: Condition, outcome: Outcome = Outcome.DECLINE, **changes: Any) -> Rule:
    return replace(
        Rule(code="R", kind=RuleKind.LIMIT, when=when, outcome=outcome, text="It is too much"),
        **changes,
    )


def judged(
    row: NDArray[np.float64], *rules: Rule, model: LinearModel | None = GOOD, **arguments: Any
) -> Judgement:
    product = replace(PRODUCT, policy=replace(PRODUCT.policy, rules=rules))
    return Judge(Terms.of(product))(row, model, **arguments)


TOO_MUCH = Condition("loan_amount", Comparison.ABOVE, 10)
ON_UTILIZATION = Condition("revol_util", Comparison.AT_LEAST, 90)


@pytest.mark.parametrize(
    ("comparison", "below_at_above"),
    [
        (Comparison.BELOW, [True, False, False]),
        (Comparison.AT_MOST, [True, True, False]),
        (Comparison.ABOVE, [False, False, True]),
        (Comparison.AT_LEAST, [False, True, True]),
    ],
)
def test_a_rule_compares_as_it_says(comparison: Comparison, below_at_above: list[bool]) -> None:
    rule = a_rule(Condition("loan_amount", comparison, 10))

    declined = [
        judged(a_row(loan_amount=amount), rule).outcome is Outcome.DECLINE
        for amount in (np.nextafter(10, 0), 10, np.nextafter(10, 11))
    ]

    assert declined == below_at_above


def test_a_rule_looks_at_the_value_before_it_is_cast_for_the_model() -> None:
    """In float32 both amounts are 16,777,216."""
    rule = a_rule(Condition("loan_amount", Comparison.ABOVE, 16_777_216))

    assert judged(a_row(loan_amount=16_777_217), rule).outcome is Outcome.DECLINE
    assert judged(a_row(loan_amount=16_777_216), rule).outcome is Outcome.APPROVE


def test_a_declining_rule_is_stronger_than_the_best_probability() -> None:
    judgement = judged(a_row(loan_amount=11), a_rule(TOO_MUCH))

    assert judgement.outcome is Outcome.DECLINE
    assert (judgement.decided_by.kind, judgement.decided_by.code) == (DeciderKind.RULE, "R")
    (reason,) = judgement.reasons
    assert (reason.code, reason.text, reason.feature) == ("R", "It is too much", "loan_amount")
    assert reason.contribution_log_odds is None
    assert judgement.assessment is not None


def test_every_rule_that_declines_is_a_reason_up_to_four() -> None:
    rules = [a_rule(TOO_MUCH, code=f"R{number}") for number in range(6)]

    judgement = judged(a_row(loan_amount=11), *rules)

    assert [reason.code for reason in judgement.reasons] == ["R0", "R1", "R2", "R3"]


def test_all_conditions_of_a_rule_have_to_hold() -> None:
    rule = a_rule(TOO_MUCH, Condition("term_months", Comparison.AT_MOST, 12))

    assert judged(a_row(loan_amount=11, term_months=13), rule).outcome is Outcome.APPROVE
    assert judged(a_row(loan_amount=11, term_months=12), rule).outcome is Outcome.DECLINE


def test_a_rule_on_a_category_names_categories() -> None:
    rule = a_rule(Condition("verification_status", Comparison.ONE_OF, ("verified",)))

    assert judged(a_row(verification_status=2), rule).outcome is Outcome.DECLINE
    assert judged(a_row(verification_status=0), rule).outcome is Outcome.APPROVE


def test_a_rule_that_refers_leaves_it_to_a_person_and_a_declining_one_wins() -> None:
    refers = a_rule(TOO_MUCH, outcome=Outcome.REFER)

    judgement = judged(a_row(loan_amount=11), refers)

    assert (judgement.outcome, judgement.decided_by.kind) == (Outcome.REFER, DeciderKind.RULE)
    assert judgement.cause == Cause(ReferralCause.RULE, "rule R applies")
    both = judged(a_row(loan_amount=11), refers, a_rule(TOO_MUCH, code="D"))
    assert (both.outcome, both.decided_by.code) == (Outcome.DECLINE, "D")


@pytest.mark.parametrize(
    ("values", "assumed"), [({"revol_util": np.nan}, ()), ({"revol_util": 1}, ("revol_util",))]
)
def test_a_rule_that_cannot_be_checked_is_referred_unless_unknown_passes(
    values: dict[str, float], assumed: tuple[str, ...]
) -> None:
    row = a_row(**values)

    judgement = judged(row, a_rule(ON_UTILIZATION), assumed=assumed)

    assert judgement.outcome is Outcome.REFER
    assert judgement.cause == Cause(ReferralCause.RULE_UNCHECKED, "rule R cannot be checked")
    passing = judged(row, a_rule(ON_UTILIZATION, unknown_passes=True), assumed=assumed)
    assert passing.outcome is Outcome.APPROVE


def test_what_is_derived_from_an_assumed_default_does_not_decline() -> None:
    rule = a_rule(Condition("installment_debt_to_income", Comparison.ABOVE, 0.5))

    judgement = judged(a_row(), rule, assumed=("total_bal_il",))

    assert judgement.cause == Cause(ReferralCause.RULE_UNCHECKED, "rule R cannot be checked")


def test_a_condition_that_is_known_to_fail_settles_a_rule_with_unknown_ones() -> None:
    rule = a_rule(ON_UTILIZATION, TOO_MUCH)

    assert judged(a_row(revol_util=np.nan, loan_amount=9), rule).outcome is Outcome.APPROVE


def test_a_rule_declines_even_where_the_model_could_not_be_asked() -> None:
    judgement = judged(a_row(loan_amount=11), a_rule(TOO_MUCH), model=None, fault=STALE)

    assert (judgement.outcome, judgement.cause) == (Outcome.DECLINE, None)
    assert judgement.assessment is None


def test_a_fault_refers_and_a_declining_cutoff_does_not_get_its_say() -> None:
    judgement = judged(a_row(), model=BAD, fault=STALE)

    assert (judgement.outcome, judgement.cause) == (Outcome.REFER, STALE)
    assert judgement.decided_by.code == "features_stale"


def test_without_a_model_nobody_is_approved() -> None:
    assert judged(a_row(), model=None).cause == Cause(
        ReferralCause.MODEL_UNAVAILABLE, "there is no model to ask"
    )


def test_an_input_beyond_float32_is_referred() -> None:
    judgement = judged(a_row(loan_amount=1e39))

    assert judgement.cause is not None
    assert judgement.cause.code is ReferralCause.MODEL_OUTPUT


class NaNModel(LinearModel):
    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        return super().log_odds(matrix) * np.nan


def test_an_answer_that_is_no_number_is_referred() -> None:
    judgement = judged(a_row(), model=NaNModel(GOOD.weights))

    assert judgement.outcome is Outcome.REFER
    assert judgement.assessment is None


@given(st.lists(st.floats(-5, 5), min_size=len(NAMES), max_size=len(NAMES)), st.floats(-6, 6))
def test_every_decline_by_the_cutoff_has_one_to_four_distinct_reasons_that_counted_against(
    weights: list[float], intercept: float
) -> None:
    judgement = judged(a_row(), model=LinearModel(np.array(weights), intercept=intercept))

    if judgement.outcome is Outcome.DECLINE:
        assert 1 <= len(judgement.reasons) <= 4
        assert len({reason.code for reason in judgement.reasons}) == len(judgement.reasons)
        for reason in judgement.reasons:
            assert reason.feature in NAMES
            assert reason.contribution_log_odds is not None
            assert reason.contribution_log_odds > 0


@given(st.floats(0, 1))
def test_the_bands_part_the_probabilities(estimate: float) -> None:
    bands = (Band("low", 0.1), Band("high", 1))
    policy = replace(PRODUCT.policy, bands=bands)

    assert band_of(policy, estimate) == ("low" if estimate <= 0.1 else "high")


@pytest.mark.parametrize("amount", [9.0, 11.0])
@pytest.mark.parametrize("settled", [Outcome.DECLINE, Outcome.REFER])
def test_rules_settle_a_matrix_as_they_settle_one_row(amount: float, settled: Outcome) -> None:
    rule = replace(a_rule(TOO_MUCH), outcome=settled)
    judge = Judge(Terms.of(replace(PRODUCT, policy=replace(PRODUCT.policy, rules=(rule,)))))
    row = a_row(loan_amount=amount)

    declined, referred = judge.settled_by_rules(np.stack([row, row]))

    outcome = judge(row, GOOD).outcome
    assert declined.tolist() == [outcome is Outcome.DECLINE] * 2
    assert referred.tolist() == [outcome is Outcome.REFER] * 2


def test_only_faults_that_pass_invite_to_send_again() -> None:
    assert {code for code in ReferralCause if Cause(code, "").retryable} == {
        ReferralCause.FEATURES_UNAVAILABLE,
        ReferralCause.MODEL_UNAVAILABLE,
    }
