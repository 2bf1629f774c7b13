"""Under what conditions a decision was made: how fresh what was read is, and the time it took."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from credit_cli.desk.figures import age_text, moment_text
from credit_cli.desk.markup import card, tag
from credit_cli.rendering import TIMING
from credit_core.domain.pages.html import Markup, joined, paragraph
from credit_core.domain.pages.words import plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credit_cli.desk.office import AnswerTimes, Limits
    from credit_core.domain.product import CreditProduct

STAGE_WORDS = {
    "parse": "read the request",
    "read": "read the features",
    "infer": "ask the model",
    "explain": "find the reasons",
    "shadow": "ask the other model",
    "write": "write the receipt",
}


def freshness_card(decision: Mapping[str, Any], product: CreditProduct) -> Markup:
    """Return how old each view was, against the time for which it is good."""
    lives = {
        view.name: (view.ttl.total_seconds(), view.description) for view in product.feature_views
    }
    rows = []
    for name, state in (decision.get("feature_status") or {}).items():
        life, described = lives.get(name, (None, ""))
        rows.append(_freshness_row(name, described, state, life))
    if not rows:
        return card(
            "What was read",
            paragraph("Nothing: it was judged by the application alone."),
            anchor="freshness-of",
        )
    head = tag("tr", tag("th", "View", scope="col"), tag("th", "Its age", scope="col"))
    table = tag("table", tag("thead", head), tag("tbody", joined(rows)), id="freshness")
    return card("How fresh what was read is", table, anchor="freshness-of")


def _freshness_row(
    name: str, described: str, state: Mapping[str, Any], life: float | None
) -> Markup:
    age = state.get("age_seconds")
    status = str(state.get("status"))
    badge = tag("span", status, class_=f"badge {status}")
    words, parts = "", []
    if isinstance(age, int | float):
        words = age_text(abs(age)) if age >= 0 else f"{age_text(-age)} after the decision"
        if life and age >= 0:
            words += f" of {age_text(life)}"
            bar = tag("span", style=f"width:{100 * min(age / life, 1):.1f}%")
            over = " over" if age > life else ""
            parts.append(tag("span", bar, class_=f"meter{over}", aria_hidden="true"))
        parts.append(tag("small", f"of {moment_text(state.get('event_timestamp'))}"))
    return tag(
        "tr",
        tag("th", plain(name), tag("small", described) if described else "", scope="row"),
        tag("td", tag("div", badge, tag("span", words), class_="fresh-row"), *parts),
        data_view=name,
        data_status=status,
    )


def times_card(
    stages_ms: Mapping[str, float], times: AnswerTimes | None, limits: Limits | None
) -> Markup:
    """Return the time of each stage, against the scorer's deadline."""
    stages = dict(stages_ms)
    total = sum(stages.values())
    seen = ""
    if times is not None and not times.repeated:
        told = {name: float(ms) for name, ms in TIMING.findall(times.server_timing)}
        total = told.pop("total", total)
        stages = told or stages
        seen = (
            f" {times.seconds * 1_000:,.0f} ms went by at this desk, network and gateway included."
        )
    elif times is not None:
        seen = " It was decided before, and the same answer came back."
    if not stages:
        return card(
            "Time", paragraph("The receipt doesn't say how long it took."), anchor="times-of"
        )
    budget = limits.budget_ms if limits else None
    whole = max(total, budget or 0, 0.001)
    rows, at = [], 0.0
    for name, ms in stages.items():
        place = f"left:{100 * at / whole:.2f}%;width:{max(100 * ms / whole, 0.5):.2f}%"
        rows.append(
            tag(
                "tr",
                tag("th", STAGE_WORDS.get(name, plain(name)), scope="row"),
                tag(
                    "td",
                    tag("div", tag("b", class_="took", style=place), class_="lane"),
                    class_="bars",
                    aria_hidden="true",
                ),
                tag("td", f"{ms:.1f} ms", class_="number"),
                data_stage=name,
            )
        )
        at += ms
    words = f"{total:.1f} ms in the scorer"
    if "write" not in stages:
        words += ", before the receipt was written"
    if budget:
        words += f"; the budget is {budget:,.0f} ms at p99"
    if limits and limits.deadline_ms:
        words += f", the deadline {limits.deadline_ms:,.0f} ms"
    table = tag("table", tag("tbody", joined(rows)), id="times", class_="stages")
    return card("Time per stage", paragraph(f"{words}.{seen}"), table, anchor="times-of")
