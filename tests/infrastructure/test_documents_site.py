"""The site of the documents as it is built: whole, by itself, and with its pictures drawn."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from credit_core.domain.metrics import Metric
from docs_site import definition, source
from docs_site.build import ROOT
from docs_site.links import FENCE, linked_for_site
from docs_site.metrics import published
from docs_site.reference import pages_of
from docs_site.stacks import Stacks
from docs_site.stages import flattened
from tests.browser import launched
from tests.documents import fences, pages, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.infrastructure.templates import Deployment

OPEN_SHADOWS = """
const attach = Element.prototype.attachShadow;
Element.prototype.attachShadow = function (options) {
  return attach.call(this, { ...options, mode: "open" });
};
"""
"""The theme draws where no script looks; this one has to."""
DRAWN = """
() => [...document.querySelectorAll(".mermaid")].map((place) => {
  const picture = place.shadowRoot && place.shadowRoot.querySelector("svg");
  if (!picture) return "nothing was drawn";
  const box = picture.getBoundingClientRect();
  if (picture.getAttribute("aria-roledescription") === "error") return "an error was drawn";
  return box.width > 20 && box.height > 20 ? "" : `it is ${box.width} by ${box.height}`;
})
"""
NARROW, WIDE = (390, 844), (1280, 900)


@dataclass
class Read(HTMLParser):
    """What a page of the site leads to, and the places in it."""

    leads_to: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    places: set[str] = field(default_factory=set)
    headings: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.places.add(str(given["id"]))
        self.headings += tag == "h2"
        if tag == "a" and given.get("href"):
            self.leads_to.append(str(given["href"]))
        elif tag in {"img", "script", "iframe", "source"} and given.get("src"):
            self.loads.append(str(given["src"]))
        elif tag == "link" and given.get("rel") != "canonical" and given.get("href"):
            self.loads.append(str(given["href"]))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as `make docs` builds it: strictly, so that a warning ends it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "docs_site.build", "--out", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def read(site: Path) -> dict[Path, Read]:
    """Each page of the site."""
    found = {}
    for path in site.rglob("*.html"):
        found[path] = Read()
        found[path].feed(path.read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as found:
        yield found


def test_each_document_is_a_page(site: Path) -> None:
    for page in pages():
        if page.startswith("docs/"):
            path = page.removeprefix("docs/").removesuffix(".md").replace("README", "index")
            assert (site / f"{path}.html").is_file(), page


def test_nothing_of_a_document_is_lost(site: Path, read: dict[Path, Read]) -> None:
    """A fence that the site can't read would swallow what follows: its headings are there."""
    for page in pages():
        if not page.startswith("docs/"):
            continue
        path = page.removeprefix("docs/").removesuffix(".md").replace("README", "index")
        shown = read[site / f"{path}.html"]
        headings = re.findall(r"^## (.+)$", FENCE.sub("", text_of(page)), re.MULTILINE)
        assert len(headings) == shown.headings, page


def test_every_link_of_the_site_leads_to_a_place_on_it(read: dict[Path, Read]) -> None:
    for path, page in read.items():
        if path.name == "404.html":
            continue
        for target in page.leads_to:
            found = urlsplit(target)
            if found.scheme or found.netloc:
                continue
            there = (path.parent / unquote(found.path)).resolve() if found.path else path
            assert there.is_file(), f"{path}: {target}"
            if found.fragment and there in read and not found.fragment.startswith("__"):
                assert unquote(found.fragment) in read[there].places, f"{path}: {target}"


def test_the_site_loads_nothing_from_elsewhere(site: Path, read: dict[Path, Read]) -> None:
    for path, page in read.items():
        for target in page.loads:
            assert not urlsplit(target).netloc, f"{path}: {target}"
    for style in site.rglob("*.css"):
        found = re.findall(r"url\(['\"]?(https?:[^)]+)", style.read_text(encoding="utf-8"))
        assert not found, style


def test_every_picture_is_drawn(site: Path, browser: Browser) -> None:
    """From the files, as a person opens them, at the width of a phone and of a desk."""
    with_pictures = {
        page.removeprefix("docs/").removesuffix(".md").replace("README", "index"): count
        for page in pages()
        if page.startswith("docs/")
        and (count := sum(fence.language == "mermaid" for fence in fences(page)))
    }
    assert with_pictures
    for width, height in (NARROW, WIDE):
        window = browser.new_context(viewport={"width": width, "height": height})
        window.add_init_script(OPEN_SHADOWS)
        for path, count in with_pictures.items():
            shown, asked = opened(window.new_page(), site / f"{path}.html")
            shown.wait_for_function(
                "count => document.querySelectorAll('div.mermaid').length === count", arg=count
            )
            assert shown.evaluate(DRAWN) == [""] * count, path
            assert not asked, path
            assert fits(shown), path
            shown.close()
        window.close()


def test_the_reference_fits_a_phone(site: Path, browser: Browser) -> None:
    window = browser.new_context(viewport={"width": NARROW[0], "height": NARROW[1]})
    for path in sorted((site / "reference").glob("*.html")):
        shown, asked = opened(window.new_page(), path)
        assert fits(shown), path
        assert not asked, path
        shown.close()
    window.close()


def test_a_search_finds_a_page_without_a_server(site: Path, browser: Browser) -> None:
    window = browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]})
    shown, asked = opened(window.new_page(), site / "index.html")
    words = shown.get_by_role("textbox", name="Search")
    words.click()
    words.press_sequentially("tombstones")
    shown.locator(".md-search-result__link", has_text="tombstones").first.wait_for()
    assert not asked
    window.close()


def opened(page: Page, path: Path) -> tuple[Page, list[str]]:
    """Open a page, and return it with what it asks of other machines, and its errors."""
    asked: list[str] = []
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("file:", "data:", "blob:"))
            else asked.append(request.url)
        ),
    )
    page.on("pageerror", lambda error: asked.append(str(error)))
    page.goto(path.as_uri())
    return page, asked


def fits(page: Page) -> bool:
    """Whether a page is not wider than its window."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_the_reference_is_the_same_each_time(prod: Deployment) -> None:
    """In another process, with another order of sets, and with the layers of another machine."""
    prefix = prod.stage.prefix
    stacks = Stacks(prefix, {f"{prefix}-{name}": text for name, text in prod.templates.items()})
    script = "import json; from docs_site import reference as r;"
    made = subprocess.run(
        [sys.executable, "-c", f"{script} print(json.dumps(r.generated_pages()))"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "7"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert json.loads(made.stdout.splitlines()[-1]) == pages_of(stacks)


def test_every_field_of_a_definition_has_its_meaning() -> None:
    own = set()
    for part in definition.PARTS:
        module = sys.modules[part.__module__]
        for each in source.fields(source.class_of(module, part.__name__)):
            assert definition.meaning(part, each.name)
            own.add(f"{part.__name__}.{each.name}")
    assert set(definition.MEANINGS) <= own


def test_every_metric_is_published_by_somebody() -> None:
    assert {each.name for each in published()} >= set(Metric)


def test_every_setting_of_every_stage_is_there() -> None:
    settings = flattened()
    assert settings["scorer_deadline_ms"] == {"local": "5,000", "dev": "80", "prod": "80"}
    assert settings["canary.percent"].keys() == {"dev", "prod"}


def test_links_to_files_that_are_no_documents_lead_to_their_pages() -> None:
    text = "See [stages](../cdk_app/stages.py), [the sample](../data/README.md), [x](https://a.b)."
    assert linked_for_site("docs/deploying.md", text) == (
        "See [stages](files/cdk_app/stages.py.md), [the sample](files/data/README.md), [x](https://a.b)."
    )
