"""Models and days at the loan desk, in a real browser."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser import launched, visitor
from tests.end_to_end.desks import OpenDesk, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser

    from tests.browser import Visitor
    from tests.end_to_end.conftest import Caller, Credit

pytestmark = pytest.mark.end_to_end

PATIENCE_SECONDS = 120


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module")
def desk(credit: Credit, demo: dict[str, Any]) -> Iterator[OpenDesk]:
    assert demo
    with opened(credit) as desk:
        yield desk


@pytest.fixture
def person(browser: Browser, desk: OpenDesk) -> Iterator[Visitor]:
    with visitor(browser, desk.base) as person:
        person.page.goto(desk.address)
        yield person
        assert person.troubles == []


def test_the_models_are_those_that_the_command_lists(person: Visitor, credit: Credit) -> None:
    listed = credit.json("models", "list")

    person.visit("/models")

    for model in listed["models"][:20]:
        assert model["version"] in person.text
    assert f"{listed['pointer']['champion']} answers" in person.text
    person.page.get_by_role("link", name=listed["pointer"]["champion"]).first.click()
    person.page.wait_for_url(f"**/models/{listed['pointer']['champion']}")
    shown = credit.json("models", "show")
    assert f"{shown['auc']['value']:.3f}" in person.text
    for gate in shown["manifest"]["gates"]:
        assert gate["name"].replace("_", " ") in person.text
    assert person.sound() == []


def test_the_report_of_a_model_is_shown_and_can_do_nothing(person: Visitor, credit: Credit) -> None:
    champion = credit.json("models", "list")["pointer"]["champion"]
    person.visit(f"/models/{champion}")

    person.page.get_by_role("link", name="The whole report").click()
    person.page.wait_for_url("**/report")

    assert person.page.locator("h1").count() == 1
    assert champion in person.text
    # An origin of its own: it can read nothing of the desk, and no script of its runs.
    assert person.page.evaluate("() => self.origin") == "null"
    policy = person.page.request.get(person.page.url).headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'")


def test_a_comparison_is_made_by_a_button(
    person: Visitor, credit: Credit, archived: Callable[[], None]
) -> None:
    # The command compares once more: what tests before left on its way may not come in between.
    archived()
    last = datetime.now(UTC).date()
    first = last - timedelta(days=1)
    person.visit("/models/comparison")
    person.page.get_by_label("First day, UTC").fill(str(first))
    person.page.get_by_label("Last day, UTC").fill(str(last))

    # It reads what all tests before have decided.
    patience_ms = PATIENCE_SECONDS * 1_000
    with person.page.expect_navigation(timeout=patience_ms):
        person.page.get_by_role("button", name="Compare now").click(timeout=patience_ms)
    person.page.wait_for_selector("text=/Made .* UTC of/")

    found = credit.json("models", "compare", "--from", str(first), "--to", str(last))
    assert f"{found['decisions']:,} decision" in person.text
    assert f"from {first} to {last}" in person.text
    assert person.sound() == []


def test_a_day_is_monitored_by_a_button_and_its_page_shown(
    person: Visitor, decided_on: str
) -> None:
    person.visit("/drift")

    person.page.get_by_label("Day, UTC").fill(decided_on)
    with person.page.expect_navigation():
        person.page.get_by_role("button", name="Monitor this day").click()
    shown = person.page.get_by_role("link", name=decided_on)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "A day is being monitored" in person.text or not shown.count():
        assert time.monotonic() < deadline, person.text
        time.sleep(0.5)
        person.visit("/drift")
    shown.click()
    person.page.wait_for_url(f"**/drift/{decided_on}")

    assert "Decisions" in person.text
    assert person.sound() == []
    person.page.get_by_role("link", name="The whole page of this day").click()
    person.page.wait_for_url("**/page")
    assert "What was counted" in person.text
    assert person.page.evaluate("() => self.origin") == "null"


@pytest.fixture
def decided_on(
    callers: dict[str, Caller],
    an_application: Callable[..., dict[str, Any]],
    archived: Callable[[], None],
) -> str:
    """A day on which something was decided that is in the archive; it may be over by now."""
    answer = callers["application"]("POST", "/v1/decisions", an_application())
    assert answer.status == 200
    archived()
    return str(answer.document()["decided_at"])[:10]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/models/none-of-this-name", "No model none-of-this-name of personal_loan is registered"),
        ("/drift/1999-12-31", "1999-12-31 was not monitored"),
        ("/drift/yesterday", "That is no day"),
    ],
)
def test_what_is_not_there_is_said_in_words(person: Visitor, path: str, said: str) -> None:
    assert person.visit(path) in {400, 404}

    assert said in person.text
    assert person.sound() == []
