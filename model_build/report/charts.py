"""The report's plots. Each takes figures that are ready to be drawn and returns SVG."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.pages.charts import whole_percent
from credit_core.domain.pages.svg import (
    Axis,
    Picture,
    Scale,
    plot,
    shortened,
    steps,
    text_width,
)
from credit_core.domain.pages.words import decimal, percent, signed
from model_build.report.curves import BAND_GRID, cumulative, thinned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from credit_core.domain.model_manifest import Estimate
    from credit_core.domain.pages.svg import Plot
    from model_build.report.curves import Approved, Bin, Curve
    from model_build.report.effects import Effect, Pair

LINE_KINDS = ("other a", "other b", "other c", "other d", "other e")
PANEL_WIDTH, PANEL_HEIGHT = 280.0, 160.0
"""Of the small plots that stand three in a row."""
LABEL_ROOM = 96.0
MOST_LEVELS = 14
FEWEST_OF_A_LINE = 8
"""So few values are drawn as dots; more as a line."""
RESTS, RESTING_SHARE = 1e-6, 0.3
"""An effect that does not change (log-odds) over so many of its steps is drawn in steps."""
STRONG_SHADE = 0.55
FEW_POINTS = 3


@dataclass(frozen=True, slots=True)
class Mark:
    """A point on a curve that has a name."""

    across: float
    upward: float
    said: str


def ranking(
    curve: Curve,
    band: tuple[NDArray[np.float64], NDArray[np.float64]],
    others: Mapping[str, Curve],
    marks: Sequence[Mark],
    *,
    name: str,
) -> str:
    """Draw the ROC curve with its band, those of other candidates, and the cut-offs on it."""
    share = Axis(low=0, high=1, label="Good loans ranked as risky", written=whole_percent)
    drawn = plot(
        f"ROC curve of {name} with its 95 % band, and of the other candidates",
        share,
        Axis(low=0, high=1, label="Defaults ranked as risky", written=whole_percent),
        height=380,
    )
    low, high = band
    grid = BAND_GRID.tolist()
    drawn.area(
        [*zip(grid, high.tolist(), strict=True), *zip(grid[::-1], low.tolist()[::-1], strict=True)],
        "band",
    )
    drawn.line([(0, 0), (1, 1)], "chance")
    for kind, other in zip(LINE_KINDS, others.values(), strict=False):
        drawn.line(_corners(other), kind)
    drawn.line(_corners(curve), "line")
    for mark in marks:
        drawn.dot(mark.across, mark.upward, "mark", 4.5)
        beyond = mark.upward > 0.9  # noqa: PLR2004 (there the label would leave the plot)
        drawn.picture.text(
            drawn.x(mark.across) + 9, drawn.y(mark.upward) + (18 if beyond else 14), mark.said
        )
    entries = [("line", name), *zip(LINE_KINDS, others, strict=False), ("chance", "chance")]
    top = drawn.y(0) - 17 * len(entries) + 2
    left = drawn.x(1) - 36 - max(text_width(said) for _, said in entries)
    for place, (kind, said) in enumerate(entries):
        height = top + 17 * place
        drawn.picture.rule((left, height - 4), (left + 20, height - 4), kind)
        drawn.picture.text(left + 26, height, said)
    return drawn.svg()


def separation(
    goods: NDArray[np.float64], bads: NDArray[np.float64], cutoffs: Sequence[float]
) -> str:
    """Draw how far the distributions of points of both outcomes are apart: the KS statistic."""
    low, high = _range(np.concatenate([goods, bads]))
    grid = np.linspace(low, high, 160)
    of_goods, of_bads = cumulative(goods, grid), cumulative(bads, grid)
    # The statistic is found at the loans themselves, not at the corners that are drawn.
    places = np.unique(np.concatenate([goods, bads]))
    gaps = np.abs(cumulative(bads, places) - cumulative(goods, places))
    apart, at = float(gaps.max()), float(places[np.argmax(gaps)])
    ends = sorted(float(cumulative(part, np.array([at]))[0]) for part in (goods, bads))
    drawn = plot(
        "Share of loans at or below each number of points, by outcome",
        Axis(low=low, high=high, label="Points"),
        Axis(low=0, high=1, label="Loans at or below", written=whole_percent),
        height=380,
    )
    for cutoff in cutoffs:
        if low < cutoff < high:
            drawn.upright(cutoff, "cutoff")
    drawn.line(zip(grid.tolist(), of_goods.tolist(), strict=True), "good")
    drawn.line(zip(grid.tolist(), of_bads.tolist(), strict=True), "bad")
    drawn.whisker(at, ends[0], ends[1], "gap")
    drawn.picture.text(drawn.x(at) + 6, drawn.y(ends[0]) + 16, f"KS {decimal(apart)}", "strong")
    _key(
        drawn.picture,
        drawn.x.end - 96,
        drawn.y(0) - 34,
        (("bad", "defaulted"), ("good", "repaid")),
    )
    return drawn.svg()


def calibration(bins: Sequence[Bin]) -> str:
    """Draw the default rate of each bin against what the model expected of it."""
    highest = max(max(found.high, found.expected) for found in bins)
    # A bin of few loans reaches far; the plot is there for the others.
    highest = min(highest, 2 * max(max(found.observed, found.expected) for found in bins) + 0.01)
    highest = min(max(highest, 0.01), 1.0)
    drawn = plot(
        "Default rate observed against that expected, in bins of as many loans each",
        Axis(low=0, high=highest, label="Expected by the model", written=whole_percent),
        Axis(low=0, high=highest, label="Observed, with 95 % interval", written=whole_percent),
        height=380,
    )
    drawn.line([(0, 0), (highest, highest)], "chance")
    drawn.line([(found.expected, found.observed) for found in bins], "thread")
    for found in bins:
        drawn.whisker(found.expected, found.low, found.high)
        drawn.dot(found.expected, found.observed)
    return drawn.svg()


def scores(
    goods: NDArray[np.float64],
    bads: NDArray[np.float64],
    cutoffs: Sequence[tuple[float, str, str]],
    *,
    width: int,
) -> str:
    """Draw where the points of both outcomes lie. A cut-off has points, its name and an anchor."""
    low, high = _range(np.concatenate([goods, bads]))
    edges = np.linspace(low, high, 41 if width > 500 else 25)  # noqa: PLR2004 (a wide picture)
    heights = [
        np.histogram(np.clip(part, low, high), bins=edges)[0] / max(len(part), 1)
        for part in (goods, bads)
    ]
    top = float(max(heights[0].max(), heights[1].max())) * 1.18
    drawn = plot(
        "Distribution of points by outcome, each outcome's shares adding to 100 %",
        Axis(low=low, high=high, label="Points (more is safer)", most=9),
        Axis(low=0, high=top, label="Share of the outcome", written=whole_percent, most=5),
        width=width,
        height=330,
        top=34,
    )
    corners = edges.tolist()
    for found, kind in zip(heights, ("good", "bad"), strict=True):
        line = steps(corners, found.tolist())
        drawn.area([(low, 0), *line, (high, 0)], f"{kind} fill")
        drawn.line(line, kind)
    for cutoff, said, anchor in cutoffs:
        if low < cutoff < high:
            drawn.upright(cutoff, "cutoff")
            beside = 5 if anchor == "start" else -5
            drawn.picture.text(drawn.x(cutoff) + beside, 24, said, "strong", anchor=anchor)
    _key(drawn.picture, drawn.x.end - 96, 58, (("bad", "defaulted"), ("good", "repaid")))
    return drawn.svg()


def trade_off(
    found: Sequence[Approved], live: Approved, overall: float, *, expected: Sequence[float]
) -> str:
    """Draw the default rate of what is approved against how much is, with the live cut-off."""
    highest = max(each.high for each in found)
    # Of the first few loans hardly anything is known.
    highest = min(max(highest, overall), 2.2 * max(overall, 0.005), 1.0)
    drawn = plot(
        "Default rate among approved loans against the share approved",
        Axis(low=0, high=1, label="Share approved", written=whole_percent),
        Axis(low=0, high=highest, label="Default rate of those approved", written=whole_percent),
        height=330,
        top=30,
    )
    drawn.area(
        [
            *((each.share, each.high) for each in found),
            *((each.share, each.low) for each in reversed(found)),
        ],
        "band",
    )
    drawn.level(overall, "chance")
    drawn.picture.text(
        drawn.x.start + 6, drawn.y(overall) - 6, f"all loans {percent(overall)}", "soft"
    )
    drawn.line([(each.share, rate) for each, rate in zip(found, expected, strict=True)], "other a")
    drawn.line([(each.share, each.default_rate) for each in found], "line")
    if live.share > 0:
        drawn.upright(live.share, "cutoff")
        drawn.dot(live.share, live.default_rate, "mark", 4.5)
        on_right = live.share < 0.55  # noqa: PLR2004 (there is room on that side)
        beside = 8 if on_right else -8
        anchor = "start" if on_right else "end"
        place = drawn.x(live.share) + beside
        drawn.picture.text(place, drawn.y(0) - 22, f"live: {percent(live.share, 0)}", anchor=anchor)
        drawn.picture.text(
            place, drawn.y(0) - 7, f"{percent(live.default_rate)} default", anchor=anchor
        )
    _key_above(drawn, (("line", "observed"), ("other a", "expected")))
    return drawn.svg()


def forest(
    title: str,
    rows: Sequence[tuple[str, Estimate]],
    *,
    chosen: str,
    label: str,
    digits: int = 3,
    limit: float | None = None,
) -> str:
    """Draw an estimate with its interval per row; ``limit`` is a line to compare them with."""
    left = 20 + max(text_width(name) for name, _ in rows)
    picture = Picture(title, 420, 30 * len(rows) + 62)
    ends = [end for _, found in rows for end in (found.low, found.high) if np.isfinite(end)]
    ends += [] if limit is None else [limit]
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    margin = (high - low) * 0.08 or 0.01
    scale = Scale(low - margin, high + margin, left, 408)
    bottom = 30 * len(rows) + 16
    for mark in scale.ticks(5):
        picture.rule((scale(mark), 8), (scale(mark), bottom), "grid")
        picture.text(scale(mark), bottom + 17, _tick(mark, digits), "tick", anchor="middle")
    picture.rule((left, bottom), (408, bottom), "axis")
    if limit is not None:
        picture.rule((scale(limit), 8), (scale(limit), bottom), "cutoff")
    for place, (name, found) in enumerate(rows):
        height = 26 + 30 * place
        kind = "strong" if name == chosen else ""
        picture.text(left - 10, height + 4, name, kind, anchor="end")
        if np.isfinite(found.value):
            picture.rule((scale(found.low), height), (scale(found.high), height), "whisker")
            picture.dot(scale(found.value), height, "dot" if kind else "dot other", 4.5)
    picture.text((left + 408) / 2, bottom + 38, label, "label", anchor="middle")
    return picture.svg()


def volume(
    starts: Sequence[str], goods: Sequence[int], bads: Sequence[int], border: float, *, width: int
) -> str:
    """Draw loans by period, defaults below, and the border between fitting and testing.

    ``border`` counts periods from the left, with a fraction; -1 draws none.
    """
    top = max((good + bad for good, bad in zip(goods, bads, strict=True)), default=1)
    every = max(1, -(-len(starts) * 78 // (width - 60)))
    marks = [place + 0.5 for place in range(0, len(starts), every)]
    drawn = plot(
        "Loans by the day of their application, and how many of them defaulted",
        Axis(
            low=0,
            high=max(len(starts), 1),
            label="",
            ticks=marks,
            written=lambda place: starts[int(place)],
        ),
        Axis(low=0, high=top * 1.15, label="Loans", most=5),
        width=width,
        height=230,
        top=30,
    )
    drawn.picture.figures = ", ".join(
        f"from {start} {good + bad} loans, {bad} defaulted"
        for start, good, bad in zip(starts, goods, bads, strict=True)
    )
    for place, (good, bad) in enumerate(zip(goods, bads, strict=True)):
        left, right = drawn.x(place + 0.08), drawn.x(place + 0.92)
        floor, middle, high = drawn.y(0), drawn.y(bad), drawn.y(good + bad)
        drawn.picture.box(left, high, right - left, middle - high, "bar")
        drawn.picture.box(left, middle, right - left, floor - middle, "bar defaults")
    if border >= 0:
        drawn.picture.rule((drawn.x(border), 10), (drawn.x(border), drawn.y(0)), "cutoff")
        drawn.picture.text(drawn.x(border) - 6, 20, "fitted on", "strong", anchor="end")
        drawn.picture.text(drawn.x(border) + 6, 20, "tested with", "strong")
    return drawn.svg()


def by_period(names: Sequence[str], bins: Sequence[Bin]) -> str:
    """Draw the default rate per period, observed with its interval and expected."""
    highest = max([max(found.high, found.expected) for found in bins if found.loans] or [0.01])
    drawn = plot(
        "Default rate by period, observed and expected",
        Axis(
            low=0,
            high=len(names),
            label="",
            ticks=[place + 0.5 for place in range(len(names))],
            written=lambda place: names[int(place)],
        ),
        Axis(low=0, high=min(highest * 1.1, 1.0), label="Default rate", written=whole_percent),
        height=300,
        top=30,
    )
    for place, found in enumerate(bins):
        if found.loans:
            drawn.whisker(place + 0.5, found.low, found.high)
            drawn.dot(place + 0.5, found.observed)
    drawn.line(
        [(place + 0.5, found.expected) for place, found in enumerate(bins) if found.loans],
        "other a",
    )
    _key_above(drawn, (("dot", "observed"), ("other a", "expected")))
    return drawn.svg()


def shape(
    title: str,
    found: Effect,
    labels: Sequence[str],
    limits: tuple[float, float],
    *,
    points_per_log_odds: float,
    interacts: bool,
    whole: bool,
) -> str:
    """Draw what one input does, in points; at the foot where the loans lie.

    ``labels`` are a category's; ``whole`` tells that an input counts.
    """
    factor = -points_per_log_odds
    if labels:
        return _levels(title, found, labels, limits, factor)
    first, last = float(found.edges[0]), float(found.edges[-1])
    values = found.values.tolist()
    few = len(values) <= FEWEST_OF_A_LINE
    drawn = plot(
        title,
        Axis(
            low=first,
            high=last,
            label="",
            most=5,
            whole=whole,
            ticks=values if few else None,
        ),
        Axis(low=limits[0], high=limits[1], label="", written=signed, most=7),
        width=PANEL_WIDTH,
        height=PANEL_HEIGHT,
        top=8,
        # There a value that is not known has its place.
        right=38 if found.unknown is not None else 12,
    )
    tallest = float(found.shares.max()) or 1.0
    for place, share in enumerate(found.shares.tolist()):
        left, right = drawn.x(float(found.edges[place])), drawn.x(float(found.edges[place + 1]))
        gap = (right - left) * (0.3 if few else 0)
        tall = 30 * share / tallest
        drawn.picture.box(left + gap, drawn.y.start - tall, right - left - 2 * gap, tall, "lies")
    drawn.level(0, "zero")
    middle = (found.mean * factor).tolist()
    if interacts:
        drawn.area(
            [
                *zip(values, (found.low * factor).tolist(), strict=True),
                *zip(values[::-1], (found.high * factor).tolist()[::-1], strict=True),
            ],
            "band",
        )
    if few:
        drawn.line(zip(values, middle, strict=True), "thread")
    elif np.mean(np.abs(np.diff(found.mean)) < RESTS) > RESTING_SHARE:
        borders = [(one + other) / 2 for one, other in pairwise(values)]
        drawn.line(steps([first, *borders, last], middle))
    else:
        drawn.line(zip(values, middle, strict=True))
    if few:
        for value, effect in zip(values, middle, strict=True):
            drawn.dot(value, effect)
    if found.unknown is not None:
        across = PANEL_WIDTH - 16
        tall = 30 * min(found.unknown_share / tallest, 1.0)
        drawn.picture.box(across - 4, drawn.y.start - tall, 8, tall, "lies")
        drawn.picture.dot(across, drawn.y(found.unknown * factor), "dot other")
        drawn.picture.text(across, drawn.y.start + 18, "n/a", "tick", anchor="middle")
    return drawn.svg()


def _levels(
    title: str,
    found: Effect,
    labels: Sequence[str],
    limits: tuple[float, float],
    factor: float,
) -> str:
    """Draw a category's effects, a row each, those that most loans have."""
    order = np.argsort(-found.shares, kind="stable")[:MOST_LEVELS]
    rows = [
        (labels[place], float(found.mean[place]) * factor, float(found.shares[place]), "dot")
        for place in sorted(order.tolist())
    ]
    if found.unknown is not None:
        rows.append(("n/a", found.unknown * factor, found.unknown_share, "dot other"))
    height = max(PANEL_HEIGHT, 18.0 * len(rows) + 34)
    picture = Picture(title, PANEL_WIDTH, height)
    left = 8 + min(max(text_width(name) for name, *_ in rows), LABEL_ROOM)
    scale = Scale(*limits, left, PANEL_WIDTH - 40)
    bottom = height - 26
    for mark in scale.ticks(5):
        picture.rule((scale(mark), 4), (scale(mark), bottom), "grid")
        picture.text(scale(mark), height - 8, signed(mark), "tick", anchor="middle")
    picture.rule((scale(0), 4), (scale(0), bottom), "zero")
    step = (bottom - 4) / len(rows)
    for place, (name, effect, share, kind) in enumerate(rows):
        across = 4 + step * (place + 0.5)
        picture.text(left - 6, across + 4, shortened(name, left - 6), anchor="end")
        picture.rule((scale(0), across), (scale(effect), across), "stem")
        picture.dot(scale(effect), across, kind, 4.5)
        picture.text(PANEL_WIDTH, across + 4, percent(share, 0), "soft", anchor="end")
    return picture.svg()


def heat(title: str, found: Pair, names: tuple[str, str], factor: float, largest: float) -> str:
    """Draw what a pair does together, in points: a cell per pair of values, figures in the cells.

    The first of ``names`` goes upward, the second to the right.
    """
    rows, columns = found.together.shape
    left = 8 + min(max(text_width(label) for label in found.first_labels), LABEL_ROOM)
    wide, tall, top = (PANEL_WIDTH - left) / columns, 24.0, 20.0
    picture = Picture(title, PANEL_WIDTH, top + tall * rows + 40)
    picture.text(0, 12, f"↑ {names[0]}", "label")
    for row in range(rows):
        height = top + tall * (rows - 1 - row)
        picture.text(
            left - 6,
            height + 16,
            shortened(found.first_labels[row], left - 6),
            "tick",
            anchor="end",
        )
        for column in range(columns):
            gained = float(found.together[row, column]) * factor
            shade = min(abs(gained) / largest, 1.0) if largest else 0.0
            across = left + wide * column
            picture.box(across, height, wide, tall, "cell", fill=_shade(gained, shade))
            kind = "cell light" if shade > STRONG_SHADE else "cell"
            digits = 1 if largest < FEW_POINTS else 0
            picture.text(
                across + wide / 2, height + 16, signed(gained, digits), kind, anchor="middle"
            )
    bottom = top + tall * rows
    for column, label in enumerate(found.second_labels):
        picture.text(
            left + wide * (column + 0.5),
            bottom + 15,
            shortened(label, wide),
            "tick",
            anchor="middle",
        )
    picture.text(PANEL_WIDTH, bottom + 33, f"{names[1]} →", "label", anchor="end")
    return picture.svg()


def bar_in_a_cell(length: float, part: float, said: str) -> str:
    """Draw a share as a bar, and a part of it darker, small enough for a table's cell."""
    picture = Picture(said, 150, 14)
    picture.box(0, 1, 150, 12, "lies faint")
    picture.box(0, 1, 150 * length, 12, "bar")
    picture.box(0, 1, 150 * part, 12, "bar part")
    return picture.svg()


def _shade(points: float, shade: float) -> str:
    """Return white through blue for points gained, through orange for points lost."""
    full = (31, 90, 150) if points > 0 else (190, 78, 20)
    mixed = [round(255 + (channel - 255) * shade) for channel in full]
    return f"#{mixed[0]:02x}{mixed[1]:02x}{mixed[2]:02x}"


def _key(picture: Picture, x: float, y: float, entries: Sequence[tuple[str, str]]) -> None:
    for place, (kind, said) in enumerate(entries):
        height = y + 17 * place
        if kind == "dot":
            picture.dot(x + 10, height - 4, "dot")
        else:
            picture.rule((x, height - 4), (x + 20, height - 4), kind)
        picture.text(x + 26, height, said)


def _key_above(drawn: Plot, entries: Sequence[tuple[str, str]]) -> None:
    across = drawn.x.start
    for entry in entries:
        _key(drawn.picture, across, 16, (entry,))
        across += 46 + text_width(entry[1])


def _corners(curve: Curve) -> list[tuple[float, float]]:
    kept = thinned(curve)
    return list(zip(kept.across.tolist(), kept.upward.tolist(), strict=True))


def _range(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return where nearly all values lie, never an empty range."""
    low, high = (float(end) for end in np.quantile(values, [0.002, 0.998]))
    if high - low < 1:
        return low - 5, high + 5
    margin = (high - low) * 0.03
    return low - margin, high + margin


def _tick(value: float, digits: int) -> str:
    text = decimal(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text
