from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from credit_core.domain.model_manifest import Gate, ModelManifest, RolloutPointer
from credit_core.errors import ModelUnavailableError, RolloutConflictError
from credit_core.use_cases.promote import promote
from tests.builders import NOW, PRODUCT, a_manifest, a_pointer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FAILED = (
    Gate(name="parity", passed=True, evidence="0 of 100 differ"),
    Gate(name="calibration", passed=False, evidence="ratio 2.4"),
)


@dataclass
class FakeModel:
    manifest: ModelManifest
    manifest_sha256: str = "0" * 64

    @property
    def reference(self) -> NDArray[np.float32]:
        raise NotImplementedError

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        raise NotImplementedError


@dataclass
class FakeRegistry:
    """A registry in memory, with the real one's rule for moving the pointer."""

    manifests: dict[str, ModelManifest] = field(default_factory=dict)
    current: RolloutPointer | None = None
    seen: RolloutPointer | None = None
    moves: int = 0

    def register(self, manifest: ModelManifest, onnx: bytes) -> None:
        del onnx
        self.manifests[manifest.version] = manifest

    def manifest_sha256(self, version: str) -> str:
        if version not in self.manifests:
            raise ModelUnavailableError(f"model {version} is not registered")
        return "a" * 64

    def load(self, pointer: RolloutPointer) -> FakeModel:
        manifest = self.manifests[pointer.champion]
        manifest.check_serves(PRODUCT)
        return FakeModel(manifest)

    def pointer(self) -> RolloutPointer | None:
        return self.seen or self.current

    def move(self, pointer: RolloutPointer) -> None:
        revision = 0 if self.current is None else self.current.revision
        if pointer.revision != revision + 1:
            raise RolloutConflictError("moved meanwhile")
        self.current = pointer
        self.moves += 1


def a_registry(*manifests: ModelManifest, current: RolloutPointer | None = None) -> FakeRegistry:
    return FakeRegistry({manifest.version: manifest for manifest in manifests}, current)


def promoted(registry: FakeRegistry, version: str) -> RolloutPointer:
    return promote(PRODUCT, version, registry=registry, moved_by="retraining", as_of=NOW)


def test_the_first_champion_gets_the_first_revision() -> None:
    pointer = promoted(a_registry(a_manifest(version="v1")), "v1")

    assert (pointer.champion, pointer.revision, pointer.previous_champion) == ("v1", 1, None)
    assert (pointer.moved_by, pointer.moved_at) == ("retraining", NOW)
    assert pointer.manifest_sha256 == "a" * 64


def test_the_next_champion_remembers_the_one_before() -> None:
    registry = a_registry(a_manifest(version="v2"), current=a_pointer(champion="v1", revision=7))

    pointer = promoted(registry, "v2")

    assert (pointer.champion, pointer.revision, pointer.previous_champion) == ("v2", 8, "v1")
    assert registry.current == pointer


def test_promoting_the_champion_again_answers_the_same_and_moves_nothing() -> None:
    registry = a_registry(a_manifest(version="v1"))

    assert promoted(registry, "v1") == promoted(registry, "v1")
    assert registry.moves == 1


def test_a_model_that_failed_a_gate_is_refused_and_the_gate_named() -> None:
    registry = a_registry(a_manifest(version="v2", gates=FAILED), current=a_pointer())

    with pytest.raises(
        ModelUnavailableError, match="v2 cannot be champion; it failed: calibration"
    ):
        promoted(registry, "v2")
    assert registry.moves == 0


def test_a_model_without_gates_did_not_pass_them() -> None:
    with pytest.raises(ModelUnavailableError, match="it failed: no gates"):
        promoted(a_registry(a_manifest(gates=())), "v1")


def test_a_model_that_is_not_pairwise_is_refused() -> None:
    manifest = a_manifest().model_copy(update={"pairwise": False})

    with pytest.raises(ModelUnavailableError, match="reasons would not be exact"):
        promoted(a_registry(manifest), "v1")


def test_a_model_for_other_inputs_is_refused() -> None:
    manifest = a_manifest().model_copy(update={"inputs": ("loan_amount",)})

    with pytest.raises(ModelUnavailableError, match="retrain"):
        promoted(a_registry(manifest), "v1")


def test_a_version_that_is_not_registered_is_refused() -> None:
    with pytest.raises(ModelUnavailableError, match="v9 is not registered"):
        promoted(a_registry(), "v9")


def test_who_read_the_pointer_before_it_moved_loses() -> None:
    registry = a_registry(a_manifest(version="v2"), current=a_pointer(revision=3))
    registry.seen = a_pointer(revision=2)

    with pytest.raises(RolloutConflictError):
        promoted(registry, "v2")
    assert registry.current == a_pointer(revision=3)
