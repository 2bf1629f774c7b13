"""The people, places and loans of a book, drawn chunk by chunk.

A chunk is a range of applicants with all their rows and applications, so memory does not grow
with the book. Every chunk has streams of chance of its own, named by the seed and its number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from credit_cli.book.deliveries import DAY_MS, RUN_IN_MONTHS, SECOND_MS, Period, Rows, draw_rows
from credit_cli.book.keys import KeySpace
from credit_cli.book.knowledge import Known, Ledger
from credit_cli.book.risk import RiskModel, draw_model, probability
from credit_cli.book.values import direction, draw_requests
from credit_core.domain.product import DType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from credit_cli.book.deliveries import Times
    from credit_cli.book.plan import BookPlan
    from credit_cli.book.values import Floats
    from credit_core.domain.product import FeatureView

CHUNK_ROWS = 400_000
"""About how many feature rows are in memory at a time."""
PILOT_APPLICANTS = 3_000
"""Applicants, none of them in the book, on whom the true model is calibrated."""
PILOT = -1
APPLY_ELSEWHERE = 0.1
"""Share of the applications that another applicant makes than whose turn it is."""
ON_THE_EDGE = 0.03
"""Share of the applications made in the very millisecond in which a row arrives or ages."""
DELIVERY_MS = (SECOND_MS, 300 * SECOND_MS)
LABEL_LAG_MS = (SECOND_MS, 2 * DAY_MS)


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Some applicants of the book, ``place`` by applicant, and n applications by them."""

    number: int
    first: int
    place: NDArray[np.int64]
    rows: Mapping[str, Rows]
    applicant: NDArray[np.int64]
    instant: Times
    event_us: NDArray[np.int64]
    created_us: NDArray[np.int64]
    known: Mapping[str, Known]
    values: Mapping[str, Floats]
    log_odds: Floats
    defaulted: NDArray[np.int64]
    delivered: NDArray[np.bool_]


@dataclass(frozen=True)
class SharedView:
    """A view of an entity that many applicants share: its rows, made once for the whole book."""

    view: FeatureView
    rows: Rows
    ledger: Ledger
    place_of: NDArray[np.int64]
    instance_of: NDArray[np.int64]


@dataclass(frozen=True)
class World:
    """What all chunks of a book have in common."""

    plan: BookPlan
    keys: KeySpace
    period: Period
    shifts: Mapping[str, float]
    shared: Mapping[str, SharedView]
    model: RiskModel

    @classmethod
    def of(cls, plan: BookPlan) -> World:
        """Lay out the keys, draw what is shared, and calibrate the true model."""
        keys = KeySpace.of(plan.product, plan.applicants, applicant_entity=plan.applicant_entity)
        period = plan.period()
        model = draw_model(plan.rng("model"), plan.product, concept_drift=plan.concept_drift)
        still = cls(plan, keys, period, {}, _shared(plan, keys, period, {}), model)
        pilot = still.chunk(PILOT, first=0, applicants=PILOT_APPLICANTS, count=PILOT_APPLICANTS)
        model = model.calibrated(pilot.log_odds, plan.base_rate)
        shifts = _shifts(plan)
        shared = _shared(plan, keys, period, shifts) if shifts else still.shared
        return cls(plan, keys, period, shifts, shared, model)

    def chunk(self, number: int, *, first: int, applicants: int, count: int) -> Chunk:
        """Draw a range of applicants with their rows, and ``count`` applications by them."""
        plan, period = self.plan, self.period
        rng = plan.rng("chunk", number)
        place = (self.keys.places * rng.random(applicants) ** 2).astype(np.int64)
        rows = {
            view.name: draw_rows(
                plan.rng("rows", number, view.name),
                view,
                entities=applicants,
                period=period,
                shares=plan.shares,
                shifts=self.shifts,
            )
            for view in plan.product.feature_views
            if view.name not in self.shared
        }
        applicant = np.arange(count) * applicants // max(1, count)
        elsewhere = rng.random(count) < APPLY_ELSEWHERE
        applicant[elsewhere] = rng.integers(applicants, size=int(elsewhere.sum()))
        instant = rng.integers(period.start, period.end - DELIVERY_MS[1], size=count)
        looked_up = self._looked_up(rows, place[applicant], applicant, applicants=applicants)
        instant = _on_the_edge(rng, instant, looked_up, period)
        known = {ledger.view.name: ledger.at(entity, instant) for ledger, entity in looked_up}
        drifted = instant >= period.drift_from
        after = drifted.astype(np.float64)
        values: dict[str, Floats] = {
            feature.name: draw_requests(
                rng, feature, applicant, self.shifts.get(feature.name, 0.0) * after
            )
            for feature in plan.product.request_features
        }
        for found in known.values():
            values |= found.served()
        log_odds = self.model.log_odds(values, drifted=drifted)
        horizon = int(plan.product.label.horizon.total_seconds()) * SECOND_MS
        labelled = instant + horizon + rng.integers(*LABEL_LAG_MS, size=count)
        delivered = labelled <= period.observed
        created = np.where(delivered, labelled, instant + rng.integers(*DELIVERY_MS, size=count))
        noise = rng.integers(-500, 500, size=(2, count))
        log_odds = np.round(log_odds, 9)
        return Chunk(
            number=number,
            first=first,
            place=place,
            rows=rows,
            applicant=applicant,
            instant=instant,
            event_us=instant * 1_000 + noise[0],
            created_us=created * 1_000 + noise[1],
            known=known,
            values=values,
            log_odds=log_odds,
            defaulted=(rng.random(count) < probability(log_odds)).astype(np.int64),
            delivered=delivered,
        )

    def _looked_up(
        self,
        rows: Mapping[str, Rows],
        place: NDArray[np.int64],
        applicant: NDArray[np.int64],
        *,
        applicants: int,
    ) -> list[tuple[Ledger, NDArray[np.int64]]]:
        """Return per view the ledger, and which of its entities each application is about."""
        found = []
        for view in self.plan.product.feature_views:
            shared = self.shared.get(view.name)
            if shared is None:
                ledger = Ledger.of(view, rows[view.name], entities=applicants)
                found.append((ledger, applicant))
            else:
                found.append((shared.ledger, shared.instance_of[place]))
        return found

    def chunks(self) -> Iterator[tuple[Chunk, int]]:
        """Draw the book; with each chunk comes the number of its first application."""
        plan = self.plan
        histories = (plan.months + RUN_IN_MONTHS) * max(
            1, len(plan.product.feature_views) - len(self.shared)
        )
        size = max(1_000, min(50_000, CHUNK_ROWS // histories))
        for number, first in enumerate(range(0, plan.applicants, size)):
            last = min(first + size, plan.applicants)
            before = plan.application_count * first // plan.applicants
            count = plan.application_count * last // plan.applicants - before
            yield (
                self.chunk(number, first=first, applicants=last - first, count=count),
                before,
            )


def _shared(
    plan: BookPlan, keys: KeySpace, period: Period, shifts: Mapping[str, float]
) -> dict[str, SharedView]:
    found = {}
    for view in plan.product.feature_views:
        if not keys.is_shared(view.entity):
            continue
        place_of, instance_of = keys.instances(view.entity)
        rows = draw_rows(
            plan.rng("shared", view.name),
            view,
            entities=len(place_of),
            period=period,
            shares=plan.shares,
            shifts=shifts,
            unheard_of=0.0,
        )
        ledger = Ledger.of(view, rows, entities=len(place_of))
        found[view.name] = SharedView(view, rows, ledger, place_of, instance_of)
    return found


def _shifts(plan: BookPlan) -> dict[str, float]:
    """Return by how much the numbers drift that do: every second one of a random order."""
    if not plan.drift:
        return {}
    found = {}
    groups = [("request", plan.product.request_features)]
    groups += [(view.name, view.features) for view in plan.product.feature_views]
    for name, features in groups:
        numbers = [feature for feature in features if feature.dtype is not DType.CATEGORY]
        order = plan.rng("drift", name).permutation(len(numbers))
        for position in sorted(order[: (len(numbers) + 1) // 2]):
            feature = numbers[position]
            found[feature.name] = plan.drift * direction(feature)
    return found


def _on_the_edge(
    rng: np.random.Generator,
    instant: Times,
    looked_up: Sequence[tuple[Ledger, NDArray[np.int64]]],
    period: Period,
) -> Times:
    """Return the instants with some moved to where a rule of time decides by a millisecond."""
    moved = instant.copy()
    if not looked_up:
        return moved
    chosen = np.flatnonzero(rng.random(len(instant)) < ON_THE_EDGE)
    which = rng.integers(len(looked_up), size=len(chosen))
    for position, (ledger, entity) in enumerate(looked_up):
        here = chosen[which == position]
        column = rng.integers(ledger.event.shape[1], size=len(here))
        event = ledger.event[entity[here], column]
        created = ledger.created[entity[here], column]
        borders = np.stack([created, event + ledger.ttl_ms, event + 2 * ledger.ttl_ms])
        border = borders[rng.integers(3, size=len(here)), np.arange(len(here))]
        border += rng.integers(-1, 2, size=len(here))
        inside = (border >= period.start) & (border < period.end - DELIVERY_MS[1])
        moved[here[inside]] = border[inside]
    return moved
