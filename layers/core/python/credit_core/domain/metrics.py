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

    FAULT_REFERRALS = "FaultReferrals"
    """Applications left to a person because a store, the model or its answer failed."""

    MISSING_DECISIONS = "MissingDecisions"
    """Applications for which at least one view had no row."""

    STALE_DECISIONS = "StaleDecisions"
    """Applications for which at least one view's row was older than its ttl."""

    FEATURE_AGE = "FeatureAge"
    """Age of the newest event of a view."""

    MODEL_AGE = "ModelAge"
    """Days since the champion was trained."""

    CANDIDATE_AGE = "CandidateAge"
    """Days since the newest registered model was trained, whatever became of it."""

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

    REJECTED_ROWS = "RejectedRows"
    """Rows of files that the product definition does not allow, of one materialization."""

    MONITORED_DECISIONS = "MonitoredDecisions"
    """Decisions of a day that the daily monitoring has read, 0 where there were none."""

    DAMAGED_RECEIPTS = "DamagedReceipts"
    """Receipts of a day that the monitoring could not read."""

    FEATURE_DRIFT = "FeatureDrift"
    """Population stability index of a model input from training to applicants, the largest of
    all; with the dimension Feature that of one input."""

    SCORE_DRIFT = "ScoreDrift"
    """Population stability index of the probability of default from training to applicants."""

    APPROVAL_RATE = "ApprovalRate"
    """Share of a day's decisions that approve."""

    DECLINE_RATE = "DeclineRate"
    """Share of a day's decisions that decline."""

    REFERRAL_RATE = "ReferralRate"
    """Share of a day's decisions that leave it to a person."""

    OUTCOME_SHIFT = "OutcomeShift"
    """Population stability index of the outcomes, from the days before to a day."""

    REASON_SHIFT = "ReasonShift"
    """Population stability index of the first reasons, from the days before to a day."""

    MISSING_FEATURES = "MissingFeatures"
    """Share of a day's decisions for which a view had no row."""

    STALE_FEATURES = "StaleFeatures"
    """Share of a day's decisions for which a view's row was older than its ttl."""


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


def dimensions(
    *, stage: str, product: str, view: str | None = None, feature: str | None = None
) -> dict[str, str]:
    """Return the dimensions of a metric: stages of one account must not mix their figures.

    >>> dimensions(stage="prod", product="personal_loan")
    {'Stage': 'prod', 'Product': 'personal_loan'}
    """
    named = {"Stage": stage, "Product": product}
    return named | ({"View": view} if view else {}) | ({"Feature": feature} if feature else {})


def outcome_metric(outcome: str) -> str:
    """Return the name under which decisions of an outcome are counted.

    >>> outcome_metric("refer")
    'OutcomeRefer'
    """
    return f"Outcome{outcome.title()}"


def stage_metric(stage: str) -> str:
    """Return the name of the time that a stage of a request took, in milliseconds.

    >>> stage_metric("read")
    'StageRead'
    """
    return f"Stage{stage.title()}"
