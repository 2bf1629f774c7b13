"""What the sender of a pushed row, the event bus and the lake have to agree on."""

from __future__ import annotations

DETAIL_TYPE = "FeatureRow"
"""The event's ``detail-type``; the bus carries no others to the lake."""

FIELDS = ("view", "keys", "event_timestamp", "created_timestamp", "features")
"""The event's ``detail``: all of them, and nothing else."""

MAXIMUM_EVENT_BYTES = 262_144
"""Limit of EventBridge for an event, and for all events of one call."""
