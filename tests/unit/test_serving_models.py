"""The models in memory: swapped when ready, kept when the new one is no good."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from credit_core.adapters.serving_models import (
    CHECK_SECONDS,
    REPLICATION_SECONDS,
    RETRY_SECONDS,
    ServingModels,
)
from credit_core.domain.model_manifest import Challenger, RolloutMode
from credit_core.errors import ArtifactIntegrityError, ModelUnavailableError
from tests.builders import LinearModel, a_manifest, a_model, a_pointer, a_reference

if TYPE_CHECKING:
    from credit_core.domain.model_manifest import ModelReference
    from credit_core.ports import Lineup, LoadedModel


class Shelf:
    """Loads what it has, counts what it was asked for, and waits when told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.checked: list[str] = []
        self.silent = False
        self.corrupt: set[str] = set()
        self.unrestricted: set[str] = set()
        self.slow = {"v1", "v2"}
        self.open = threading.Event()
        self.open.set()
        self.failures: list[Exception] = []
        self.now = 0.0
        self.patience_seconds = 60.0

    def load(self, model: ModelReference) -> LoadedModel:
        self.asked.append(model.version)
        if model.version in self.slow:
            self.open.wait(5)
        if model.version in self.corrupt:
            raise ArtifactIntegrityError("model.onnx", expected="0" * 64, actual="1" * 64)
        manifest = a_manifest(
            version=model.version, pairwise=model.version not in self.unrestricted
        )
        return LinearModel(a_model().weights, manifest=manifest)

    def check(self, model: ModelReference) -> None:
        self.checked.append(model.version)
        if self.silent:
            raise ModelUnavailableError("manifest.json cannot be read")
        if model.version in self.corrupt:
            raise ArtifactIntegrityError("model.onnx", expected="0" * 64, actual="1" * 64)

    def models(self) -> ServingModels:
        return ServingModels(
            self.load,
            check=self.check,
            pointer_seconds=5,
            patience_seconds=self.patience_seconds,
            on_failure=self.failures.append,
            clock=lambda: self.now,
        )


def champion_of(lineup: Lineup) -> str:
    return lineup.champion.manifest.version


def cast_of(lineup: Lineup) -> tuple[str, str | None, float]:
    challenger = lineup.challenger
    version = challenger.manifest.version if challenger else None
    return champion_of(lineup), version, lineup.share


def on_trial(
    version: str = "v2", *, share: float = 0.0, mode: RolloutMode | None = None
) -> Challenger:
    mode = mode or (RolloutMode.LIVE if share else RolloutMode.SHADOW)
    return Challenger(model=a_reference(version), mode=mode, share=share)


def until_loaded(models: ServingModels) -> None:
    assert models._loading is not None
    models._loading.join(5)


def until_checked(models: ServingModels) -> None:
    assert models._checking is not None
    models._checking.join(5)


def test_the_first_model_is_loaded_by_whoever_asks_and_only_once() -> None:
    shelf = Shelf()
    models = shelf.models()

    assert champion_of(models.lineup(a_pointer())) == "v1"
    assert champion_of(models.lineup(None)) == "v1"
    assert shelf.asked == ["v1"]


def test_no_request_waits_for_a_new_model() -> None:
    shelf = Shelf()
    models = shelf.models()
    models.lineup(a_pointer())
    shelf.open.clear()

    while_loading = models.lineup(a_pointer(champion="v2"))
    shelf.open.set()
    until_loaded(models)

    assert champion_of(while_loading) == "v1"
    assert champion_of(models.lineup(None)) == "v2"


def test_a_request_waits_for_the_first_model_only_for_a_while() -> None:
    """A store that hangs costs the request its patience, and the next one no more."""
    shelf = Shelf()
    shelf.patience_seconds = 0.05
    models = shelf.models()
    shelf.open.clear()

    for _ in range(2):
        with pytest.raises(ModelUnavailableError, match="v1 is not loaded"):
            models.lineup(a_pointer())
    assert models._loading is not None
    assert models._loading.is_alive()
    shelf.open.set()
    until_loaded(models)

    assert champion_of(models.lineup(None)) == "v1"
    assert shelf.asked == ["v1"]


def test_of_many_threads_one_loads_and_all_are_served() -> None:
    shelf = Shelf()
    models = shelf.models()
    models.lineup(a_pointer())
    shelf.open.clear()

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: models.lineup(a_pointer(champion="v2")), range(100)))
    shelf.open.set()
    until_loaded(models)

    assert {champion_of(lineup) for lineup in found} == {"v1"}
    assert shelf.asked == ["v1", "v2"]
    assert champion_of(models.lineup(None)) == "v2"


def test_a_corrupt_artifact_leaves_the_last_good_model_serving() -> None:
    shelf = Shelf()
    shelf.corrupt.add("v2")
    models = shelf.models()
    models.lineup(a_pointer())

    models.lineup(a_pointer(champion="v2"))
    until_loaded(models)

    assert champion_of(models.lineup(None)) == "v1"
    assert [type(failure) for failure in shelf.failures] == [ArtifactIntegrityError]


def test_a_failed_load_is_tried_again_later_and_not_at_every_request() -> None:
    shelf = Shelf()
    shelf.corrupt.add("v1")
    models = shelf.models()
    for _ in range(3):
        with pytest.raises(ModelUnavailableError):
            models.lineup(a_pointer())
    assert shelf.asked == ["v1"]

    shelf.corrupt.clear()
    shelf.now += RETRY_SECONDS + 1

    assert champion_of(models.lineup(a_pointer())) == "v1"


def test_rolling_back_brings_the_earlier_model_again() -> None:
    shelf = Shelf()
    models = shelf.models()
    models.lineup(a_pointer())
    models.lineup(a_pointer(champion="v2"))
    until_loaded(models)

    models.lineup(a_pointer())
    until_loaded(models)

    assert champion_of(models.lineup(None)) == "v1"


def test_the_pointer_is_read_again_when_it_is_old() -> None:
    shelf = Shelf()
    models = shelf.models()
    assert models.pointer_is_old()

    models.lineup(a_pointer())
    assert not models.pointer_is_old()
    shelf.now += 5.1
    assert models.pointer_is_old()


def test_without_a_pointer_there_is_no_model() -> None:
    with pytest.raises(ModelUnavailableError, match="no champion"):
        Shelf().models().lineup(None)


def test_champion_and_challenger_are_both_put_up() -> None:
    shelf = Shelf()
    models = shelf.models()

    models.warm_up(a_pointer(challenger=on_trial(share=0.25)), seconds=5)

    assert cast_of(models.lineup(None)) == ("v1", "v2", 0.25)
    assert shelf.asked == ["v1", "v2"]


def test_a_challenger_in_shadow_answers_nobody_whatever_share_is_written() -> None:
    trial = on_trial(share=0.25, mode=RolloutMode.SHADOW)
    models = Shelf().models()

    models.warm_up(a_pointer(challenger=trial), seconds=5)

    assert cast_of(models.lineup(None)) == ("v1", "v2", 0.0)


def test_a_challenger_whose_reasons_are_not_exact_stays_in_shadow() -> None:
    shelf = Shelf()
    shelf.unrestricted.add("v2")
    models = shelf.models()

    models.warm_up(a_pointer(challenger=on_trial(share=1.0)), seconds=5)

    assert cast_of(models.lineup(None)) == ("v1", "v2", 0.0)


def test_no_request_waits_for_a_challenger_not_even_the_first() -> None:
    shelf = Shelf()
    shelf.slow = {"v2"}
    shelf.open.clear()
    models = shelf.models()
    pointer = a_pointer(challenger=on_trial(share=1.0))

    assert cast_of(models.lineup(pointer)) == ("v1", None, 0.0)
    shelf.open.set()
    until_loaded(models)

    assert cast_of(models.lineup(None)) == ("v1", "v2", 1.0)


def test_a_corrupt_challenger_leaves_the_champion_alone_and_is_told() -> None:
    shelf = Shelf()
    shelf.corrupt.add("v2")
    models = shelf.models()
    pointer = a_pointer(challenger=on_trial(share=1.0))

    models.warm_up(pointer, seconds=5)
    for _ in range(3):
        assert cast_of(models.lineup(pointer)) == ("v1", None, 0.0)

    assert [type(failure) for failure in shelf.failures] == [ArtifactIntegrityError]
    assert shelf.asked == ["v1", "v2"]
    shelf.corrupt.clear()
    shelf.now += RETRY_SECONDS
    models.lineup(pointer)
    until_loaded(models)
    assert cast_of(models.lineup(None)) == ("v1", "v2", 1.0)


def test_share_promotion_and_rollback_take_effect_at_once_and_load_nothing() -> None:
    shelf = Shelf()
    models = shelf.models()
    models.warm_up(a_pointer(challenger=on_trial()), seconds=5)
    moves = (
        (a_pointer(revision=2, challenger=on_trial(share=0.1)), ("v1", "v2", 0.1)),
        (a_pointer(revision=3, challenger=on_trial(share=0.5)), ("v1", "v2", 0.5)),
        (a_pointer(revision=4, champion="v2", previous="v1"), ("v2", None, 0.0)),
        (a_pointer(revision=5, champion="v1", previous="v2"), ("v1", None, 0.0)),
        (a_pointer(revision=6, champion="v2", previous="v1"), ("v2", None, 0.0)),
    )

    for pointer, expected in moves:
        assert cast_of(models.lineup(pointer)) == expected
        assert cast_of(models.lineup(None)) == expected
    assert shelf.asked == ["v1", "v2"]


def test_a_withdrawn_challenger_is_forgotten() -> None:
    shelf = Shelf()
    models = shelf.models()
    models.warm_up(a_pointer(challenger=on_trial()), seconds=5)

    assert cast_of(models.lineup(a_pointer(revision=2))) == ("v1", None, 0.0)
    models.warm_up(a_pointer(revision=3, challenger=on_trial()), seconds=5)

    assert shelf.asked == ["v1", "v2", "v2"]


def test_nobody_is_tried_against_a_champion_that_is_not_there_yet() -> None:
    """Which two were compared has to be what the pointer says."""
    shelf = Shelf()
    models = shelf.models()
    models.warm_up(a_pointer(challenger=on_trial("v3", share=1.0)), seconds=5)
    shelf.corrupt.add("v2")
    pointer = a_pointer(revision=2, champion="v2", challenger=on_trial("v3", share=1.0))

    assert cast_of(models.lineup(pointer)) == ("v1", None, 0.0)
    until_loaded(models)
    assert cast_of(models.lineup(None)) == ("v1", None, 0.0)


def test_a_read_from_a_replica_that_is_behind_moves_nothing_back() -> None:
    shelf = Shelf()
    models = shelf.models()
    models.warm_up(a_pointer(revision=1), seconds=5)
    models.warm_up(a_pointer(revision=2, champion="v2", previous="v1"), seconds=5)

    assert champion_of(models.lineup(a_pointer(revision=1))) == "v2"


def test_a_registry_that_was_restored_is_believed_after_a_while() -> None:
    shelf = Shelf()
    models = shelf.models()
    models.warm_up(a_pointer(revision=9, champion="v2", previous="v1"), seconds=5)
    shelf.now += REPLICATION_SECONDS

    models.warm_up(a_pointer(revision=1), seconds=5)

    assert champion_of(models.lineup(None)) == "v1"


def test_many_threads_see_only_whole_settings() -> None:
    """While pointers move back and forth, no thread meets models that no pointer put together."""
    shelf = Shelf()
    models = shelf.models()
    pointers = [
        a_pointer(revision=1, challenger=on_trial("v2", share=0.5)),
        a_pointer(revision=2, champion="v2", previous="v1"),
        a_pointer(revision=3, champion="v1", previous="v2", challenger=on_trial("v3", share=0.1)),
    ]
    for pointer in pointers:
        models.warm_up(pointer, seconds=5)
    allowed = {("v1", "v2", 0.5), ("v2", None, 0.0), ("v1", "v3", 0.1), ("v1", None, 0.0)}

    def ask(number: int) -> tuple[str, str | None, float]:
        shelf.now += REPLICATION_SECONDS
        return cast_of(models.lineup(pointers[number % 3] if number % 5 else None))

    with ThreadPoolExecutor(8) as threads:
        seen = set(threads.map(ask, range(2_000)))

    assert seen <= allowed


def test_stored_bytes_are_looked_at_again_and_damage_is_told_while_the_model_serves() -> None:
    shelf = Shelf()
    models = shelf.models()
    pointer = a_pointer(challenger=on_trial(share=0.5))
    models.warm_up(pointer, seconds=5)
    shelf.corrupt.add("v1")

    models.lineup(pointer)
    assert shelf.checked == []
    for _ in range(2):
        shelf.now += CHECK_SECONDS
        assert cast_of(models.lineup(pointer)) == ("v1", "v2", 0.5)
        until_checked(models)

    assert shelf.checked == ["v1", "v2"] * 2
    assert [type(failure) for failure in shelf.failures] == [ArtifactIntegrityError] * 2
    assert cast_of(models.lineup(pointer)) == ("v1", "v2", 0.5)
    assert shelf.asked == ["v1", "v2"]


def test_a_store_that_does_not_answer_is_no_damage() -> None:
    shelf = Shelf()
    models = shelf.models()
    models.warm_up(a_pointer(), seconds=5)
    shelf.silent = True
    shelf.now += CHECK_SECONDS

    models.lineup(a_pointer())
    until_checked(models)

    assert shelf.checked == ["v1"]
    assert shelf.failures == []
