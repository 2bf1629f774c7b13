"""A counterfactual is the smallest change there is to the best outcome that can be had."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_core.domain.counterfactual import (
    MAXIMUM_ROWS,
    Counterfactual,
    CounterfactualSearch,
    Lever,
    row_of_request,
)
from credit_core.domain.feature_matrix import exact_matrix
from credit_core.domain.judgement import DeciderKind, Judge
from credit_core.domain.product import (
    Change,
    Comparison,
    Condition,
    DType,
    Influence,
    Outcome,
    Rule,
    RuleKind,
)
from credit_core.domain.terms import Terms
from credit_core.errors import ModelOutputError
from tests.builders import AN_APPLICATION, PRODUCT, LinearModel, a_model, features_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from credit_core.domain.judgement import Estimator
    from credit_core.domain.product import CreditProduct, Feature, Value

NAMES = [feature.name for feature in PRODUCT.model_features]
AMOUNT, TERM, INCOME, EMPLOYMENT, VERIFICATION = PRODUCT.request_features
LOWER, HIGHER = Change.LOWER, Change.HIGHER


def a_request(**changes: Value) -> dict[str, Value]:
    """Return the features of AN_APPLICATION, but for the changes."""
    sent: Any = {feature.name: AN_APPLICATION[feature.name] for feature in PRODUCT.request_features}
    return {**sent, **changes}


def a_product(**changes: Mapping[str, Any]) -> CreditProduct:
    """Return the product with changes to its request's features, by name."""
    features = (
        replace(feature, **changes.get(feature.name, {})) for feature in PRODUCT.request_features
    )
    return replace(PRODUCT, request_features=tuple(features))


def a_row(product: CreditProduct, request: Mapping[str, Value]) -> NDArray[np.float64]:
    """Return the model's input when that is sent, and views hold what the builders store."""
    values: dict[str, Any] = dict(request)
    for view in product.feature_views:
        values |= features_of(view)
    matrix = exact_matrix(product, {name: (value,) for name, value in values.items()})
    row: NDArray[np.float64] = matrix[0]
    return row


def a_search(
    model: Estimator,
    request: Mapping[str, Value] | None = None,
    *,
    product: CreditProduct = PRODUCT,
    decided: Outcome = Outcome.REFER,
    assumed: tuple[str, ...] = (),
) -> CounterfactualSearch:
    """Return the search for what would have been approved, unless it was declined."""
    request = request or a_request()
    return CounterfactualSearch(
        product,
        Terms.of(product),
        model,
        a_row(product, request),
        request,
        decided=decided,
        assumed=assumed,
    )


def changes_of(found: Counterfactual | None) -> dict[str, Value] | None:
    return {change.feature: change.after for change in found.changes} if found else None


def with_rule(product: CreditProduct, outcome: Outcome, *when: Condition) -> CreditProduct:
    """Return the product with one more rule."""
    rule = Rule(code="NEW", kind=RuleKind.LIMIT, when=when, outcome=outcome, text="It is new")
    return replace(product, policy=replace(product.policy, rules=(*product.policy.rules, rule)))


# --- The smallest there is -----------------------------------------------------------------------

SMALL = with_rule(
    a_product(
        loan_amount={"minimum": 10_000, "maximum": 13_000, "influence": Influence(step=1_000)},
        term_months={"minimum": 24, "maximum": 48, "influence": Influence(step=12)},
        employment_years={"influence": Influence(change=HIGHER, step=3)},
        verification_status={"influence": Influence()},
    ),
    Outcome.REFER,
    Condition("loan_amount", Comparison.BELOW, 11_000),
    Condition("term_months", Comparison.AT_MOST, 36),
)
BETTER = {Outcome.DECLINE: (Outcome.APPROVE, Outcome.REFER), Outcome.REFER: (Outcome.APPROVE,)}


def allowed(feature: Feature, value: Value) -> Iterator[tuple[Value, float]]:
    """Yield the values a feature of SMALL may take, with the size of the change."""
    influence = feature.influence
    yield value, 0.0
    if influence is None or value is None:
        return
    if feature.dtype is DType.CATEGORY:
        yield from ((other, 1.0) for other in feature.categories if other != value)
        return
    assert isinstance(value, int | float)
    assert influence.step
    assert feature.minimum is not None
    assert feature.maximum is not None
    for steps in range(-10, 11):
        after = value + steps * influence.step
        wrong_way = steps < 0 if influence.change is HIGHER else steps > 0
        if influence.change is not Change.EITHER and wrong_way:
            continue
        if steps and feature.minimum <= after <= feature.maximum:
            share = abs(steps) * influence.step / (feature.maximum - feature.minimum)
            yield (int(after) if feature.dtype is DType.INTEGER else float(after)), share


def brute_force(
    model: Estimator, request: Mapping[str, Value], decided: Outcome
) -> tuple[Outcome, list[dict[str, Value]]] | None:
    """Return the best outcome there is, and all of the smallest changes that come to it."""
    judge, row = Judge(Terms.of(SMALL)), a_row(SMALL, request)
    changes: dict[Outcome, dict[tuple[int, float], list[dict[str, Value]]]] = {}
    choices = [list(allowed(feature, request[feature.name])) for feature in SMALL.request_features]
    for combination in itertools.product(*choices):
        values = [value for value, _ in combination]
        names = (feature.name for feature in SMALL.request_features)
        sent = dict(zip(names, values, strict=True))
        changed = {name: value for name, value in sent.items() if value != request[name]}
        judgement = judge(row_of_request(SMALL, sent, row), model)
        if changed and judgement.decided_by.kind is not DeciderKind.FAULT:
            size = len(changed), round(sum(share for _, share in combination), 9)
            changes.setdefault(judgement.outcome, {}).setdefault(size, []).append(changed)
    for outcome in BETTER[decided]:
        if outcome in changes:
            return outcome, min(changes[outcome].items())[1]
    return None


@dataclass
class Waves:
    """Log-odds without any direction: a wave over each feature and over some pairs."""

    frequencies: list[float]
    height: float

    @property
    def reference(self) -> NDArray[np.float32]:
        return np.zeros(len(NAMES), dtype=np.float32)

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        sent = np.nan_to_num(matrix.astype(np.float64))[:, [0, 1, 3, 4, NAMES.index(DERIVED)]]
        waves = np.sin(sent / [1_000, 12, 3, 1, 0.01] * self.frequencies)
        answers: NDArray[np.float64] = self.height + (waves + waves * np.roll(waves, 1, 1)).sum(1)
        return answers


DERIVED = "payment_to_income"
REQUESTS = st.fixed_dictionaries(
    {
        "loan_amount": st.sampled_from([10_000.0, 11_500.0, 13_000.0]),
        "term_months": st.sampled_from([24, 36, 48]),
        "annual_income": st.sampled_from([5_000.0, 9_000.0, 60_000.0]),
        "employment_years": st.sampled_from([None, 0, 5, 10]),
        "verification_status": st.sampled_from(VERIFICATION.categories),
    }
)


@settings(max_examples=100, deadline=None)
@given(
    REQUESTS,
    st.lists(st.floats(0.1, 3), min_size=5, max_size=5),
    st.floats(-3, 4),
    st.sampled_from([Outcome.DECLINE, Outcome.REFER]),
)
def test_what_is_found_is_the_smallest_of_all_there_are(
    request: dict[str, Value], frequencies: list[float], height: float, decided: Outcome
) -> None:
    model = Waves(frequencies, height)

    search = a_search(model, request, product=SMALL, decided=decided)
    found = search()

    expected = brute_force(model, request, decided)
    assert search.tried_all
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert found.outcome is expected[0]
        assert changes_of(found) in expected[1]


def test_fewer_features_are_a_smaller_change_than_less_of_each() -> None:
    product = a_product(
        loan_amount={"minimum": 0, "maximum": 1_000, "influence": Influence(step=100)},
        term_months={"influence": Influence(change=HIGHER, step=4)},
    )
    model = a_model(loan_amount=0.001, term_months=-0.05)
    model.intercept = 0.9

    found = a_search(model, a_request(loan_amount=600.0, term_months=80), product=product)()

    # 500 over 84 months would do as well: a tenth of one range and an eighteenth of the other.
    assert changes_of(found) == {"loan_amount": 300.0}


def test_of_equal_changes_the_first_in_order_of_definition_is_taken() -> None:
    """Three tenths of one range and three of the other; in binary, 3 * 0.1 is more than 0.3."""
    product = a_product(
        loan_amount={"minimum": 0, "maximum": 1_000, "influence": Influence(step=100)},
        term_months={"minimum": 10, "maximum": 50, "influence": Influence(step=12)},
    )
    model = a_model(loan_amount=0.001, term_months=0.025)
    model.intercept = -4.38

    found = a_search(model, a_request(loan_amount=1_000.0), product=product)()

    assert changes_of(found) == {"loan_amount": 700.0}


# --- Only what an applicant can change -----------------------------------------------------------


@pytest.mark.parametrize(
    ("feature", "value", "moves"),
    [
        (AMOUNT, 12_000.0, range(-115, 1)),
        (AMOUNT, 500.0, None),
        (TERM, 36, range(2)),
        (TERM, 50, None),
        (TERM, 60, range(-1, 1)),
        (INCOME, 60_000.0, None),
        (replace(EMPLOYMENT, influence=Influence(change=HIGHER, step=3)), 2, range(3)),
        (replace(EMPLOYMENT, influence=Influence(change=HIGHER, step=3)), None, None),
        (replace(VERIFICATION, influence=Influence()), "verified", range(1, 3)),
    ],
)
def test_a_value_moves_by_steps_within_its_range_in_its_direction(
    feature: Feature, value: Value, moves: range | None
) -> None:
    lever = Lever.of(feature, value)

    assert (lever and lever.moves) == moves


def test_a_change_in_the_wrong_direction_is_not_proposed() -> None:
    """The model would approve whoever asked for more; an applicant may only ask for less."""
    model = a_model(loan_amount=-1 / 10_000)
    model.intercept = -1.0

    search = a_search(model)

    assert search() is None
    assert search.tried_all


def test_values_are_stated_as_a_person_would() -> None:
    """In binary, three steps of 0.1 from 0.5 are 0.20000000000000001."""
    feature = replace(AMOUNT, minimum=0, influence=Influence(change=LOWER, step=0.1))
    lever = Lever.of(feature, 0.5)

    assert lever is not None
    assert [lever.after(move) for move in lever.moves] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert type(Lever.of(TERM, 36).after(1)) is int  # type: ignore[union-attr]


# --- As it would be judged -----------------------------------------------------------------------


@dataclass
class Counting(LinearModel):
    """A model that counts the rows it is asked about."""

    rows: int = 0

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        self.rows += len(matrix)
        return super().log_odds(matrix)


def test_what_is_derived_follows() -> None:
    model = a_model(payment_to_income=20)
    model.intercept = -4.0

    found = a_search(model)()

    # Repayments up to 0.0624 of the income are approved: 11,234 in three years of 60,000 a year.
    assert changes_of(found) == {"loan_amount": 11_200.0}


def test_a_rules_decline_is_flipped_where_the_applicant_can_pass_it() -> None:
    """Repayments may take half of the income: of 8,000, that is 12,000 in three years."""
    request = a_request(annual_income=8_000.0, loan_amount=12_150.0)

    found = a_search(a_model(), request)()

    assert changes_of(found) == {"loan_amount": 11_950.0}


def test_where_a_rule_stands_in_the_way_there_is_none() -> None:
    """Nor is the model asked."""
    model = Counting(a_model().weights)
    search = a_search(model, a_request(annual_income=5_999.0))

    assert search() is None
    assert search.tried_all
    assert model.rows == 0


def test_a_rule_that_only_refers_stands_in_the_way_too() -> None:
    up_to_36 = Condition("term_months", Comparison.AT_MOST, 36)
    product = with_rule(PRODUCT, Outcome.REFER, up_to_36)

    assert changes_of(a_search(a_model(), product=product)()) == {"term_months": 60}


def test_a_rule_that_cannot_be_checked_stands_in_the_way() -> None:
    assert a_search(a_model(), assumed=("acc_now_delinq",))() is None


@dataclass
class Torn(LinearModel):
    """A model that has no answer where the amount is odd in thousands, or for others beside it."""

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        if (matrix[:, 0] // 1_000 % 2 == 1).any():
            raise ModelOutputError("the model answered nan")
        return super().log_odds(matrix)


def test_answers_that_are_none_hide_no_others() -> None:
    model = Torn(a_model(loan_amount=1 / 1_000).weights, intercept=-10.5)

    found = a_search(model)()

    # Up to 7,748 would be approved, and 7,... is odd.
    assert changes_of(found) == {"loan_amount": 6_900.0}


# --- A decline that a person would decide --------------------------------------------------------


def a_model_of_amounts(intercept: float) -> LinearModel:
    return LinearModel(a_model(loan_amount=1 / 10_000).weights, intercept=intercept)


def test_a_decline_that_nothing_gets_approved_is_referred_by_the_smallest_change() -> None:
    """From 0.10 on is declined, log-odds of -2.197, and up to 0.06 approved, -2.752."""
    found = a_search(a_model_of_amounts(-2.5), decided=Outcome.DECLINE)()

    assert found is not None
    assert found.outcome is Outcome.REFER
    assert changes_of(found) == {"loan_amount": 3_000.0}
    assert found.assessment.probability_of_default == pytest.approx(0.0998, abs=1e-4)
    assert found.smallest


def test_a_greater_change_that_is_approved_is_told_before_a_smaller_that_is_referred() -> None:
    """9,000 would be referred."""
    found = a_search(a_model_of_amounts(-3.1), decided=Outcome.DECLINE)()

    assert found is not None
    assert found.outcome is Outcome.APPROVE
    assert changes_of(found) == {"loan_amount": 3_400.0}


def test_to_be_referred_is_nothing_better_for_a_referral() -> None:
    assert a_search(a_model_of_amounts(-2.5), decided=Outcome.REFER)() is None


@pytest.mark.parametrize("height", [-2.5, 1.0])
def test_a_rule_that_refers_gets_a_decline_to_a_person(height: float) -> None:
    """Whatever the model says then."""
    to_5000 = Condition("loan_amount", Comparison.AT_MOST, 5_000)
    product = with_rule(PRODUCT, Outcome.REFER, to_5000)

    found = a_search(a_model_of_amounts(height), product=product, decided=Outcome.DECLINE)()

    assert found is not None
    assert found.outcome is Outcome.REFER
    assert changes_of(found) == {"loan_amount": 5_000.0}


def test_a_rule_that_declines_gets_nothing_to_a_person() -> None:
    """Though another rule refers."""
    from_500 = Condition("loan_amount", Comparison.AT_LEAST, 500)
    product = with_rule(PRODUCT, Outcome.REFER, from_500)
    request = a_request(annual_income=5_999.0)

    assert a_search(a_model(), request, product=product, decided=Outcome.DECLINE)() is None


@dataclass
class Threefold(LinearModel):
    """A model in which three features act together, which no sum of contributions accounts for."""

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        together = (matrix[:, :3] > 0).all(axis=1)
        answers: NDArray[np.float64] = super().log_odds(matrix) + together
        return answers


@pytest.mark.parametrize(
    ("model", "least", "code"),
    [
        (
            Threefold(a_model(loan_amount=1 / 10_000).weights, intercept=-3.5),
            500.0,
            "model_output_invalid",
        ),
        # Asked for nothing, it is declined by the last bit, and no feature accounts for that.
        (a_model_of_amounts(math.log(0.1 / 0.9) + 5e-5), 0.0, "reasons_not_exact"),
    ],
)
def test_a_referral_by_a_fault_is_nothing_better(model: Estimator, least: float, code: str) -> None:
    product = a_product(loan_amount={"minimum": least})
    row = a_row(product, a_request(loan_amount=least))
    judgement = Judge(Terms.of(product))(row, model)

    found = a_search(model, product=product, decided=Outcome.DECLINE)()

    assert (judgement.outcome, judgement.decided_by.code) == (Outcome.REFER, code)
    assert found is None


# --- Where there are too many ---------------------------------------------------------------------


FINE = {"influence": Influence(change=LOWER, step=0.01)}
HUGE = a_product(
    loan_amount=FINE,
    annual_income={"influence": Influence(change=HIGHER, step=0.01)},
    employment_years={"influence": Influence(change=HIGHER, step=1)},
)


def test_a_fine_grid_is_searched_from_coarse_to_fine() -> None:
    """Not one of 1,150,000 steps less is approved; it is not known whether a single other is."""
    model = Counting(a_model(loan_amount=1 / 5_000).weights, intercept=-5.0)

    found = a_search(model, product=HUGE)()

    assert found is not None
    assert not found.smallest
    assert changes_of(found) == {"loan_amount": 11_242.32}
    assert found.assessment.probability_of_default == pytest.approx(0.06, abs=1e-6)
    assert model.rows < MAXIMUM_ROWS


@pytest.mark.parametrize("decided", [Outcome.DECLINE, Outcome.REFER])
def test_a_search_for_what_is_not_there_is_bounded_and_says_so(decided: Outcome) -> None:
    """Also where two outcomes would be better."""
    model = Counting(a_model().weights, intercept=0.0)
    search = a_search(model, product=HUGE, decided=decided)

    assert search() is None
    assert not search.tried_all
    assert model.rows < MAXIMUM_ROWS


def test_a_decline_is_searched_no_longer_than_a_referral() -> None:
    """All of 40,000 amounts may be tried for one outcome, and every second one for each of two."""
    amounts = {"minimum": 2_000, "influence": Influence(change=LOWER, step=0.25)}
    product = a_product(loan_amount=amounts, term_months={"influence": None})
    rows, tried_all = {}, {}

    for decided in (Outcome.DECLINE, Outcome.REFER):
        model = Counting(a_model().weights, intercept=0.0)
        search = a_search(model, product=product, decided=decided)
        assert search() is None
        rows[decided], tried_all[decided] = model.rows, search.tried_all

    assert tried_all == {Outcome.DECLINE: False, Outcome.REFER: True}
    assert rows[Outcome.DECLINE] == pytest.approx(rows[Outcome.REFER], rel=0.01)


def test_where_an_approval_may_have_been_missed_a_referral_is_not_called_the_smallest() -> None:
    model = Counting(a_model(loan_amount=1 / 10_000).weights, intercept=-2.5)

    found = a_search(model, product=HUGE, decided=Outcome.DECLINE)()

    assert found is not None
    assert found.outcome is Outcome.REFER
    assert not found.smallest
    assert model.rows < MAXIMUM_ROWS


def test_more_categories_than_can_be_combined_are_bounded_too() -> None:
    many = tuple(f"c{number}" for number in range(3_000))
    category = {
        "dtype": DType.CATEGORY,
        "categories": many,
        "influence": Influence(),
        "unit": None,
        "minimum": None,
        "maximum": None,
        "risk": None,
        "nullable": False,
    }
    product = replace(
        a_product(employment_years=category, verification_status=category),
    )
    model = Counting(a_model().weights, intercept=0.0)
    request = a_request(employment_years="c1", verification_status="c2")
    search = a_search(model, request, product=product)

    assert search() is None
    assert not search.tried_all
    assert model.rows < MAXIMUM_ROWS
