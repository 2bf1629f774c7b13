"""Pages of monitored days: what moved, from day to day and from training."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.routing import Route

from credit_cli.desk.framed import framed
from credit_cli.desk.markup import button, card, link, notice, tag
from credit_cli.desk.models import PHONE
from credit_cli.desk.moments import day_in, moment
from credit_cli.desk.posting import posted
from credit_cli.desk.shell import Tab
from credit_cli.errors import UsageError
from credit_core.domain.drift_section import drift_section
from credit_core.domain.measures import MOVED, STABLE
from credit_core.domain.pages import words
from credit_core.domain.pages.html import (
    WIDE,
    Markup,
    Table,
    element,
    figure,
    items,
    joined,
    paragraph,
    tiles,
    wide_and_narrow,
)
from credit_core.domain.pages.svg import Axis, plot, text_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from credit_cli.desk.desk import Desk
    from credit_cli.desk.evidence import Evidence, UnderWay
    from credit_cli.desk.posting import Form
    from credit_core.domain.product import CreditProduct

type Figures = Mapping[str, Any]

DRIFT = Tab.DRIFT.value
MOST_DAYS = 28
"""As many as a day is compared with."""
SEE_OTHER = 303
SERIES = {"score": ("line", "Score"), "input": ("bad", "The input that moved most")}


def routes(desk: Desk) -> list[Route]:
    """Return the pages of days, and what a person sends to have a day monitored."""

    def drift(request: Request) -> Response:
        asked = request.query_params.get("asked")
        content = drift_content(
            desk.product,
            desk.evidence,
            today=desk.clock().date(),
            started=day_in(asked) if asked else None,
        )
        return desk.shell.page("Drift", *content, current=Tab.DRIFT)

    def monitor(_: Request, form: Form) -> Response:
        day, today = day_in(form.get("day")), desk.clock().date()
        if day > today:
            raise UsageError(f"{day} has not begun; today is {today} (UTC)")
        desk.evidence.monitor(day)
        return RedirectResponse(f"{DRIFT}?asked={day}", SEE_OTHER)

    def one_day(request: Request) -> Response:
        day = day_in(request.path_params["day"])
        summary = desk.evidence.summary(day)
        if summary is None:
            raise HTTPException(404, f"{day} was not monitored.")
        content = day_content(desk.product, day, summary)
        return desk.shell.page(f"Drift on {day}", *content, current=Tab.DRIFT)

    def page_of_day(request: Request) -> Response:
        day = day_in(request.path_params["day"])
        body = desk.evidence.page(day)
        if body is None:
            raise HTTPException(404, f"{day} was not monitored.")
        return framed(body)

    return [
        Route(DRIFT, drift),
        Route(DRIFT, posted(monitor), methods=["POST"]),
        Route(f"{DRIFT}/{{day}}", one_day),
        Route(f"{DRIFT}/{{day}}/page", page_of_day),
    ]


# --- All days -------------------------------------------------------------------------------------


def drift_content(
    product: CreditProduct, evidence: Evidence, *, today: date, started: date | None = None
) -> Iterator[Markup]:
    """Yield the last monitored days side by side, and a form that monitors another.

    Args:
        product: Whose decisions they are.
        evidence: Where the days are read from.
        today: The last day that can be asked for.
        started: The day whose monitoring was asked for just now.
    """
    days = evidence.days()
    yield paragraph(product.title, kind="eyebrow")
    yield element("h1", "Drift")
    yield paragraph(
        "How far the applicants of a day are from those the model was trained on, and the outcomes "
        f"from those of the days before. A stability index below {STABLE:.2f} is stable by "
        f"convention, above {MOVED:.2f} it has moved far.",
        kind="lead",
    )
    yield _form(today)
    if started is not None:
        yield notice(tag("p", f"The monitoring of {started} was started."), role="status")
    yield _under_way(evidence.monitoring())
    if not days:
        yield notice(
            tag("p", "No day was monitored yet."),
            tag(
                "p",
                "Each night the day before is; the button above does it now, and so does ",
                element("code", "credit monitor --day YYYY-MM-DD"),
                ".",
            ),
        )
        return
    shown = days[:MOST_DAYS]
    found = list(zip(shown, evidence.summaries(shown), strict=True))
    known = [
        (day, summary["figures"]) for day, summary in found if summary and _is_summary(summary)
    ]
    judged = [(day, figures) for day, figures in known if _indices(figures) is not None]
    if judged:
        drawn = figure(
            wide_and_narrow(lambda width: _over_days(judged, width)),
            "Stability index from training by day; dashed: "
            f"{MOVED:.2f}, from where on it has moved far. Of few decisions chance alone makes "
            "some: the table says what one sample in twenty passes where nothing has moved.",
        )
        yield card("Day by day", drawn, anchor="by-day")
    elif known:
        yield notice(
            tag("p", "The drift of no day was judged yet: ", _not_judged(known[0][1]), "."),
        )
    yield card("Monitored days", _days_table(found, more=len(days) - len(shown)), anchor="days")


def _form(today: date) -> Markup:
    day = tag(
        "p",
        tag("label", "Day, UTC", for_="day"),
        tag(
            "input",
            type="date",
            id="day",
            name="day",
            value=str(today),
            max=str(today),
            required=True,
        ),
        class_="field",
    )
    send = tag("p", button("Monitor this day"), class_="field")
    return tag("form", day, send, method="post", action=DRIFT, class_="inline")


def _under_way(found: UnderWay | None) -> Markup:
    if found is None or found.run.status == "SUCCEEDED":
        return Markup("")
    began = f"began {moment(found.run.started)}"
    if found.goes_on:
        return notice(
            tag(
                "p",
                f"A day is being monitored: it {began} and is at {words.plain(found.state)}. ",
                link("Look again", DRIFT),
            ),
            role="status",
        )
    return notice(
        tag(
            "p",
            f"The last monitoring {began} and failed: {found.run.cause or 'it gave no cause'}.",
        ),
        kind="warning",
    )


def _is_summary(summary: Figures) -> bool:
    """Whether it has figures; what another release left may not."""
    return isinstance(summary.get("figures"), dict)


def _indices(figures: Figures) -> dict[str, float] | None:
    """Return the index of the score and of the input that moved most, None if not judged."""
    drifts = [model["drift"] for model in figures["models"] if model["drift"]]
    if not drifts:
        return None
    return {
        "score": max(drift["score"]["index"] for drift in drifts),
        "input": max((each["index"] for drift in drifts for each in drift["inputs"]), default=0.0),
    }


def _worst(figures: Figures) -> Figures | None:
    drifts = [model["drift"] for model in figures["models"] if model["drift"]]
    return max(
        (each for drift in drifts for each in drift["inputs"]),
        key=lambda each: float(each["index"]),
        default=None,
    )


def _worst_score(figures: Figures) -> Figures:
    drifts = [model["drift"] for model in figures["models"] if model["drift"]]
    return max((drift["score"] for drift in drifts), key=lambda each: float(each["index"]))


def _by_chance(drift: Figures) -> str:
    """Say which index one sample in twenty passes where nothing has moved."""
    return f"{words.decimal(drift['by_chance'])} by chance"


def _not_judged(figures: Figures) -> str:
    reasons = [model["not_judged"] for model in figures["models"] if model["drift"] is None]
    return words.listed(reasons) if reasons else "no model was asked"


def _over_days(judged: Sequence[tuple[date, Figures]], width: int) -> str:
    """Draw the indices from the first day to the last; a day that was not judged leaves a gap."""
    if width < WIDE:
        width = PHONE
    first, last = judged[-1][0], judged[0][0]
    span = (last - first).days
    every = max(1, -(-(span + 1) * 56 // (width - 60)))
    by_day = {day: _indices(figures) or {} for day, figures in judged}
    highest = max(max(found.values()) for found in by_day.values())
    drawn = plot(
        "Stability index from training by day",
        Axis(
            low=0,
            high=span + 1,
            label="",
            ticks=[place + 0.5 for place in range(span, -1, -every)],
            written=lambda place: str(first + timedelta(days=int(place)))[5:],
        ),
        Axis(low=0, high=max(highest, MOVED) * 1.1, label="Stability index"),
        width=width,
        height=240,
        top=32,
    )
    drawn.picture.figures = ", ".join(
        f"{day} score {words.decimal(found['score'])}, input {words.decimal(found['input'])}"
        for day, found in sorted(by_day.items())
    )
    drawn.level(MOVED, "cutoff")
    across = drawn.x.start
    for name, (kind, said) in SERIES.items():
        for run in _runs(by_day, first, span, name):
            if len(run) > 1:
                drawn.line(run, kind)
            for place in run:
                drawn.dot(*place, "dot" if kind == "line" else "dot bad")
        drawn.picture.rule((across, 12), (across + 20, 12), kind)
        drawn.picture.text(across + 26, 16, said)
        across += 46 + text_width(said)
    return drawn.svg()


def _runs(
    by_day: Mapping[date, Mapping[str, float]], first: date, span: int, name: str
) -> Iterator[list[tuple[float, float]]]:
    """Yield the points of days that follow each other."""
    run: list[tuple[float, float]] = []
    for place in range(span + 2):
        found = by_day.get(first + timedelta(days=place))
        if found is not None:
            run.append((place + 0.5, found[name]))
        elif run:
            yield run
            run = []


def _days_table(found: Sequence[tuple[date, Figures | None]], *, more: int) -> Markup:
    rows, marked = [], set()
    for place, (day, summary) in enumerate(found):
        named = link(str(day), f"{DRIFT}/{day}")
        if summary is None or not _is_summary(summary):
            rows.append([str(day), element("span", "cannot be read", kind="fail"), *[""] * 6])
            continue
        figures = summary["figures"]
        if figures["findings"]:
            marked.add(place)
        rows.append([named, _findings_in_short(figures), *_row(figures)])
    caption = "The latest first"
    if more > 0:
        caption += f"; {words.count(more)} earlier ones are in the results bucket"
    return Table(
        caption=caption,
        headings=(
            *("Day, UTC", "Beyond limits", "Decisions", "Approved", "Declined", "Referred"),
            *("Score drift", "Input drift"),
        ),
        rows=rows,
        words=2,
        marked=frozenset(marked),
        kind="dense days",
    ).html()


def _findings_in_short(figures: Figures) -> Markup:
    findings = figures["findings"]
    if findings:
        return element("span", words.plural(len(findings), "finding"), kind="fail")
    return element("span", "nothing", kind="pass")


def _row(figures: Figures) -> Iterator[str]:
    yield words.count(figures["decisions"])
    for outcome in ("approve", "decline", "refer"):
        share = figures["outcomes"][outcome]["share"]
        yield words.UNKNOWN if share is None else words.percent(share)
    found, worst = _indices(figures), _worst(figures)
    if found is None or worst is None:
        yield from (words.UNKNOWN, words.UNKNOWN)
        return
    score = _worst_score(figures)
    yield joined((words.decimal(found["score"]), element("small", _by_chance(score))))
    named = joined((Markup(words.breakable(worst["name"])), Markup("<br>"), _by_chance(worst)))
    yield joined((words.decimal(found["input"]), element("small", named)))


# --- One day --------------------------------------------------------------------------------------


def day_content(product: CreditProduct, day: date, summary: Figures) -> Iterator[Markup]:
    """Yield what is beyond limits on a day, and the drift of each model that answered.

    Args:
        product: Whose decisions they are.
        day: Which.
        summary: As ``summarize_day`` returns it.

    Raises:
        UsageError: It is no summary, as another release may have left it.
    """
    if not _is_summary(summary):
        raise UsageError(f"the summary of {day} can't be read", hint="monitor the day again")
    figures = summary["figures"]
    yield paragraph(link("Drift", DRIFT), f" · {product.title}", kind="eyebrow")
    yield element("h1", f"{day:%A}, {day.day} {day:%B %Y}")
    yield paragraph(_beside(figures), kind="about")
    yield _verdict(figures)
    yield card(
        "In short",
        _tiles(figures),
        paragraph(
            link("The whole page of this day", f"{DRIFT}/{day}/page"),
            ": outcomes by day, reasons of declines, features, latency and volume.",
        ),
        anchor="in-short",
    )
    for model in figures["models"]:
        section = drift_section(model, alone=len(figures["models"]) == 1)
        yield card(section.title, section.body, anchor=section.anchor)
    if not figures["models"]:
        yield paragraph("No model was asked on this day.")


def _beside(figures: Figures) -> str:
    before = figures["before"]
    if not before["decisions"]:
        return "From midnight to midnight UTC. No day before it is known."
    return (
        f"From midnight to midnight UTC, beside {words.plural(before['days'], 'day')} before it "
        f"(since {before['first']}, {words.plural(before['decisions'], 'decision')})."
    )


def _verdict(figures: Figures) -> Markup:
    findings = figures["findings"]
    if not findings:
        return element("div", element("strong", "Nothing is beyond its limit."), kind="verdict yes")
    return element(
        "div",
        element("strong", f"{words.plural(len(findings), 'finding')} beyond limits."),
        items(f"{finding[0].upper()}{finding[1:]}." for finding in findings),
        kind="verdict no",
    )


def _tiles(figures: Figures) -> Markup:
    found, worst = _indices(figures), _worst(figures)
    shares = [
        (said, mix["share"], mix["share_before"])
        for said, mix in (
            (said, figures["outcomes"][name])
            for name, said in (
                ("approve", "Approved"),
                ("decline", "Declined"),
                ("refer", "Referred"),
            )
        )
    ]
    return tiles(
        [
            ("Decisions", words.count(figures["decisions"]), ""),
            *(
                (
                    said,
                    words.UNKNOWN if share is None else words.percent(share),
                    "" if before is None else f"{words.percent(before)} before",
                )
                for said, share, before in shares
            ),
            (
                "Score drift",
                words.decimal(found["score"]) if found else words.UNKNOWN,
                _by_chance(_worst_score(figures)) if found else "not judged",
            ),
            (
                "Input drift",
                words.decimal(found["input"]) if found else words.UNKNOWN,
                f"{words.plain(worst['name'])}, {_by_chance(worst)}" if worst else "not judged",
            ),
        ]
    )
