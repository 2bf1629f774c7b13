"""Moves of the rollout pointer: a model is tried, heard, promoted, and taken back.

Each move can be asked for again: what is done already is answered as done. Each is made on the
condition that the pointer is still what it was when the move was judged; whoever loses that race
is told, and nothing is half done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from credit_core.domain.model_manifest import Challenger, RolloutMode, RolloutPointer
from credit_core.errors import ModelUnavailableError, RolloutConflictError
from credit_core.ports import Approval, ModelState

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from credit_core.domain.model_manifest import ModelManifest, ModelReference
    from credit_core.ports import ModelRegistry

CHAMPION_CLASS = "champion_class"
"""The gate that only says whether a model's reasons are exact; nobody hears a shadow's reasons."""


class Rollout:
    """The moves of one product's pointer.

    Args:
        product: Name of the product.
        registry: Where its models and the pointer are kept.
        moved_by: Who or what asks, kept with each move.
        as_of: Now, with time zone.
    """

    def __init__(
        self, product: str, registry: ModelRegistry, *, moved_by: str, as_of: datetime
    ) -> None:
        self._product = product
        self._registry = registry
        self._moved_by = moved_by
        self._as_of = as_of

    def check(self, version: str) -> RolloutPointer | None:
        """Return the pointer, None before the first promotion, if the version may be tried now.

        Raises:
            ModelUnavailableError: It is not registered, failed a gate, is not pairwise, was
                retired, or cannot be loaded for the product as it is defined now.
            RolloutConflictError: Another version is under trial.
            StoreUnavailableError: The registry did not answer; doing it again is safe.
        """
        pointer = self._registry.pointer()
        _refuse_a_second_trial(pointer, version)
        self._answering(version)
        return pointer

    def shadow(self, version: str) -> RolloutPointer:
        """Let a model score beside the champion, unheard.

        Raises:
            ModelUnavailableError: As ``check``; but it need not be pairwise.
            RolloutConflictError: There is no champion, it is the champion, another version is
                under trial, or somebody else moved the pointer meanwhile.
            StoreUnavailableError: The registry did not answer; doing it again is safe.
        """
        pointer = self._with_champion(f"model {version} has none to stand beside; promote it")
        if pointer.champion.version == version:
            raise RolloutConflictError(f"model {version} is the champion")
        _refuse_a_second_trial(pointer, version)
        return self._try(pointer, self._listening(version), RolloutMode.SHADOW, 0.0)

    def share(self, version: str, share: float) -> RolloutPointer:
        """Let the model that is under trial answer a share of the applicants.

        It must be in shadow before: so a trial that somebody has withdrawn is not begun again by a
        step that was planned before that.

        Args:
            version: The model that is under trial.
            share: Of applicants, above 0 and at most 1.

        Raises:
            ModelUnavailableError: As ``check``.
            RolloutConflictError: The share is none, it is not under trial, or somebody else moved
                the pointer meanwhile.
            StoreUnavailableError: The registry did not answer; doing it again is safe.
        """
        if not 0 < share <= 1:
            raise RolloutConflictError(f"a live share is above 0 and at most 1, not {share:g}")
        pointer = self._with_champion(f"model {version} has none to share with; promote it")
        self._under_trial(pointer, version)
        return self._try(pointer, self._answering(version), RolloutMode.LIVE, share)

    def promote(self, version: str, *, from_trial: bool = False) -> RolloutPointer:
        """Make a model the champion.

        Args:
            version: A registered version.
            from_trial: Whether it must be under trial, as a rollout's steps suppose.

        Raises:
            ModelUnavailableError: As ``check``. The pointer stays.
            RolloutConflictError: Another version is under trial, this one is not though it should
                be, or somebody else moved the pointer meanwhile.
            StoreUnavailableError: The registry did not answer; doing it again is safe.
        """
        pointer = self._registry.pointer()
        if pointer is not None and pointer.champion.version == version:
            return pointer
        if pointer is not None and from_trial:
            self._under_trial(pointer, version)
        _refuse_a_second_trial(pointer, version)
        return self._move(
            pointer,
            champion=self._answering(version),
            previous_champion=None if pointer is None else pointer.champion,
        )

    def withdraw(self, version: str) -> RolloutPointer:
        """End the trial of a model, if it is under trial.

        Raises:
            RolloutConflictError: There is no champion, or somebody else moved the pointer.
            StoreUnavailableError: The registry did not answer; doing it again is safe.
        """
        pointer = self._with_champion("nothing is under trial")
        if pointer.challenger is None or pointer.challenger.model.version != version:
            return pointer
        return self._move(
            pointer, champion=pointer.champion, previous_champion=pointer.previous_champion
        )

    def roll_back(self, version: str) -> RolloutPointer:
        """Make the champion before a model champion again, if that model is the champion.

        A trial ends with it. The way back from there is that of the time when it was champion.

        Args:
            version: The champion that is taken back; naming it makes a repeated call harmless.

        Raises:
            ModelUnavailableError: The one before cannot be loaded.
            RolloutConflictError: There is none before, it was retired, or somebody else moved the
                pointer meanwhile.
            StoreUnavailableError: The registry did not answer; doing it again is safe.
        """
        pointer = self._with_champion("there is nothing to roll back")
        if pointer.champion.version != version:
            return pointer
        previous = pointer.previous_champion
        if previous is None:
            raise RolloutConflictError(
                f"there is no champion before model {version} to roll back to"
            )
        self._registry.load(previous)
        return self._move(
            pointer, champion=previous, previous_champion=self._before(previous, not_=version)
        )

    def retire(self, version: str) -> RolloutPointer | None:
        """Take a model that neither answers nor is under trial out of use for good.

        Raises:
            ModelUnavailableError: It is not registered.
            RolloutConflictError: It answers or is under trial, or the pointer was moved meanwhile.
            StoreUnavailableError: The registry did not answer; doing it again is safe.
        """
        pointer = self._registry.pointer()
        found = self._registry.find(version)
        if found.state is ModelState.RETIRED:
            return pointer
        if pointer is not None and pointer.champion.version == version:
            raise RolloutConflictError(f"model {version} is the champion; promote another first")
        if pointer is not None and _trial(pointer) == version:
            raise RolloutConflictError(f"model {version} is under trial; withdraw it first")
        self._registry.retire(
            version,
            revision=0 if pointer is None else pointer.revision,
            moved_by=self._moved_by,
            as_of=self._as_of,
        )
        return pointer

    def ask(self, version: str, task_token: str) -> RolloutPointer | None:
        """Note that the rollout of a model waits for a person's approval.

        Raises:
            StoreUnavailableError: The registry did not answer; doing it again is safe.
        """
        self._registry.keep_approval(
            Approval(version, task_token, asked_at=self._as_of, asked_by=self._moved_by)
        )
        return self._registry.pointer()

    def decide(
        self, version: str, *, approved: bool, resume: Callable[[Approval], bool]
    ) -> RolloutPointer | None:
        """Pass a person's word to the rollout that waits for it, and keep it.

        Args:
            version: Whose rollout waits.
            approved: Whether it may go on.
            resume: Lets the rollout go on or end; returns False where none waits any more.

        Raises:
            RolloutConflictError: No rollout of it waits, or another word was given before.
            StoreUnavailableError: The registry did not answer; doing it again is safe.
        """
        asked = self._registry.approval(version)
        if asked is None:
            raise RolloutConflictError(f"no rollout of model {version} waits for approval")
        if asked.approved is approved:
            return self._registry.pointer()
        if asked.approved is not None:
            word = "approved" if asked.approved else "rejected"
            raise RolloutConflictError(f"model {version} was {word} by {asked.decided_by}")
        decided = Approval(
            version,
            asked.task_token,
            asked.asked_at,
            asked.asked_by,
            approved=approved,
            decided_at=self._as_of,
            decided_by=self._moved_by,
        )
        if not resume(decided):
            raise RolloutConflictError(
                f"the rollout of model {version} does not wait for approval any more"
            )
        self._registry.keep_approval(decided)
        return self._registry.pointer()

    def _try(
        self, pointer: RolloutPointer, model: ModelReference, mode: RolloutMode, share: float
    ) -> RolloutPointer:
        challenger = Challenger(model=model, mode=mode, share=share)
        if pointer.challenger == challenger:
            return pointer
        return self._move(
            pointer,
            champion=pointer.champion,
            previous_champion=pointer.previous_champion,
            challenger=challenger,
        )

    def _move(
        self,
        pointer: RolloutPointer | None,
        *,
        champion: ModelReference,
        previous_champion: ModelReference | None,
        challenger: Challenger | None = None,
    ) -> RolloutPointer:
        moved = RolloutPointer(
            product=self._product,
            champion=champion,
            challenger=challenger,
            previous_champion=previous_champion,
            revision=1 if pointer is None else pointer.revision + 1,
            moved_at=self._as_of,
            moved_by=self._moved_by,
        )
        self._registry.move(moved)
        return moved

    def _with_champion(self, otherwise: str) -> RolloutPointer:
        pointer = self._registry.pointer()
        if pointer is None:
            raise RolloutConflictError(f"there is no champion yet; {otherwise}")
        return pointer

    def _under_trial(self, pointer: RolloutPointer, version: str) -> None:
        _refuse_a_second_trial(pointer, version)
        if pointer.challenger is None:
            raise RolloutConflictError(
                f"model {version} is not under trial; it goes into shadow first"
            )

    def _answering(self, version: str) -> ModelReference:
        """Return a model that may answer applicants.

        Raises:
            ModelUnavailableError: It may not.
        """
        reference, manifest = self._loadable(version)
        _refuse_failed_gates(manifest, allowed=frozenset())
        if not manifest.pairwise:
            raise ModelUnavailableError(
                f"model {version} cannot answer; its reasons would not be exact"
            )
        return reference

    def _listening(self, version: str) -> ModelReference:
        """Return a model that may be in shadow.

        Raises:
            ModelUnavailableError: It may not.
        """
        reference, manifest = self._loadable(version)
        _refuse_failed_gates(manifest, allowed=frozenset({CHAMPION_CLASS}))
        return reference

    def _loadable(self, version: str) -> tuple[ModelReference, ModelManifest]:
        found = self._registry.find(version)
        if found.state is ModelState.RETIRED:
            raise ModelUnavailableError(f"model {version} was retired by {found.moved_by}")
        return found.reference, self._registry.load(found.reference).manifest

    def _before(self, champion: ModelReference, *, not_: str) -> ModelReference | None:
        """Return the way back that there was when a model was last the champion."""
        for move in self._registry.moves():
            before = move.after.previous_champion
            if move.after.champion == champion:
                return before if before is None or before.version != not_ else None
        return None


def _trial(pointer: RolloutPointer) -> str | None:
    return None if pointer.challenger is None else pointer.challenger.model.version


def _refuse_a_second_trial(pointer: RolloutPointer | None, version: str) -> None:
    if pointer is not None and pointer.challenger is not None:
        other = pointer.challenger
        if other.model.version != version:
            raise RolloutConflictError(
                f"model {other.model.version} is under trial ({other.mode}, share "
                f"{other.share:g}) since {pointer.moved_at:%Y-%m-%d %H:%M} UTC, moved by "
                f"{pointer.moved_by}; withdraw it first"
            )


def _refuse_failed_gates(manifest: ModelManifest, *, allowed: frozenset[str]) -> None:
    failed = [gate.name for gate in manifest.failed_gates if gate.name not in allowed]
    if failed or not manifest.gates:
        names = ", ".join(failed) or "no gates"
        raise ModelUnavailableError(f"model {manifest.version} stays out; it failed: {names}")
