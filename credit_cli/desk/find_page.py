"""A decision by the id of its application."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse
from starlette.routing import Route

from credit_cli.desk.markup import button, card, tag
from credit_cli.desk.office import NOT_FOUND, ProblemError
from credit_cli.desk.paths import decision_path
from credit_cli.desk.shell import Tab
from credit_core.domain.application import APPLICATION_ID_PATTERN
from credit_core.domain.pages.html import paragraph

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from credit_cli.desk.desk import Desk

IS_ID = re.compile(APPLICATION_ID_PATTERN)


def routes(desk: Desk) -> list[Route]:
    """Return the routes of this page."""

    def show(request: Request) -> Response:
        wanted = request.query_params.get("id")
        if wanted is None:
            return find_page(desk, "", fault="")
        wanted = wanted.strip()
        if not wanted:
            return find_page(desk, "", fault="Type an id", status=400)
        if not IS_ID.fullmatch(wanted):
            fault = "This is no id: it has at most 64 letters, digits and any of _ : . -"
            return find_page(desk, wanted, fault=fault, status=400)
        try:
            desk.office.record(wanted)
        except ProblemError as error:
            if error.status != NOT_FOUND:
                raise
            fault = f"Nothing was decided under this id on {desk.shell.place}"
            return find_page(desk, wanted, fault=fault, status=NOT_FOUND)
        return RedirectResponse(decision_path(wanted), status_code=303)

    return [Route("/find", show, methods=["GET"])]


def find_page(desk: Desk, wanted: str, *, fault: str, status: int = 200) -> Response:
    """Return the page with what was typed, and what is wrong with it."""
    line = tag(
        "input",
        type="search",
        id="id",
        name="id",
        value=wanted,
        autocomplete="off",
        autocapitalize="off",
        spellcheck="false",
        autofocus=True,
        aria_invalid="true" if fault else None,
        aria_describedby="id-fault" if fault else "id-hint",
    )
    form = tag(
        "form",
        tag(
            "div",
            tag("label", "Application id", for_="id"),
            tag("span", "As it was sent; capitals count", class_="hint", id="id-hint"),
            tag("span", fault, class_="fault", id="id-fault", role="alert") if fault else "",
            line,
            class_="field grow wrong" if fault else "field grow",
        ),
        button("Find"),
        id="find",
        method="get",
        action="/find",
        class_="inline",
    )
    return desk.shell.page(
        "Find a decision",
        tag("h1", "Find a decision"),
        paragraph("Every decision is recorded, with all that it was made of.", kind="lead"),
        card("By its id", form, anchor="by-id"),
        current=Tab.FIND,
        status=status,
    )
