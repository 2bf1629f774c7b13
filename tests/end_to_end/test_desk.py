"""The loan desk in a real browser, from a filled form to a reviewed referral."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import uuid
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli.checkout import Checkout
from tests.browser import DESKTOP, PHONE, SMALL, focused, launched, visitor
from tests.end_to_end.desks import OpenDesk, an_application_that, opened
from tests.end_to_end.pictures import PICTURES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Page

    from tests.browser import Visitor
    from tests.end_to_end.conftest import Caller, Credit

pytestmark = pytest.mark.end_to_end

PATIENCE_SECONDS = 60
MINUS = "\N{MINUS SIGN}"


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
    """Somebody at the desk, who opened the address that the command printed."""
    with visitor(browser, desk.base) as person:
        person.page.goto(desk.address)
        yield person
        assert person.troubles == []


@pytest.fixture
def caller(callers: dict[str, Caller]) -> Caller:
    return callers["application"]


def fill(page: Page, application: dict[str, Any]) -> None:
    """Fill in the form; what is unknown stays empty."""
    for name, value in application.items():
        field = page.locator(f"#application [name='{name}']")
        if field.evaluate("it => it.tagName") == "SELECT":
            field.select_option("" if value is None else str(value))
        else:
            field.fill("" if value is None else str(value))


def decide(person: Visitor, application: dict[str, Any]) -> None:
    person.visit("/")
    fill(person.page, application)
    person.page.get_by_role("button", name="Decide", exact=True).click()
    person.page.wait_for_url("**/decisions/*")


def number(text: str) -> Decimal:
    found = re.search(rf"[+{MINUS}-]?[\d,]+\.\d\d", text)
    assert found, text
    return Decimal(found[0].replace(MINUS, "-").replace(",", ""))


def waterfall(page: Page) -> dict[str, list[Decimal]]:
    """Return the figures of the waterfall as a person reads them, by kind of row."""
    found: dict[str, list[Decimal]] = {}
    for row in page.locator("#waterfall tr[data-kind]").all():
        figure = number(row.locator("td").last.inner_text())
        found.setdefault(str(row.get_attribute("data-kind")), []).append(figure)
    return found


def recorded(callers: dict[str, Caller], application_id: str) -> dict[str, Any]:
    answer = callers["desk"]("GET", f"/v1/decisions/{application_id}")
    assert answer.status == 200
    return dict(answer.document())


@pytest.mark.parametrize("outcome", ["approve", "decline", "refer"])
def test_who_fills_in_the_form_sees_the_decision_of_the_api(
    outcome: str,
    person: Visitor,
    callers: dict[str, Caller],
    an_application: Callable[..., dict[str, Any]],
) -> None:
    application = an_application_that(outcome, callers["application"], an_application)

    decide(person, application)

    decision = recorded(callers, application["application_id"])["decision"]
    shown = person.page.locator("[data-outcome]").first
    assert decision["outcome"] == outcome
    assert shown.get_attribute("data-outcome") == outcome
    words = {"approve": "Approved", "decline": "Declined", "refer": "Referred"}
    assert words[outcome] in shown.inner_text()
    assert f"{decision['points']:.2f}" in person.text
    assert f"{100 * decision['probability_of_default']:.2f} %" in person.text
    assert person.path == f"/decisions/{application['application_id']}"
    assert person.sound() == []


def test_the_waterfall_of_a_declined_applicant_sums_to_the_score(
    person: Visitor,
    callers: dict[str, Caller],
    an_application: Callable[..., dict[str, Any]],
) -> None:
    application = an_application_that("decline", callers["application"], an_application)

    decide(person, application)

    figures = waterfall(person.page)
    decision = recorded(callers, application["application_id"])["decision"]
    (start,), (end,) = figures["start"], figures["end"]
    assert len(figures["reason"]) >= 3
    assert start + sum(figures["reason"]) + sum(figures.get("others", [])) == end
    assert end == Decimal(str(decision["points"])).quantize(Decimal("0.01"))
    for reason in decision["reasons"]:
        assert person.page.locator(f"[data-code='{reason['code']}']").count() == 1


def test_a_referral_is_reviewed_and_the_receipt_shows_both(
    person: Visitor,
    callers: dict[str, Caller],
    an_application: Callable[..., dict[str, Any]],
) -> None:
    application = an_application_that("refer", callers["application"], an_application)
    id_ = application["application_id"]
    decide(person, application)

    found_in_queue(person, id_).click()
    person.page.wait_for_url("**/decisions/*")
    page = person.page
    page.get_by_label("Decline", exact=True).check()
    page.get_by_label("Why", exact=True).fill("The employer is not known to the house")
    page.get_by_label("Who you are").fill("ada")
    page.get_by_role("button", name="Record the review").click()
    page.wait_for_url("**/decisions/*reviewed=1*")

    assert "The review is recorded" in person.text
    assert page.locator("[data-outcome]").first.get_attribute("data-outcome") in {
        "refer",
        "decline",
    }
    assert person.sound() == []
    with page.expect_download() as download:
        page.get_by_role("link", name="Download it as JSON").click()
    kept = json.loads(Path(download.value.path()).read_bytes())
    assert kept["application_id"] == id_
    kinds = {str(record["record"]).partition("/")[0] for record in kept["records"]}
    assert {"decision", "review"} <= kinds
    (review,) = recorded(callers, id_)["reviews"]
    assert review["outcome"] == "decline"
    assert review["reviewer"] == "ada"
    assert review["adverse_action_codes"]
    gone_from_queue(person, id_)


def found_in_queue(person: Visitor, application_id: str) -> Any:
    """Return the link to a referral, wherever in the queue; the index lags a moment."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        person.visit("/referrals")
        while True:
            link = person.page.get_by_role("link", name=application_id)
            if link.count():
                return link.first
            if not turned(person):
                break
        assert time.monotonic() < deadline, f"{application_id} is not in the queue"
        time.sleep(0.5)


def turned(person: Visitor) -> bool:
    """Turn to the next page of the queue, and wait for all of it; tell whether there was one."""
    later = person.page.get_by_role("link", name="Later ones")
    if not later.count():
        return False
    with person.page.expect_navigation():
        later.click()
    return True


def gone_from_queue(person: Visitor, application_id: str) -> None:
    """Wait until a reviewed referral is in no page of the queue."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        person.visit("/referrals")
        seen = person.text
        while turned(person):
            seen += person.text
        if application_id not in seen:
            return
        assert time.monotonic() < deadline, f"{application_id} is still in the queue"
        time.sleep(0.5)


def test_a_decision_is_found_by_its_id(
    person: Visitor, caller: Caller, an_application: Callable[..., dict[str, Any]]
) -> None:
    application = an_application()
    assert caller("POST", "/v1/decisions", application).status == 200

    person.visit("/find")
    person.page.get_by_role("searchbox").fill(f"  {application['application_id']} ")
    person.page.keyboard.press("Enter")
    person.page.wait_for_url("**/decisions/*")

    assert person.path == f"/decisions/{application['application_id']}"


def test_an_id_that_nobody_used_is_told_beside_the_field(person: Visitor) -> None:
    wanted = f"nobody-{uuid.uuid4()}"

    status = person.visit(f"/find?id={wanted}")

    assert status == 404
    assert "Nothing was decided under this id" in person.text
    assert person.page.get_by_role("searchbox").input_value() == wanted
    assert person.sound() == []


def test_a_fault_is_told_beside_its_field_and_nothing_typed_is_lost(
    person: Visitor, an_application: Callable[..., dict[str, Any]]
) -> None:
    application = an_application(loan_amount="a lot", annual_income=-5)

    person.visit("/")
    fill(person.page, application)
    person.page.get_by_role("button", name="Decide", exact=True).click()
    person.page.wait_for_selector("#loan_amount-fault")

    page = person.page
    for name in ("loan_amount", "annual_income"):
        assert page.locator(f"#{name}-fault").inner_text().strip()
        assert f"{name}-fault" in str(page.locator(f"#{name}").get_attribute("aria-describedby"))
    assert page.locator("#term_months-fault").count() == 0
    for name, value in application.items():
        kept = page.locator(f"#application [name='{name}']").input_value()
        assert kept == ("" if value is None else str(value))
    assert person.sound() == []


def test_an_id_that_was_used_for_another_application_is_told(
    person: Visitor, caller: Caller, an_application: Callable[..., dict[str, Any]]
) -> None:
    application = an_application()
    assert caller("POST", "/v1/decisions", application).status == 200

    person.visit("/")
    fill(person.page, application | {"loan_amount": application["loan_amount"] + 500})
    person.page.get_by_role("button", name="Decide", exact=True).click()
    person.page.wait_for_selector("[role=alert]")

    said = person.page.locator("[role=alert]").first.inner_text()
    assert application["application_id"] in person.text or "id" in said
    assert person.page.locator("#loan_amount").input_value() == str(
        application["loan_amount"] + 500
    )
    assert person.sound() == []


def test_everything_is_done_by_keyboard(
    browser: Browser, desk: OpenDesk, caller: Caller, an_application: Callable[..., dict[str, Any]]
) -> None:
    """Tab reaches each field in order, what has the focus is seen, and Enter sends the form."""
    application = an_application_that("approve", caller, an_application)
    with visitor(browser, desk.base) as person:
        person.page.goto(desk.address)
        keys, waiting = person.page.keyboard, list(application)
        stops: list[str] = []
        for _ in range(60):
            keys.press("Tab")
            stops.append(focused(person.page))
            name = stops[-1].partition(" ")[2]
            if name in application and name in waiting:
                waiting.remove(name)
                value = application[name]
                if stops[-1].startswith("select"):
                    keys.type(str(value).replace("_", " "))
                else:
                    keys.press("Control+a")
                    keys.type("" if value is None else str(value))
            if not waiting and stops[-1].startswith("button Decide"):
                break
        assert waiting == [], stops
        keys.press("Enter")
        person.page.wait_for_url("**/decisions/*")

        assert stops[0].startswith("a To the content")
        assert [stop for stop in stops if "UNSEEN" in stop] == []
        assert person.path == f"/decisions/{application['application_id']}"
        # The first stop leads past the navigation.
        keys.press("Tab")
        keys.press("Enter")
        keys.press("Tab")
        inside = "() => document.querySelector('main').contains(document.activeElement)"
        assert person.page.evaluate(inside)
        assert person.troubles == []


@pytest.mark.parametrize("scripts", [True, False])
def test_it_works_with_scripts_and_without(
    browser: Browser,
    desk: OpenDesk,
    caller: Caller,
    *,
    scripts: bool,
    an_application: Callable[..., dict[str, Any]],
) -> None:
    application = an_application_that("decline", caller, an_application)
    with visitor(browser, desk.base, scripts=scripts) as person:
        person.page.goto(desk.address)

        decide(person, application)

        assert "Declined" in person.text
        assert waterfall(person.page)["end"]
        assert person.troubles == []


@pytest.mark.parametrize(
    ("size", "dark"),
    [(DESKTOP, False), (DESKTOP, True), (PHONE, False), (SMALL, True)],
    ids=["desktop", "dark", "phone", "320-px-dark"],
)
def test_every_page_fits_its_window_and_can_be_read_by_everybody(
    browser: Browser,
    desk: OpenDesk,
    credit: Credit,
    caller: Caller,
    *,
    an_application: Callable[..., dict[str, Any]],
    size: tuple[int, int],
    dark: bool,
) -> None:
    """No page scrolls sideways, breaks its policy, says an error, or fails axe's rules."""
    decided = []
    for outcome in ("approve", "decline", "refer"):
        application = an_application_that(outcome, caller, an_application)
        assert caller("POST", "/v1/decisions", application).status == 200
        decided.append(application["application_id"])
    by_rule = an_application(annual_income=1)
    answer = caller("POST", "/v1/decisions", by_rule)
    decided += [by_rule["application_id"]] if answer.status == 200 else []
    version = credit.json("models", "list")["pointer"]["champion"]
    paths = [
        *("/", "/?example=referred", "/referrals", "/find", "/find?id=nobody", "/nothing"),
        *(f"/decisions/{id_}" for id_ in decided),
        *("/models", f"/models/{version}", "/models/comparison", "/drift"),
    ]
    with visitor(browser, desk.base, size=size, dark=dark) as person:
        person.page.goto(desk.address)
        found = []
        for path in paths:
            person.visit(path)
            for folded in person.page.locator("details").all():
                folded.evaluate("it => { it.open = true }")
            found += person.sound()

    assert found == []


def test_who_has_no_key_stays_outside(browser: Browser, desk: OpenDesk) -> None:
    with visitor(browser, desk.base) as stranger:
        status = stranger.visit("/referrals")

        assert status == 401
        assert "needs its key" in stranger.text
        assert stranger.sound() == []


def test_the_terminal_says_no_key_and_no_applicant_while_people_work(desk: OpenDesk) -> None:
    """What the tests above did has left the address in it, once, and nothing else of them."""
    printed = "".join(desk.said)

    assert printed.count("key=") == 1
    assert "applicant" not in printed.lower()
    assert "Traceback" not in printed


def test_the_pictures_of_the_readme_can_be_taken_anew(
    credit: Credit, demo: dict[str, Any], tmp_path: Path
) -> None:
    """In a process of its own, as `make pictures` does: there is one browser in each."""
    assert demo
    command = [sys.executable, "-m", "tests.end_to_end.pictures", str(tmp_path)]

    done = subprocess.run(
        command,
        cwd=Checkout().root,
        env=credit.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    committed = {path.name for path in PICTURES.glob("*.png")}
    assert {path.name for path in tmp_path.iterdir()} == committed
    readme = (Checkout().root / "README.md").read_text(encoding="utf-8")
    assert all(f"](docs/pictures/{name})" in readme for name in committed)
