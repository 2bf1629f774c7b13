"""The page on which champion and challenger stand side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse
from starlette.routing import Route

from credit_cli.days import named_days
from credit_cli.desk.markup import button, card, link, notice, tag
from credit_cli.desk.models import COMPARISON, MODELS, PHONE
from credit_cli.desk.moments import day_in
from credit_cli.desk.posting import posted
from credit_cli.desk.shell import Tab
from credit_cli.errors import UsageError
from credit_core.domain.measures import NAMES
from credit_core.domain.model_manifest import Role
from credit_core.domain.pages import words
from credit_core.domain.pages.charts import whole_percent
from credit_core.domain.pages.html import (
    WIDE,
    Markup,
    Table,
    element,
    figure,
    joined,
    paragraph,
    tiles,
    wide_and_narrow,
)
from credit_core.domain.pages.svg import Axis, plot
from credit_core.use_cases.compare_models import SIGNIFICANT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from starlette.requests import Request
    from starlette.responses import Response

    from credit_cli.desk.desk import Desk
    from credit_cli.desk.posting import Form

type Document = Mapping[str, Any]

OUTCOMES = {"approve": "approves", "decline": "declines", "refer": "refers"}
MEASURES = {
    "auc": "AUC",
    "ks": "KS",
    "brier": "Brier",
    "log_loss": "Log loss",
    "calibration_error": "Calibration error",
    "gini": "Gini",
}
SEE_OTHER = 303
LEAST_SAID = 0.001
"""Below it a p value is not written out."""


def routes(desk: Desk) -> list[Route]:
    """Return the page, and what a person sends to have the two compared again."""

    def comparison(_: Request) -> Response:
        content = comparison_content(desk.evidence.comparison(), today=desk.clock().date())
        return desk.shell.page("Champion and challenger", *content, current=Tab.MODELS)

    def compare(_: Request, form: Form) -> Response:
        first, last = (
            day_in(form.get(name)) if form.get(name) else None for name in ("from", "to")
        )
        if first and last and last < first:
            raise UsageError(f"the last day, {last}, lies before the first, {first}")
        desk.evidence.compare(named_days(first, last))
        return RedirectResponse(COMPARISON, SEE_OTHER)

    return [
        Route(COMPARISON, comparison),
        Route(COMPARISON, posted(compare), methods=["POST"]),
    ]


def comparison_content(document: Document | None, *, today: date) -> Iterator[Markup]:
    """Yield the latest comparison, and a form that makes another.

    Args:
        document: As ``compare_models`` returns it, None where none was made.
        today: The last day that can be asked for.
    """
    yield paragraph(link("Models", MODELS), kind="eyebrow")
    yield element("h1", "Champion and challenger")
    yield paragraph(
        "On the applicants whom both have judged, one of them unheard: what they agree on, how far "
        "their estimates lie apart and, where outcomes are known, who was right.",
        kind="lead",
    )
    yield _form(document, today)
    if document is None:
        yield notice(
            tag("p", "They were not compared yet."),
            tag("p", "Each week it is done by itself; the button above does it now."),
        )
        return
    yield paragraph(_of(document), kind="about")
    if not document["pairs"]:
        yield notice(
            tag("p", "In none of these decisions two models answered: nobody was on trial."),
            tag("p", "To try a version unheard: ", element("code", "credit models shadow VERSION")),
        )
        return
    newest_first = sorted(
        document["pairs"], key=lambda pair: str(pair["last_decision"]), reverse=True
    )
    for pair in newest_first:
        yield _pair(pair, horizon_days=document["horizon_days"])
    yield paragraph(
        "Outcomes exist for loans that were granted, by the policy and the models of the time. Of "
        "applicants who were declined nobody knows; both models are measured on the same loans, "
        "those that both would have approved.",
        kind="note",
    )


def _form(document: Document | None, today: date) -> Markup:
    first, last = (document["from"], document["to"]) if document else ("", "")
    fields = [
        tag(
            "p",
            tag("label", label, for_=name),
            tag("input", type="date", id=name, name=name, value=value or None, max=str(today)),
            class_="field",
        )
        for name, label, value in (("from", "First day, UTC", first), ("to", "Last day, UTC", last))
    ]
    return tag(
        "form",
        *fields,
        tag("p", button("Compare now"), class_="field"),
        method="post",
        action=COMPARISON,
        class_="inline",
    )


def _of(document: Document) -> str:
    made = document["made_at"][:16].replace("T", " ")
    said = (
        f"Made {made} UTC of {words.plural(document['decisions'], 'decision')} from "
        f"{document['from']} to {document['to']}"
    )
    if document["read"] != document["decisions"]:
        said += f", {words.count(document['read'])} of them read"
    if document["damaged"]:
        said += f"; {words.count(document['damaged'])} could not be read"
    if document["pairs"] and document["alone"]:
        said += f"; {words.count(document['alone'])} had one model only"
    return f"{said}."


def _pair(pair: Document, *, horizon_days: int) -> Markup:
    named = {
        role: link(Markup(words.breakable(pair[role])), f"{MODELS}/{pair[role]}")
        for role in ("champion", "challenger")
    }
    parts: list[str] = [paragraph(_heard(pair))]
    if pair["agreement"]["of"]:
        parts += [_tiles(pair), _matrix(pair["agreement"]), _shift(pair["scores"])]
        parts += _quality(pair, horizon_days)
    else:
        parts.append(paragraph("They have no application in common yet."))
    title = joined(("Champion ", named["champion"], ", challenger ", named["challenger"]))
    return card(title, *parts, anchor=f"pair-{pair['champion']}-{pair['challenger']}")


def _shift(scores: Document) -> Markup:
    shift = _estimated(scores["log_odds_shift"], 3)
    return paragraph(
        f"The challenger's log-odds differ from the champion's by {shift} on average;"
        f" their mean distance is {words.decimal(scores['log_odds_apart'])}, whichever is higher.",
        kind="note",
    )


def _heard(pair: Document) -> str:
    by = pair["answered_by"]
    said = (
        f"Both answered {words.plural(pair['decisions'], 'application')}; the champion was heard "
        f"in {words.count(by['champion'])}, the challenger in {words.count(by['challenger'])}."
    )
    silent = [
        f"The {role} had no answer in {words.count(count)}."
        for role, count in pair["silent"].items()
        if count
    ]
    return " ".join((said, *silent))


def _tiles(pair: Document) -> Markup:
    share, scores = pair["agreement"]["share"], pair["scores"]
    mean = scores["mean_probability"]
    return tiles(
        [
            (
                "Same outcome",
                words.percent(share["value"]),
                words.percent_interval(share["low"], share["high"]),
            ),
            ("Mean PD, champion", words.percent(mean["champion"], 2), "as it estimates"),
            ("Mean PD, challenger", words.percent(mean["challenger"], 2), "as it estimates"),
            ("Score shift", words.decimal(scores["stability"]), "stability index"),
            ("Granted", words.count(pair["loans"]["granted"]), "loans"),
            (
                "With an outcome",
                words.count(pair["loans"]["reported"]),
                f"{words.count(pair['loans']['defaulted'])} defaulted",
            ),
        ]
    )


def _matrix(agreement: Document) -> Markup:
    total = agreement["of"]
    rows = []
    for one, row in agreement["matrix"].items():
        cells = [
            joined(
                (
                    words.count(count),
                    element("small", "the same" if one == other else "differ") if count else "",
                )
            )
            for other, count in row.items()
        ]
        rows.append([f"Champion {OUTCOMES[one]}", *cells])
    return Table(
        caption=f"Outcomes of both, of {words.plural(total, 'application')}",
        headings=("Outcome", *(f"Challenger {said}" for said in OUTCOMES.values())),
        rows=rows,
        kind="dense",
    ).html()


def _quality(pair: Document, horizon_days: int) -> Iterator[Markup]:
    quality, loans = pair["quality"], pair["loans"]
    yield element("h3", "Who was right")
    young = loans["reported"] - loans["horizon_passed"]
    missing = f"{words.count(loans['missing'])} loans have no outcome yet."
    if young:
        missing += (
            f" Of {words.count(young)} with one, the horizon of {horizon_days} days has not passed:"
            " defaults come early, so these show more of them than all loans will."
        )
    if not quality["measured"]:
        yield notice(
            tag("p", f"Not measured: {quality['why']}."),
            tag("p", missing),
        )
        return
    yield paragraph(f"{_verdict(quality)} {missing}")
    rows = [
        [
            MEASURES.get(name, words.plain(name)),
            *(_estimated(quality[part][name], 4) for part in (*map(str, Role), "difference")),
        ]
        for name in NAMES
    ]
    left_out = ""
    if quality["left_out"]:
        left_out = f"; {words.count(quality['left_out'])} that one would not have granted left out"
    yield Table(
        caption=f"On {words.plural(quality['loans'], 'loan')} that both would approve{left_out}",
        headings=("Measure", "Champion", "Challenger", "Difference"),
        rows=rows,
        kind="dense measures",
    ).html()
    yield figure(
        wide_and_narrow(lambda width: _calibration(quality, width)),
        "Default rate beside what each model expected, in tenths of the loans by its own estimate. "
        "Line: champion; dashed: challenger; dotted: as expected.",
    )


def _verdict(quality: Document) -> str:
    p_value, apart = quality["delong_p_value"], quality["difference"]["auc"]["value"]
    said = "< 0.001" if p_value < LEAST_SAID else f"= {words.decimal(p_value)}"
    tested = f"(DeLong p {said})"
    if p_value >= SIGNIFICANT:
        return f"Neither ranks significantly better {tested}."
    return f"The {'challenger' if apart > 0 else 'champion'} ranks better {tested}."


def _calibration(quality: Document, width: int) -> str:
    bins = {str(role): quality[str(role)]["calibration"]["bins"] for role in Role}
    every = [each for of_role in bins.values() for each in of_role]
    most = max(max(each["expected"], each["observed"]) for each in every) * 1.05 or 0.01
    if width < WIDE:
        width = PHONE
    drawn = plot(
        "Default rate against what was expected",
        Axis(low=0, high=most, label="Expected", written=whole_percent),
        Axis(low=0, high=most, label="Defaulted", written=whole_percent),
        width=min(width, 560),
        height=320,
    )
    drawn.picture.figures = "; ".join(
        f"{role} expected {words.percent(quality[role]['calibration']['expected'])}, "
        f"{words.percent(quality[role]['calibration']['observed'])} defaulted"
        for role in bins
    )
    drawn.line([(0, 0), (most, most)], "chance")
    for (_, found), kind in zip(bins.items(), ("line", "bad"), strict=True):
        drawn.line([(each["expected"], each["observed"]) for each in found], kind)
        for each in found:
            drawn.dot(each["expected"], each["observed"], f"dot{' bad' if kind == 'bad' else ''}")
    return drawn.svg()


def _estimated(found: Mapping[str, float | None], digits: int) -> str:
    """Return a value with its interval; an end that nobody knows is a dash.

    >>> _estimated({"value": 0.5, "low": 0.4, "high": None}, 1) == f"0.5 (0.4 to {words.UNKNOWN})"
    True
    """
    value, low, high = (
        words.UNKNOWN if found[part] is None else words.decimal(float(found[part] or 0), digits)
        for part in ("value", "low", "high")
    )
    return f"{value} ({low} to {high})"
