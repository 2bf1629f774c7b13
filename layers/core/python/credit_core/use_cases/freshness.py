"""How old the newest event of each view is: what tells that a source has stopped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from credit_core.domain.metrics import Measurement, Metric, Unit, dimensions
from credit_core.domain.online_store import newest_row_key

if TYPE_CHECKING:
    from datetime import datetime

    from credit_core.domain.product import CreditProduct
    from credit_core.ports import Metrics, NewestEvents


@dataclass(frozen=True, slots=True)
class ViewFreshness:
    """Age of a view's newest event; None when the view has none, ever or any more."""

    view: str
    age_seconds: float | None
    ttl_seconds: float


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


def _age_seconds(event: datetime | None, as_of: datetime) -> float | None:
    # Clocks differ: an event of this moment may seem to lie a little ahead.
    return None if event is None else max(0.0, (as_of - event).total_seconds())
