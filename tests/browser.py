"""A real browser for tests: this machine's Chromium, driven by Playwright.

``launched`` starts it. A ``Visitor`` is a window in it that notes whatever no page may do: say an
error in its console, throw, break the content security policy, or ask any other machine for
something. ``sound`` says what is wrong with the page that is shown.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Error, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response

CHROMIUM_VARIABLE = "CREDIT_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PLACES = ("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",)
FLAGS = (
    # Containers and root have no user namespace for the sandbox; only our own pages are opened.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # /dev/shm is small in containers.
    "--disable-dev-shm-usage",
)
DESKTOP, PHONE, SMALL = (1280, 900), (390, 844), (320, 640)
"""Widths and heights of windows, in CSS pixels: 320 is the narrowest that WCAG 1.4.10 asks for."""
HERE = {"127.0.0.1", "localhost"}
PATIENCE_MS = 30_000
AXE = Path(__file__).parents[1] / "node_modules" / "axe-core" / "axe.min.js"
AXE_RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
SERVED_WITH_AN_ERROR = "Failed to load resource: the server responded with a status of"


def found_chromium() -> str | None:
    """Return the path of a Chromium: the one that CREDIT_CHROMIUM names, else the first found."""
    named = os.environ.get(CHROMIUM_VARIABLE)
    if named:
        return shutil.which(named) or named
    known = (shutil.which(name) for name in NAMES)
    return next((path for path in (*known, *PLACES) if path and Path(path).exists()), None)


@contextmanager
def launched() -> Iterator[Browser]:
    """Give a browser.

    Where there is no Chromium a person's test is skipped, and one of CI, which sets CI, fails.
    """
    path = found_chromium()
    if path is None:
        why = f"no Chromium on this machine: install one, or name it in {CHROMIUM_VARIABLE}"
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(why, pytrace=False)
        pytest.skip(why)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visitor:
    """A window on one site, and what went wrong in it so far."""

    page: Page
    base: str
    troubles: list[str] = field(default_factory=list)

    def visit(self, path: str) -> int:
        """Open a page; return its status."""
        answer = self.page.goto(f"{self.base}{path}")
        assert answer is not None
        return answer.status

    @property
    def path(self) -> str:
        """Where it is."""
        return urlsplit(self.page.url).path

    @property
    def text(self) -> str:
        """What the page says, with plain spaces."""
        return " ".join(self.page.inner_text("body").replace("\N{NO-BREAK SPACE}", " ").split())

    def sound(self) -> list[str]:
        """Return what is wrong with the page that is shown; nothing, it is hoped."""
        found = [*self.troubles]
        self.troubles.clear()
        width, window = self.page.evaluate(
            "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        if width > window:
            widest = self.page.evaluate(WIDEST)
            found.append(f"{self.path} is {width} px wide in a window of {window}: {widest}")
        found += [f"{self.path}: {each}" for each in accessibility_faults(self.page)]
        return found


@contextmanager
def visitor(
    browser: Browser,
    base: str,
    *,
    size: tuple[int, int] = DESKTOP,
    dark: bool = False,
    scripts: bool = True,
) -> Iterator[Visitor]:
    """Give a window.

    Args:
        browser: In which.
        base: Scheme, host and port of the site.
        size: Width and height in CSS pixels; below 600 it is a telephone's.
        dark: Whether the person prefers dark pages.
        scripts: Whether pages may run any.
    """
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        java_script_enabled=scripts,
        has_touch=width < DESKTOP[0] // 2,
        accept_downloads=True,
        locale="en-GB",
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    found = Visitor(page, base)
    page.on("console", lambda message: _note_console(found, message))
    page.on("pageerror", lambda error: found.troubles.append(f"{found.path} threw: {error}"))
    page.on("request", lambda request: _note_request(found, request))
    page.on("response", lambda response: _note_response(found, response))
    try:
        yield found
    finally:
        context.close()


def _note_console(found: Visitor, message: ConsoleMessage) -> None:
    if message.type not in {"error", "warning"}:
        return
    # Of a page that says an error by its status: what is missing on it is noted as a response.
    if not message.text.startswith(SERVED_WITH_AN_ERROR):
        found.troubles.append(f"{found.path} says in its console: {message.text}")


def _note_request(found: Visitor, request: Request) -> None:
    place = urlsplit(request.url)
    if place.scheme in {"http", "https", "ws", "wss"} and place.hostname not in HERE:
        found.troubles.append(f"{found.path} asked {place.hostname}")


def _note_response(found: Visitor, response: Response) -> None:
    if response.status >= 400 and not response.request.is_navigation_request():
        found.troubles.append(f"{found.path} lacks {response.url}: {response.status}")


WIDEST = """() => {
  const beyond = [...document.querySelectorAll('body *')].filter(
    (each) => each.getBoundingClientRect().right > document.documentElement.clientWidth + 1
      && !each.parentElement.closest('.scroll, pre'));
  return beyond.slice(0, 3).map((each) => each.outerHTML.slice(0, 120)).join(' | ');
}"""

RUN_AXE = """async (tags) => {
  const found = await axe.run(document, {runOnly: {type: 'tag', values: tags}});
  return found.violations.map((each) => ({
    id: each.id, impact: each.impact, help: each.help,
    nodes: each.nodes.slice(0, 3).map((node) => node.html.slice(0, 160) + ' ' +
      (node.any[0] || node.all[0] || node.none[0] || {message: ''}).message)}));
}"""


def accessibility_faults(page: Page) -> list[str]:
    """Return what axe-core finds by the rules of WCAG 2.2 AA: contrast, names, order, labels.

    It runs beside the page, not by it: its policy lets no script in.
    """
    if not AXE.exists():
        pytest.fail("axe-core is not installed; run: make env", pytrace=False)
    try:
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found: list[Mapping[str, Any]] = page.evaluate(RUN_AXE, list(AXE_RULES))
    except Error as error:
        return [f"axe-core could not run: {error.message.splitlines()[0]}"]
    return [f"{each['id']} ({each['impact']}): {each['help']}: {each['nodes']}" for each in found]


def focused(page: Page) -> str:
    """Return what has the focus, as its tag and id, name or text, and whether that is seen."""
    return str(page.evaluate(FOCUSED))


FOCUSED = """() => {
  const it = document.activeElement;
  if (!it || it === document.body) return '';
  const style = getComputedStyle(it);
  const seen = (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0)
    || style.boxShadow !== 'none';
  const name = it.id || it.name || it.textContent.trim().slice(0, 30);
  return `${it.tagName.toLowerCase()} ${name}${seen ? '' : ' UNSEEN'}`;
}"""
