"""What the moves of the rollout pointer say of a model: since when it answers, and through whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credit_core.domain.model_manifest import RolloutMode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from credit_core.domain.model_manifest import RolloutPointer
    from credit_core.ports import PointerMove

BY_ROLLOUT = ", by rollout "
"""In who moved the pointer: between who asked and the name of the state machine's execution."""


def asked_by(moved_by: str) -> str:
    """Return who asked for a move, whether or not a rollout made it.

    >>> asked_by("ada, by rollout 7f3c"), asked_by("ada")
    ('ada', 'ada')
    """
    return moved_by.partition(BY_ROLLOUT)[0]


def rollout_in(moved_by: str) -> str | None:
    """Return the name of the execution that made a move, None where a person did.

    >>> rollout_in("ada, by rollout 7f3c"), rollout_in("ada")
    ('7f3c', None)
    """
    return moved_by.partition(BY_ROLLOUT)[2] or None


def placed(pointer: RolloutPointer | None) -> set[str]:
    """Return the versions that score under a pointer, answered or not."""
    if pointer is None:
        return set()
    tried = pointer.challenger
    return {pointer.champion.version} | ({tried.model.version} if tried else set())


def answering(pointer: RolloutPointer) -> set[str]:
    """Return the versions that answer applicants under a pointer."""
    tried = pointer.challenger
    live = {tried.model.version} if tried and tried.mode is RolloutMode.LIVE else set()
    return {pointer.champion.version} | live


def answers_since(version: str, moves: Iterable[PointerMove]) -> datetime | None:
    """Return since when a version answers without a break, None if it does not.

    Args:
        version: Of a model.
        moves: The latest first.
    """
    since = None
    for move in moves:
        if version not in answering(move.after):
            break
        since = move.after.moved_at
    return since


def promoted_at(moves: Iterable[PointerMove]) -> datetime | None:
    """Return when the champion took the place of the one before it.

    None for the first champion, which has none before it, and for one that came back: taking that
    one back as well would leave applicants to a model that two others were thought better than.

    Args:
        moves: The latest first.
    """
    for move in moves:
        if move.before is None:
            return None
        if move.before.champion != move.after.champion:
            came_up = move.after.previous_champion == move.before.champion
            return move.after.moved_at if came_up else None
    return None


def taken_back(move: PointerMove) -> str | None:
    """Return the version that a move took back from where it was, None for any other move."""
    before, after = move.before, move.after
    if before is None:
        return None
    if before.champion != after.champion:
        came_up = after.previous_champion == before.champion
        return None if came_up else before.champion.version
    return next(iter(placed(before) - placed(after)), None)


def left_since(version: str, moves: Iterable[PointerMove], moment: datetime) -> bool:
    """Whether a version was taken out of its place after a moment."""
    return any(
        version in placed(move.before) - placed(move.after)
        for move in moves
        if move.after.moved_at > moment
    )


def rollout_of(version: str, moves: Sequence[PointerMove]) -> str | None:
    """Return the execution that last brought a version to where it is, or was until just now.

    Args:
        version: Of a model.
        moves: The latest first.
    """
    there = False
    for move in moves:
        if version in placed(move.after):
            there = True
            if found := rollout_in(move.after.moved_by):
                return found
        elif there:
            return None
    return None
