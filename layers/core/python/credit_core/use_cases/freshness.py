"""How old the newest event of each view is, and the model: what tells that something has stopped.

A source that delivers nothing and a retraining that brings no candidate fail nowhere; they age.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from credit_core.domain.metrics import Measurement, Metric, Unit, dimensions
from credit_core.domain.online_store import newest_row_key

if TYPE_CHECKING:
    from datetime import datetime

    from credit_core.domain.product import CreditProduct
    from credit_core.ports import Metrics, NewestEvents

SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class ViewFreshness:
    """Age of a view's newest event; None when the view has none, ever or any more."""

    view: str
    age_seconds: float | None
    ttl_seconds: float


@dataclass(frozen=True, slots=True)
class ModelAges:
    """Days since the champion, and the newest registered model, were trained; None without one."""

    champion_days: float | None
    candidate_days: float | None


@dataclass(frozen=True, slots=True)
class TrainedAt:
    """When models were trained: the champion, and the newest of all; None without one."""

    champion: datetime | None
    newest: datetime | None


class TrainingTimes(Protocol):
    """Knows when a product's models were trained."""

    def read(self) -> TrainedAt:
        """Return when.

        Raises:
            StoreUnavailableError: The registry did not answer.
        """


def measure_freshness(
    product: CreditProduct,
    *,
    stage: str,
    newest_events: NewestEvents,
    metrics: Metrics,
    as_of: datetime,
) -> tuple[ViewFreshness, ...]:
    """Publish the age of each view's newest event.

    A view without one gets no figure, because never is no age: any number in its place would
    be a wrong one in each graph and average. The alarm takes a missing figure for a breach, which
    also catches that nothing is measured any more.

    Args:
        product: Whose views are measured.
        stage: The deployment, a dimension of the metrics.
        newest_events: Where the newest events are noted.
        metrics: Where the ages go.
        as_of: Now.

    Raises:
        StoreUnavailableError: A store did not answer; nothing, or not all, was published.
    """
    keys = {view.name: newest_row_key(product, view) for view in product.feature_views}
    events = newest_events.read(tuple(keys.values()))
    found = tuple(
        ViewFreshness(view.name, _age_seconds(events.get(keys[view.name]), as_of), view.ttl_seconds)
        for view in product.feature_views
    )
    measurements = [
        Measurement(
            Metric.FEATURE_AGE,
            freshness.age_seconds,
            Unit.SECONDS,
            dimensions(stage=stage, product=product.name, view=freshness.view),
        )
        for freshness in found
        if freshness.age_seconds is not None
    ]
    if measurements:
        metrics.publish(measurements, at=as_of)
    return found


def measure_models(
    product: CreditProduct,
    *,
    stage: str,
    training_times: TrainingTimes,
    metrics: Metrics,
    as_of: datetime,
) -> ModelAges:
    """Publish how many days ago the champion and the newest registered model were trained.

    Without a model there is no figure, see ``measure_freshness``. A candidate that was refused
    counts: it shows that retrainings go on.

    Args:
        product: Whose models.
        stage: The deployment, a dimension of the metrics.
        training_times: When they were trained.
        metrics: Where the ages go.
        as_of: Now.

    Raises:
        StoreUnavailableError: A store did not answer; nothing was published.
    """
    trained = training_times.read()
    ages = ModelAges(
        _age_days(trained.champion, as_of),
        _age_days(trained.newest, as_of),
    )
    named = dimensions(stage=stage, product=product.name)
    measurements = [
        Measurement(metric, days, Unit.NONE, named)
        for metric, days in (
            (Metric.MODEL_AGE, ages.champion_days),
            (Metric.CANDIDATE_AGE, ages.candidate_days),
        )
        if days is not None
    ]
    if measurements:
        metrics.publish(measurements, at=as_of)
    return ages


def _age_days(trained: datetime | None, as_of: datetime) -> float | None:
    seconds = _age_seconds(trained, as_of)
    return None if seconds is None else seconds / SECONDS_A_DAY


def _age_seconds(event: datetime | None, as_of: datetime) -> float | None:
    # Clocks differ: an event of this moment may seem to lie a little ahead.
    return None if event is None else max(0.0, (as_of - event).total_seconds())
