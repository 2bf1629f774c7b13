"""A decision, and what is needed to defend it later."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from credit_core.domain.judgement import Cause, ReferralCause
from credit_core.domain.metrics import Metric
from credit_core.domain.model_manifest import Role
from credit_core.domain.online_store import timestamp_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from credit_core.domain.judgement import Judgement
    from credit_core.domain.online_store import FeatureRow
    from credit_core.domain.product import Value
    from credit_core.domain.rollout import Shadow


class FeatureStatus(StrEnum):
    """State of a view's features at the instant of a decision."""

    FRESH = "fresh"
    STALE = "stale"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    UNAVAILABLE = "unavailable"


CAUSE_OF_STATUS = {
    FeatureStatus.MISSING: ReferralCause.FEATURES_MISSING,
    FeatureStatus.STALE: ReferralCause.FEATURES_STALE,
    FeatureStatus.UNREADABLE: ReferralCause.FEATURES_UNREADABLE,
    FeatureStatus.UNAVAILABLE: ReferralCause.FEATURES_UNAVAILABLE,
}

METRIC_OF_STATUS = {
    FeatureStatus.MISSING: Metric.MISSING_DECISIONS,
    FeatureStatus.STALE: Metric.STALE_DECISIONS,
}

FAULTS = frozenset(
    {
        ReferralCause.FEATURES_UNREADABLE,
        ReferralCause.FEATURES_UNAVAILABLE,
        ReferralCause.MODEL_UNAVAILABLE,
        ReferralCause.MODEL_OUTPUT,
        ReferralCause.REASONS,
        ReferralCause.INTERNAL,
    }
)
"""Causes for which nobody but this system is responsible."""


@dataclass(frozen=True, slots=True)
class ServedView:
    """One view's part in a decision: the row that was read, if any, and what it was worth.

    ``features`` are what the model is served: the row's, or the declared defaults of a view that
    does without it; None where a person has to decide. ``missing_key`` is the key under which there
    was no row.
    """

    status: FeatureStatus
    row: FeatureRow | None = None
    age_seconds: float | None = None
    features: Mapping[str, Value] | None = None
    missing_key: str | None = None

    def as_response(self) -> dict[str, object]:
        """Return what the client is told: status and age, no values."""
        return {
            "status": self.status,
            "event_timestamp": timestamp_text(self.row.event_timestamp) if self.row else None,
            "age_seconds": None if self.age_seconds is None else round(self.age_seconds, 3),
        }

    def as_receipt(self) -> dict[str, object]:
        """Return what the receipt keeps: everything the model was served."""
        return self.as_response() | {
            "entity_key": self.row.entity_key if self.row else self.missing_key,
            "created_timestamp": timestamp_text(self.row.created_timestamp) if self.row else None,
            "features": self.features,
        }


@dataclass(frozen=True, slots=True)
class ServingModel:
    """The identity of the model that answered, and as what it did."""

    version: str
    sha256: str
    role: Role = Role.CHAMPION


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one application.

    ``revision`` is 1, or one more than that of the retryable referral it supersedes. ``shadow`` is
    what the model said that did not answer, where two are compared; ``challenger_fault`` why a
    challenger gave no answer where the champion did, so that the champion's is the answer.
    """

    application_id: str
    product: str
    judgement: Judgement
    views: Mapping[str, ServedView]
    model: ServingModel | None
    policy_version: str
    decided_at: datetime
    revision: int = 1
    shadow: Shadow | None = None
    challenger_fault: str | None = None

    @property
    def not_fresh(self) -> dict[str, FeatureStatus]:
        """The status of each view whose features were not simply there, by name."""
        return {
            name: view.status
            for name, view in self.views.items()
            if view.status is not FeatureStatus.FRESH
        }

    @property
    def shadow_agrees(self) -> bool | None:
        """Whether both models came to one outcome; None where one of them came to none."""
        if self.shadow is None or self.shadow.outcome is None or self.judgement.assessment is None:
            return None
        return self.shadow.outcome is self.judgement.outcome

    def as_response(self) -> dict[str, object]:
        """Return the document that the client receives."""
        model = self.model
        return {
            "application_id": self.application_id,
            "product": self.product,
            **judged(self.judgement),
            "feature_status": {name: view.as_response() for name, view in self.views.items()},
            "model": {"version": model.version, "sha256": model.sha256, "role": model.role}
            if model
            else None,
            "policy_version": self.policy_version,
            "decided_at": timestamp_text(self.decided_at),
            "revision": self.revision,
        }


def judged(judgement: Judgement) -> dict[str, object]:
    """Return a judgement's part of the response: what a replay has to find again, bit for bit."""
    assessment, cause = judgement.assessment, judgement.cause
    return {
        "outcome": judgement.outcome,
        "decided_by": {"kind": judgement.decided_by.kind, "code": judgement.decided_by.code},
        "cause": {"code": cause.code, "detail": cause.detail, "retryable": cause.retryable}
        if cause
        else None,
        "probability_of_default": assessment.probability_of_default if assessment else None,
        "points": round(assessment.points, 2) if assessment else None,
        "risk_band": assessment.risk_band if assessment else None,
        "reasons": [
            {
                "code": reason.code,
                "text": reason.text,
                "feature": reason.feature,
                "contribution_log_odds": reason.contribution_log_odds,
                "contribution_points": None
                if reason.contribution_points is None
                else round(reason.contribution_points, 2),
            }
            for reason in judgement.reasons
        ],
    }


def fault_in(views: Mapping[str, ServedView]) -> Cause | None:
    """Return the first cause for referral that the views give, in their order."""
    for name, served in views.items():
        if served.features is None:
            return Cause(CAUSE_OF_STATUS[served.status], f"{name} is {served.status}")
    return None


def assumed_in(views: Mapping[str, ServedView]) -> tuple[str, ...]:
    """Return the names of the features whose declared default was served."""
    return tuple(
        name
        for served in views.values()
        if served.status is not FeatureStatus.FRESH
        for name in served.features or ()
    )


def counts_of(decisions: Iterable[Decision]) -> Counter[Metric]:
    """Return how many decisions were of each kind that on-call watches; none is absent.

    These are referrals for a fault of this system, decisions that lacked features or got stale
    ones, and what a challenger did: answered, was compared, differed, failed.
    """
    counts: Counter[Metric] = Counter()
    for decision in decisions:
        if decision.judgement.cause is not None and decision.judgement.cause.code in FAULTS:
            counts[Metric.FAULT_REFERRALS] += 1
        for status in set(decision.not_fresh.values()):
            if status in METRIC_OF_STATUS:
                counts[METRIC_OF_STATUS[status]] += 1
        if decision.model is not None and decision.model.role is Role.CHALLENGER:
            counts[Metric.CHALLENGER_DECISIONS] += 1
        if decision.shadow_agrees is not None:
            counts[Metric.SHADOW_DECISIONS] += 1
        if decision.shadow_agrees is False:
            counts[Metric.SHADOW_DISAGREEMENTS] += 1
        if decision.challenger_fault is not None:
            counts[Metric.CHALLENGER_FAILURES] += 1
    return counts
