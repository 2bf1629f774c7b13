"""The guard: which alarm takes which model back, once, and whom it tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from credit_core.domain.alarm_change import AlarmChange
from credit_core.errors import RolloutConflictError, StoreUnavailableError
from credit_core.use_cases.guard_rollout import Guard, GuardRules, Suspect
from credit_core.use_cases.rollout import Rollout
from tests.builders import NOW, PRODUCT
from tests.unit.test_rollout_moves import FakeRegistry, a_registry, answering

if TYPE_CHECKING:
    from collections.abc import Callable

BAKING = timedelta(hours=24)
RULES = GuardRules(
    alarms=frozenset({"scorer-errors", "api-latency"}),
    shadow_alarms=frozenset({"scorer-errors"}),
    baking=BAKING,
)


@dataclass
class FakePromoter:
    """Moves the pointer as the promoter does."""

    registry: FakeRegistry
    refuses: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)

    def take_back(self, action: str, version: str, *, moved_by: str) -> str:
        self.asked.append((action, version))
        if self.refuses:
            raise RolloutConflictError(self.refuses)
        rollout = Rollout(PRODUCT.name, self.registry, moved_by=moved_by, as_of=NOW)
        back = rollout.withdraw if action == "withdraw" else rollout.roll_back
        return back(version).champion.version


@dataclass
class FakeChannel:
    down: bool = False
    told: list[tuple[str, str]] = field(default_factory=list)

    def tell(self, subject: str, text: str) -> None:
        if self.down:
            raise StoreUnavailableError("on-call was not told")
        self.told.append((subject, text))


@dataclass
class World:
    """A guard with all that it works on; hours count from the moment of the first promotion."""

    registry: FakeRegistry
    promoter: FakePromoter
    page: FakeChannel
    guard: Guard

    def move(self, hours: float, *, by: str = "ada, by rollout 7f3c") -> Rollout:
        return Rollout(PRODUCT.name, self.registry, moved_by=by, as_of=at(hours))

    def ring(
        self, hours: float, name: str = "scorer-errors", state: str = "ALARM"
    ) -> Suspect | None:
        return self.guard.rang(AlarmChange(name, state, at(hours), "1 datapoint was above 0"))

    @property
    def answering(self) -> tuple[str, str | None, str | None]:
        return answering(self.registry)


def at(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)


@pytest.fixture
def world() -> World:
    registry = a_registry("v1", "v2", "v3")
    promoter, page = FakePromoter(registry), FakeChannel()
    guard = Guard(registry, promoter, page, rules=RULES, deployment="credit-prod-loans")
    return World(registry, promoter, page, guard)


def in_shadow(world: World) -> None:
    world.move(1).shadow("v2")


def in_a_share(world: World) -> None:
    in_shadow(world)
    world.move(2).share("v2", 0.25)


def baking(world: World) -> None:
    in_a_share(world)
    world.move(3).promote("v2")


def test_a_page_while_a_challenger_answers_withdraws_it_and_tells_on_call(world: World) -> None:
    in_a_share(world)

    assert world.ring(4) == Suspect("withdraw", "v2", "answering 25% of the applicants")

    assert world.answering == ("v1", None, None)
    ((subject, text),) = world.page.told
    assert subject == "credit-prod-loans: a model was withdrawn"
    assert "Model v2 (answering 25% of the applicants) was withdrawn; v1 answers." in text
    assert "alarm scorer-errors of 2026-" in text
    assert "1 datapoint was above 0" in text


def test_a_page_while_a_champion_is_new_brings_back_the_one_before(world: World) -> None:
    baking(world)

    assert world.ring(8) == Suspect("rollback", "v2", "champion for 5 h")

    assert world.answering[:2] == ("v1", None)
    ((subject, text),) = world.page.told
    assert subject == "credit-prod-loans: a model was rolled back"
    assert "v1 answers again" in text


@pytest.mark.parametrize("promoted_by", ["ada", "ada, by rollout 7f3c"])
def test_a_champion_is_new_for_its_time_whoever_promoted_it(world: World, promoted_by: str) -> None:
    world.move(1, by=promoted_by).promote("v2")

    assert world.ring(1 + 24.1) is None
    assert world.answering[0] == "v2"
    assert world.ring(1 + 23.9) is not None
    assert world.answering[0] == "v1"


@pytest.mark.parametrize(
    ("name", "taken"), [("scorer-errors", True), ("api-latency", False)], ids=["its", "not its"]
)
def test_of_a_model_that_is_only_listened_to_what_it_can_cause_matters(
    world: World, name: str, *, taken: bool
) -> None:
    in_shadow(world)

    assert (world.ring(2, name) is not None) is taken
    assert (world.answering[1] is None) is taken


@pytest.mark.parametrize(
    "ring",
    [
        lambda world: world.ring(4, "freshness-bureau"),
        lambda world: world.ring(4, state="OK"),
        lambda world: world.ring(4, state="INSUFFICIENT_DATA"),
    ],
    ids=["another alarm", "over", "no data"],
)
@pytest.mark.parametrize("when", [in_shadow, in_a_share, baking])
def test_what_is_no_page_moves_nothing(
    world: World, when: Callable[[World], None], ring: Callable[[World], object]
) -> None:
    when(world)
    before = world.registry.current

    assert ring(world) is None
    assert (world.registry.current, world.page.told) == (before, [])


def test_without_a_new_model_a_page_moves_nothing(world: World) -> None:
    """The first champion has none before it."""
    assert world.ring(1) is None
    assert world.promoter.asked == []


def test_an_empty_registry_is_no_fault(world: World) -> None:
    world.registry.history.clear()

    assert world.ring(1) is None


@pytest.mark.parametrize("when", [in_shadow, in_a_share, baking])
def test_an_alarm_that_is_delivered_twice_moves_once(
    world: World, when: Callable[[World], None]
) -> None:
    when(world)
    world.ring(4)
    after, moved = world.registry.current, len(world.registry.history)

    world.ring(4)

    assert (world.registry.current, len(world.registry.history)) == (after, moved)


def test_another_alarm_does_not_take_the_former_champion_back_too(world: World) -> None:
    """It came back; the one before it is older still."""
    baking(world)
    world.ring(4)

    assert world.ring(5, "api-latency") is None
    assert world.answering[0] == "v1"


def test_what_could_not_be_told_is_told_when_it_is_tried_again(world: World) -> None:
    in_a_share(world)
    world.page.down = True
    with pytest.raises(StoreUnavailableError):
        world.ring(4)
    assert world.answering == ("v1", None, None)

    world.page.down = False
    world.ring(4)

    assert [subject for subject, _ in world.page.told] == [
        "credit-prod-loans: a model was withdrawn"
    ]


def test_what_could_not_be_told_of_a_rollback_is_told_too(world: World) -> None:
    baking(world)
    world.page.down = True
    with pytest.raises(StoreUnavailableError):
        world.ring(4)

    world.page.down = False
    assert world.ring(4) == Suspect("rollback", "v2", "champion")
    assert len(world.page.told) == 1


def test_a_model_that_cannot_be_taken_back_is_told_and_tried_again(world: World) -> None:
    in_a_share(world)
    world.promoter.refuses = "the registry did not answer"

    with pytest.raises(RolloutConflictError, match="the registry did not answer"):
        world.ring(4)

    ((subject, text),) = world.page.told
    assert subject == "credit-prod-loans: a model could NOT be withdrawn"
    assert "Why it was not: the registry did not answer" in text
    world.promoter.refuses = ""
    assert world.ring(4) is not None
    assert world.answering == ("v1", None, None)


def test_a_rollout_that_saw_the_alarm_first_leaves_the_telling_to_the_guard(
    world: World,
) -> None:
    in_a_share(world)
    world.move(4.01).withdraw("v2")

    assert world.ring(4) == Suspect("withdraw", "v2", "under trial")
    assert world.answering == ("v1", None, None)
    assert len(world.page.told) == 1
    assert world.ring(5) is None


def test_a_model_that_a_person_took_back_is_not_told(world: World) -> None:
    in_a_share(world)
    world.move(4.01, by="grace").withdraw("v2")

    assert world.ring(4) is None


def test_an_alarm_from_before_a_model_answered_is_not_about_it(world: World) -> None:
    """Delivered hours late, after another trial began."""
    in_a_share(world)

    assert world.ring(0.5) is None
    assert world.answering[1] == "v2"


def test_clocks_may_differ_a_little(world: World) -> None:
    in_a_share(world)

    assert world.ring(2 - 50 / 3_600) is not None


def test_an_alarm_of_its_share_takes_a_model_back_that_was_promoted_meanwhile(
    world: World,
) -> None:
    """It rang before the promotion, and was delivered after it."""
    baking(world)

    assert world.ring(2.5) == Suspect("rollback", "v2", "champion for 0 s")


def test_a_new_champion_goes_with_the_trial_that_began_under_it(world: World) -> None:
    baking(world)
    world.move(4, by="eve, by rollout 9a1b").shadow("v3")

    world.ring(5)

    assert world.answering[:2] == ("v1", None)


# --- A rollout that ends on the way --------------------------------------------------------------


@pytest.mark.parametrize("status", ["ABORTED", "TIMED_OUT", "FAILED"])
@pytest.mark.parametrize("when", [in_shadow, in_a_share])
def test_a_rollout_that_ends_on_the_way_leaves_no_model_under_trial(
    world: World, when: Callable[[World], None], status: str
) -> None:
    when(world)

    found = world.guard.ended("7f3c", status=status)

    assert found is not None
    assert (found.action, found.version) == ("withdraw", "v2")
    assert world.answering == ("v1", None, None)
    ((_, text),) = world.page.told
    assert f"rollout 7f3c {status.lower().replace('_', ' ')}; nobody went on with it" in text


def test_another_rollout_that_ends_leaves_the_model_under_trial(world: World) -> None:
    """Started again meanwhile, or refused because one was under way."""
    in_a_share(world)

    assert world.guard.ended("0000", status="FAILED") is None
    assert (world.answering[1], world.page.told) == ("v2", [])


def test_a_champion_stays_when_its_rollout_is_stopped(world: World) -> None:
    """Alarms take it back for as long as it is new."""
    baking(world)

    assert world.guard.ended("7f3c", status="ABORTED") is None
    assert world.answering[0] == "v2"


def test_a_rollout_that_withdrew_its_model_itself_is_not_told_again(world: World) -> None:
    in_a_share(world)
    world.move(3).withdraw("v2")

    assert world.guard.ended("7f3c", status="FAILED") is None
    assert world.page.told == []


def test_a_share_given_by_hand_still_belongs_to_the_rollout(world: World) -> None:
    in_a_share(world)
    world.move(3, by="grace").share("v2", 0.5)

    assert world.guard.ended("7f3c", status="ABORTED") is not None


# --- What CloudWatch says ------------------------------------------------------------------------

AWS_MESSAGE = """{"AlarmName": "page", "NewStateValue": "ALARM", "OldStateValue": "OK",
"NewStateReason": "Threshold Crossed", "StateChangeTime": "2026-03-01T09:00:00.123+0000"}"""


def test_an_alarm_is_read_as_cloudwatch_writes_it() -> None:
    change = AlarmChange.from_message(AWS_MESSAGE)

    assert change is not None
    assert (change.name, change.rings, change.why) == ("page", True, "Threshold Crossed")
    assert change.event == "alarm page of 2026-03-01 09:00:00 UTC"


@pytest.mark.parametrize(
    "text",
    [
        *("", "a model was withdrawn", "{}", "[]", "1", "null"),
        '{"AlarmName": "page", "NewStateValue": "ALARM"}',
        '{"AlarmName": "page", "NewStateValue": "ALARM", "StateChangeTime": "soon"}',
        '{"AlarmName": "page", "NewStateValue": "ALARM", "StateChangeTime": "2026-03-01T09:00"}',
    ],
)
def test_what_tells_of_no_alarm_is_none(text: str) -> None:
    assert AlarmChange.from_message(text) is None
