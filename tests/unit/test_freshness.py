"""The age of a view's newest event and of models, and what is said where there is none."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from credit_core.domain.metrics import Metric, Unit
from credit_core.domain.online_store import newest_row_key
from credit_core.errors import StoreUnavailableError
from credit_core.use_cases.freshness import (
    ModelAges,
    TrainedAt,
    ViewFreshness,
    measure_freshness,
    measure_models,
)
from tests.builders import NOW, PRODUCT
from tests.pushes import FakeMetrics, FakeNewestEvents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credit_core.domain.metrics import Measurement

BUREAU, REGION_MARKET = PRODUCT.feature_views
DAY = timedelta(days=1)


def measured(
    ages: Mapping[str, timedelta], metrics: FakeMetrics
) -> tuple[dict[str, float | None], list[Measurement]]:
    events = {newest_row_key(PRODUCT, PRODUCT.view(view)): NOW - age for view, age in ages.items()}
    found = measure_freshness(
        PRODUCT,
        stage="test",
        newest_events=FakeNewestEvents(events),
        metrics=metrics,
        as_of=NOW,
    )
    return {view.view: view.age_seconds for view in found}, metrics.measurements


def test_the_age_is_published_in_seconds() -> None:
    ages, measurements = measured({"bureau": 6 * DAY, "region_market": 7 * DAY}, FakeMetrics())

    assert ages == {"bureau": 6 * 86_400, "region_market": 7 * 86_400}
    assert [
        (measurement.metric, measurement.value, measurement.unit, measurement.dimensions["View"])
        for measurement in measurements
    ] == [
        (Metric.FEATURE_AGE, 518_400, Unit.SECONDS, "bureau"),
        (Metric.FEATURE_AGE, 604_800, Unit.SECONDS, "region_market"),
    ]
    assert {measurement.dimensions["Product"] for measurement in measurements} == {"personal_loan"}
    assert {measurement.dimensions["Stage"] for measurement in measurements} == {"test"}


def test_a_view_that_was_never_loaded_has_no_age() -> None:
    """Never is no number; its alarm takes silence for a breach."""
    ages, measurements = measured({"bureau": DAY}, FakeMetrics())

    assert ages["region_market"] is None
    assert {measurement.dimensions["View"] for measurement in measurements} == {"bureau"}


def test_nothing_is_published_before_anything_was_loaded() -> None:
    ages, measurements = measured({}, FakeMetrics(available=False))

    assert set(ages.values()) == {None}
    assert measurements == []


def test_an_event_of_a_clock_that_is_ahead_is_of_now() -> None:
    ages, _ = measured({"bureau": timedelta(seconds=-30)}, FakeMetrics())

    assert ages["bureau"] == 0.0


def test_figures_that_did_not_arrive_are_no_success() -> None:
    with pytest.raises(StoreUnavailableError):
        measured({"bureau": DAY}, FakeMetrics(available=False))


def test_freshness_is_told_view_by_view() -> None:
    found = measure_freshness(
        PRODUCT,
        stage="test",
        newest_events=FakeNewestEvents({}),
        metrics=FakeMetrics(),
        as_of=NOW,
    )

    assert found == (
        ViewFreshness("bureau", None, BUREAU.ttl_seconds),
        ViewFreshness("region_market", None, REGION_MARKET.ttl_seconds),
    )


class Trained:
    """Training times in memory; None of both before the first model."""

    def __init__(self, champion: timedelta | None, newest: timedelta | None) -> None:
        self._ages = (champion, newest)

    def read(self) -> TrainedAt:
        return TrainedAt(*(None if age is None else NOW - age for age in self._ages))


def models_measured(trained: Trained, metrics: FakeMetrics) -> tuple[ModelAges, dict[str, float]]:
    ages = measure_models(PRODUCT, stage="test", training_times=trained, metrics=metrics, as_of=NOW)
    return ages, {found.metric.value: found.value for found in metrics.measurements}


def test_a_models_age_is_published_in_days() -> None:
    metrics = FakeMetrics()
    ages, published = models_measured(Trained(30 * DAY, 1.5 * DAY), metrics)

    assert ages == ModelAges(champion_days=30, candidate_days=1.5)
    assert published == {"ModelAge": 30, "CandidateAge": 1.5}
    for found in metrics.measurements:
        assert found.dimensions == {"Stage": "test", "Product": "personal_loan"}


def test_a_candidate_is_new_though_it_never_became_champion() -> None:
    _, published = models_measured(Trained(None, DAY), FakeMetrics())

    assert published == {"CandidateAge": 1}


def test_before_the_first_model_there_is_no_age() -> None:
    ages, published = models_measured(Trained(None, None), FakeMetrics(available=False))

    assert (ages, published) == (ModelAges(None, None), {})


def test_ages_of_models_that_did_not_arrive_are_no_success() -> None:
    with pytest.raises(StoreUnavailableError):
        models_measured(Trained(DAY, DAY), FakeMetrics(available=False))
