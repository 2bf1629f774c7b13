"""The page of a day's decisions, for risk teams and on-call: what moved, and by how much."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from credit_core.domain.decision import FeatureStatus
from credit_core.domain.decision_monitoring import in_order
from credit_core.domain.drift_section import drift_section
from credit_core.domain.pages import words
from credit_core.domain.pages.charts import bars, whole_percent
from credit_core.domain.pages.document import document
from credit_core.domain.pages.html import (
    Markup,
    Section,
    Table,
    element,
    figure,
    items,
    joined,
    pairs,
    paragraph,
    tiles,
    wide_and_narrow,
)
from credit_core.domain.pages.svg import Axis, plot, text_width

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credit_core.domain.product import CreditProduct

type Figures = Mapping[str, Any]

LINES = {"approve": "line", "refer": "other b", "decline": "bad"}
OUTCOMES = {"approve": "Approved", "decline": "Declined", "refer": "Referred"}
MOST_REASONS = 12


def monitoring_page(product: CreditProduct, summary: Mapping[str, Any]) -> bytes:
    """Return the page of a day as one HTML file; the same summary gives the same bytes.

    Args:
        product: As it is defined today: its title, and the words of its reasons.
        summary: As ``summarize_day`` returns it.
    """
    figures, day = summary["figures"], date.fromisoformat(summary["day"])
    sections = [_outcomes(figures)]
    if figures["decisions"]:
        sections += [
            _reasons(figures, _texts(product)),
            *(
                drift_section(model, alone=len(figures["models"]) == 1)
                for model in figures["models"]
            ),
            _features(figures),
            _latency(figures),
            _volume(figures),
        ]
    sections.append(_counted(figures))
    return document(
        f"{product.title}: decisions of {day}",
        cover=_cover(product, figures, day),
        sections=sections,
        footer="Made of the receipts in the archive. A day that is monitored again gives this "
        "page again, byte by byte, unless receipts came in late.",
    )


def _texts(product: CreditProduct) -> dict[str, str]:
    """Return what a lender may say, by the code of it."""
    of_features = {
        feature.adverse_action.code: feature.adverse_action.text
        for feature in product.model_features
    }
    return of_features | {rule.code: rule.text for rule in product.policy.rules}


# --- What comes first -----------------------------------------------------------------------------


def _cover(product: CreditProduct, figures: Figures, day: date) -> Markup:
    return element(
        "header",
        paragraph(f"Decisions of a day · {product.title}", kind="eyebrow"),
        element("h1", f"{day:%A}, {day.day} {day:%B %Y}"),
        paragraph(_compared_with(figures), kind="about"),
        _verdict(figures),
        _tiles(figures),
    )


def _compared_with(figures: Figures) -> str:
    before = figures["before"]
    if not before["decisions"]:
        return "From midnight to midnight UTC. No day before it is known, so nothing is compared."
    return (
        f"From midnight to midnight UTC, beside {words.plural(before['days'], 'day')} before it "
        f"(since {before['first']}, {words.plural(before['decisions'], 'decision')})."
    )


def _verdict(figures: Figures) -> Markup:
    findings = figures["findings"]
    if findings:
        return element(
            "div",
            element("strong", f"{words.plural(len(findings), 'finding')} beyond limits."),
            items(f"{finding[0].upper()}{finding[1:]}." for finding in findings),
            kind="verdict no",
        )
    unjudged = _not_judged(figures)
    return element(
        "div",
        element("strong", "Nothing is beyond its limit."),
        f" Not judged: {words.listed(unjudged)}." if unjudged else "",
        kind="verdict yes",
    )


def _not_judged(figures: Figures) -> list[str]:
    found = [
        f"the drift of model {model['version']} ({model['not_judged']})"
        for model in figures["models"]
        if model["drift"] is None
    ]
    for name in ("outcome", "reason"):
        shift = figures[f"{name}_shift"]
        if shift["index"] is None:
            found.append(
                f"the shift of {name}s ({words.count(shift['decisions'])} against "
                f"{words.count(shift['before'])})"
            )
    return found


def _tiles(figures: Figures) -> Markup:
    drifts = [model["drift"] for model in figures["models"] if model["drift"]]
    score = max((drift["score"]["index"] for drift in drifts), default=None)
    moved = max(
        (each for drift in drifts for each in drift["inputs"]),
        key=lambda each: float(each["index"]),
        default=None,
    )
    return tiles(
        [
            ("Decisions", words.count(figures["decisions"]), _usual(figures)),
            *(
                (
                    said,
                    _percent(figures["outcomes"][name]["share"]),
                    _before(figures["outcomes"][name]["share_before"]),
                )
                for name, said in OUTCOMES.items()
            ),
            (
                "Score drift",
                words.UNKNOWN if score is None else words.decimal(score),
                "index from training",
            ),
            (
                "Input drift",
                words.UNKNOWN if moved is None else words.decimal(moved["index"]),
                "the largest" if moved is None else words.plain(moved["name"]),
            ),
        ]
    )


def _usual(figures: Figures) -> str:
    before = figures["before"]
    if not before["days"]:
        return ""
    return f"{words.count(before['decisions'] / before['days'])} a day before"


def _before(share: float | None) -> str:
    return "" if share is None else f"{_percent(share)} before"


# --- Outcomes and reasons -------------------------------------------------------------------------


def _outcomes(figures: Figures) -> Section:
    if not figures["decisions"]:
        return Section("outcomes", "Outcomes", paragraph("Nothing was decided on this day."))
    rows = [
        [
            OUTCOMES[name],
            words.count(mix["count"]),
            _percent(mix["share"]),
            words.percent_interval(*mix["interval"]),
            _percent(mix["share_before"]),
            _change(mix),
        ]
        for name, mix in figures["outcomes"].items()
    ]
    table = Table(
        caption="Outcomes, with 95 % intervals of the day's share",
        headings=("", "Decisions", "Share", "95 %", "Before", "Change (points)"),
        rows=rows,
    ).html()
    drawn = ""
    if len(figures["days"]) > 1:
        drawn = figure(
            wide_and_narrow(lambda width: _over_days(figures["days"], width)),
            "Share of each outcome by day. A day without decisions leaves a gap.",
        )
    return Section(
        "outcomes",
        "Outcomes",
        joined(
            (
                paragraph(_shift_in_words("outcomes", figures["outcome_shift"])),
                drawn,
                table,
                _mixed("What settled them", "Rule, cut-off or fault", figures["decided_by"]),
                _mixed("Why a person decides", "Cause, of all decisions", figures["causes"]),
                _mixed("Policies", "Policy version", figures["policies"])
                if len(figures["policies"]) > 1
                else "",
            )
        ),
    )


def _shift_in_words(what: str, shift: Figures) -> str:
    if shift["index"] is None:
        return (
            f"Whether the {what} have shifted is not judged: there are "
            f"{words.count(shift['decisions'])} to judge by and {words.count(shift['before'])} "
            "before them."
        )
    return (
        f"From the days before, the {what} have a stability index of "
        f"{words.decimal(shift['index'])} ({words.count(shift['decisions'])} since "
        f"{shift['from']} against {words.count(shift['before'])}); chance alone passes "
        f"{words.decimal(shift['by_chance'])} once in twenty."
    )


def _mixed(caption: str, heading: str, mix: Figures) -> Markup:
    if not mix:
        return Markup("")
    return Table(
        caption=caption,
        headings=(heading, "Decisions", "Share", "Before", "Change (points)"),
        rows=[
            [
                words.plain(name),
                words.count(each["count"]),
                _percent(each["share"]),
                _percent(each["share_before"]),
                _change(each),
            ]
            for name, each in mix.items()
        ],
    ).html()


def _change(mix: Figures) -> str:
    if mix["share"] is None or mix["share_before"] is None:
        return words.UNKNOWN
    return words.signed(100 * (mix["share"] - mix["share_before"]), 1)


def _over_days(days: Sequence[Figures], width: int) -> str:
    every = max(1, -(-len(days) * 56 // (width - 60)))
    last = len(days) - 1
    # The day itself, and backward from it.
    marks = [place + 0.5 for place in range(last, -1, -every)]
    drawn = plot(
        "Share of each outcome by day",
        Axis(
            low=0,
            high=len(days),
            label="",
            ticks=marks,
            written=lambda place: str(days[int(place)]["day"])[5:],
        ),
        Axis(low=0, high=1, label="Share of decisions", written=whole_percent),
        width=width,
        height=240,
        top=30,
    )
    across = drawn.x.start
    for name, kind in LINES.items():
        run: list[tuple[float, float]] = []
        for place, day in enumerate([*days, {name: None}]):
            if day[name] is not None:
                run.append((place + 0.5, day[name]))
                continue
            if len(run) > 1:
                drawn.line(run, kind)
            elif run:
                drawn.dot(*run[0], "dot other")
            run = []
        drawn.picture.rule((across, 12), (across + 20, 12), kind)
        drawn.picture.text(across + 26, 16, OUTCOMES[name])
        across += 46 + text_width(OUTCOMES[name])
    drawn.upright(last + 0.5, "cutoff")
    return drawn.svg()


def _reasons(figures: Figures, texts: Mapping[str, str]) -> Section:
    mixes = figures["first_reasons"]
    if not mixes:
        return Section(
            "reasons", "Reasons of declines", paragraph("Nobody was declined on this day.")
        )
    some = list(mixes.items())[:MOST_REASONS]
    rows = [
        [
            # A code that the product has no more stands for itself.
            joined((element("b", code), " ", element("small", texts.get(code, "")))),
            words.count(mix["count"]),
            _percent(mix["share"]),
            words.count(figures["reasons"].get(code, 0)),
            _percent(mix["share_before"]),
            _change(mix),
        ]
        for code, mix in some
    ]
    more = len(mixes) - len(some)
    table = Table(
        caption="Reasons of declines" + (f", the {len(some)} most frequent" if more > 0 else ""),
        headings=("Reason", "First", "Share", "Among all stated", "Before", "Change (points)"),
        rows=rows,
    ).html()
    return Section(
        "reasons",
        "Reasons of declines",
        joined((paragraph(_shift_in_words("first reasons", figures["reason_shift"])), table)),
    )


# --- Features, latency, volume --------------------------------------------------------------------


def _features(figures: Figures) -> Section:
    rows = []
    for name, view in figures["views"].items():
        before = view["shares_before"]
        rows.append(
            [
                Markup(words.breakable(name)),
                *(
                    joined(
                        (
                            _percent(view["shares"][status]),
                            element("small", f"{_percent(before[status])} before")
                            if before
                            else "",
                        )
                    )
                    for status in FeatureStatus
                ),
                _percent(view["defaulted"]),
                *(_age(view["age_seconds"][part]) for part in ("p50", "p99")),
            ]
        )
    table = Table(
        caption="What each view gave to the decisions",
        headings=(
            "View",
            *(status.capitalize() for status in FeatureStatus),
            "By default",
            "Age, median",
            "Age, p99",
        ),
        rows=rows,
        kind="dense",
    ).html()
    said = (
        "By default: the view was not fresh, and the defaults that the product declares were "
        "served in its place. Of any other that is not fresh a person decides."
    )
    return Section("features", "Features", joined((table, paragraph(said, kind="note"))))


def _latency(figures: Figures) -> Section:
    stages = figures["stages_ms"]
    if not stages:
        return Section("latency", "Latency", paragraph("No receipt says how long anything took."))
    order = [name for name, _ in in_order(stages)]
    rows = [
        [
            name,
            words.count(stages[name]["decisions"]),
            *(_ms(stages[name][part]) for part in ("p50", "p50_before", "p99", "p99_before")),
        ]
        for name in order
    ]
    drawn = wide_and_narrow(
        lambda width: bars(
            "99th percentile of each stage",
            [(name, stages[name]["p99"], f"{_ms(stages[name]['p99'])} ms") for name in order],
            width=width,
        )
    )
    table = Table(
        caption="Milliseconds by stage of the request, within one percent",
        headings=("Stage", "Decisions", "Median", "Before", "p99", "Before"),
        rows=rows,
    ).html()
    said = (
        "As the receipts have it, which are made before they are written: the write itself, and "
        "what lies before and behind the function, are metrics."
    )
    return Section(
        "latency",
        "Latency",
        joined(
            (figure(drawn, "99th percentile of each stage."), table, paragraph(said, kind="note"))
        ),
    )


def _volume(figures: Figures) -> Section:
    hours = figures["hours"]

    def draw(width: int) -> str:
        every = 3 if width > 500 else 6  # noqa: PLR2004 (a wide picture)
        drawn = plot(
            "Decisions by hour",
            Axis(
                low=0,
                high=24,
                label="Hour, UTC",
                ticks=[place + 0.5 for place in range(0, 24, every)],
                written=lambda place: f"{int(place):02}",
            ),
            Axis(low=0, high=max(*hours, 1) * 1.1, label="Decisions", most=5),
            width=width,
            height=210,
        )
        drawn.picture.figures = ", ".join(f"{hour:02} {count}" for hour, count in enumerate(hours))
        for hour, count in enumerate(hours):
            left, right = drawn.x(hour + 0.1), drawn.x(hour + 0.9)
            drawn.picture.box(
                left, drawn.y(count), right - left, drawn.y(0) - drawn.y(count), "bar"
            )
        return drawn.svg()

    return Section(
        "volume", "Volume", figure(wide_and_narrow(draw), "Decisions in each hour of the day.")
    )


def _counted(figures: Figures) -> Section:
    damaged = figures["damaged"]
    entries = [
        (
            "Decisions",
            (
                f"{words.count(figures['decisions'])}. Of an application that was decided again on "
                f"this day the last one counts; {words.count(figures['superseded'])} earlier "
                "referrals for passing faults were left out."
            ),
        ),
        ("Rehearsals", f"{words.count(figures['rehearsals'])}, by which releases try themselves."),
        (
            "Damaged",
            f"{words.count(damaged['count'])} receipts could not be read and are in no figure."
            + (f" {', '.join(damaged['examples'])}" if damaged["examples"] else ""),
        ),
        (
            "Stability index",
            (
                "How far shares in bins have moved, in nats. By convention below 0.10 is stable, "
                "above 0.25 calls for action. Of few decisions it is mostly chance, so too few are "
                "not judged: earlier days are taken in until there are enough."
            ),
        ),
    ]
    return Section("counted", "What was counted", pairs(entries))


def _percent(share: float | None) -> str:
    return words.UNKNOWN if share is None else words.percent(share)


def _ms(value: float | None) -> str:
    return words.UNKNOWN if value is None else f"{value:.3g}"


def _age(seconds: float | None) -> str:
    """Return an age in the unit in which a person thinks of it.

    >>> _age(90.0), _age(7_200.0), _age(259_200.0)
    ('2 min', '2.0 h', '3.0 d')
    """
    if seconds is None:
        return words.UNKNOWN
    for unit, size in (("d", 86_400), ("h", 3_600)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds / 60:.0f} min"
