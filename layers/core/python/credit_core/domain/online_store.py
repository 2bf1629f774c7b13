"""Layout of a row in the online store: one item per view and entity.

``recency`` is the event timestamp and the created timestamp in one sortable string, so that the
guard "newer than what is stored" is one comparison in any DynamoDB dialect.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from credit_core.domain.product import DType
from credit_core.errors import MalformedFeaturesError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credit_core.domain.product import CreditProduct, Feature, FeatureView

type Value = float | int | str | None
"""A feature's value as sent or stored; None is unknown."""


def timestamp_text(moment: datetime) -> str:
    """Return UTC ISO 8601 with microseconds, of fixed width, so that text sorts as time does.

    Raises:
        ValueError: The datetime carries no time zone.

    >>> timestamp_text(datetime(2026, 11, 20, 9, tzinfo=UTC))
    '2026-11-20T09:00:00.000000Z'
    """
    if moment.tzinfo is None:
        message = "a timestamp needs a time zone"
        raise ValueError(message)
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def recency(event_timestamp: datetime, created_timestamp: datetime) -> str:
    """Return the sort key of a row: newest event first, then newest correction of it."""
    return f"{timestamp_text(event_timestamp)}/{timestamp_text(created_timestamp)}"


def keyed_hash(secret: bytes, *parts: str) -> str:
    """Return the HMAC-SHA-256 of the parts, 64 hexadecimal digits.

    Source: RFC 2104. Parts are joined with their lengths, so that no two lists collide.

    >>> keyed_hash(b"k", "a", "bc") == keyed_hash(b"k", "ab", "c")
    False
    """
    message = b"".join(
        len(encoded).to_bytes(4, "big") + encoded
        for encoded in (part.encode("utf-8") for part in parts)
    )
    return hmac.new(secret, message, hashlib.sha256).hexdigest()


def entity_key(
    product: CreditProduct, view: FeatureView, keys: Mapping[str, str], *, secret: bytes
) -> str:
    """Return the partition key of a view's row: readable names, then a keyed hash of the entity.

    Args:
        product: Whose view it is.
        view: The feature view.
        keys: Value of each of the entity's keys.
        secret: The HMAC key (never stored beside the rows).
    """
    parts = [keys[name] for name in view.entity.keys]
    return f"{product.name}/{view.name}#{keyed_hash(secret, view.entity.name, *parts)}"


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """One view's features for one entity at one time."""

    entity_key: str
    event_timestamp: datetime
    created_timestamp: datetime
    features: Mapping[str, Value]

    @property
    def recency(self) -> str:
        """The sort key that guards writes."""
        return recency(self.event_timestamp, self.created_timestamp)

    def features_json(self) -> str:
        """Return the features as compact JSON with keys in order of definition."""
        return json.dumps(self.features, separators=(",", ":"), allow_nan=False)


def row_from_stored(
    view: FeatureView, key: str, *, recency_text: str, features_json: str
) -> FeatureRow:
    """Read a stored row and check it against its view.

    Raises:
        MalformedFeaturesError: The row is not what the view defines: a timestamp or JSON that
            cannot be read, a missing or unknown feature, a value of another type or range.
    """
    try:
        event_text, created_text = recency_text.split("/")
        event_timestamp = datetime.fromisoformat(event_text)
        created_timestamp = datetime.fromisoformat(created_text)
        # In UTC from here on: a date that has none at the ends of the calendar shows now.
        event_timestamp, created_timestamp = (
            moment.astimezone(UTC) if moment.tzinfo else moment
            for moment in (event_timestamp, created_timestamp)
        )
        features = json.loads(features_json)
    except (ValueError, OverflowError, RecursionError) as error:
        raise MalformedFeaturesError(view.name, type(error).__name__) from None
    if event_timestamp.tzinfo is None or created_timestamp.tzinfo is None:
        raise MalformedFeaturesError(view.name, "a timestamp has no time zone")
    if not isinstance(features, dict):
        raise MalformedFeaturesError(view.name, "features are not an object")
    faults = row_faults(view.features, features)
    if faults:
        raise MalformedFeaturesError(view.name, "; ".join(faults))
    return FeatureRow(key, event_timestamp, created_timestamp, features)


def row_faults(definitions: Sequence[Feature], features: Mapping[str, object]) -> list[str]:
    """Return what is wrong with a row's features; messages carry names, never values."""
    faults = []
    for feature in definitions:
        if feature.name not in features:
            faults.append(f"{feature.name} is absent")
        else:
            fault = value_fault(feature, features[feature.name])
            if fault:
                faults.append(f"{feature.name} {fault}")
    if not faults and len(features) != len(definitions):
        faults.append("there are features that the view does not define")
    return faults


def value_fault(feature: Feature, value: object) -> str | None:
    """Return what is wrong with one stored value, or None."""
    if value is None:
        return None if feature.nullable else "is null"
    if feature.dtype is DType.CATEGORY:
        return None if value in feature.categories else "is none of its categories"
    # An int is finite, and may be too long for isfinite.
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or (isinstance(value, float) and not math.isfinite(value))
    ):
        return "is not a finite number"
    if feature.dtype is DType.INTEGER and not isinstance(value, int):
        return "is not an integer"
    low, high = feature.minimum, feature.maximum
    if low is not None and high is not None and not low <= value <= high:
        return f"is not from {low:g} to {high:g}"
    return None
