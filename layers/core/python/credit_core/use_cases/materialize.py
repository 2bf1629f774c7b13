"""Bring a feature file of the lake into the online store, newest row per entity.

Files may come in any order, twice, at the same time, or again after a crash: what is written is
decided by the rows alone (see ``OnlineStoreWriter``), so the store ends the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import reduce
from itertools import batched, groupby
from typing import TYPE_CHECKING

from credit_core.domain.online_store import FeatureRow, entity_key, row_faults
from credit_core.domain.product import DType
from credit_core.errors import InvalidFeatureFileError
from credit_core.ports import RejectedRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from credit_core.domain.online_store import Value
    from credit_core.domain.product import CreditProduct, FeatureView
    from credit_core.ports import FeatureLake, LakeRow, OnlineStoreWriter, RejectedRows

CLOCK_SKEW = timedelta(minutes=5)
"""How far a row may lie in the future before it is an error.

A row from next year would win over every row until then, so it must not get in.
"""

ROWS_A_WRITE = 2_000
"""Rows handed to the store at once: enough to keep its connections busy, little to hold."""


@dataclass(frozen=True, slots=True)
class MaterializedFile:
    """What became of a file's rows: ``read`` is ``written`` + ``stale`` + ``rejected``."""

    key: str
    view: str
    read: int
    written: int = 0
    stale: int = 0
    rejected: int = 0


def is_hidden(key: str) -> bool:
    """Whether Athena passes over a file of that key: a folder's mark, ``_SUCCESS``, ``.part.tmp``.

    What training does not see, scoring must not see either.
    """
    name = key.rpartition("/")[2]
    return name == "" or name.startswith(("_", "."))


def view_of_key(product: CreditProduct, key: str) -> FeatureView:
    """Return the view whose file lies under that key of the lake.

    Raises:
        InvalidFeatureFileError: The key is below no view's prefix, or names no Parquet file.
    """
    for view in product.feature_views:
        if key.startswith(product.view_prefix(view)):
            if key.endswith(".parquet") or is_hidden(key):
                return view
            raise InvalidFeatureFileError(f"{key}: the name of a feature file ends in .parquet")
    prefixes = " or ".join(product.view_prefix(view) for view in product.feature_views)
    raise InvalidFeatureFileError(f"{key}: expected a key that begins with {prefixes}")


def materialize(
    product: CreditProduct,
    key: str,
    *,
    lake: FeatureLake,
    store: OnlineStoreWriter,
    rejected_rows: RejectedRows,
    secret: bytes,
    as_of: datetime,
) -> MaterializedFile:
    """Write the newest valid row of each entity in a file, unless the store holds a newer one.

    A hidden file (see ``is_hidden``) counts as one without rows.

    Args:
        product: Whose features these are.
        key: The file's key in the lake.
        lake: Where it lies.
        store: Where its rows go.
        rejected_rows: Where rows that cannot be written are noted.
        secret: The HMAC key of entity keys.
        as_of: Now; a row from later than that is rejected.

    Raises:
        InvalidFeatureFileError: The file is not what its view defines; nothing was written.
        StoreUnavailableError: A store did not answer. What was written is right, and doing the
            whole file again completes it.
    """
    view = view_of_key(product, key)
    if is_hidden(key):
        return MaterializedFile(key, view.name, read=0)
    written = stale = 0
    with lake.open(key, view) as file, rejected_rows.open(key) as reject:
        inspection = _Inspection(product, view, secret=secret, as_of=as_of, reject=reject)
        newest = newest_by_entity(inspection.valid_rows(file.rows_by_entity()))
        sent = 0
        for rows in batched(newest, ROWS_A_WRITE, strict=False):
            counts = store.write(rows, ttl=view.ttl)
            sent += len(rows)
            written += counts.written
            stale += counts.stale
        read = file.row_count
    # Each number is counted where it arises, so that a row lost anywhere shows as a difference.
    stale += inspection.valid - sent
    return MaterializedFile(key, view.name, read, written, stale, inspection.rejected)


class _Inspection:
    """Lets the valid rows of a view pass, rejects the others, and counts both."""

    def __init__(
        self,
        product: CreditProduct,
        view: FeatureView,
        *,
        secret: bytes,
        as_of: datetime,
        reject: Callable[[RejectedRow], None],
    ) -> None:
        self.valid = 0
        self.rejected = 0
        self._product = product
        self._view = view
        self._secret = secret
        self._latest = as_of + CLOCK_SKEW
        self._reject = reject
        self._key_pattern = re.compile(view.entity.pattern)
        self._names = [feature.name for feature in view.features]
        self._integers = [
            feature.name for feature in view.features if feature.dtype is DType.INTEGER
        ]

    def valid_rows(self, rows: Iterable[LakeRow]) -> Iterator[FeatureRow]:
        """Yield the rows that can be written, in the order in which they come."""
        for row in rows:
            keys = dict(zip(self._view.entity.keys, row.keys, strict=True))
            features = dict(zip(self._names, row.values, strict=True))
            for name in self._integers:
                features[name] = whole(features[name])
            faults = [
                *self._key_faults(keys),
                *self._time_faults("event_timestamp", row.event_timestamp),
                *self._time_faults("created_timestamp", row.created_timestamp),
                *row_faults(self._view.features, features),
            ]
            known = {name: value for name, value in keys.items() if value is not None}
            hashed = (
                entity_key(self._product, self._view, known, secret=self._secret)
                if len(known) == len(keys)
                else None
            )
            if faults or hashed is None or not row.event_timestamp or not row.created_timestamp:
                self.rejected += 1
                self._reject(RejectedRow(row.position, hashed, tuple(faults)))
            else:
                self.valid += 1
                yield FeatureRow(hashed, row.event_timestamp, row.created_timestamp, features)

    def _key_faults(self, keys: dict[str, str | None]) -> Iterator[str]:
        for name, value in keys.items():
            if value is None:
                yield f"{name} is null"
            elif not self._key_pattern.fullmatch(value):
                # No application can carry such a key, so the row could never be read.
                yield f"{name} does not match {self._view.entity.pattern}"

    def _time_faults(self, name: str, moment: datetime | None) -> Iterator[str]:
        if moment is None:
            yield f"{name} is null or no date"
        elif moment > self._latest:
            yield f"{name} lies in the future"


def whole(value: Value) -> Value:
    """Return the integer that an integral float stands for, and any other value as it is.

    Tools that have no nullable integers write columns of doubles instead.
    """
    return int(value) if isinstance(value, float) and value.is_integer() else value


def newest_by_entity(rows: Iterable[FeatureRow]) -> Iterator[FeatureRow]:
    """Yield the newest row of each entity; rows of an entity must come next to each other."""
    for _, of_entity in groupby(rows, key=lambda row: row.entity_key):
        yield reduce(newer, of_entity)


def newer(one: FeatureRow, other: FeatureRow) -> FeatureRow:
    """Return the newer of two rows of an entity, by the order of ``OnlineStoreWriter``."""
    times = [(row.event_timestamp, row.created_timestamp) for row in (one, other)]
    if times[0] == times[1]:
        # Two truths of one instant: upstream is wrong, but every worker must pick the same.
        return max(one, other, key=FeatureRow.features_json)
    return one if times[0] > times[1] else other
