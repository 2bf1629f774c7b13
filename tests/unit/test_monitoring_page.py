"""The page of a day: what it says, and that it says it safely."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.domain.monitoring_page import monitoring_page
from tests.builders import PRODUCT
from tests.builders_monitoring import A_DAY, Applicants, MonitoredDays

if TYPE_CHECKING:
    from collections.abc import Sequence

VOID = {"meta", "wbr", "line", "rect", "circle", "polyline", "polygon"}


class Outline(HTMLParser):
    """Collects what a page holds, and fails where an element is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.names: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words).replace("\N{NO-BREAK SPACE}", " "))


def a_month(*, days: Sequence[int] = (3, 2, 1)) -> MonitoredDays:
    found = MonitoredDays()
    model = found.trained()
    for age in days:
        found.decide(A_DAY - timedelta(days=age), 120, model=model)
        found.monitor(A_DAY - timedelta(days=age))
    found.decide(
        A_DAY,
        300,
        model=model,
        applicants=Applicants(income=22_000, inquiries=4, stale=0.05, missing=0.05),
    )
    return found


@pytest.fixture(scope="module")
def summary() -> dict[str, Any]:
    return a_month().monitor()


def test_the_page_tells_what_is_beyond_limits_and_by_how_much(summary: dict[str, Any]) -> None:
    page = Outline(monitoring_page(PRODUCT, summary).decode())

    assert "Thursday, 19 November 2026" in page.text
    assert f"{len(summary['figures']['findings'])} findings beyond limits." in page.text
    assert "of model v1 moved far from training (limit 0.25): " in page.text
    assert "Drift from training" in page.text
    assert "features stale" in page.text
    assert "120 a day before" in page.text
    code = next(iter(summary["figures"]["first_reasons"]))
    (words,) = {
        feature.adverse_action.text
        for feature in PRODUCT.model_features
        if feature.adverse_action.code == code
    }
    assert words in page.text


def test_the_page_stands_alone_and_runs_nothing(summary: dict[str, Any]) -> None:
    body = monitoring_page(PRODUCT, summary)
    page = Outline(body.decode())

    assert "script" not in page.names
    assert "img" not in page.names
    links = [value for name, value in page.attributes if name in {"href", "src"}]
    assert all(value is not None and value.startswith("#") for value in links)
    assert b"default-src 'none'" in body
    assert len(body) < 300_000


def test_the_same_summary_gives_the_same_bytes(summary: dict[str, Any]) -> None:
    kept = json.loads(json.dumps(summary))

    assert monitoring_page(PRODUCT, kept) == monitoring_page(PRODUCT, summary)


def test_each_picture_is_told_to_who_cannot_see_it(summary: dict[str, Any]) -> None:
    page = monitoring_page(PRODUCT, summary).decode()

    pictures = re.findall(r"<svg [^>]*>", page)

    assert len(pictures) > 8
    assert all('role="img"' in picture and 'aria-label="' in picture for picture in pictures)


def test_a_name_that_looks_like_html_is_shown_and_not_run(summary: dict[str, Any]) -> None:
    figures = summary["figures"]
    hostile = "<script>alert(1)</script>"
    changed = {
        **summary,
        "figures": {
            **figures,
            "findings": [hostile],
            "policies": {
                hostile: figures["outcomes"]["approve"],
                "2": figures["outcomes"]["refer"],
            },
            "damaged": {"count": 1, "examples": [hostile]},
        },
    }

    page = monitoring_page(PRODUCT, changed).decode()

    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 3


def test_a_day_without_decisions_has_a_page() -> None:
    page = Outline(monitoring_page(PRODUCT, MonitoredDays().monitor()).decode())

    assert "Nothing was decided on this day." in page.text
    assert "Nothing is beyond its limit." in page.text


def test_a_first_day_of_few_decisions_says_what_is_not_judged() -> None:
    days = MonitoredDays()
    days.decide(A_DAY, 20, model=days.trained(on=50))

    page = Outline(monitoring_page(PRODUCT, days.monitor()).decode())

    assert "No day before it is known, so nothing is compared." in page.text
    assert "20 decisions with a score; 100 are needed" in page.text
    assert "the shift of outcomes (20 against 0)" in page.text


def test_days_on_which_no_model_answered_have_a_page() -> None:
    days = MonitoredDays()
    days.decide(A_DAY, 5, model=None)

    page = Outline(monitoring_page(PRODUCT, days.monitor()).decode())

    assert "model unavailable" in page.text
    assert "Drift from training" not in page.text


def test_a_day_in_the_past_without_decisions_leaves_a_gap_and_does_no_harm() -> None:
    days = a_month(days=(4, 1))
    empty = A_DAY - timedelta(days=2)
    days.tallies[empty] = type(days.tallies[A_DAY - timedelta(days=1)])()

    figures = days.monitor()["figures"]

    gaps = [day["approve"] is None for day in figures["days"]]
    assert gaps == [False, True, True, False, False]
    Outline(monitoring_page(PRODUCT, days.monitor()).decode())


def test_each_model_s_table_has_a_name_of_its_own() -> None:
    days = MonitoredDays()
    days.decide(A_DAY, 150, model=days.trained("v1"))
    days.decide(A_DAY, 150, model=days.trained("v2"), seed=1)

    page = monitoring_page(PRODUCT, days.monitor()).decode()

    named = re.findall(r'aria-label="(Every input[^"]*)"', page)
    assert [name.partition(".")[0] for name in sorted(named)] == [
        "Every input of v1",
        "Every input of v2",
    ]
