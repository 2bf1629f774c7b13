"""The queue: what waits for a person, the oldest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.routing import Route

from credit_cli.desk.figures import (
    age_text,
    moment_of,
    moment_text,
    points_text,
    probability_text,
    small,
)
from credit_cli.desk.markup import link, notice, tag
from credit_cli.desk.paths import decision_path
from credit_cli.desk.shell import Tab
from credit_cli.desk.verdict import CAUSES
from credit_core.domain.pages.html import Markup, joined, paragraph
from credit_core.domain.pages.words import UNKNOWN, plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from starlette.requests import Request
    from starlette.responses import Response

    from credit_cli.desk.desk import Desk

PAGE = 25


def routes(desk: Desk) -> list[Route]:
    """Return the routes of this page."""

    def show(request: Request) -> Response:
        after = request.query_params.get("after")
        found = desk.office.referrals(limit=PAGE, after=after)
        referrals = found.get("referrals") or []
        parts: list[Markup] = [tag("h1", "Referrals")]
        if not referrals:
            parts.append(_empty(first=after is None))
        else:
            parts.append(
                paragraph(
                    "Each waits for a person to decide. The oldest come first; one that was just "
                    "referred or reviewed shows within a second or so.",
                    kind="lead",
                )
            )
            parts.append(tag("div", _table(referrals, desk.clock()), class_="card"))
        further = []
        if after is not None:
            further.append(link("From the oldest on", "/referrals", kind="button second"))
        if found.get("next"):
            query = urlencode({"after": found["next"]})
            further.append(link("Later ones", f"/referrals?{query}", kind="button second"))
        if further:
            parts.append(tag("nav", *further, class_="row pager", aria_label="Pages"))
        return desk.shell.page("Referrals", *parts, current=Tab.REFERRALS)

    return [Route("/referrals", show, methods=["GET"])]


def _empty(*, first: bool) -> Markup:
    if not first:
        return notice(paragraph("There are no later ones."))
    return notice(
        tag("h2", "Nobody waits"),
        paragraph("Every referral was reviewed, or none was made yet."),
        paragraph(
            "Referrals that were made before this queue existed are not in it: ",
            link("find them by their id", "/find"),
            ".",
            kind="hint",
        ),
        kind="good",
    )


def _table(referrals: list[Mapping[str, Any]], now: datetime) -> Markup:
    head = tag(
        "tr",
        *(
            tag("th", words, scope="col", class_=kind or None)
            for words, kind in (
                ("Application", ""),
                ("Waits", ""),
                ("Because", ""),
                ("Default", "number"),
                ("Points", "number"),
                ("Band", ""),
            )
        ),
    )
    rows = joined(_row(one, now) for one in referrals)
    return tag("table", tag("thead", head), tag("tbody", rows), id="queue", class_="stacked")


def _row(referral: Mapping[str, Any], now: datetime) -> Markup:
    application_id = str(referral["application_id"])
    decided_at = moment_of(referral.get("decided_at"))
    age = age_text(max((now - decided_at).total_seconds(), 0)) if decided_at else UNKNOWN
    revision = referral.get("revision", 1)
    cells = (
        ("Waits", age, ""),
        ("Because", _because(referral), ""),
        ("Default", probability_text(referral.get("probability_of_default")), "number"),
        ("Points", points_text(referral.get("points")), "number"),
        ("Band", str(referral.get("risk_band") or UNKNOWN), ""),
    )
    return tag(
        "tr",
        tag(
            "th",
            link(application_id, decision_path(application_id)),
            tag("small", f"revision {revision}") if revision != 1 else "",
            scope="row",
        ),
        *(
            tag(
                "td",
                said,
                class_=kind or None,
                data_label=name,
                title=moment_text(referral.get("decided_at")) if name == "Waits" else None,
            )
            for name, said, kind in cells
        ),
        data_application=application_id,
    )


def _because(referral: Mapping[str, Any]) -> Markup | str:
    cause, decider = referral.get("cause"), referral.get("decided_by")
    if not cause or not decider:
        return "its record can't be read"
    code = str(cause.get("code"))
    if decider.get("kind") == "rule":
        return joined(("rule ", tag("span", str(decider.get("code")), class_="mono")))
    if code == "between_cutoffs":
        return "between the cut-offs"
    return small(CAUSES.get(code, plain(code)))
