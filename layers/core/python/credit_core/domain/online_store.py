"""Layout of a row in the online store: one item per view and entity.

``recency`` puts the event timestamp, the created timestamp and the features themselves into one
sortable text, so that the guard "newer than what is stored" is one comparison in any DynamoDB
dialect, and so that of two rows of one instant every reader picks the same.

Time has a resolution of milliseconds, here as in Athena.
"""

from __future__ import annotations

import binascii
import hmac
import json
import string
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from credit_core.domain.product import DType
from credit_core.errors import MalformedFeaturesError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credit_core.domain.product import CreditProduct, Entity, Feature, FeatureView, Value

CLOCK_SKEW = timedelta(minutes=1)
"""How far clocks may differ before a timestamp is wrong: the event's from the recording one's, and
that one's from ours.
"""

ERASED = "9999-erased"
"""Recency of an item that stands for an erased applicant's row, and holds nothing else.

No row is newer: a year of four digits begins each recency, and a row of the future is rejected.
"""

_DOUBLE, _BITS = struct.Struct(">d"), struct.Struct(">Q")
_SIGN, _ALL = 1 << 63, (1 << 64) - 1
_BASE64 = string.ascii_uppercase + string.ascii_lowercase + string.digits
_IN_ORDER = bytes.maketrans(f"{_BASE64}+/".encode(), "".join(sorted(f"{_BASE64}-_")).encode())


def timestamp_text(moment: datetime) -> str:
    """Return UTC ISO 8601 with milliseconds, of fixed width, so that text sorts as time does.

    Raises:
        ValueError: The datetime carries no time zone.

    >>> timestamp_text(datetime(2026, 11, 20, 9, tzinfo=UTC))
    '2026-11-20T09:00:00.000Z'
    """
    if moment.tzinfo is None:
        message = "a timestamp needs a time zone"
        raise ValueError(message)
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def tie_break(definitions: Sequence[Feature], features: Mapping[str, Value]) -> str:
    """Return text that sorts as rows of equal times do: by their features, in order of definition.

    Numbers sort by value, categories by code point, and null sorts before either, as with
    ``NULLS LAST`` in a descending order of SQL.

    Source: IEEE 754 doubles of one sign sort as their bits do. RFC 4648, section 4 (base64), but
    for the alphabet: its characters are in the order of what they stand for.
    """
    encoded = b"".join([_sortable(feature, features[feature.name]) for feature in definitions])
    text = binascii.b2a_base64(encoded, newline=False).translate(_IN_ORDER)
    return text.decode("ascii").rstrip("=")


def _sortable(feature: Feature, value: Value) -> bytes:
    if feature.dtype is DType.CATEGORY:
        place = 0 if value is None else 1 + sorted(feature.categories).index(str(value))
        return place.to_bytes(2)
    if value is None:
        return bytes(8)
    (bits,) = _BITS.unpack(_DOUBLE.pack(value + 0.0))  # type: ignore[operator]  # -0.0 is 0.0
    return _BITS.pack(bits ^ (_ALL if bits & _SIGN else _SIGN))


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
    return hmac.digest(secret, message, "sha256").hex()


def entity_key(
    product: CreditProduct, view: FeatureView, keys: Mapping[str, str | int], *, secret: bytes
) -> str:
    """Return the partition key of a view's row: readable names, then a keyed hash of the entity.

    Args:
        product: Whose view it is.
        view: The feature view.
        keys: Value of each of the entity's keys; an integer counts as its decimal digits.
        secret: The HMAC key (never stored beside the rows).
    """
    return row_key(product.name, view.name, hashed_entity(view.entity, keys, secret=secret))


def hashed_entity(entity: Entity, keys: Mapping[str, str | int], *, secret: bytes) -> str:
    """Return the keyed hash of an entity: the same in the key of its row in each view."""
    return keyed_hash(secret, entity.name, *(str(keys[name]) for name in entity.key_names))


def row_key(product: str, view: str, hashed: str) -> str:
    """Return the partition key of a view's row for an entity of which only the hash is known."""
    return f"{product}/{view}#{hashed}"


def hash_in(key: str) -> str:
    """Return the keyed hash in a key that ``row_key`` made.

    >>> hash_in(row_key("personal_loan", "bureau", "c0ffee"))
    'c0ffee'
    """
    return key.rpartition("#")[2]


def newest_row_key(product: CreditProduct, view: FeatureView) -> str:
    """Return the key of the item whose recency is that of the newest row of the whole view."""
    return f"{product.name}/{view.name}#newest"


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """One view's features for one entity at one time.

    ``recency`` guards its write: of two rows of an entity the one whose recency is greater counts.
    """

    entity_key: str
    event_timestamp: datetime
    created_timestamp: datetime
    features: Mapping[str, Value]
    recency: str

    def features_json(self) -> str:
        """Return the features as compact JSON with keys in order of definition."""
        return json.dumps(self.features, separators=(",", ":"), allow_nan=False)


def feature_row(
    view: FeatureView,
    key: str,
    *,
    event_timestamp: datetime,
    created_timestamp: datetime,
    features: Mapping[str, Value],
) -> FeatureRow:
    """Return a row of valid features.

    Newer is a later event, then a later correction of it, then a later version of the view, so that
    a backfill brings in what a new definition asks for, then greater values.
    """
    times = timestamp_text(event_timestamp), timestamp_text(created_timestamp)
    recency = "/".join((*times, f"{view.version:04}{tie_break(view.features, features)}"))
    return FeatureRow(key, event_timestamp, created_timestamp, features, recency)


def row_from_stored(
    view: FeatureView, key: str, *, recency_text: str, features_json: str
) -> FeatureRow:
    """Read a stored row and check it against its view.

    Raises:
        MalformedFeaturesError: The row is not what the view defines: a timestamp or JSON that
            cannot be read, a missing or unknown feature, a value of another type or range.
    """
    try:
        event_text, created_text, _ = recency_text.split("/")
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
    return FeatureRow(key, event_timestamp, created_timestamp, features, recency_text)


def row_faults(definitions: Sequence[Feature], features: Mapping[str, object]) -> list[str]:
    """Return what is wrong with a row's features; messages carry names, never values."""
    faults = []
    for feature in definitions:
        if feature.name not in features:
            faults.append(f"{feature.name} is absent")
        else:
            fault = feature.value_fault(features[feature.name])
            if fault:
                faults.append(f"{feature.name} {fault}")
    if not faults and len(features) != len(definitions):
        faults.append("there are features that the view does not define")
    return faults
