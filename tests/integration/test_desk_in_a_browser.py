"""Pages of the desk in a real browser without a cloud: what is empty, what fails, who acts."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EndpointConnectionError

from credit_cli.desk.app import desk_app
from credit_cli.desk.desk import Desk, Rooms
from credit_cli.desk.shell import Shell
from credit_cli.errors import CliError, UnreachableError
from tests import browser as browsers
from tests.browser import DESKTOP, PHONE, SMALL, Visitor, launched, visitor
from tests.builders import NOW, PRODUCT
from tests.builders_desk import FakeOffice
from tests.builders_desk_evidence import FakeEvidence, a_registered, served, some_evidence
from tests.builders_monitoring import A_DAY
from tests.ports import a_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser
    from starlette.types import Receive, Scope, Send

KEY = "the-key-of-a-test"
PATHS = (
    *("/models", "/models/v1", "/models/v0", "/models/v1/report", "/models/comparison"),
    *("/drift", f"/drift/{A_DAY}", f"/drift/{A_DAY}/page", "/", "/referrals", "/find"),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@dataclass
class Answers:
    """What the desk finds now; ``fault`` is raised in the place of an answer."""

    evidence: FakeEvidence = field(default_factory=FakeEvidence)
    office: FakeOffice = field(default_factory=FakeOffice)
    fault: Exception | None = None

    def __call__(self) -> Rooms:
        if self.fault is not None:
            raise self.fault
        return Rooms(self.office, self.evidence)


class LongQueue(FakeOffice):
    """An office whose queue has no end."""

    def referrals(self, *, limit: int, after: str | None) -> dict[str, Any]:
        self.pages.append((limit, after))
        waiting = {
            "revision": 1,
            "decided_at": NOW.isoformat(),
            "cause": {"code": "between_cutoffs", "detail": "the probability", "retryable": False},
            "decided_by": {"kind": "cutoff", "code": "between_cutoffs"},
            "probability_of_default": 0.08,
            "points": 560.5,
            "risk_band": "D",
            "policy_version": "2026-11-2",
            "model_version": "v1",
        }
        found = [waiting | {"application_id": f"loan-{number}"} for number in range(limit)]
        return {"referrals": found, "next": "further"}


@contextmanager
def a_person(
    browser: Browser, answers: Answers, *, stage: str = "local", **window: Any
) -> Iterator[Visitor]:
    """Give somebody who is inside the desk."""
    port = a_free_port()
    place = "the local cloud" if stage == "local" else f"account 000000000000, as {stage}"
    shell = Shell(PRODUCT.title, stage=stage, place=place)
    app = desk_app(Desk(PRODUCT, shell, answers, clock=lambda: NOW), key=KEY, port=port)
    with served(app, port) as base, visitor(browser, base, **window) as person:
        person.page.goto(f"{base}/?key={KEY}")
        person.troubles.clear()
        yield person


@pytest.mark.parametrize(
    ("size", "dark"),
    [(DESKTOP, False), (PHONE, True), (SMALL, False)],
    ids=["desktop", "phone-dark", "320-px"],
)
def test_full_pages_fit_every_window_and_can_be_read_by_everybody(
    browser: Browser, size: tuple[int, int], *, dark: bool
) -> None:
    answers = Answers(some_evidence())
    with a_person(browser, answers, size=size, dark=dark) as person:
        found = []
        for path in PATHS:
            assert person.visit(path) == 200
            # Reports and pages of days were made for one colour, and tell it themselves.
            found += [] if path.endswith(("/report", "/page")) else person.sound()
            found += person.troubles

    assert found == []


def test_empty_pages_say_what_to_do(browser: Browser) -> None:
    with a_person(browser, Answers()) as person:
        said = {}
        for path in ("/models", "/models/comparison", "/drift", "/referrals"):
            assert person.visit(path) == 200
            said[path] = person.text
            assert person.sound() == []

    assert "No model is registered yet" in said["/models"]
    assert "They were not compared yet" in said["/models/comparison"]
    assert "No day was monitored yet" in said["/drift"]
    assert "Nobody waits" in said["/referrals"]


@pytest.mark.parametrize(
    ("fault", "status", "said"),
    [
        (
            UnreachableError("the local cloud is not running", hint="run: make demo"),
            503,
            "The local cloud is not running. Run: make demo",
        ),
        (CliError("the registry did not answer"), 500, "The registry did not answer."),
        (
            EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
            503,
            "The local cloud does not answer",
        ),
        (ZeroDivisionError("of 61,000 a year"), 500, "The desk itself failed"),
    ],
)
def test_a_fault_is_told_on_every_page_and_over_when_it_is_over(
    browser: Browser, capsys: pytest.CaptureFixture[str], fault: Exception, status: int, said: str
) -> None:
    answers = Answers(some_evidence(), fault=fault)
    with a_person(browser, answers) as person:
        for path in ("/models", "/models/v1", "/models/comparison", "/drift", f"/drift/{A_DAY}"):
            assert person.visit(path) == status
            assert said in person.text
            assert "61,000" not in person.text
            assert person.sound() == []
        answers.fault = None
        person.visit("/models")
        assert "Champion" in person.text
    assert "61,000" not in capsys.readouterr().err


def test_a_damaged_model_is_told_and_the_others_are_shown(browser: Browser) -> None:
    with a_person(browser, Answers(some_evidence())) as person:
        assert person.visit("/models/v-damaged") == 500
        assert "Its manifest is not what was registered" in person.text
        assert person.visit("/models/v1") == 200


def test_buttons_ask_for_what_they_say(browser: Browser) -> None:
    answers = Answers(some_evidence())
    with a_person(browser, answers) as person:
        person.visit("/models/comparison")
        person.page.get_by_label("First day, UTC").fill("2026-11-01")
        with person.page.expect_navigation():
            person.page.get_by_role("button", name="Compare now").click()
        person.visit("/drift")
        person.page.get_by_label("Day, UTC").fill("2026-11-18")
        person.page.get_by_role("button", name="Monitor this day").click()
        person.page.wait_for_url("**/drift?asked=2026-11-18")
        assert "The monitoring of 2026-11-18 was started." in person.text

    assert answers.evidence.asked == [
        ("compare", {"from": "2026-11-01", "to": str(NOW.date())}),
        ("monitor", A_DAY.replace(day=18)),
    ]


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        ("/drift", {"day": "2999-01-01"}, "2999-01-01 has not begun"),
        ("/drift", {"day": ""}, "That is no day"),
        (
            "/models/comparison",
            {"from": "2026-11-02", "to": "2026-11-01"},
            "The last day, 2026-11-01, lies before the first, 2026-11-02",
        ),
    ],
)
def test_what_a_browser_would_not_send_is_refused_in_words(
    browser: Browser, path: str, fields: dict[str, str], said: str
) -> None:
    answers = Answers(some_evidence())
    with a_person(browser, answers) as person:
        person.visit("/drift")
        sent = person.page.request.post(
            f"{person.base}{path}", form=dict(fields), headers={"Origin": person.base}
        )

        assert sent.status == 400
        assert said in sent.text().replace("&rsquo;", "'")
    assert answers.evidence.asked == []


def test_a_report_that_turned_hostile_can_do_nothing(browser: Browser) -> None:
    """It runs no script, sends no form, loads nothing, and has not the desk's origin."""
    hostile = (
        b'<!doctype html><html lang="en"><title>Report</title><h1>Report</h1>'
        b"<script>document.title = 'ran'</script><img src=x onerror=\"document.title='ran'\">"
        b'<form method="post" action="/drift"><input name="day" value="2026-11-18">'
        b'<button>Go</button></form><iframe src="/models"></iframe>'
    )

    class Hostile(FakeEvidence):
        def report(self, version: str) -> bytes | None:
            return hostile if version else None

    answers = Answers(Hostile(found=[a_registered()]))
    with a_person(browser, answers) as person:
        person.visit("/models/v1/report")
        person.page.get_by_role("button", name="Go").click()
        person.page.wait_for_timeout(300)

        assert person.page.title() == "Report"
        assert person.path == "/models/v1/report"
        assert person.page.evaluate("() => self.origin") == "null"
        assert answers.evidence.asked == []
        # What it tried is said in the console, once for each.
        assert person.troubles != []
        person.troubles.clear()


def test_a_queue_of_many_pages_can_be_clicked_through(browser: Browser) -> None:
    """What leads to the next page lies below the table, not over it."""
    answers = Answers(office=LongQueue())
    with a_person(browser, answers) as person:
        person.visit("/referrals")
        assert person.sound() == []
        person.page.get_by_role("link", name="Later ones").click()
        person.page.wait_for_url("**/referrals?after=*")
        person.page.get_by_role("link", name="loan-24").click(trial=True)

        table = person.page.locator("#queue").bounding_box()
        pages = person.page.get_by_role("navigation", name="Pages").bounding_box()
        assert table is not None
        assert pages is not None
        assert pages["y"] >= table["y"] + table["height"]


def test_production_cannot_be_mistaken(browser: Browser) -> None:
    with a_person(browser, Answers(some_evidence()), stage="prod") as person:
        for path in ("/", "/models", "/drift", "/nothing"):
            person.visit(path)
            assert "Production" in person.page.locator("header").inner_text()
            assert person.sound() == []


def test_another_site_can_neither_read_nor_send(browser: Browser) -> None:
    """A page elsewhere posts a form to the desk in the browser that is inside."""
    answers = Answers(some_evidence())

    async def elsewhere(_scope: Scope, _receive: Receive, send: Send) -> None:
        body = (
            f'<form method="post" action="{person.base}/drift">'
            '<input name="day" value="2026-11-18"><button>Win</button></form>'
        ).encode()
        start = {"type": "http.response.start", "status": 200}
        await send(start | {"headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": body})

    with a_person(browser, answers) as person, served(elsewhere, a_free_port()) as other:
        person.page.goto(other.replace("127.0.0.1", "localhost"))
        person.page.get_by_role("button", name="Win").click()
        person.page.wait_for_url(f"{person.base}/drift")

        assert "this form is of another site" in person.text
        person.troubles.clear()
    assert answers.evidence.asked == []


# --- What looks at the pages ----------------------------------------------------------------------


BAD_PAGE = (
    b'<!doctype html><html lang="en"><title>Bad</title><main><h1>Bad</h1>'
    b'<p style="color: #ccc">Pale words</p><input name="nameless"><p style="width: 2000px">Wide'
    b'</p></main><script>console.error("it fails"); fetch("http://example.com/").catch(() => 0);'
    b'throw new Error("thrown")</script>'
)


def test_the_looks_see_what_is_wrong(browser: Browser) -> None:
    """Contrast, names, width, the console, what is thrown and what is asked of others."""

    async def bad(scope: Scope, _receive: Receive, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200 if scope["path"] == "/" else 404}
        await send(start | {"headers": [(b"content-type", b"text/html")]})
        await send({"type": "http.response.body", "body": BAD_PAGE})

    with served(bad, a_free_port()) as base, visitor(browser, base, size=PHONE) as person:
        person.visit("/")
        found = " ".join(person.sound())

    for trouble in ("color-contrast", "label (critical)", "px wide in a window of 390"):
        assert trouble in found
    for trouble in ("it fails", "threw: thrown", "asked example.com"):
        assert trouble in found


def test_without_chromium_a_person_skips_and_continuous_integration_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(browsers.CHROMIUM_VARIABLE, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browsers, "PLACES", ())

    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no Chromium"), launched():
        pass
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="no Chromium"), launched():
        pass


def test_the_chromium_that_is_named_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(browsers.CHROMIUM_VARIABLE, "/opt/a/browser")

    assert browsers.found_chromium() == "/opt/a/browser"
