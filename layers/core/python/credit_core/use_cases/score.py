"""Score an application: read everything once, decide, write the receipt, answer."""

from __future__ import annotations

import json
import traceback
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from credit_core.domain.application import ApplicationReader
from credit_core.domain.decision import (
    Assessment,
    Cause,
    Decision,
    FeatureStatus,
    Receipt,
    ReferralCause,
    ServedView,
    ServingModel,
)
from credit_core.domain.feature_matrix import feature_matrix
from credit_core.domain.online_store import (
    CLOCK_SKEW,
    entity_key,
    keyed_hash,
    row_from_stored,
    timestamp_text,
)
from credit_core.domain.policy import (
    Outcome,
    outcome_of,
    points,
    points_per_log_odds,
    probability,
)
from credit_core.domain.product import RETENTION_TTLS
from credit_core.domain.reasons import (
    adverse_action_reasons,
    efficiency_error,
    pairwise_shapley,
    perturbations,
)
from credit_core.errors import (
    ApplicationConflictError,
    ModelOutputError,
    ModelUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from credit_core.domain.application import Application
    from credit_core.domain.online_store import FeatureRow
    from credit_core.domain.product import CreditProduct, FeatureView, Value
    from credit_core.ports import ChampionSource, DecisionStore, LoadedModel, Readout, Timer

LARGEST_EFFICIENCY_ERROR = 1e-2
"""In log-odds. Above it the contributions are no account of this decision."""

CAUSE_OF_STATUS = {
    FeatureStatus.MISSING: ReferralCause.FEATURES_MISSING,
    FeatureStatus.STALE: ReferralCause.FEATURES_STALE,
    FeatureStatus.UNREADABLE: ReferralCause.FEATURES_UNREADABLE,
    FeatureStatus.UNAVAILABLE: ReferralCause.FEATURES_UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client receives. ``replayed`` when the decision was made by an earlier call."""

    body: str
    outcome: str
    replayed: bool
    decision: Decision | None = None


class ScoreApplication:
    """The online path for one product. One instance serves many requests, one at a time."""

    def __init__(
        self,
        product: CreditProduct,
        *,
        secret: bytes,
        store: DecisionStore,
        champions: ChampionSource,
    ) -> None:
        self._product = product
        self._secret = secret
        self._store = store
        self._champions = champions
        self._read_application = ApplicationReader(product)

    def __call__(self, body: str | bytes | None, *, as_of: datetime, timer: Timer) -> Answer:
        """Decide one application and make the decision durable.

        Args:
            body: The request body, JSON.
            as_of: The instant of the decision, with time zone; it counts in whole milliseconds.
            timer: Takes the time per stage and knows how much of the deadline is left.

        Raises:
            InvalidApplicationError: The body cannot be judged; no decision was made.
            ApplicationConflictError: The id was decided before with another body.
            StoreUnavailableError: The receipt could not be written; no decision was made.
        """
        as_of = as_of.replace(microsecond=as_of.microsecond // 1_000 * 1_000)
        application = self._read_application(body)
        fingerprint = keyed_hash(self._secret, application.canonical)
        keys = {
            view.name: entity_key(self._product, view, application.entity_keys, secret=self._secret)
            for view in self._product.feature_views
        }
        timer.lap("parse")
        readout = self._store.read(
            tuple(keys.values()),
            application_id=application.application_id,
            with_pointer=self._champions.pointer_is_old(),
            timer=timer,
        )
        timer.lap("read")
        if readout.receipt is not None:
            return self._replay(readout.receipt, fingerprint, application.application_id)
        decision = self._decide(application, keys, readout, as_of=as_of, timer=timer)
        receipt = self._receipt(application, decision, fingerprint, timer)
        earlier = self._store.write(receipt, timer=timer)
        timer.lap("write")
        if earlier is not None:
            return self._replay(earlier, fingerprint, application.application_id)
        return Answer(receipt.response, receipt.outcome, replayed=False, decision=decision)

    def _replay(self, receipt: Receipt, fingerprint: str, application_id: str) -> Answer:
        if receipt.fingerprint != fingerprint:
            raise ApplicationConflictError(application_id)
        return Answer(receipt.response, receipt.outcome, replayed=True)

    def _decide(
        self,
        application: Application,
        keys: Mapping[str, str],
        readout: Readout,
        *,
        as_of: datetime,
        timer: Timer,
    ) -> Decision:
        """Return the decision; whatever goes wrong in here is a referral, never an approval."""
        views = {
            view.name: serve_view(view, keys[view.name], readout, as_of=as_of)
            for view in self._product.feature_views
        }
        cause = self._cause_in(views)
        assessment, serving = None, None
        if cause is None:
            try:
                model = self._champions.model(readout.pointer)
                serving = ServingModel(model.manifest.version, model.manifest.onnx_sha256)
                assessment = self._assess(application, views, model, timer)
            except ModelUnavailableError as error:
                cause = Cause(ReferralCause.MODEL_UNAVAILABLE, str(error))
            except ModelOutputError as error:
                cause = Cause(ReferralCause.MODEL_OUTPUT, str(error))
            except Exception as error:  # noqa: BLE001 (no fault may do more than refer)
                cause = Cause(ReferralCause.INTERNAL, fault_location(error))
        outcome = Outcome.REFER
        if assessment is not None:
            outcome = outcome_of(self._product.policy, assessment.probability_of_default)
            if outcome is Outcome.REFER:
                cause = Cause(ReferralCause.CUTOFF, "the probability lies between the cut-offs")
            elif outcome is Outcome.DECLINE and not assessment.reasons:
                outcome = Outcome.REFER
                cause = Cause(ReferralCause.REASONS, "no feature accounts for the decline")
        return Decision(
            application.application_id,
            self._product.name,
            outcome,
            cause,
            assessment,
            views,
            serving,
            self._product.policy.version,
            as_of,
        )

    def _cause_in(self, views: Mapping[str, ServedView]) -> Cause | None:
        """Return the first cause for referral that the views give, in order of definition."""
        for view in self._product.feature_views:
            served = views[view.name]
            if served.features is None:
                return Cause(CAUSE_OF_STATUS[served.status], f"{view.name} is {served.status}")
        return None

    def _assess(
        self,
        application: Application,
        views: Mapping[str, ServedView],
        model: LoadedModel,
        timer: Timer,
    ) -> Assessment:
        values: dict[str, Value] = dict(application.features)
        assumed: list[str] = []
        for served in views.values():
            features = served.features or {}
            values |= features
            if served.status is not FeatureStatus.FRESH:
                assumed += features
        row = feature_matrix(self._product, {name: (value,) for name, value in values.items()})[0]
        log_odds = model.log_odds(perturbations(row, model.reference))
        timer.lap("infer")
        if efficiency_error(log_odds) > LARGEST_EFFICIENCY_ERROR:
            raise ModelOutputError("the contributions do not sum to the model's answer")
        policy = self._product.policy
        answer = float(log_odds[0])
        assessment = Assessment(
            probability(answer),
            answer,
            points(policy, answer),
            adverse_action_reasons(
                self._product.model_features,
                row,
                pairwise_shapley(log_odds),
                points_per_log_odds=points_per_log_odds(policy),
                most=policy.maximum_reasons,
                assumed=assumed,
            ),
        )
        timer.lap("explain")
        return assessment

    def _receipt(
        self, application: Application, decision: Decision, fingerprint: str, timer: Timer
    ) -> Receipt:
        return Receipt(
            application_id=application.application_id,
            product=self._product.name,
            fingerprint=fingerprint,
            outcome=decision.outcome,
            decided_at=timestamp_text(decision.decided_at),
            response=_json(decision.as_response()),
            request=_json(application.features),
            served=_json({name: view.as_receipt() for name, view in decision.views.items()}),
            stage_ms=_json(timer.stages_ms()),
        )


def serve_view(view: FeatureView, key: str, readout: Readout, *, as_of: datetime) -> ServedView:
    """Return what a view's stored row is worth at an instant; time to live is enforced here."""
    if key in readout.unread:
        return ServedView(FeatureStatus.UNAVAILABLE)
    stored = readout.rows.get(key)
    if stored is None:
        return _missing(view)
    try:
        row = row_from_stored(
            view, key, recency_text=stored.recency, features_json=stored.features_json
        )
    except Exception:  # noqa: BLE001 (whatever lies in the store, it can do no more than refer)
        return ServedView(FeatureStatus.UNREADABLE)
    return serve_row(view, row, as_of=as_of)


def serve_row(view: FeatureView, row: FeatureRow, *, as_of: datetime) -> ServedView:
    """Return what a readable row is worth at an instant."""
    age_seconds = (as_of - row.event_timestamp).total_seconds()
    if age_seconds < -CLOCK_SKEW.total_seconds():
        return ServedView(FeatureStatus.UNREADABLE, row, age_seconds)
    if age_seconds > RETENTION_TTLS * view.ttl_seconds:
        # DynamoDB deletes expired items days late; training does not see them, nor does a score.
        return _missing(view)
    if age_seconds > view.ttl_seconds:
        substitutes = view.substitutes(view.when_stale)
        return ServedView(FeatureStatus.STALE, row, age_seconds, substitutes)
    return ServedView(FeatureStatus.FRESH, row, age_seconds, row.features)


def _missing(view: FeatureView) -> ServedView:
    return ServedView(FeatureStatus.MISSING, features=view.substitutes(view.when_missing))


def fault_location(error: Exception) -> str:
    """Return an error's type and the line that raised it; its message might hold a value."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def _json(document: Mapping[str, object]) -> str:
    return json.dumps(document, separators=(",", ":"), allow_nan=False)
