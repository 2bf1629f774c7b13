"""Bring feature files of the lake into the online store, newest row per entity.

Files may come in any order, twice, at the same time, or again after a crash: what is written is
decided by the rows alone (see ``OnlineStoreWriter``), so the store ends the same.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import batched, groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from credit_core.domain.online_store import (
    CLOCK_SKEW,
    FeatureRow,
    entity_key,
    feature_row,
    newest_row_key,
    row_faults,
)
from credit_core.domain.product import RETENTION_TTLS
from credit_core.errors import InvalidFeatureFileError
from credit_core.ports import RejectedRow, Tally, WriteCounts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from credit_core.domain.product import CreditProduct, FeatureView
    from credit_core.ports import (
        FeatureLake,
        FilePart,
        LakeRow,
        OnlineStoreWriter,
        RejectedRows,
    )

ROWS_A_WRITE = 2_000
"""Rows handed to the store at once: enough to keep its connections busy, little to hold."""


def is_hidden(key: str) -> bool:
    """Whether Athena passes over a file of that key: a folder's mark, ``_SUCCESS``, ``.part.tmp``.

    So it does with all that lies in a folder of such a name, ``_temporary/``. What training does
    not see, scoring must not see either.
    """
    return key.endswith("/") or any(name.startswith(("_", ".")) for name in key.split("/"))


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
    part: FilePart,
    *,
    lake: FeatureLake,
    store: OnlineStoreWriter,
    rejected_rows: RejectedRows,
    secret: bytes,
    as_of: datetime,
    wait: Callable[[float], None],
) -> Tally:
    """Write the newest valid row of each entity in a file, unless the store holds a newer one.

    A hidden file (see ``is_hidden``) counts as one without rows.

    Args:
        product: Whose features these are.
        part: The file in the lake, or a part of it.
        lake: Where it lies.
        store: Where its rows go.
        rejected_rows: Where rows that cannot be written are noted.
        secret: The HMAC key of entity keys.
        as_of: Now; a row from much later than that is rejected.
        wait: Returns after that many seconds; rows from a little later than now are waited for.

    Raises:
        InvalidFeatureFileError: The file is not what its view defines; nothing was written.
        StoreUnavailableError: A store did not answer. What was written is right, and doing the
            whole part again completes it.
    """
    view = view_of_key(product, part.key)
    if is_hidden(part.key):
        return Tally(part.name, view.name, read=0)
    with lake.open(part, view) as file, rejected_rows.open(part.name) as reject:
        inspection = RowInspection(product, view, secret=secret, as_of=as_of, reject=reject)
        rows = inspection.valid_rows(file.rows_by_entity())
        sent, counts = write_newest(product, view, rows, store=store, as_of=as_of, wait=wait)
        read = file.row_count
    # Each number is counted where it arises, so that a row lost anywhere shows as a difference.
    stale = counts.stale + inspection.valid - sent
    return Tally(part.name, view.name, read, counts.written, stale, inspection.rejected)


class RowInspection:
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

    def valid_rows(self, rows: Iterable[LakeRow]) -> Iterator[FeatureRow]:
        """Yield the rows that can be written, in the order in which they come."""
        view = self._view
        for row in rows:
            keys = dict(zip(view.entity.key_names, row.keys, strict=True))
            features = {
                feature.name: feature.known(value)
                for feature, value in zip(view.features, row.values, strict=True)
            }
            faults = [
                *self._key_faults(row),
                *self._time_faults(row.event_timestamp, row.created_timestamp),
                *row_faults(view.features, features),
            ]
            known = {name: value for name, value in keys.items() if value is not None}
            hashed = (
                entity_key(self._product, view, known, secret=self._secret)
                if len(known) == len(keys)
                else None
            )
            if faults or hashed is None or not row.event_timestamp or not row.created_timestamp:
                self.rejected += 1
                self._reject(RejectedRow(row.position, hashed, tuple(faults)))
            else:
                self.valid += 1
                yield feature_row(
                    view,
                    hashed,
                    event_timestamp=row.event_timestamp,
                    created_timestamp=row.created_timestamp,
                    features=features,
                )

    def _key_faults(self, row: LakeRow) -> Iterator[str]:
        # No application can carry such a key, so the row could never be read.
        for key, value in zip(self._view.entity.keys, row.keys, strict=True):
            fault = key.value_fault(value)
            if fault:
                yield f"{key.name} {fault}"

    def _time_faults(self, event: datetime | None, created: datetime | None) -> Iterator[str]:
        # Within the skew, a row of the future is waited for: training sees it from the later of its
        # two times on. Beyond it, it would win over every row until its time comes.
        if event is None:
            yield "event_timestamp is null or no date"
        if created is None:
            yield "created_timestamp is null or no date"
        elif created > self._latest:
            yield "created_timestamp lies in the future"
        if event and created and event - created > CLOCK_SKEW:
            yield "event_timestamp lies after created_timestamp"


def write_newest(
    product: CreditProduct,
    view: FeatureView,
    rows: Iterable[FeatureRow],
    *,
    store: OnlineStoreWriter,
    as_of: datetime,
    wait: Callable[[float], None],
) -> tuple[int, WriteCounts]:
    """Write the newest row of each entity, and note the newest one of all for the view.

    Args:
        product: Whose view it is.
        view: The view of the rows.
        rows: Valid rows, those of an entity next to each other.
        store: Where they go.
        as_of: When the rows were taken to be valid.
        wait: Returns after that many seconds.

    Returns:
        How many rows were sent to the store, at most one an entity, and what it said to them.

    Raises:
        StoreUnavailableError: Not every row is known to be settled. Writing again is safe.
    """
    sent = written = stale = 0
    now = as_of
    # What is past its retention already is missing to every reader, and the table's own removal
    # of expired items passes over what expired years ago.
    oldest = as_of - RETENTION_TTLS * view.ttl
    kept = (row for row in rows if row.event_timestamp >= oldest)
    newest: FeatureRow | None = None
    for batch in batched(newest_by_entity(kept), ROWS_A_WRITE, strict=False):
        known_from = max(max(row.event_timestamp, row.created_timestamp) for row in batch)
        if known_from > now:
            wait((known_from - now).total_seconds())
            now = known_from
        counts = store.write(batch, ttl=view.ttl)
        sent += len(batch)
        written += counts.written
        stale += counts.stale
        newest = max(filter(None, (newest, *batch)), key=attrgetter("recency"))
    if newest is not None:
        # Of the newest row the mark keeps the times alone: the end of a recency tells its features.
        times = newest.recency.rpartition("/")[0] + "/"
        mark = replace(newest, entity_key=newest_row_key(product, view), features={}, recency=times)
        store.write((mark,), ttl=view.ttl)
    return sent, WriteCounts(written, stale)


def newest_by_entity(rows: Iterable[FeatureRow]) -> Iterator[FeatureRow]:
    """Yield the newest row of each entity; rows of an entity must come next to each other."""
    for _, of_entity in groupby(rows, key=attrgetter("entity_key")):
        yield max(of_entity, key=attrgetter("recency"))
