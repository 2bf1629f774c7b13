"""Counterfactuals of real loans under real models: what is proposed holds when it is sent."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from credit_core.domain.counterfactual import BETTER, CounterfactualSearch, row_of_request
from credit_core.domain.feature_matrix import exact_matrix
from credit_core.domain.judgement import Judge
from credit_core.domain.product import Change, Influence, Outcome
from credit_core.domain.terms import Terms
from credit_core.use_cases.explain import ExplainDecision
from tests.builders import AN_APPLICATION, PRODUCT, AScorer, a_body, a_scorer
from tests.sample_loans import model_of, sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credit_core.domain.product import CreditProduct, Policy, Value

COUNT = 200
CHAMPIONS = ("scorecard", "pairwise")
"""The sample's champion, and the class that is chosen where there are more loans."""

AS_IT_IS = PRODUCT.policy
STRICT = replace(AS_IT_IS, decline_from=AS_IT_IS.approve_up_to + 1e-9)
"""Without room for referrals: what is not approved is declined."""


RANKS = [*BETTER[Outcome.DECLINE], Outcome.DECLINE]
"""Outcomes, the best first."""
FOUR_YEARS = 48
"""Loans are made over 36 or 60 months."""


def with_policy(policy: Policy) -> CreditProduct:
    return replace(PRODUCT, policy=policy)


def with_income() -> CreditProduct:
    """Return the product when an applicant can change three features, income in many steps."""
    influence = Influence(change=Change.HIGHER, step=1_000)
    features = (
        replace(feature, influence=influence) if feature.name == "annual_income" else feature
        for feature in PRODUCT.request_features
    )
    return replace(with_policy(STRICT), request_features=tuple(features))


class Desk:
    """Decides loans of the sample again, and explains the decisions."""

    def __init__(self, name: str, product: CreditProduct) -> None:
        self.product = product
        self.model = model_of(name)
        self.scorer: AScorer = a_scorer(model=self.model, product=product)
        self._explain = ExplainDecision(
            product,
            records=lambda application_id: [self.scorer.store.receipts[application_id].as_record()],
            load_model=lambda _, **__: self.model,
        )

    def decide(self, place: int, application_id: str, **changes: Value) -> dict[str, Any]:
        """Return the decision on a loan's application with changes."""
        self.scorer.store.rows = sample().rows(place)
        keys = {name: AN_APPLICATION[name] for name in PRODUCT.entity_key_names}
        sent = {"application_id": application_id, **keys, **sample().request(place), **changes}
        return self.scorer(a_body(**sent))

    def explain(self, application_id: str) -> dict[str, Any]:
        """Return the explanation of a decision, as it is sent."""
        document: dict[str, Any] = json.loads(
            json.dumps(self._explain(application_id).as_response(), allow_nan=False)
        )
        return document

    def decided(self, outcome: str) -> Iterator[tuple[int, str]]:
        """Yield the loans decided so, the likelier to repay first, each with its application."""
        log_odds = self.model.log_odds(sample().loans.matrix)
        approved = self.product.policy.approve_up_to
        for place in np.argsort(log_odds, kind="stable").tolist():
            if log_odds[place] > math.log(approved / (1 - approved)):
                decision = self.decide(place, f"first-{place}")
                if decision["outcome"] == outcome:
                    yield place, f"first-{place}"


@pytest.mark.parametrize("name", CHAMPIONS)
@pytest.mark.parametrize(
    ("policy", "outcome", "promised"),
    [
        (AS_IT_IS, "decline", {"approve", "refer"}),
        (AS_IT_IS, "refer", {"approve"}),
        (STRICT, "decline", {"approve"}),
    ],
)
def test_each_counterfactual_comes_out_as_promised_when_it_is_sent(
    name: str, policy: Policy, outcome: str, promised: set[str]
) -> None:
    """Those nearest to the cut-off come first; of some of them it is said that there is none."""
    desk = Desk(name, with_policy(policy))
    flipped = []

    for place, application_id in desk.decided(outcome):
        document = desk.explain(application_id)
        found = document["counterfactual"]
        if found is None:
            assert document["no_counterfactual"]["code"] == "none_exists"
            continue
        changes = {change["feature"]: change["to"] for change in found["changes"]}
        second = desk.decide(place, f"second-{place}", **changes)
        assert second["decided_by"]["kind"] == "cutoff"
        for key in ("outcome", "probability_of_default", "points"):
            assert second[key] == found[key]
        assert found["smallest"]
        assert changes.get("term_months") != FOUR_YEARS
        request: dict[str, Any] = sample().request(place)
        assert changes.get("loan_amount", 0) <= request["loan_amount"]
        flipped.append(found["outcome"])
        if len(flipped) == COUNT:
            break

    assert len(flipped) == COUNT
    assert set(flipped) <= promised


@pytest.mark.parametrize("name", CHAMPIONS)
def test_nothing_that_could_be_sent_comes_out_better_than_what_is_proposed(name: str) -> None:
    """Every fifth amount and all terms, for 16 declines, judged one by one."""
    desk = Desk(name, with_policy(AS_IT_IS))
    judge = Judge(Terms.of(PRODUCT))
    amount, term = PRODUCT.request_features[:2]
    best = []

    for place, application_id in itertools.islice(desk.decided("decline"), 0, 400, 25):
        document = desk.explain(application_id)
        proposed = document["counterfactual"]
        best.append(Outcome(proposed["outcome"]) if proposed else Outcome.DECLINE)
        better = RANKS[: RANKS.index(best[-1])]
        request = sample().request(place)
        row = exact_matrix(PRODUCT, {key: (it,) for key, it in sample().known[place].items()})[0]
        assert isinstance(request["loan_amount"], float)
        assert isinstance(request["term_months"], int)
        assert amount.minimum
        assert term.minimum
        assert term.maximum
        amounts = np.arange(request["loan_amount"], amount.minimum, -100)
        terms = np.arange(term.minimum, term.maximum + 1, 24)
        assert request["term_months"] in terms
        for sent in itertools.product(amounts[::5].tolist(), terms.tolist()):
            changed = request | {"loan_amount": sent[0], "term_months": int(sent[1])}
            judgement = judge(row_of_request(PRODUCT, changed, row), desk.model)
            assert judgement.outcome not in better

    assert {Outcome.REFER, Outcome.DECLINE} <= set(best)


@pytest.mark.parametrize("name", CHAMPIONS)
def test_of_three_features_in_many_steps_it_is_found_too(name: str) -> None:
    """Millions of combinations: what is found need not be the smallest, and it says so."""
    product = with_income()
    desk, terms = Desk(name, product), Terms.of(product)
    found = 0

    for place, _ in itertools.islice(desk.decided("decline"), 40):
        row = exact_matrix(product, {key: (it,) for key, it in sample().known[place].items()})[0]
        request = sample().request(place)
        search = CounterfactualSearch(
            product, terms, desk.model, row, request, decided=Outcome.DECLINE
        )
        counterfactual = search()
        if counterfactual is not None:
            changes = {change.feature: change.after for change in counterfactual.changes}
            approved = desk.decide(place, f"second-{place}", **changes)
            assert approved["outcome"] == "approve"
            found += 1

    assert found > 0
