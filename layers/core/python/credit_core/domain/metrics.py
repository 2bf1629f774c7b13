"""The service's own metrics: one namespace, so that a role may be held to it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMESPACE = "CreditDecisions"


class Metric(StrEnum):
    """What is measured."""

    DECISIONS = "Decisions"
    """Applications decided, those answered again included."""

    FEATURE_AGE = "FeatureAge"
    """Age of the newest event of a view."""

    MODEL_LOAD_FAILURE = "ModelLoadFailure"
    """Champions and challengers that could not be fetched, verified or loaded."""

    CHALLENGER_DECISIONS = "ChallengerDecisions"
    """Applications that the challenger answered."""

    CHALLENGER_FAILURES = "ChallengerFailures"
    """Applications for which the challenger was asked and said nothing; the champion answered."""

    SHADOW_DECISIONS = "ShadowDecisions"
    """Applications of which both models came to an outcome."""

    SHADOW_DISAGREEMENTS = "ShadowDisagreements"
    """Those of them in which the outcomes differ."""

    MODEL_AGREEMENT = "ModelAgreement"
    """Share of a trial's applications in which champion and challenger came to one outcome."""

    SCORE_SHIFT = "ScoreShift"
    """Population stability index from the champion's probabilities to the challenger's."""

    FEATURE_SKEW = "FeatureSkew"
    """Share of a view's served rows that are not what the lake has for that moment."""

    REJECTED_PUSHES = "RejectedPushes"
    """Pushed rows that the product definition does not allow."""


class Unit(StrEnum):
    """CloudWatch's names of units."""

    SECONDS = "Seconds"
    MILLISECONDS = "Milliseconds"
    COUNT = "Count"
    NONE = "None"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value of a metric."""

    metric: Metric
    value: float
    unit: Unit
    dimensions: Mapping[str, str]


def dimensions(*, stage: str, product: str, view: str | None = None) -> dict[str, str]:
    """Return the dimensions of a metric: stages of one account must not mix their figures.

    >>> dimensions(stage="prod", product="personal_loan")
    {'Stage': 'prod', 'Product': 'personal_loan'}
    """
    named = {"Stage": stage, "Product": product}
    return named | ({"View": view} if view else {})
