"""Feature rows as a lake gets them: most in time, some late, corrected, twice, or never."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from credit_cli.book.values import correct, draw_history
from credit_core.domain.product import DType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credit_cli.book.values import Floats
    from credit_core.domain.product import Feature, FeatureView

type Times = NDArray[np.int64]

SECOND_MS = 1_000
HOUR_MS = 3_600 * SECOND_MS
DAY_MS = 24 * HOUR_MS
MONTH_MS = int(30.4375 * DAY_MS)

JITTER_MS = 4 * DAY_MS
"""A row's event lies at most this far from its entity's own day of the month."""
LAG_MS = (SECOND_MS, 6 * HOUR_MS)
LATE_LAG_MS = (2 * DAY_MS, 45 * DAY_MS)
CORRECTION_LAG_MS = (HOUR_MS, 20 * DAY_MS)
RUN_IN_MONTHS = 2
"""Histories begin this much before the applications, so that the first ones find rows too."""
UNHEARD_OF = 0.05
"""Share of the applicants without any history."""


@dataclass(frozen=True, kw_only=True)
class Shares:
    """How much goes wrong, as shares of the months of a history.

    ``late`` rows are created days or weeks after their event, ``corrected`` ones followed by
    another of the same event with other values, ``missing`` never delivered, ``duplicated``
    delivered twice, ``rejected`` outside the product's definition.
    """

    late: float = 0.05
    corrected: float = 0.03
    missing: float = 0.04
    duplicated: float = 0.01
    rejected: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of one view, each array of shape (n,), ``values`` by feature; times in ms since 1970.

    ``microseconds`` are what the lake's times have beyond: at most half a millisecond, so that
    they round to these. ``correction`` says that a row corrects another, ``corrected`` that it is
    corrected by another, ``duplicated`` that it is delivered twice.
    """

    entity: NDArray[np.int64]
    event: Times
    created: Times
    event_microseconds: NDArray[np.int64]
    created_microseconds: NDArray[np.int64]
    late: NDArray[np.bool_]
    correction: NDArray[np.bool_]
    corrected: NDArray[np.bool_]
    duplicated: NDArray[np.bool_]
    rejected: NDArray[np.bool_]
    missing: NDArray[np.bool_]
    values: Mapping[str, Floats]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.entity)

    def __getitem__(self, chosen: NDArray[Any]) -> Rows:
        """Return the rows at positions, or where a mask is true."""
        return replace(
            self,
            values={name: column[chosen] for name, column in self.values.items()},
            **{name: getattr(self, name)[chosen] for name in ARRAYS},
        )

    def __add__(self, other: Rows) -> Rows:
        """Return these rows and then the others."""
        return replace(
            self,
            values={
                name: np.concatenate([column, other.values[name]])
                for name, column in self.values.items()
            },
            **{
                name: np.concatenate([getattr(self, name), getattr(other, name)]) for name in ARRAYS
            },
        )


ARRAYS = tuple(field.name for field in fields(Rows) if field.name != "values")


@dataclass(frozen=True, kw_only=True)
class Period:
    """When the book plays, in ms since 1970.

    Histories begin ``RUN_IN_MONTHS`` before ``start``, applications at ``start``; both end at
    ``end``. What is created after ``observed`` is not in the lake yet. ``drift_from`` may lie
    anywhere.
    """

    start: int
    end: int
    observed: int
    months: int
    drift_from: int


def draw_rows(
    rng: np.random.Generator,
    view: FeatureView,
    *,
    entities: int,
    period: Period,
    shares: Shares,
    shifts: Mapping[str, float],
    unheard_of: float = UNHEARD_OF,
) -> Rows:
    """Return the rows of so many entities, each once, in no order that anybody may rely on.

    Args:
        rng: Source of chance.
        view: Whose rows.
        entities: How many entities.
        period: When.
        shares: What goes wrong.
        shifts: Of each feature, what drift adds to its standard normal numbers.
        unheard_of: Share of the entities that have no rows at all.
    """
    months = period.months + RUN_IN_MONTHS
    shape = (months, entities)
    own_day = rng.random(entities)
    jitter = rng.integers(-JITTER_MS, JITTER_MS, size=shape)
    slots = (np.arange(months)[:, None] + own_day) * MONTH_MS
    event = period.start - RUN_IN_MONTHS * MONTH_MS + slots.astype(np.int64) + jitter
    drifted = (event >= period.drift_from).astype(np.float64)
    late = rng.random(shape, dtype=np.float32) < shares.late
    lag = np.where(late, rng.integers(*LATE_LAG_MS, size=shape), rng.integers(*LAG_MS, size=shape))
    heard_of = rng.random(entities) >= unheard_of
    never = np.zeros(shape, dtype=bool)
    history = {
        feature.name: draw_history(
            rng,
            feature,
            months=months,
            entities=entities,
            shift=shifts.get(feature.name, 0.0) * drifted,
        ).ravel()
        for feature in view.features
    }
    rows = Rows(
        entity=np.broadcast_to(np.arange(entities), shape).ravel(),
        event=event.ravel(),
        created=(event + lag).ravel(),
        event_microseconds=_microseconds(rng, event.size),
        created_microseconds=_microseconds(rng, event.size),
        late=late.ravel(),
        correction=never.ravel(),
        corrected=(rng.random(shape, dtype=np.float32) < shares.corrected).ravel(),
        duplicated=(rng.random(shape, dtype=np.float32) < shares.duplicated).ravel(),
        rejected=(rng.random(shape, dtype=np.float32) < shares.rejected).ravel(),
        missing=(rng.random(shape, dtype=np.float32) < shares.missing).ravel(),
        values=history,
    )[(heard_of & (event <= period.end)).ravel()]
    rows = _rejected(rng, view, rows)
    rows = replace(
        rows,
        late=rows.late & ~rows.missing,
        corrected=rows.corrected & ~rows.missing & ~rows.rejected,
        duplicated=rows.duplicated & ~rows.missing,
        rejected=rows.rejected & ~rows.missing,
    )
    corrections = _corrections(rng, view, rows[rows.corrected])
    arrived = corrections.created <= period.observed
    corrected = rows.corrected.copy()
    corrected[rows.corrected] = arrived
    rows = replace(rows, corrected=corrected) + corrections[arrived]
    return rows[rows.missing | (rows.created <= period.observed)]


def _microseconds(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Return what rounds to nothing, half up."""
    return rng.integers(-500, 500, size=count)


def _corrections(rng: np.random.Generator, view: FeatureView, wrong: Rows) -> Rows:
    count = len(wrong)
    return replace(
        wrong,
        created=wrong.created + rng.integers(*CORRECTION_LAG_MS, size=count),
        created_microseconds=_microseconds(rng, count),
        late=np.zeros(count, dtype=bool),
        correction=np.ones(count, dtype=bool),
        corrected=np.zeros(count, dtype=bool),
        duplicated=np.zeros(count, dtype=bool),
        values={
            feature.name: correct(rng, feature, wrong.values[feature.name])
            for feature in view.features
        },
    )


def _rejected(rng: np.random.Generator, view: FeatureView, rows: Rows) -> Rows:
    """Return the rows with a fault in each of those to be rejected, if one is possible."""
    breakable = {
        feature.name: value
        for feature in view.features
        if (value := breaking_value(feature)) is not None
    }
    if not breakable:
        return replace(rows, rejected=np.zeros(len(rows), dtype=bool))
    broken = rng.integers(len(breakable), size=len(rows))
    values = dict(rows.values)
    for position, (name, value) in enumerate(breakable.items()):
        here = rows.rejected & (broken == position)
        values[name] = np.where(here, value, values[name])
    return replace(rows, values=values)


def breaking_value(feature: Feature) -> float | None:
    """Return a value that the product refuses, or None if it takes any."""
    if feature.dtype is not DType.CATEGORY:
        return 2 * abs(feature.maximum or 0.0) + 1
    return None if feature.unknown_category is not None else len(feature.categories)
