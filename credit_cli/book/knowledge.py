"""What was known at an instant: found by looking at every row, not by the product's SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from credit_cli.book.values import as_number, known
from credit_core.domain.product import RETENTION_TTLS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from credit_cli.book.deliveries import Rows, Times
    from credit_cli.book.values import Floats
    from credit_core.domain.product import FeatureView

NEVER = np.iinfo(np.int64).max // 4
"""A time, in ms since 1970, that no book reaches."""


@dataclass(frozen=True)
class Ledger:
    """A view's rows per entity, by event and creation, in matrices of shape (entities, most).

    ``rows`` are those that count; ``position`` says which one lies where in the matrices.
    """

    view: FeatureView
    rows: Rows
    event: Times
    created: Times
    position: NDArray[np.int64]

    @classmethod
    def of(cls, view: FeatureView, rows: Rows, *, entities: int) -> Ledger:
        """Sort rows that were delivered and that the product accepts."""
        rows = rows[~rows.missing & ~rows.rejected]
        order = np.lexsort((rows.created, rows.event, rows.entity))
        entity = rows.entity[order]
        counts = np.bincount(entity, minlength=entities)
        place = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
        shape = (entities, int(counts.max(initial=0)) + 1)
        event = np.full(shape, NEVER)
        created = np.full(shape, NEVER)
        position = np.full(shape, -1)
        event[entity, place] = rows.event[order]
        created[entity, place] = rows.created[order]
        position[entity, place] = order
        return cls(view, rows, event, created, position)

    @property
    def ttl_ms(self) -> int:
        """The view's time to live."""
        return int(self.view.ttl_seconds) * 1_000

    def at(self, entity: NDArray[np.int64], instant: Times) -> Known:
        """Return what was known of entities at instants, both of shape (n,)."""
        event, now = self.event[entity], instant[:, None]
        candidates = (
            (event <= now)
            & (self.created[entity] <= now)
            & (event >= now - RETENTION_TTLS * self.ttl_ms)
        )
        last = candidates.shape[1] - 1 - np.argmax(candidates[:, ::-1], axis=1)
        found = np.take_along_axis(candidates, last[:, None], axis=1).ravel()
        row = np.where(found, self.position[entity, last], -1)
        seen = np.where(found, event[np.arange(len(instant)), last], NEVER)
        fresh = found & (seen >= instant - self.ttl_ms)
        return Known(self.view, self.rows, row, fresh)


@dataclass(frozen=True)
class Known:
    """What was known at n instants: ``row`` is -1 where missing; ``fresh`` rows count."""

    view: FeatureView
    rows: Rows
    row: NDArray[np.int64]
    fresh: NDArray[np.bool_]

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where no row was found that the online store would still hold."""
        return self.row < 0

    def event_us(self) -> NDArray[np.int64]:
        """Return the event of the row found in microseconds since 1970, to the millisecond."""
        if not len(self.rows):
            return np.full(len(self.row), NEVER)
        return np.where(self.missing, NEVER, self.rows.event[self.row] * 1_000)

    def served(self) -> dict[str, Floats]:
        """Return each feature's values, shape (n,), with the view's defaults where declared."""
        missing, stale = (
            self.view.substitutes(rule) or {}
            for rule in (self.view.when_missing, self.view.when_stale)
        )
        served = {}
        for feature in self.view.features:
            values = np.where(
                self.missing,
                as_number(feature, missing.get(feature.name)),
                as_number(feature, stale.get(feature.name)),
            )
            if len(self.rows):
                found = known(feature, self.rows.values[feature.name])[self.row]
                values = np.where(self.fresh, found, values)
            served[feature.name] = values
        return served
