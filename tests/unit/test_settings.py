"""Settings travel through the environment and say which variable is wrong."""

from __future__ import annotations

import pytest

from credit_core.errors import ConfigurationError
from credit_core.settings import (
    ApproverSettings,
    ArchiverSettings,
    BatchSettings,
    ComparerSettings,
    EmptierSettings,
    EnvironmentSettings,
    EraserSettings,
    FreshnessSettings,
    GuardSettings,
    MaterializerSettings,
    MonitorSettings,
    PlannerSettings,
    PromoterSettings,
    PusherSettings,
    ReconcilerSettings,
    RecordsSettings,
    RehearsalSettings,
    ScorerSettings,
    ServedSetSettings,
    SkewSettings,
    TrainerSettings,
)
from tests.example_environments import EXAMPLE_ENVIRONMENTS

CLASSES: dict[str, type[EnvironmentSettings]] = {
    "scorer": ScorerSettings,
    "records": RecordsSettings,
    "batch": BatchSettings,
    "materializer": MaterializerSettings,
    "planner": PlannerSettings,
    "reconciler": ReconcilerSettings,
    "pusher": PusherSettings,
    "freshness": FreshnessSettings,
    "archiver": ArchiverSettings,
    "comparer": ComparerSettings,
    "served_set": ServedSetSettings,
    "skew": SkewSettings,
    "eraser": EraserSettings,
    "monitor": MonitorSettings,
    "trainer": TrainerSettings,
    "promoter": PromoterSettings,
    "approver": ApproverSettings,
    "guard": GuardSettings,
    "emptier": EmptierSettings,
    "rehearsal": RehearsalSettings,
}


@pytest.mark.parametrize("function", CLASSES)
def test_what_is_written_is_what_is_read(function: str) -> None:
    environment = EXAMPLE_ENVIRONMENTS[function]

    assert CLASSES[function].from_environment(environment).to_environment() == environment


def test_every_function_has_an_example() -> None:
    assert CLASSES.keys() == EXAMPLE_ENVIRONMENTS.keys()


def test_each_missing_or_bad_variable_is_named() -> None:
    environment = EXAMPLE_ENVIRONMENTS["scorer"] | {"CREDIT_DEADLINE_MS": "soon"}
    del environment["CREDIT_MODELS_BUCKET"]

    with pytest.raises(ConfigurationError) as caught:
        ScorerSettings.from_environment(environment)

    assert "CREDIT_DEADLINE_MS" in str(caught.value)
    assert "CREDIT_MODELS_BUCKET: field required" in str(caught.value)
    assert "soon" not in str(caught.value)
