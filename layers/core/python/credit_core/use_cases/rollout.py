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
from credit_core.use_cases.rollout_history import asked_by, left_since

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
        needs_approval: Whether a person has to approve a model before it answers anybody.
    """

    def __init__(
        self,
        product: str,
        registry: ModelRegistry,
        *,
        moved_by: str,
        as_of: datetime,
        needs_approval: bool = False,
    ) -> None:
        self._product = product
        self._registry = registry
        self._moved_by = moved_by
        self._as_of = as_of
        self._needs_approval = needs_approval

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
            RolloutConflictError: The share is none, it is not under trial or not approved where
                that is needed, or somebody else moved the pointer meanwhile.
            StoreUnavailableError: The registry did not answer; doing it again is safe.
        """
        if not 0 < share <= 1:
            raise RolloutConflictError(f"a live share is above 0 and at most 1, not {share:g}")
        pointer = self._with_champion(f"model {version} has none to share with; promote it")
        self._under_trial(pointer, version)
        self._refuse_unapproved(version)
        return self._try(pointer, self._answering(version), RolloutMode.LIVE, share)

    def promote(self, version: str, *, from_trial: bool = False) -> RolloutPointer:
        """Make a model the champion.

        Args:
            version: A registered version.
            from_trial: Whether it must be under trial, as a rollout's steps suppose.

        Raises:
            ModelUnavailableError: As ``check``. The pointer stays.
            RolloutConflictError: Another version is under trial, this one is not though it should
                be, or is not approved where that is needed, or somebody else moved the pointer
                meanwhile.
            StoreUnavailableError: The registry did not answer; doing it again is safe.
        """
        pointer = self._registry.pointer()
        if pointer is not None and pointer.champion.version == version:
            return pointer
        if pointer is not None and from_trial:
            self._under_trial(pointer, version)
        _refuse_a_second_trial(pointer, version)
        self._refuse_unapproved(version)
        return self._move(
            pointer,
            champion=self._answering(version),
            previous_champion=None if pointer is None else pointer.champion,
        )

    def standing(self) -> RolloutPointer:
        """Return the pointer as it stands.

        Raises:
            RolloutConflictError: There is no champion.
            StoreUnavailableError: The registry did not answer; doing it again is safe.
        """
        return self._with_champion("nothing was promoted")

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
            RolloutConflictError: No rollout of it waits, another word was given before, or who
                approves is who asked for the rollout.
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
        if approved and asked_by(asked.asked_by) == self._moved_by:
            raise RolloutConflictError(
                f"{self._moved_by} asked for the rollout of model {version}; somebody else has to "
                "approve it"
            )
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

    def _refuse_unapproved(self, version: str) -> None:
        """An approval is of one rollout: it is over when the model has left its place since."""
        if not self._needs_approval:
            return
        word = self._registry.approval(version)
        if word is None or not word.approved or word.decided_at is None:
            raise RolloutConflictError(
                f"model {version} answers nobody until it is approved; a rollout asks for that"
            )
        if left_since(version, self._registry.moves(), word.decided_at):
            raise RolloutConflictError(
                f"model {version} was taken back since {word.decided_by} approved it; a new "
                "rollout asks for a new approval"
            )

    def _answering(self, version: str) -> ModelReference:
        """Return a model that may answer applicants, were it approved.

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


def approval_request(
    version: str, *, asked_by: str, hours: int, stage: str, product: str
) -> tuple[str, str]:
    """Return subject and text of the message that a rollout waits for a person.

    Args:
        version: Of the model, which was in shadow.
        asked_by: Who asked for the rollout, and through which.
        hours: After which it is withdrawn.
        stage: The deployment, as the command line calls it.
        product: What it decides.
    """
    credit, of = f"credit --stage {stage}", f"--product {product}"
    subject = f"{product} in {stage}: model {version} waits for approval"
    text = (
        f"Model {version} answers nobody yet. Its rollout was asked for by {asked_by}; somebody "
        f"else has to say within {hours} hours whether it goes on. Then it is withdrawn.\n\n"
        f"What it would have decided: {credit} models compare {of}\n"
        f"What is known of it:        {credit} models show {version} {of}\n\n"
        f"Let it answer: {credit} models approve {version} {of}\n"
        f"Withdraw it:   {credit} models reject {version} {of}"
    )
    return subject, text
