"""What every page of the desk stands in: head, navigation, the stage that it is about, errors."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse

from credit_cli.desk.figures import capital
from credit_cli.desk.markup import link, tag
from credit_cli.desk.style import DESK_STYLE
from credit_cli.errors import (
    CliError,
    PreconditionError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from credit_cli.target import LOCAL
from credit_core.domain.pages.html import Markup, joined, safe

if TYPE_CHECKING:
    from collections.abc import Mapping

STYLE_PATH = f"/desk-{hashlib.sha256(DESK_STYLE.encode()).hexdigest()[:12]}.css"
"""Another style has another address, so that a browser may keep it."""
PRODUCTION = "prod"


class Tab(StrEnum):
    """The desk's rooms, by their paths."""

    SCORE = "/"
    REFERRALS = "/referrals"
    FIND = "/find"
    MODELS = "/models"
    DRIFT = "/drift"


WORDS = {
    Tab.SCORE: "Score",
    Tab.REFERRALS: "Referrals",
    Tab.FIND: "Find",
    Tab.MODELS: "Models",
    Tab.DRIFT: "Drift",
}
STATUS_OF_ERROR: Mapping[type[CliError], int] = {
    UsageError: 400,
    RefusedError: 502,
    UnreachableError: 503,
}
"""Of a page that says an error; of others it is 500."""
TITLES = {
    400: "That can't be done",
    401: "The API took no token",
    403: "The API doesn't allow that",
    404: "There is nothing here",
    429: "The API is busy",
    502: "The API refused",
    503: "Nothing answers now",
}


@dataclass(frozen=True)
class Shell:
    """Makes pages. ``place`` says where the stage is, as "the local cloud"."""

    product_title: str
    stage: str = LOCAL
    place: str = "the local cloud"

    def page(
        self,
        title: str,
        *content: str,
        current: Tab | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> HTMLResponse:
        """Return a page.

        Args:
            title: Its name, for the window; the page's own heading is part of the content.
            content: What is in it; text is escaped, Markup is not.
            current: The room it belongs to.
            status: Of HTTP.
            headers: More of HTTP.
        """
        return HTMLResponse(
            self.document(title, *content, current=current),
            status_code=status,
            headers=dict(headers or {}),
        )

    def document(self, title: str, *content: str, current: Tab | None = None) -> str:
        """Return a page's HTML."""
        where = self.stage if self.stage == LOCAL else self.place
        return "".join(
            (
                _head(f"{title} · {self.product_title} · {self.stage}"),
                f'<body class="stage-{safe(self._kind)}">',
                tag("a", "To the content", class_="skip", href="#content"),
                self._header(where, current),
                tag("main", *content, id="content", tabindex="-1"),
                "</body></html>\n",
            )
        )

    def outside(self, title: str, words: str) -> HTMLResponse:
        """Return the page of who may not come in: it says nothing of what is inside."""
        return HTMLResponse(
            f"{_head(title)}<body>"
            f"{tag('main', tag('h1', title), tag('p', words, class_='lead'))}</body></html>\n",
            status_code=401,
        )

    def error_page(
        self, error: CliError, *, current: Tab | None = None, status: int | None = None
    ) -> HTMLResponse:
        """Return the page that says an error in its words, and what to do."""
        if status is None:
            status = getattr(error, "status", None) or next(
                (of for kind, of in STATUS_OF_ERROR.items() if isinstance(error, kind)), 500
            )
        title = TITLES.get(status, "The API failed" if status > 500 else "Something failed")  # noqa: PLR2004 (the server's fault)
        if isinstance(error, PreconditionError):
            title = "This machine lacks something"
        parts = [tag("p", f"{capital(error.message)}.", class_="lead")]
        if error.hint:
            parts.append(tag("p", capital(error.hint), class_="hint"))
        again = tag("p", link("Try again", ""), " · ", link("To the start", "/"), class_="actions")
        return self.page(
            title,
            tag("h1", title),
            tag("div", *parts, class_="notice bad", role="alert"),
            again,
            current=current,
            status=status,
        )

    @property
    def _kind(self) -> str:
        return self.stage if self.stage in {LOCAL, PRODUCTION} else "other"

    def _header(self, where: str, current: Tab | None) -> Markup:
        rooms = [
            tag("a", WORDS[tab], href=tab.value, aria_current="page" if tab is current else None)
            for tab in Tab
        ]
        parts = [
            tag(
                "div",
                tag("a", tag("b", "Loan desk"), " ", tag("span", self.product_title), href="/"),
                tag("span", where, class_="stage", title=f"Decisions are made on {self.place}"),
                class_="brand",
            ),
            tag("nav", *rooms, aria_label="Rooms"),
        ]
        if self.stage == PRODUCTION:
            warning = "Production: what is sent here is a real decision about a real applicant."
            parts.insert(0, tag("p", warning, class_="production", role="note"))
        return joined((tag("header", *parts),))


def _head(title: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{safe(title)}</title>"
        f'<link rel="icon" href="data:,"><link rel="stylesheet" href="{STYLE_PATH}"></head>'
    )
