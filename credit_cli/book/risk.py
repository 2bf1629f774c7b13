"""The true model: log-odds of default as a known function of what is known at an application."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from credit_cli.book.values import Scale, direction
from credit_core.domain.product import DType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from credit_cli.book.values import Floats
    from credit_core.domain.product import CreditProduct, Feature

SPREAD = 1.0
"""Standard deviation of the log-odds from main effects alone, if nothing is unknown."""
UNKNOWN_EFFECT = 0.5
"""What a number's being unknown adds, as a share of its main effect of one deviation."""
CATEGORY_SPREAD = 0.4
INTERACTIONS = 4
INTERACTION = 2.0
"""What two numbers add when both are bad, besides what each adds alone."""
STEEPNESS = 4.0
"""How quickly a number turns bad."""
WEAKEST = 0.1
"""A main effect never falls below this share of itself when the concept drifts."""


@dataclass(frozen=True)
class Term:
    """A part of the log-odds: a number's main effect, a category's, or an interaction's."""

    kind: str
    first: str
    second: str | None
    category: str | None
    weight: float
    weight_after_drift: float


@dataclass(frozen=True)
class RiskModel:
    """The true model.

    log-odds = intercept + sum of w u + sum of W bad(u) bad(v) + effects of categories and of what
    is unknown, where u is a number's standard normal value (see ``Scale.standard``), bad(u) rises
    from 0 to 1 where w u rises, and W is positive: so every number keeps the direction of its w.
    """

    features: tuple[Feature, ...]
    terms: tuple[Term, ...]
    intercept: float = 0.0

    def log_odds(
        self, values: Mapping[str, Floats], *, drifted: NDArray[np.bool_] | None = None
    ) -> Floats:
        """Return the log-odds of n applications.

        Args:
            values: Of each base feature, shape (n,): a number, a category's position, or NaN.
            drifted: Where the weights are those after the drift, shape (n,); nowhere if None.
        """
        features = {feature.name: feature for feature in self.features}
        standard = {
            name: Scale.of(feature).standard(values[name])
            for name, feature in features.items()
            if feature.dtype is not DType.CATEGORY
        }
        bad = {
            term.first: 1 / (1 + np.exp(-STEEPNESS * np.sign(term.weight) * standard[term.first]))
            for term in self.terms
            if term.kind == "number"
        }
        count = len(next(iter(values.values()))) if values else 0
        total = np.full(count, self.intercept)
        for term in self.terms:
            weight: Floats | float = term.weight
            if drifted is not None and term.weight_after_drift != term.weight:
                weight = np.where(drifted, term.weight_after_drift, term.weight)
            match term.kind:
                case "number":
                    part = np.nan_to_num(standard[term.first])
                case "unknown":
                    part = np.isnan(values[term.first]).astype(np.float64)
                case "category":
                    code = features[term.first].categories.index(str(term.category))
                    part = (values[term.first] == code).astype(np.float64)
                case _:
                    assert term.second is not None  # noqa: S101 (an interaction has two)
                    part = np.nan_to_num(bad[term.first] * bad[term.second])
            total += weight * part
        return total

    def calibrated(self, log_odds: Floats, base_rate: float) -> RiskModel:
        """Return the model whose mean probability is the base rate where it gave these log-odds."""
        low, high = -40.0, 40.0
        for _ in range(60):
            middle = (low + high) / 2
            if probability(log_odds + middle).mean() < base_rate:
                low = middle
            else:
                high = middle
        return replace(self, intercept=self.intercept + round((low + high) / 2, 6))


def draw_model(
    rng: np.random.Generator, product: CreditProduct, *, concept_drift: float
) -> RiskModel:
    """Return a model with effects in the declared directions of risk.

    Args:
        rng: Source of chance.
        product: Whose base features it sees.
        concept_drift: By which share weights grow for one half of the numbers, and shrink for the
            other, from the drift on.
    """
    features = product.base_features
    numbers = [feature for feature in features if feature.dtype is not DType.CATEGORY]
    sizes = rng.uniform(0.5, 1.5, len(numbers))
    sizes *= SPREAD / np.sqrt((sizes**2).sum() or 1.0)
    turns = rng.permutation(np.arange(len(numbers)) % 2 * 2 - 1)
    undeclared = rng.choice([-1, 1], size=len(numbers))
    terms = []
    for feature, size, turn, sign in zip(numbers, sizes, turns, undeclared, strict=True):
        way = direction(feature) if feature.risk else int(sign)
        changed = float(size) * max(WEAKEST, 1 + float(turn) * concept_drift)
        terms.append(_term("number", feature.name, way * float(size), way * changed))
        terms.append(_term("unknown", feature.name, UNKNOWN_EFFECT * float(size)))
    terms += _interactions(rng, [feature.name for feature in numbers])
    for feature in features:
        if feature.dtype is DType.CATEGORY:
            effects = CATEGORY_SPREAD * rng.standard_normal(len(feature.categories))
            terms += [
                _term("category", feature.name, float(effect), category=category)
                for category, effect in zip(feature.categories, effects, strict=True)
            ]
    return RiskModel(features, tuple(terms))


def probability(log_odds: Floats) -> Floats:
    """Return the probability for log-odds, shape as given."""
    return np.asarray(1 / (1 + np.exp(-log_odds)))


def _interactions(rng: np.random.Generator, names: Sequence[str]) -> list[Term]:
    """Return interactions of pairs, each feature in one at most."""
    order = [names[position] for position in rng.permutation(len(names))]
    pairs = list(zip(order[::2], order[1::2], strict=False))
    return [
        _term("interaction", first, INTERACTION, second=second)
        for first, second in pairs[:INTERACTIONS]
    ]


def _term(
    kind: str,
    first: str,
    weight: float,
    after: float | None = None,
    *,
    second: str | None = None,
    category: str | None = None,
) -> Term:
    weight = round(weight, 6)
    changed = weight if after is None else round(after, 6)
    return Term(kind, first, second, category, weight, changed)
