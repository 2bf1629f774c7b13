"""A decision, and what is needed to defend it later."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from credit_core.domain.online_store import timestamp_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from credit_core.domain.online_store import FeatureRow
    from credit_core.domain.policy import Outcome
    from credit_core.domain.product import Value
    from credit_core.domain.reasons import Reason


class FeatureStatus(StrEnum):
    """State of a view's features at the instant of a decision."""

    FRESH = "fresh"
    STALE = "stale"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    UNAVAILABLE = "unavailable"


class ReferralCause(StrEnum):
    """Why a person decides instead of the model."""

    CUTOFF = "between_cutoffs"
    FEATURES_MISSING = "features_missing"
    FEATURES_STALE = "features_stale"
    FEATURES_UNREADABLE = "features_unreadable"
    FEATURES_UNAVAILABLE = "features_unavailable"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_OUTPUT = "model_output_invalid"
    REASONS = "reasons_not_exact"
    INTERNAL = "internal_fault"


@dataclass(frozen=True, slots=True)
class ServedView:
    """One view's part in a decision: the row that was read, if any, and what it was worth.

    ``features`` are what the model is served: the row's, or the declared defaults of a view that
    does without it; None where a person has to decide.
    """

    status: FeatureStatus
    row: FeatureRow | None = None
    age_seconds: float | None = None
    features: Mapping[str, Value] | None = None

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
            "entity_key": self.row.entity_key if self.row else None,
            "created_timestamp": timestamp_text(self.row.created_timestamp) if self.row else None,
            "features": self.features,
        }


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an application was referred. ``detail`` carries names and measures, never values."""

    code: ReferralCause
    detail: str


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the model said: probability, points and reasons, and which model said it."""

    probability_of_default: float
    log_odds: float
    points: float
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class ServingModel:
    """The identity of the model that answered."""

    version: str
    sha256: str
    role: str = "champion"


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one application. ``assessment`` is None where no model was asked."""

    application_id: str
    product: str
    outcome: Outcome
    cause: Cause | None
    assessment: Assessment | None
    views: Mapping[str, ServedView]
    model: ServingModel | None
    policy_version: str
    decided_at: datetime

    def as_response(self) -> dict[str, object]:
        """Return the document that the client receives."""
        assessment, model, cause = self.assessment, self.model, self.cause
        reasons = assessment.reasons if assessment else ()
        return {
            "application_id": self.application_id,
            "product": self.product,
            "outcome": self.outcome,
            "cause": {"code": cause.code, "detail": cause.detail} if cause else None,
            "probability_of_default": assessment.probability_of_default if assessment else None,
            "points": round(assessment.points, 2) if assessment else None,
            "reasons": [
                {
                    "code": reason.code,
                    "text": reason.text,
                    "feature": reason.feature,
                    "contribution_log_odds": reason.contribution_log_odds,
                    "contribution_points": round(reason.contribution_points, 2),
                }
                for reason in reasons
            ],
            "feature_status": {name: view.as_response() for name, view in self.views.items()},
            "model": {"version": model.version, "sha256": model.sha256, "role": model.role}
            if model
            else None,
            "policy_version": self.policy_version,
            "decided_at": timestamp_text(self.decided_at),
        }


@dataclass(frozen=True, slots=True)
class Receipt:
    """A decision as it is kept. ``response`` is the answer's very text.

    ``fingerprint`` is a keyed hash of the application, so that the same id with another body is
    noticed without keeping the body's identifiers.
    """

    application_id: str
    product: str
    fingerprint: str
    outcome: str
    decided_at: str
    response: str
    request: str
    served: str
    stage_ms: str
