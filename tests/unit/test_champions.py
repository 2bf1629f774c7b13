"""The champion in memory: swapped when ready, kept when the new one is no good."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from credit_core.adapters.champions import RETRY_SECONDS, Champions
from credit_core.errors import ArtifactIntegrityError, ModelUnavailableError
from tests.builders import LinearModel, a_manifest, a_model, a_pointer

if TYPE_CHECKING:
    from credit_core.domain.model_manifest import RolloutPointer
    from credit_core.ports import LoadedModel


class Shelf:
    """Loads what it has, counts what it was asked for, and waits when told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.corrupt: set[str] = set()
        self.open = threading.Event()
        self.open.set()
        self.failures: list[Exception] = []
        self.now = 0.0
        self.patience_seconds = 60.0

    def load(self, pointer: RolloutPointer) -> LoadedModel:
        self.asked.append(pointer.champion)
        self.open.wait(5)
        if pointer.champion in self.corrupt:
            raise ArtifactIntegrityError("model.onnx", expected="0" * 64, actual="1" * 64)
        return LinearModel(a_model().weights, manifest=a_manifest(version=pointer.champion))

    def champions(self) -> Champions:
        return Champions(
            self.load,
            pointer_seconds=5,
            patience_seconds=self.patience_seconds,
            on_failure=self.failures.append,
            clock=lambda: self.now,
        )


def version_of(model: LoadedModel) -> str:
    return model.manifest.version


def until_loaded(champions: Champions) -> None:
    assert champions._loading is not None
    champions._loading.join(5)


def test_the_first_model_is_loaded_by_whoever_asks_and_only_once() -> None:
    shelf = Shelf()
    champions = shelf.champions()

    assert version_of(champions.model(a_pointer())) == "v1"
    assert version_of(champions.model(None)) == "v1"
    assert shelf.asked == ["v1"]


def test_no_request_waits_for_a_new_model() -> None:
    shelf = Shelf()
    champions = shelf.champions()
    champions.model(a_pointer())
    shelf.open.clear()

    while_loading = champions.model(a_pointer(champion="v2"))
    shelf.open.set()
    until_loaded(champions)

    assert version_of(while_loading) == "v1"
    assert version_of(champions.model(None)) == "v2"


def test_a_request_waits_for_the_first_model_only_for_a_while() -> None:
    """A store that hangs costs the request its patience, and the next one no more."""
    shelf = Shelf()
    shelf.patience_seconds = 0.05
    champions = shelf.champions()
    shelf.open.clear()

    for _ in range(2):
        with pytest.raises(ModelUnavailableError, match="v1 is not loaded"):
            champions.model(a_pointer())
    assert champions._loading is not None
    assert champions._loading.is_alive()
    shelf.open.set()
    until_loaded(champions)

    assert version_of(champions.model(None)) == "v1"
    assert shelf.asked == ["v1"]


def test_of_many_threads_one_loads_and_all_are_served() -> None:
    shelf = Shelf()
    champions = shelf.champions()
    champions.model(a_pointer())
    shelf.open.clear()

    with ThreadPoolExecutor(8) as threads:
        models = list(threads.map(lambda _: champions.model(a_pointer(champion="v2")), range(100)))
    shelf.open.set()
    until_loaded(champions)

    assert {version_of(model) for model in models} == {"v1"}
    assert shelf.asked == ["v1", "v2"]
    assert version_of(champions.model(None)) == "v2"


def test_a_corrupt_artifact_leaves_the_last_good_model_serving() -> None:
    shelf = Shelf()
    shelf.corrupt.add("v2")
    champions = shelf.champions()
    champions.model(a_pointer())

    champions.model(a_pointer(champion="v2"))
    until_loaded(champions)

    assert version_of(champions.model(None)) == "v1"
    assert [type(failure) for failure in shelf.failures] == [ArtifactIntegrityError]


def test_a_failed_load_is_tried_again_later_and_not_at_every_request() -> None:
    shelf = Shelf()
    shelf.corrupt.add("v1")
    champions = shelf.champions()
    for _ in range(3):
        with pytest.raises(ModelUnavailableError):
            champions.model(a_pointer())
    assert shelf.asked == ["v1"]

    shelf.corrupt.clear()
    shelf.now += RETRY_SECONDS + 1

    assert version_of(champions.model(a_pointer())) == "v1"


def test_rolling_back_brings_the_earlier_model_again() -> None:
    shelf = Shelf()
    champions = shelf.champions()
    champions.model(a_pointer())
    champions.model(a_pointer(champion="v2"))
    until_loaded(champions)

    champions.model(a_pointer())
    until_loaded(champions)

    assert version_of(champions.model(None)) == "v1"


def test_the_pointer_is_read_again_when_it_is_old() -> None:
    shelf = Shelf()
    champions = shelf.champions()
    assert champions.pointer_is_old()

    champions.model(a_pointer())
    assert not champions.pointer_is_old()
    shelf.now += 5.1
    assert champions.pointer_is_old()


def test_without_a_pointer_there_is_no_model() -> None:
    with pytest.raises(ModelUnavailableError, match="no champion"):
        Shelf().champions().model(None)
