from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.domain.model_manifest import (
    Gate,
    ModelManifest,
    ModelReference,
    RolloutMode,
    RolloutPointer,
)
from credit_core.errors import ModelUnavailableError, RolloutConflictError
from credit_core.ports import Approval, ModelState, PointerMove, RegisteredModel
from credit_core.use_cases.rollout import Rollout
from tests.builders import NOW, PRODUCT, a_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

FAILED = (
    Gate(name="parity", passed=True, evidence="0 of 100 differ"),
    Gate(name="calibration", passed=False, evidence="ratio 2.4"),
)
NOT_PAIRWISE = (
    Gate(name="parity", passed=True, evidence="0 of 100 differ"),
    Gate(name="champion_class", passed=False, evidence="not pairwise"),
)

type Move = Callable[[Rollout], object]


@dataclass
class FakeModel:
    manifest: ModelManifest
    manifest_sha256: str

    @property
    def reference(self) -> NDArray[np.float32]:
        raise NotImplementedError

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        raise NotImplementedError


@dataclass
class FakeRegistry:
    """A registry in memory, with the real one's rules for moving the pointer."""

    manifests: dict[str, ModelManifest] = field(default_factory=dict)
    current: RolloutPointer | None = None
    history: list[PointerMove] = field(default_factory=list)
    retired: set[str] = field(default_factory=set)
    approvals: dict[str, Approval] = field(default_factory=dict)
    seen: RolloutPointer | None = None

    def register(
        self,
        manifest: ModelManifest,
        onnx: bytes,
        report: bytes,
        *,
        registered_by: str,
        as_of: datetime | None = None,
    ) -> None:
        del onnx, report, registered_by, as_of
        self.manifests[manifest.version] = manifest

    def find(self, version: str) -> RegisteredModel:
        if version not in self.manifests:
            raise ModelUnavailableError(f"model {version} is not registered")
        return RegisteredModel(
            reference_to(version),
            state=ModelState.RETIRED if version in self.retired else ModelState.REGISTERED,
            created_at=NOW,
            report_sha256="0" * 64,
            moved_at=NOW,
            moved_by="ada",
        )

    def load(self, model: ModelReference) -> FakeModel:
        assert model == reference_to(model.version)
        manifest = self.manifests[model.version]
        manifest.check_serves(PRODUCT)
        return FakeModel(manifest, model.manifest_sha256)

    def pointer(self) -> RolloutPointer | None:
        return self.seen or self.current

    def moves(self) -> Iterator[PointerMove]:
        return reversed(self.history)

    def move(self, pointer: RolloutPointer) -> None:
        named = {pointer.champion.version}
        if pointer.challenger is not None:
            named.add(pointer.challenger.model.version)
        revision = 0 if self.current is None else self.current.revision
        if pointer.revision != revision + 1 or named & self.retired:
            raise RolloutConflictError("moved meanwhile")
        self.history.append(PointerMove(self.current, pointer))
        self.current = pointer

    def retire(self, version: str, *, revision: int, moved_by: str, as_of: datetime) -> None:
        del moved_by, as_of
        if revision != (0 if self.current is None else self.current.revision):
            raise RolloutConflictError("moved meanwhile")
        self.retired.add(version)

    def keep_approval(self, approval: Approval) -> None:
        self.approvals[approval.version] = approval

    def approval(self, version: str) -> Approval | None:
        return self.approvals.get(version)


def reference_to(version: str) -> ModelReference:
    return ModelReference(version=version, manifest_sha256=f"{int(version[1:]):064x}")


def a_registry(*versions: str, **changes: Any) -> FakeRegistry:
    """Return a registry of these versions, the first one champion if there are several."""
    manifests = {version: a_manifest(version=version) for version in versions}
    if changes:
        manifests[versions[-1]] = manifests[versions[-1]].model_copy(update=changes)
    registry = FakeRegistry(manifests)
    if len(versions) > 1:
        moves(registry).promote(versions[0])
    return registry


def moves(registry: FakeRegistry, *, by: str = "ada") -> Rollout:
    return Rollout(PRODUCT.name, registry, moved_by=by, as_of=NOW)


def answering(registry: FakeRegistry) -> tuple[str, str | None, str | None]:
    """Return champion, challenger and the way back."""
    pointer = registry.current
    assert pointer is not None
    challenger, previous = pointer.challenger, pointer.previous_champion
    return (
        pointer.champion.version,
        challenger.model.version if challenger else None,
        previous.version if previous else None,
    )


# --- Promotion ----------------------------------------------------------------------------------


def test_the_first_champion_gets_the_first_revision() -> None:
    registry = a_registry("v1")

    pointer = moves(registry, by="retraining").promote("v1")

    assert pointer == registry.current
    assert answering(registry) == ("v1", None, None)
    assert (pointer.revision, pointer.moved_by, pointer.moved_at) == (1, "retraining", NOW)
    assert pointer.champion == reference_to("v1")


def test_the_next_champion_remembers_the_one_before() -> None:
    registry = a_registry("v1", "v2")

    moves(registry).promote("v2")

    assert answering(registry) == ("v2", None, "v1")


@pytest.mark.parametrize(
    "again",
    [
        lambda rollout: rollout.promote("v1"),
        lambda rollout: rollout.promote("v1", from_trial=True),
        lambda rollout: rollout.withdraw("v2"),
        lambda rollout: rollout.roll_back("v2"),
        lambda rollout: rollout.roll_back("v9"),
    ],
)
def test_what_is_done_already_is_answered_and_moves_nothing(again: Move) -> None:
    registry = a_registry("v1", "v2")
    before = registry.current

    assert again(moves(registry)) == before
    assert registry.current == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gates": FAILED}, "v2 stays out; it failed: calibration"),
        ({"gates": ()}, "it failed: no gates"),
        ({"pairwise": False}, "reasons would not be exact"),
        ({"inputs": ("loan_amount",)}, "retrain"),
    ],
)
def test_a_model_that_must_not_answer_is_refused_and_it_is_said_why(
    changes: dict[str, Any], words: str
) -> None:
    registry = a_registry("v1", "v2", **changes)
    before = registry.current

    asked: list[Move] = [lambda rollout: rollout.promote("v2"), lambda rollout: rollout.check("v2")]
    for ask in asked:
        with pytest.raises(ModelUnavailableError, match=words):
            ask(moves(registry))
    assert registry.current == before


def test_a_version_that_is_not_registered_is_refused() -> None:
    with pytest.raises(ModelUnavailableError, match="v9 is not registered"):
        moves(a_registry("v1", "v2")).promote("v9")


def test_who_read_the_pointer_before_it_moved_loses() -> None:
    registry = a_registry("v1", "v2", "v3")
    registry.seen = registry.current
    registry.current = registry.current and registry.current.model_copy(update={"revision": 3})

    with pytest.raises(RolloutConflictError):
        moves(registry).promote("v2")


# --- Trial --------------------------------------------------------------------------------------


def test_a_model_is_heard_by_a_share_after_it_was_in_shadow_and_promoted_after_that() -> None:
    registry = a_registry("v1", "v2")

    seen = [moves(registry).shadow("v2"), moves(registry).share("v2", 0.1)]
    seen += [moves(registry).share("v2", 0.5), moves(registry).promote("v2", from_trial=True)]

    trials = [pointer.challenger for pointer in seen]
    assert [trial and (trial.mode, trial.share) for trial in trials] == [
        (RolloutMode.SHADOW, 0.0),
        (RolloutMode.LIVE, 0.1),
        (RolloutMode.LIVE, 0.5),
        None,
    ]
    assert answering(registry) == ("v2", None, "v1")
    assert [move.after.revision for move in registry.moves()] == [5, 4, 3, 2, 1]


@pytest.mark.parametrize(
    "repeated",
    [lambda rollout: rollout.shadow("v2"), lambda rollout: rollout.share("v2", 0.5)],
)
def test_a_trial_asked_for_again_moves_nothing(repeated: Move) -> None:
    registry = a_registry("v1", "v2")
    moves(registry).shadow("v2")
    repeated(moves(registry))
    before = registry.current

    assert repeated(moves(registry)) == before
    assert registry.current == before


def test_one_version_is_tried_at_a_time_and_it_is_said_which_and_since_when() -> None:
    registry = a_registry("v1", "v2", "v3")
    moves(registry, by="grace").shadow("v3")
    before = registry.current

    others: list[Move] = [
        lambda rollout: rollout.check("v2"),
        lambda rollout: rollout.shadow("v2"),
        lambda rollout: rollout.share("v2", 0.5),
        lambda rollout: rollout.promote("v2"),
    ]
    for other in others:
        with pytest.raises(
            RolloutConflictError,
            match=r"v3 is under trial \(shadow, share 0\) since 2026-11-20 12:00 UTC, moved by "
            "grace; withdraw it first",
        ):
            other(moves(registry))
    assert registry.current == before


def test_a_model_that_is_not_pairwise_may_listen_but_not_answer() -> None:
    registry = a_registry("v1", "v2", pairwise=False, gates=NOT_PAIRWISE)

    moves(registry).shadow("v2")

    assert answering(registry) == ("v1", "v2", None)
    with pytest.raises(ModelUnavailableError, match="it failed: champion_class"):
        moves(registry).share("v2", 0.5)


def test_a_model_that_failed_another_gate_may_not_even_listen() -> None:
    with pytest.raises(ModelUnavailableError, match="it failed: calibration"):
        moves(a_registry("v1", "v2", gates=FAILED)).shadow("v2")


@pytest.mark.parametrize(
    "step",
    [
        lambda rollout: rollout.share("v2", 0.5),
        lambda rollout: rollout.promote("v2", from_trial=True),
    ],
)
def test_a_trial_that_somebody_withdrew_is_not_gone_on_with(step: Move) -> None:
    registry = a_registry("v1", "v2")
    moves(registry).shadow("v2")
    moves(registry).withdraw("v2")

    with pytest.raises(RolloutConflictError, match="v2 is not under trial"):
        step(moves(registry))
    assert answering(registry) == ("v1", None, None)


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_a_live_share_is_a_share(share: float) -> None:
    registry = a_registry("v1", "v2")
    moves(registry).shadow("v2")

    with pytest.raises(RolloutConflictError, match="at most 1"):
        moves(registry).share("v2", share)


def test_the_champion_is_not_tried_beside_itself() -> None:
    with pytest.raises(RolloutConflictError, match="v1 is the champion"):
        moves(a_registry("v1", "v2")).shadow("v1")


def test_there_is_no_trial_without_a_champion() -> None:
    steps: list[Move] = [
        lambda rollout: rollout.shadow("v1"),
        lambda rollout: rollout.share("v1", 0.5),
        lambda rollout: rollout.withdraw("v1"),
        lambda rollout: rollout.roll_back("v1"),
    ]
    for step in steps:
        with pytest.raises(RolloutConflictError, match="there is no champion yet"):
            step(moves(a_registry("v1")))


def test_a_trial_of_another_is_not_ended_by_who_means_this_one() -> None:
    registry = a_registry("v1", "v2", "v3")
    moves(registry).shadow("v3")

    moves(registry).withdraw("v2")

    assert answering(registry) == ("v1", "v3", None)


# --- Rolling back -------------------------------------------------------------------------------


def test_a_roll_back_is_one_move_and_ends_a_trial() -> None:
    registry = a_registry("v1", "v2", "v3")
    moves(registry).promote("v2")
    moves(registry).shadow("v3")

    moves(registry).roll_back("v2")

    assert answering(registry) == ("v1", None, None)
    assert len(registry.history) == 4


def test_a_roll_back_asked_for_twice_does_not_go_back_twice() -> None:
    registry = a_registry("v1", "v2", "v3")
    moves(registry).promote("v2")
    moves(registry).promote("v3")

    moves(registry).roll_back("v3")
    moves(registry).roll_back("v3")

    assert answering(registry) == ("v2", None, "v1")


def test_the_way_back_of_a_restored_champion_is_its_own_of_that_time() -> None:
    registry = a_registry("v1", "v2", "v3")
    moves(registry).promote("v2")
    moves(registry).promote("v3")
    moves(registry).roll_back("v3")

    moves(registry).roll_back("v2")

    assert answering(registry) == ("v1", None, None)
    with pytest.raises(RolloutConflictError, match="no champion before model v1"):
        moves(registry).roll_back("v1")


def test_two_models_that_took_turns_do_not_lead_back_to_each_other() -> None:
    registry = a_registry("v1", "v2")
    moves(registry).promote("v2")
    moves(registry).promote("v1")

    moves(registry).roll_back("v1")

    assert answering(registry) == ("v2", None, None)


def test_there_is_no_way_back_to_a_model_that_the_product_outgrew() -> None:
    registry = a_registry("v1", "v2")
    moves(registry).promote("v2")
    registry.manifests["v1"] = a_manifest(version="v1").model_copy(update={"inputs": ("a",)})

    with pytest.raises(ModelUnavailableError, match="retrain"):
        moves(registry).roll_back("v2")
    assert answering(registry) == ("v2", None, "v1")


# --- Retiring -----------------------------------------------------------------------------------


def test_a_retired_model_is_neither_tried_nor_promoted_nor_rolled_back_to() -> None:
    registry = a_registry("v1", "v2")
    moves(registry).promote("v2")

    assert moves(registry).retire("v1") == registry.current
    assert moves(registry).retire("v1") == registry.current

    with pytest.raises(ModelUnavailableError, match="v1 was retired by ada"):
        moves(registry).promote("v1")
    with pytest.raises(ModelUnavailableError, match="v1 was retired by ada"):
        moves(registry).shadow("v1")
    with pytest.raises(RolloutConflictError):
        moves(registry).roll_back("v2")


def test_what_answers_or_is_tried_is_not_retired() -> None:
    registry = a_registry("v1", "v2")
    moves(registry).shadow("v2")

    with pytest.raises(RolloutConflictError, match="v1 is the champion; promote another first"):
        moves(registry).retire("v1")
    with pytest.raises(RolloutConflictError, match="v2 is under trial; withdraw it first"):
        moves(registry).retire("v2")
    assert registry.retired == set()


# --- Approval -----------------------------------------------------------------------------------


def test_a_persons_word_is_passed_on_and_kept() -> None:
    registry = a_registry("v1", "v2")
    moves(registry).ask("v2", "token")
    passed: list[Approval] = []

    def resume(approval: Approval) -> bool:
        passed.append(approval)
        return True

    for _ in range(2):
        moves(registry, by="grace").decide("v2", approved=True, resume=resume)

    (approval,) = passed
    assert registry.approval("v2") == approval
    assert (approval.task_token, approval.asked_by, approval.decided_by) == (
        *("token", "ada"),
        "grace",
    )
    with pytest.raises(RolloutConflictError, match="v2 was approved by grace"):
        moves(registry).decide("v2", approved=False, resume=resume)


def test_nobody_approves_what_does_not_wait() -> None:
    registry = a_registry("v1", "v2")
    with pytest.raises(RolloutConflictError, match="no rollout of model v2 waits"):
        moves(registry).decide("v2", approved=True, resume=lambda _: True)

    moves(registry).ask("v2", "token")
    with pytest.raises(RolloutConflictError, match="does not wait for approval any more"):
        moves(registry, by="grace").decide("v2", approved=True, resume=lambda _: False)
    assert registry.approvals["v2"].approved is None


@pytest.mark.parametrize("asked_by", ["ada", "ada, by rollout 7f3c"])
def test_who_asks_for_a_rollout_does_not_approve_it(asked_by: str) -> None:
    registry = a_registry("v1", "v2")
    moves(registry, by=asked_by).ask("v2", "token")

    with pytest.raises(RolloutConflictError, match="ada asked for the rollout of model v2; some"):
        moves(registry, by="ada").decide("v2", approved=True, resume=lambda _: True)

    # But may end it.
    moves(registry, by="ada").decide("v2", approved=False, resume=lambda _: True)
    assert registry.approvals["v2"].approved is False


# --- Where a stage wants approval ----------------------------------------------------------------


def guarded(registry: FakeRegistry, *, by: str = "ada", hours: float = 0) -> Rollout:
    """Return moves of a stage that wants approval, some hours later."""
    as_of = NOW + timedelta(hours=hours)
    return Rollout(PRODUCT.name, registry, moved_by=by, as_of=as_of, needs_approval=True)


def approved(registry: FakeRegistry, *, hours: float) -> None:
    guarded(registry, hours=hours).ask("v2", "token")
    guarded(registry, by="grace", hours=hours).decide("v2", approved=True, resume=lambda _: True)


@pytest.mark.parametrize(
    "answer",
    [lambda of: of.share("v2", 0.1), lambda of: of.promote("v2")],
    ids=["share", "promote"],
)
def test_where_approval_is_wanted_an_unapproved_model_answers_nobody(answer: Move) -> None:
    registry = a_registry("v1", "v2")
    guarded(registry, hours=1).shadow("v2")

    for _ in ("before anybody was asked", "before anybody answered"):
        with pytest.raises(RolloutConflictError, match="v2 answers nobody until it is approved"):
            answer(guarded(registry, hours=2))
        guarded(registry, hours=2).ask("v2", "token")

    approved(registry, hours=3)
    answer(guarded(registry, hours=4))
    assert answering(registry)[:2] in {("v1", "v2"), ("v2", None)}


def test_a_rejected_model_answers_nobody() -> None:
    registry = a_registry("v1", "v2")
    guarded(registry).shadow("v2")
    guarded(registry).ask("v2", "token")
    guarded(registry, by="grace").decide("v2", approved=False, resume=lambda _: True)

    with pytest.raises(RolloutConflictError, match="until it is approved"):
        guarded(registry, hours=1).promote("v2")


@pytest.mark.parametrize("leave", ["withdraw", "roll_back"])
def test_an_approval_ends_with_the_rollout_that_it_was_for(leave: str) -> None:
    """A model that an alarm took back is not brought back on the old word."""
    registry = a_registry("v1", "v2")
    guarded(registry, hours=1).shadow("v2")
    approved(registry, hours=2)
    guarded(registry, hours=3).share("v2", 0.1)
    if leave == "roll_back":
        guarded(registry, hours=4).promote("v2")

    getattr(guarded(registry, hours=5), leave)("v2")

    guarded(registry, hours=6).shadow("v2")
    with pytest.raises(RolloutConflictError, match="taken back since grace approved it"):
        guarded(registry, hours=7).share("v2", 0.1)
    approved(registry, hours=8)
    guarded(registry, hours=9).share("v2", 0.1)
    assert answering(registry) == ("v1", "v2", None)


def test_the_way_back_needs_no_approval() -> None:
    registry = a_registry("v1", "v2")
    moves(registry).promote("v2")

    guarded(registry, hours=1).roll_back("v2")

    assert answering(registry)[0] == "v1"


def test_a_new_rollout_asks_anew() -> None:
    registry = a_registry("v1", "v2")
    moves(registry).ask("v2", "token")
    moves(registry).decide("v2", approved=False, resume=lambda _: True)

    later = Rollout(PRODUCT.name, registry, moved_by="ada", as_of=NOW + timedelta(days=1))
    later.ask("v2", "another")
    word = Rollout(PRODUCT.name, registry, moved_by="grace", as_of=NOW + timedelta(days=1))
    word.decide("v2", approved=True, resume=lambda asked: asked.task_token == "another")

    assert registry.approvals["v2"].approved
