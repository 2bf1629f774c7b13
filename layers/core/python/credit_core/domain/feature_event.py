"""What the sender of a pushed row, the event bus and the lake have to agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from credit_core.domain.product import CreditProduct, FeatureView

DETAIL_TYPE = "FeatureRow"
"""The event's ``detail-type``; the bus carries no others to the lake."""

FIELDS = ("view", "keys", "event_timestamp", "created_timestamp", "features")
"""The event's ``detail``: all of them, and nothing else."""

MAXIMUM_EVENT_BYTES = 262_144
"""Limit of EventBridge for an event, and for all events of one call."""


def pushed_prefix(product: CreditProduct, view: FeatureView) -> str:
    """Return the key prefix of a view's pushed rows in the lake."""
    return f"{product.view_prefix(view)}pushed/"
