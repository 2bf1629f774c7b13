"""Score an application: read everything once, decide, write the receipt, answer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.application import ApplicationReader
from credit_core.domain.application_records import compact_json
from credit_core.domain.decision import (
    Decision,
    FeatureStatus,
    ServedView,
    ServingModel,
    assumed_in,
    fault_in,
)
from credit_core.domain.feature_matrix import exact_matrix
from credit_core.domain.judgement import Cause, Judge, ReferralCause, referred_by
from credit_core.domain.model_manifest import Role
from credit_core.domain.online_store import (
    CLOCK_SKEW,
    ERASED,
    hashed_entity,
    keyed_hash,
    row_from_stored,
    row_key,
    timestamp_text,
)
from credit_core.domain.product import RETENTION_TTLS
from credit_core.domain.receipt import Receipt, model_input_of
from credit_core.domain.rollout import applicant_draw
from credit_core.domain.terms import Terms
from credit_core.errors import (
    ApplicationConflictError,
    DamagedReceiptError,
    ModelUnavailableError,
    fault_location,
)
from credit_core.use_cases.shadow import shadow_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from datetime import datetime

    from numpy.typing import NDArray

    from credit_core.domain.application import Application
    from credit_core.domain.judgement import Judgement
    from credit_core.domain.online_store import FeatureRow
    from credit_core.domain.product import CreditProduct, FeatureView, Value
    from credit_core.domain.rollout import Shadow
    from credit_core.ports import DecisionStore, Lineup, LoadedModel, ModelSource, Readout, Timer

SHADOW_NEEDS_SECONDS = 0.02
"""Of the deadline: with less left, which the write needs, nobody is asked without need."""

MOST_REVISIONS = 100
"""Decisions on one application. A client that sends a referral again and again ends here."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client receives. ``replayed`` when the decision was made by an earlier call."""

    body: str
    outcome: str
    replayed: bool
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class _Judged:
    """A judgement and whose it is, with what the other model says where there are two."""

    judgement: Judgement
    model: LoadedModel | None
    role: Role = Role.CHAMPION
    shadow: Shadow | None = None
    challenger_fault: str | None = None


class ScoreApplication:
    """The online path for one product. One instance serves many requests, one at a time."""

    def __init__(
        self,
        product: CreditProduct,
        *,
        secret: bytes,
        store: DecisionStore,
        models: ModelSource,
    ) -> None:
        self._product = product
        self._secret = secret
        self._store = store
        self._models = models
        self._read_application = ApplicationReader(product)
        terms = Terms.of(product)
        self._terms = terms.pack()
        self._judge = Judge(terms)

    def __call__(self, body: str | bytes | None, *, as_of: datetime, timer: Timer) -> Answer:
        """Decide the application in a request body and make the decision durable.

        Args:
            body: The request body, JSON.
            as_of: The instant of the decision, with time zone; it counts in whole milliseconds.
            timer: Takes the time per stage and knows how much of the deadline is left.

        Raises:
            InvalidRequestError: The body cannot be judged; no decision was made.
            ApplicationConflictError: The id was decided before with another body.
            DamagedReceiptError: The id was decided before, and that decision cannot be read.
            StoreUnavailableError: The receipt could not be written; no decision was made.
        """
        return self._answer(self._read_application(body), as_of=as_of, timer=timer)

    def _answer(self, application: Application, *, as_of: datetime, timer: Timer) -> Answer:
        as_of = as_of.replace(microsecond=as_of.microsecond // 1_000 * 1_000)
        fingerprint = keyed_hash(self._secret, application.canonical)
        # Once for each entity, however many views it has.
        hashes = {
            entity.name: hashed_entity(entity, application.entity_keys, secret=self._secret)
            for entity in self._product.entities
        }
        keys = {
            view.name: row_key(self._product.name, view.name, hashes[view.entity.name])
            for view in self._product.feature_views
        }
        timer.lap("parse")
        readout = self._store.read(
            tuple(keys.values()),
            application_id=application.application_id,
            with_pointer=self._models.pointer_is_old(),
            timer=timer,
        )
        timer.lap("read")
        earlier = readout.receipt
        if earlier and (_is_final(earlier) or earlier.fingerprint != fingerprint):
            return self._replay(earlier, fingerprint)
        receipt, decision = self._decide(
            application, keys, hashes, readout, fingerprint, as_of=as_of, timer=timer
        )
        if earlier:
            winner = self._store.supersede(receipt, earlier, timer=timer)
        else:
            winner = self._store.write(receipt, timer=timer)
        timer.lap("write")
        if winner:
            return self._replay(winner, fingerprint)
        return Answer(receipt.response, receipt.outcome, replayed=False, decision=decision)

    def _replay(self, receipt: Receipt, fingerprint: str) -> Answer:
        if receipt.fingerprint != fingerprint:
            raise ApplicationConflictError(receipt.application_id)
        try:
            json.loads(receipt.response)
        except ValueError:
            raise DamagedReceiptError("the response of a stored decision is no JSON") from None
        return Answer(receipt.response, receipt.outcome, replayed=True)

    def _decide(
        self,
        application: Application,
        keys: Mapping[str, str],
        hashes: Mapping[str, str],
        readout: Readout,
        fingerprint: str,
        *,
        as_of: datetime,
        timer: Timer,
    ) -> tuple[Receipt, Decision]:
        """Return the decision; whatever goes wrong in here is a referral, never an approval."""
        views = {
            view.name: serve_view(view, keys[view.name], readout, as_of=as_of)
            for view in self._product.feature_views
        }
        row = np.empty(0)
        lineup: Lineup | None = None
        fault = fault_in(views)
        try:
            row = self._row(application, views)
            if fault is None:
                lineup, fault = self._ask_for_models(readout)
            assumed = assumed_in(views)
            if lineup is None or lineup.challenger is None:
                champion = lineup.champion if lineup else None
                judgement = self._judge(row, champion, assumed=assumed, fault=fault, lap=timer.lap)
                judged = _Judged(judgement, champion)
            else:
                judged = self._judge_both(
                    application, row, lineup, lineup.challenger, assumed=assumed, timer=timer
                )
        except Exception as error:  # noqa: BLE001 (no fault may do more than refer)
            judgement = referred_by(Cause(ReferralCause.INTERNAL, fault_location(error)))
            judged = _Judged(judgement, lineup.champion if lineup else None)
        model, shadow = judged.model, judged.shadow
        decision = Decision(
            application.application_id,
            self._product.name,
            judged.judgement,
            views,
            ServingModel(model.manifest.version, model.manifest.onnx_sha256, judged.role)
            if model
            else None,
            self._product.policy.version,
            as_of,
            readout.receipt.revision + 1 if readout.receipt else 1,
            shadow,
            judged.challenger_fault,
        )
        cause = judged.judgement.cause
        applicant = self._product.applicant
        receipt = Receipt(
            application_id=application.application_id,
            product=self._product.name,
            fingerprint=fingerprint,
            outcome=str(judged.judgement.outcome),
            decided_at=timestamp_text(as_of),
            response=compact_json(decision.as_response()),
            request=compact_json(application.features),
            served=compact_json({name: view.as_receipt() for name, view in views.items()}),
            model_input=model_input_of(row),
            terms=self._terms,
            manifest_sha256=model.manifest_sha256 if model else "",
            stage_ms=compact_json(timer.stages_ms()),
            retryable=cause is not None and cause.retryable,
            revision=decision.revision,
            shadow=shadow.as_receipt() if shadow else None,
            applicant=hashes[applicant.name] if applicant else None,
        )
        return receipt, decision

    def _judge_both(
        self,
        application: Application,
        row: NDArray[np.float64],
        lineup: Lineup,
        challenger: LoadedModel,
        *,
        assumed: Collection[str],
        timer: Timer,
    ) -> _Judged:
        """Return the judgement of the model whose applicant it is, and what the other one says."""
        model, role = lineup.champion, Role.CHAMPION
        other, others_role = challenger, Role.CHALLENGER
        judgement: Judgement | None = None
        fault: str | None = None
        if lineup.share > 0 and self._draw(application, challenger) < lineup.share:
            judgement, fault = self._judgement_of_challenger(row, challenger, assumed, timer)
        if judgement is not None:
            model, role, other, others_role = other, others_role, model, role
        else:
            judgement = self._judge(row, model, assumed=assumed, lap=timer.lap)
        in_time = timer.remaining_seconds() > SHADOW_NEEDS_SECONDS
        shadow = shadow_of(
            self._judge, row, other, role=others_role, assumed=assumed, in_time=in_time
        )
        timer.lap("shadow")
        if others_role is Role.CHALLENGER and in_time:
            fault = fault or shadow.fault
        if judgement.assessment is None:
            fault = None  # of neither model: no number is one that they take
        return _Judged(judgement, model, role, shadow, fault)

    def _draw(self, application: Application, challenger: LoadedModel) -> float:
        version = challenger.manifest.version
        return applicant_draw(self._product, application, challenger=version, secret=self._secret)

    def _judgement_of_challenger(
        self,
        row: NDArray[np.float64],
        challenger: LoadedModel,
        assumed: Collection[str],
        timer: Timer,
    ) -> tuple[Judgement | None, str | None]:
        """Return the challenger's judgement; where it fails None, and why: the champion answers."""
        try:
            judgement = self._judge(row, challenger, assumed=assumed, lap=timer.lap)
        except Exception as error:  # noqa: BLE001 (no fault of it may touch the answer)
            return None, fault_location(error)
        if judgement.assessment is None:
            # A rule that declines does so without a cause, whatever became of the model.
            return None, judgement.cause.detail if judgement.cause else "it gave no answer"
        return judgement, None

    def _row(
        self, application: Application, views: Mapping[str, ServedView]
    ) -> NDArray[np.float64]:
        """Return the model input before its cast, shape (G,); what no view served is unknown.

        Raises:
            OverflowError: A derived feature is infinite.
        """
        values: dict[str, Value] = dict(application.features)
        for view in self._product.feature_views:
            values |= views[view.name].features or dict.fromkeys(
                feature.name for feature in view.features
            )
        row: NDArray[np.float64] = exact_matrix(
            self._product, {name: (value,) for name, value in values.items()}
        )[0]
        if np.isinf(row).any():
            raise OverflowError
        return row

    def _ask_for_models(self, readout: Readout) -> tuple[Lineup | None, Cause | None]:
        try:
            return self._models.lineup(readout.pointer), None
        except ModelUnavailableError as error:
            return None, Cause(ReferralCause.MODEL_UNAVAILABLE, str(error))


def _is_final(receipt: Receipt) -> bool:
    """Whether nothing supersedes it: no passing fault, something was added, or it was enough."""
    return not receipt.retryable or receipt.added is not None or receipt.revision >= MOST_REVISIONS


def serve_view(view: FeatureView, key: str, readout: Readout, *, as_of: datetime) -> ServedView:
    """Return what a view's stored row is worth at an instant; time to live is enforced here."""
    if key in readout.unread:
        return ServedView(FeatureStatus.UNAVAILABLE)
    stored = readout.rows.get(key)
    if stored is None or stored.recency == ERASED:
        return _missing(view, key)
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
        return _missing(view, row.entity_key)
    if age_seconds > view.ttl_seconds:
        substitutes = view.substitutes(view.when_stale)
        return ServedView(FeatureStatus.STALE, row, age_seconds, substitutes)
    return ServedView(FeatureStatus.FRESH, row, age_seconds, row.features)


def _missing(view: FeatureView, key: str) -> ServedView:
    return ServedView(
        FeatureStatus.MISSING, features=view.substitutes(view.when_missing), missing_key=key
    )
