"""Every decline has one to four distinct reasons, each a feature that counted against it.

Of each product, with more rules or without, over applicants anywhere in the ranges of its features
and models of any weights. The same is claimed of trained models in ``test_reasons_equal_shap``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from credit_core.domain.feature_matrix import with_derived
from credit_core.domain.judgement import DeciderKind, Judge
from credit_core.domain.policy_definition import MAXIMUM_REASONS
from credit_core.domain.product import (
    Comparison,
    Condition,
    DType,
    Outcome,
    Rule,
    RuleKind,
    load_product,
    product_names,
)
from credit_core.domain.reasons import perturbations
from credit_core.domain.terms import Terms
from tests.builders import LinearModel

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from numpy.typing import NDArray

    from credit_core.domain.judgement import Estimator, Judgement
    from credit_core.domain.product import CreditProduct, Feature

DECLINING = 0.02
"""A cut-off that declines many; what is declined needs reasons wherever it lies."""


def a_column(feature: Feature, random: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Return values of a feature, most of them in the lower part of its range, some unknown."""
    if feature.dtype is DType.CATEGORY:
        codes: NDArray[np.float64] = random.integers(
            -1 if feature.nullable else 0, len(feature.categories), count
        ).astype(np.float64)
        return codes
    assert feature.minimum is not None
    assert feature.maximum is not None
    shares = random.random(count) ** random.integers(1, 12)
    values: NDArray[np.float64] = feature.minimum + shares * (feature.maximum - feature.minimum)
    if feature.dtype is DType.INTEGER:
        values = values.round()
    if feature.nullable:
        values[random.random(count) < 0.2] = np.nan
    return values


def applicants(
    product: CreditProduct, random: np.random.Generator, count: int
) -> NDArray[np.float64]:
    """Return the model's input of random applicants, shape (n, G)."""
    columns = [a_column(feature, random, count) for feature in product.base_features]
    return with_derived(product, np.column_stack(columns))


def with_a_rule_and_cutoffs(product: CreditProduct) -> CreditProduct:
    """Return the product with a rule about its first number, and cut-offs that decline many."""
    number = next(it for it in product.model_features if it.dtype is not DType.CATEGORY)
    assert number.maximum is not None
    limit = Condition(number.name, Comparison.ABOVE, number.maximum / 4)
    rule = Rule(
        code="LIMIT_RULE",
        kind=RuleKind.LIMIT,
        when=(limit,),
        outcome=Outcome.DECLINE,
        text="It is above what this loan is for",
    )
    policy = replace(
        product.policy,
        rules=(*product.policy.rules, rule),
        approve_up_to=DECLINING / 2,
        decline_from=DECLINING,
    )
    return replace(product, policy=policy)


def a_linear_model(rows: NDArray[np.float64], random: np.random.Generator) -> LinearModel:
    """Return a model in which each input moves about as much as any other, and half of none do."""
    scale = np.maximum(np.nan_to_num(np.abs(rows)).max(axis=0), 1e-9)
    weights = random.normal(size=rows.shape[1]) * (random.random(rows.shape[1]) < 0.5) / scale
    return LinearModel(weights, intercept=float(random.uniform(-6, 0)))


def check_reasons(
    judge: Judge, terms: Terms, row: NDArray[np.float64], model: Estimator, assumed: Collection[str]
) -> Judgement:
    """Judge an applicant and check the reasons if it is declined."""
    judgement = judge(row, model, assumed=assumed)
    if judgement.outcome is not Outcome.DECLINE:
        return judgement
    reasons = judgement.reasons
    assert 1 <= len(reasons) <= MAXIMUM_REASONS
    assert len({reason.code for reason in reasons}) == len(reasons)
    assert len({reason.text for reason in reasons}) == len(reasons)
    names = [given.name for given in terms.inputs]
    if judgement.decided_by.kind is DeciderKind.RULE:
        rules = {rule.code: rule for rule in terms.policy.rules}
        for reason in reasons:
            conditions = rules[reason.code].when
            assert reason.feature in {condition.feature for condition in conditions}
            for condition in conditions:
                value = row[names.index(condition.feature)]
                # Not known to be otherwise: a rule that can't be checked declines nobody.
                assert not np.isnan(value)
        return judgement
    answers = model.log_odds(perturbations(row.astype(np.float32), model.reference))
    without, alone = answers[2 : len(names) + 2], answers[len(names) + 2 :]
    sizes = [reason.contribution_log_odds or 0.0 for reason in reasons]
    assert sizes == sorted(sizes, reverse=True)
    for reason in reasons:
        place = names.index(reason.feature)
        # With the reference applicant's value the risk is less, in this company or in that one.
        assert max(answers[0] - without[place], alone[place] - answers[1]) > 0
        assert reason.contribution_log_odds is not None
        assert reason.contribution_log_odds > 0
        assert reason.contribution_points is not None
        assert reason.contribution_points < 0
    return judgement


def assumed_of(product: CreditProduct, random: np.random.Generator) -> Collection[str]:
    """Return now and then all features of a view, as if defaults stood for it."""
    names: list[str] = []
    for view in product.feature_views:
        if random.random() < 0.2:
            names += [feature.name for feature in view.features]
    return names


@pytest.mark.parametrize("name", product_names())
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_decline_has_one_to_four_distinct_reasons_that_counted_against_it(
    name: str, seed: int
) -> None:
    random = np.random.default_rng(seed)
    product = load_product(name)
    for it in (product, with_a_rule_and_cutoffs(product)):
        rows = applicants(it, random, 20)
        model, terms = a_linear_model(rows, random), Terms.of(it)
        judge = Judge(terms)
        for row in rows:
            check_reasons(judge, terms, row, model, assumed_of(it, random))


@pytest.mark.parametrize("name", product_names())
def test_what_is_claimed_of_declines_is_claimed_of_many(name: str) -> None:
    """Both by a rule and by a cut-off, with one reason up to four."""
    product = with_a_rule_and_cutoffs(load_product(name))
    kinds = list(declined(product))

    assert kinds.count(DeciderKind.RULE) > 50
    assert kinds.count(DeciderKind.CUTOFF) > 50


def declined(product: CreditProduct) -> Iterator[DeciderKind]:
    """Yield what decided each of many declines."""
    random = np.random.default_rng(0)
    terms = Terms.of(product)
    judge = Judge(terms)
    for _ in range(20):
        rows = applicants(product, random, 50)
        model = a_linear_model(rows, random)
        for row in rows:
            judgement = check_reasons(judge, terms, row, model, ())
            if judgement.outcome is Outcome.DECLINE:
                yield judgement.decided_by.kind
