"""The part of a day's page about one model: its score and its inputs, beside their training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from credit_core.domain.measures import MOVED, STABLE
from credit_core.domain.pages import words
from credit_core.domain.pages.charts import bars, whole_percent
from credit_core.domain.pages.html import (
    Markup,
    Section,
    Table,
    element,
    figure,
    joined,
    paragraph,
    side_by_side,
)
from credit_core.domain.pages.svg import Axis, Picture, Scale, plot, shortened, text_width

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

type Figures = Mapping[str, Any]

MOST_DRIFTS = 15
MOST_PANELS = 6
MOST_CATEGORIES = 10
PANEL_WIDTH, PANEL_HEIGHT = 280.0, 170.0
LABEL_ROOM = 96.0


def drift_section(model: Figures, *, alone: bool) -> Section:
    """Return how far those whom a model was asked about are from those it was trained on.

    Args:
        model: Its figures, as ``figures_of`` returns them.
        alone: Whether no other model answered.
    """
    version, drift = model["version"], model["drift"]
    anchor = f"drift-{version}"
    title = "Drift from training" + ("" if alone else f": {version}")
    answered = words.listed(
        [f"{words.count(count)} as {role}" for role, count in model["answered"].items()]
    )
    about = paragraph(f"Model {version} answered {answered}.")
    if drift is None:
        return Section(
            anchor, title, joined((about, paragraph(f"Not judged: {model['not_judged']}.")))
        )
    score, inputs = drift["score"], drift["inputs"]
    return Section(
        anchor,
        title,
        joined(
            (
                about,
                paragraph(_drift_in_words(drift)),
                side_by_side(
                    figure(
                        _numbers("Probability of default", score, width=420, height=260),
                        "The score, in tenths of the loans trained on. Grey: training; blue: now.",
                    ),
                    figure(
                        bars(
                            "Stability index of each input",
                            [
                                (each["name"], each["index"], words.decimal(each["index"]))
                                for each in inputs[:MOST_DRIFTS]
                            ],
                            width=420,
                            limits=(STABLE, MOVED),
                        ),
                        f"Index of each input from training{_of(inputs, MOST_DRIFTS)}; dashed: "
                        "0.10 and 0.25.",
                    ),
                ),
                element("h3", "Inputs that moved most"),
                element(
                    "div",
                    *(
                        figure(
                            _distribution(each),
                            joined(
                                (
                                    element("b", Markup(words.breakable(each["name"]))),
                                    element("span", words.decimal(each["index"]), kind="span"),
                                    element("small", _where(each)),
                                )
                            ),
                        )
                        for each in inputs[:MOST_PANELS]
                    ),
                    kind="panels",
                ),
                # The caption is what a screen reader tells tables of several models apart by.
                _drift_table(drift, "" if alone else f" of {version}"),
            )
        ),
    )


def _drift_in_words(drift: Figures) -> str:
    score = drift["score"]
    said = (
        f"Of {words.plural(drift['decisions'], 'decision')} with a score since {drift['from']}. "
        f"The score's stability index from training is {words.decimal(score['index'])}: "
        f"{_judged(score['index'])}."
    )
    if score["recent_index"] is not None:
        said += (
            f" From the {words.count(drift['recent_decisions'])} decisions before these it is "
            f"{words.decimal(score['recent_index'])}."
        )
    return (
        said + " Training knows loans that were granted, and here is everybody who applied: part "
        "of the index may be that, and has been there from the first day. What moved lately shows "
        "in the last columns of the table."
    )


def _judged(index: float) -> str:
    if index < STABLE:
        return "stable"
    return "moved" if index <= MOVED else "moved far"


def _of(inputs: Sequence[Figures], most: int) -> str:
    return f", the {most} that moved most of {len(inputs)}" if len(inputs) > most else ""


def _drift_table(drift: Figures, of_model: str) -> Markup:
    rows = [
        [
            Markup(words.breakable(each["name"])),
            words.decimal(each["index"]),
            words.decimal(each["by_chance"]),
            _judged(each["index"]),
            _where(each),
            words.percent(each["then"][-1]),
            words.percent(each["now"][-1]),
            words.UNKNOWN if each["recent_index"] is None else words.decimal(each["recent_index"]),
            words.UNKNOWN
            if each["recent_by_chance"] is None
            else words.decimal(each["recent_by_chance"]),
        ]
        for each in drift["inputs"]
    ]
    return Table(
        caption=f"Every input{of_model}. By chance: what one sample in twenty passes where nothing "
        "has moved",
        headings=(
            *("Input", "Index", "By chance", "Verdict", "Most of it", "Unknown then"),
            *("Unknown now", "From before", "By chance"),
        ),
        rows=rows,
        kind="dense",
        marked=frozenset(
            place for place, each in enumerate(drift["inputs"]) if each["index"] > MOVED
        ),
    ).html()


def _where(drift: Figures) -> str:
    """Return the bin whose share changed most, in words."""
    changes = [now - then for then, now in zip(drift["then"], drift["now"], strict=True)]
    place = max(range(len(changes)), key=lambda place: abs(changes[place]))
    then, now = drift["then"][place], drift["now"][place]
    return f"{_bins(drift)[place]}: {words.percent(now)} after {words.percent(then)}"


def _bins(drift: Figures) -> list[str]:
    """Return what the bins are called, the unknown last."""
    if drift["categories"] is not None:
        return [*map(words.plain, drift["categories"]), "not known"]
    edges = drift["edges"]
    if not edges:
        return ["any number", "not known"]
    named = [f"up to {words.compact(edge)}" for edge in edges]
    return [*named, f"above {words.compact(edges[-1])}", "not known"]


def _distribution(drift: Figures) -> str:
    if drift["categories"] is None:
        return _numbers(drift["name"], drift, width=PANEL_WIDTH, height=PANEL_HEIGHT)
    return _categories(drift)


def _numbers(name: str, drift: Figures, *, width: float, height: float) -> str:
    """Draw the shares of training and of now, bin by bin, the unknown apart on the right."""
    then, now, edges = drift["then"], drift["now"], drift["edges"]
    unknown = then[-1] > 0 or now[-1] > 0
    count = len(then) - 1 + unknown
    marks = [float(place) for place in range(1, len(edges) + 1)]
    labels = [words.compact(edge) for edge in edges]
    widest = max(map(text_width, labels), default=0.0) + 8
    every = max(1, -int(-widest * count // (width - 60)))
    drawn = plot(
        f"{words.plain(name)}: shares in training and now",
        Axis(
            low=0,
            high=count,
            label="",
            ticks=marks[::every],
            written=lambda place: labels[int(place) - 1],
        ),
        Axis(
            low=0,
            high=max(*then, *now, 0.01) * 1.1,
            label="",
            written=whole_percent,
            most=5,
        ),
        width=width,
        height=height,
        top=10,
    )
    drawn.picture.figures = ", ".join(
        f"{said}: {one:.1%} then, {other:.1%} now"
        for said, one, other in zip(_bins(drift), then, now, strict=True)
    )
    for place in range(count):
        last = unknown and place == count - 1
        one, other = (then[-1], now[-1]) if last else (then[place], now[place])
        for share, start, kind in ((one, 0.1, "lies"), (other, 0.5, "bar part")):
            left, right = drawn.x(place + start), drawn.x(place + start + 0.4)
            drawn.picture.box(left, drawn.y(share), right - left, drawn.y(0) - drawn.y(share), kind)
        if last:
            middle = drawn.x(place + 0.5)
            drawn.picture.text(middle, drawn.y.start + 18, "n/a", "tick", anchor="middle")
    return drawn.svg()


def _categories(drift: Figures) -> str:
    """Draw the shares of training and of now, a row for each category that changed most."""
    named = list(zip(_bins(drift), drift["then"], drift["now"], strict=True))
    there = [row for row in named if row[1] or row[2]]
    there.sort(key=lambda row: (-abs(row[2] - row[1]), row[0]))
    rows = there[:MOST_CATEGORIES]
    height = max(20.0 * len(rows) + 30, 80)
    picture = Picture(
        f"{words.plain(drift['name'])}: shares in training and now", PANEL_WIDTH, height
    )
    picture.figures = ", ".join(
        f"{name}: {one:.1%} then, {other:.1%} now" for name, one, other in rows
    )
    left = 8 + min(max(text_width(name) for name, *_ in rows), LABEL_ROOM)
    longest = max(max(one, other) for _, one, other in rows)
    scale = Scale(0, longest, left, PANEL_WIDTH - 44)
    bottom = 20.0 * len(rows) + 6
    for place, (name, one, other) in enumerate(rows):
        top = 6 + 20.0 * place
        picture.text(left - 6, top + 13, shortened(name, left - 6), anchor="end")
        picture.box(left, top + 2, scale(one) - left, 7, "lies")
        picture.box(left, top + 9, scale(other) - left, 7, "bar part")
        picture.text(max(scale(one), scale(other)) + 5, top + 13, words.percent(other, 0), "soft")
    picture.rule((left, 4), (left, bottom), "axis")
    return picture.svg()
