"""The explanation of a decision: what each feature contributed, and what would have bettered it.

Contributions are those of the decision, against the reference applicant of the model that decided.
The counterfactual is of the decision too: under its terms, with the features of views as they were
served then. Only what can be sent is taken from the product as it is defined now.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from credit_core.domain.counterfactual import (
    BETTER,
    Counterfactual,
    CounterfactualSearch,
    row_of_request,
)
from credit_core.domain.feature_matrix import UNKNOWN_CATEGORY
from credit_core.domain.judgement import Judge
from credit_core.domain.policy import points_per_log_odds
from credit_core.domain.policy_definition import Outcome
from credit_core.domain.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

    from credit_core.domain.judgement import Assessment, Estimator
    from credit_core.domain.policy_definition import Rule
    from credit_core.domain.product import CreditProduct, Value
    from credit_core.domain.terms import ModelInput


PARTICIPLES = {Outcome.APPROVE: "approved", Outcome.REFER: "referred to a person"}


class WhyNone(StrEnum):
    """Why an explanation has no counterfactual."""

    APPROVED = "approved"
    MODEL_NOT_ASKED = "model_not_asked"
    PRODUCT_CHANGED = "product_changed"
    NOTHING_TO_CHANGE = "nothing_to_change"
    NONE_EXISTS = "none_exists"
    NONE_FOUND = "none_found"


@dataclass(frozen=True, slots=True)
class NoCounterfactual:
    """Why there is none; ``detail`` names features, never values."""

    code: WhyNone
    detail: str


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one of the model's inputs added to the log-odds of default, and took in points.

    ``value`` and ``reference`` are the applicant's and the reference applicant's, a category by
    its name, None where unknown.
    """

    feature: str
    description: str
    value: Value
    reference: Value
    log_odds: float
    points: float


@dataclass(frozen=True, slots=True)
class CheckedRule:
    """A rule that applies, or, unless ``known``, could not be checked and doesn't let it pass."""

    rule: Rule
    known: bool


@dataclass(frozen=True, slots=True)
class ReceiptContents:
    """What a receipt keeps of a decision, read.

    ``row`` is the model's input before its cast, shape (G,), empty where a fault came before it;
    ``assumed`` are the names of the features whose declared default was served; ``response`` is
    what the client was answered.
    """

    terms: Terms
    row: NDArray[np.float64]
    request: Mapping[str, Value]
    assumed: Collection[str]
    response: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision explained. Contributions are in order of size, the largest first."""

    recorded: ReceiptContents
    rules: tuple[CheckedRule, ...] = ()
    reference_log_odds: float | None = None
    log_odds: float | None = None
    contributions: tuple[Contribution, ...] = ()
    counterfactual: Counterfactual | NoCounterfactual = NoCounterfactual(
        WhyNone.MODEL_NOT_ASKED, "no model was asked"
    )

    def as_response(self) -> dict[str, object]:
        """Return the document that the client receives."""
        response, found = self.recorded.response, self.counterfactual
        return {
            **{
                name: response[name]
                for name in ("application_id", "outcome", "decided_by", "cause", "model")
            },
            "rules": [
                {
                    "code": checked.rule.code,
                    "text": checked.rule.text,
                    "outcome": checked.rule.outcome,
                    "state": "applies" if checked.known else "unchecked",
                }
                for checked in self.rules
            ],
            "reference_log_odds": self.reference_log_odds,
            "log_odds": self.log_odds,
            "contributions": [
                {
                    "feature": given.feature,
                    "description": given.description,
                    "value": given.value,
                    "reference": given.reference,
                    "contribution_log_odds": given.log_odds,
                    "contribution_points": round(given.points, 2),
                }
                for given in self.contributions
            ],
            "counterfactual": _proposed(found) if isinstance(found, Counterfactual) else None,
            "no_counterfactual": {"code": found.code, "detail": found.detail}
            if isinstance(found, NoCounterfactual)
            else None,
        }


def explanation_of(
    recorded: ReceiptContents,
    assessment: Assessment | None,
    model: Estimator | None,
    product: CreditProduct,
) -> Explanation:
    """Return the explanation of a decision.

    Args:
        recorded: The decision.
        assessment: What the model said, computed again; None where none was asked.
        model: The one that was asked, if any was.
        product: As it is defined now.
    """
    rules = _rules(recorded) if recorded.row.size else ()
    if model is None or assessment is None:
        return Explanation(recorded, rules)
    return Explanation(
        recorded,
        rules,
        float(model.log_odds(model.reference[np.newaxis])[0]),
        assessment.log_odds,
        contributions_of(recorded.terms, recorded.row, model.reference, assessment),
        counterfactual_of(recorded, model, product),
    )


def contributions_of(
    terms: Terms,
    row: NDArray[np.float64],
    reference: NDArray[np.float32],
    assessment: Assessment,
) -> tuple[Contribution, ...]:
    """Return what each input contributed, the largest first, without regard to its sign.

    Args:
        terms: Those of the decision.
        row: The model's input before its cast, shape (G,).
        reference: The reference applicant's, shape (G,).
        assessment: What the model said.
    """
    scale = points_per_log_odds(terms.policy)
    return tuple(
        Contribution(
            given.name,
            given.description,
            value_of(given, float(row[place])),
            value_of(given, float(reference[place])),
            float(assessment.contributions[place]),
            -float(assessment.contributions[place]) * scale,
        )
        for place in np.argsort(-np.abs(assessment.contributions), kind="stable").tolist()
        for given in [terms.inputs[place]]
    )


def value_of(given: ModelInput, number: float) -> Value:
    """Return what a number of the model's input means: a category by its name, None if unknown."""
    if given.categories:
        return None if number == UNKNOWN_CATEGORY else given.categories[int(number)]
    return None if math.isnan(number) else number


def counterfactual_of(
    recorded: ReceiptContents, model: Estimator, product: CreditProduct
) -> Counterfactual | NoCounterfactual:
    """Return the smallest change with a better outcome, or why there is none.

    Args:
        recorded: A decision for which the model was asked.
        model: That model.
        product: As it is defined now: says what can be sent and what is derived from it.
    """
    decided = Outcome(recorded.response["outcome"])
    if decided is Outcome.APPROVE:
        return NoCounterfactual(WhyNone.APPROVED, "it was approved")
    change = change_since(recorded, product)
    if change is not None:
        return NoCounterfactual(WhyNone.PRODUCT_CHANGED, change)
    search = CounterfactualSearch(
        product,
        recorded.terms,
        model,
        recorded.row,
        recorded.request,
        decided=decided,
        assumed=recorded.assumed,
    )
    names = ", ".join(lever.feature.name for lever in search.levers)
    if not names:
        return NoCounterfactual(
            WhyNone.NOTHING_TO_CHANGE, "nothing in it is the applicant's to change"
        )
    found = search()
    if found is not None:
        return found
    if search.tried_all:
        better = " or ".join(PARTICIPLES[outcome] for outcome in BETTER[decided])
        return NoCounterfactual(WhyNone.NONE_EXISTS, f"no change of {names} would be {better}")
    return NoCounterfactual(
        WhyNone.NONE_FOUND, f"none was found; not every combination of {names} was tried"
    )


def change_since(recorded: ReceiptContents, product: CreditProduct) -> str | None:
    """Return what of a product changed since so that its definition says nothing of a decision."""
    if Terms.of(product).inputs != recorded.terms.inputs:
        return "the model has other inputs now"
    features = {feature.name: feature for feature in product.request_features}
    request = recorded.request
    if set(features) != set(request):
        return "an application has other fields now"
    refused = [name for name in features if features[name].value_fault(request[name])]
    if refused:
        return f"what was sent would not be accepted now: {', '.join(refused)}"
    if not np.array_equal(
        row_of_request(product, request, recorded.row), recorded.row, equal_nan=True
    ):
        return "features are derived in another way now"
    return None


def _rules(recorded: ReceiptContents) -> tuple[CheckedRule, ...]:
    applying, unchecked = Judge(recorded.terms).check_rules(recorded.row, recorded.assumed)
    return tuple(
        CheckedRule(rule, known)
        for rules, known in ((applying, True), (unchecked, False))
        for rule in rules
    )


def _proposed(found: Counterfactual) -> dict[str, object]:
    return {
        "changes": [
            {"feature": change.feature, "from": change.before, "to": change.after}
            for change in found.changes
        ],
        "outcome": found.outcome,
        "probability_of_default": found.assessment.probability_of_default,
        "points": round(found.assessment.points, 2),
        "smallest": found.smallest,
    }
