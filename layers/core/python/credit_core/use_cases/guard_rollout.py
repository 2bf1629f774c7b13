"""A paging alarm while a new model answers, or has begun to: the one before answers again.

Whether the model is to blame is found out afterwards, without applicants. The promoter makes the
move, as it makes all; what was moved is told to on-call. Delivered again, an alarm moves nothing
more, and is told again: a message too many is better than none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from credit_core.domain.model_manifest import RolloutMode
from credit_core.errors import CreditScoringError
from credit_core.use_cases.rollout_history import (
    answers_since,
    promoted_at,
    rollout_in,
    rollout_of,
    taken_back,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from credit_core.domain.alarm_change import AlarmChange
    from credit_core.domain.model_manifest import Challenger
    from credit_core.ports import Channel, ModelRegistry, PointerMove, Promoter
    from credit_core.settings import GuardSettings

CLOCKS = timedelta(minutes=1)
"""How far clocks may differ, and how coarse an alarm's time may be."""

WITHDRAW, ROLL_BACK = "withdraw", "rollback"
DONE = {WITHDRAW: "withdrawn", ROLL_BACK: "rolled back"}


@dataclass(frozen=True, slots=True)
class GuardRules:
    """What takes which model back.

    ``alarms`` take back one that answers applicants, for ``baking`` after its promotion as well;
    ``shadow_alarms`` one that is only listened to.
    """

    alarms: frozenset[str]
    shadow_alarms: frozenset[str]
    baking: timedelta

    @classmethod
    def of(cls, settings: GuardSettings) -> GuardRules:
        """Return the rules by which a deployed guard goes."""
        return cls(
            alarms=frozenset(settings.alarms.split(",")),
            shadow_alarms=frozenset(settings.shadow_alarms.split(",")),
            baking=timedelta(seconds=settings.baking_seconds),
        )


@dataclass(frozen=True, slots=True)
class Suspect:
    """A model that is taken back, by the promoter's ``action``, and where it was until then."""

    action: str
    version: str
    place: str


def suspect(moves: Sequence[PointerMove], change: AlarmChange, rules: GuardRules) -> Suspect | None:
    """Return the model that an alarm takes back, None where it concerns none.

    A champion that is new goes before a challenger does: its trial ends with it, so that nobody
    new is left. An alarm that went off before a model answered anybody is not about that model;
    whoever moved it looked at the alarms after that.

    Args:
        moves: Of the pointer, the latest first.
        change: The alarm, which went off.
        rules: What takes which model back.
    """
    if not moves:
        return None
    pointer = moves[0].after
    champion, tried = pointer.champion.version, pointer.challenger
    promoted = promoted_at(moves)
    if change.name in rules.alarms and promoted is not None:
        since = answers_since(champion, moves) or promoted
        if since - CLOCKS <= change.at <= promoted + rules.baking:
            place = f"champion for {_duration(change.at - promoted)}"
            return Suspect(ROLL_BACK, champion, place)
    if tried is None:
        return None
    version = tried.model.version
    if tried.mode is RolloutMode.SHADOW:
        in_question = change.name in rules.shadow_alarms
        return Suspect(WITHDRAW, version, _place(tried)) if in_question else None
    since = answers_since(version, moves) or pointer.moved_at
    if change.name in rules.alarms and since - CLOCKS <= change.at:
        return Suspect(WITHDRAW, version, _place(tried))
    return None


class Guard:
    """Takes models back, and tells on-call.

    Args:
        registry: Where the moves of the pointer are kept.
        promoter: Makes the moves.
        page: Where on-call is told of them.
        rules: What takes which model back.
        deployment: What on-call calls this deployment.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        promoter: Promoter,
        page: Channel,
        *,
        rules: GuardRules,
        deployment: str,
    ) -> None:
        self._registry = registry
        self._promoter = promoter
        self._page = page
        self._rules = rules
        self._deployment = deployment

    def rang(self, change: AlarmChange) -> Suspect | None:
        """Take back the model that an alarm concerns; return it, None where there is none.

        Raises:
            CreditScoringError: It is not known to have gone, or on-call not to have been told;
                doing it again is safe.
        """
        if not change.rings or change.name not in self._rules.alarms | self._rules.shadow_alarms:
            return None
        moves = list(self._registry.moves())
        found = suspect(moves, change, self._rules) or _gone(moves, change.event, since=change.at)
        if found is None:
            return None
        self._take_back(found, by=change.event, because=f"{change.event}: {change.why}")
        return found

    def ended(self, execution: str, *, status: str) -> Suspect | None:
        """Take back the model that a rollout left under trial; return it, None where it left none.

        A champion stays: alarms take it back for as long as it is new, without the rollout.

        Args:
            execution: Name of the execution, which did not succeed.
            status: How it ended, in Step Functions' words.

        Raises:
            CreditScoringError: It is not known to have gone, or on-call not to have been told;
                doing it again is safe.
        """
        moves = list(self._registry.moves())
        by = f"the end of rollout {execution}"
        tried = moves[0].after.challenger if moves else None
        found = _gone(moves, by)
        if tried is not None and rollout_of(tried.model.version, moves) == execution:
            found = Suspect(WITHDRAW, tried.model.version, _place(tried))
        if found is None:
            return None
        because = f"rollout {execution} {status.lower().replace('_', ' ')}; nobody went on with it"
        self._take_back(found, by=by, because=because)
        return found

    def _take_back(self, found: Suspect, *, by: str, because: str) -> None:
        done = DONE[found.action]
        try:
            champion = self._promoter.take_back(found.action, found.version, moved_by=by)
        except CreditScoringError as error:
            self._page.tell(
                f"{self._deployment}: a model could NOT be {done}",
                f"Model {found.version} ({found.place}) should have been {done}, and goes on.\n\n"
                f"Why it should: {because}\n"
                f"Why it was not: {error}\n\n"
                f"It is tried again twice. By hand: credit models {found.action}. "
                "Runbook: docs/runbooks/model-taken-back.md",
            )
            raise
        self._page.tell(
            f"{self._deployment}: a model was {done}",
            f"Model {found.version} ({found.place}) was {done}; {champion} answers"
            f"{' again' if found.action == ROLL_BACK else ''}. Its rollout was stopped.\n\n"
            f"Why: {because}\n\n"
            "Whether the model is to blame is open: if the alarm goes on to ring, it was not it "
            "alone. Runbook: docs/runbooks/model-taken-back.md",
        )


def _gone(
    moves: Sequence[PointerMove], by: str, *, since: datetime | None = None
) -> Suspect | None:
    """Return the model that has gone for this reason already, and of which on-call may not know.

    Args:
        moves: Of the pointer, the latest first.
        by: Who moved it when this was delivered before, and perhaps could not tell.
        since: When an alarm went off: its rollout may have seen that, and been faster.
    """
    if not moves or (version := taken_back(moves[0])) is None:
        return None
    after = moves[0].after
    rollouts_own = rollout_in(after.moved_by) is not None
    faster = rollouts_own and since is not None and since - CLOCKS <= after.moved_at
    if after.moved_by != by and not faster:
        return None
    was_champion = moves[0].before is not None and moves[0].before.champion != after.champion
    if was_champion:
        return Suspect(ROLL_BACK, version, "champion")
    return Suspect(WITHDRAW, version, "under trial")


def _place(tried: Challenger) -> str:
    if tried.mode is RolloutMode.SHADOW:
        return "in shadow"
    return f"answering {tried.share:.0%} of the applicants"


def _duration(passed: timedelta) -> str:
    """Say how long it is, roughly.

    >>> [_duration(timedelta(minutes=passed)) for passed in (0.2, 3, 350)]
    ['12 s', '3 min', '6 h']
    """
    seconds = max(0.0, passed.total_seconds())
    if passed < timedelta(minutes=2):
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if passed < timedelta(hours=2) else f"{seconds / 3_600:.0f} h"
