"""Draws plots as SVG: scales, axes and marks. Colours and fonts are the style sheet's.

No plotting library: the trainer's function has to stay below 240 MB, and matplotlib with what it
needs takes a quarter of that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

from credit_core.domain.pages.words import compact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

type Points = Iterable[tuple[float, float]]

NICE_STEPS = (1, 2, 2.5, 5, 10)
LETTER = 6.3
CAPITAL = 8.6
NARROW_LETTER = 3.4
"""About the widths of letters of 12 units: labels need room, and cannot be measured."""


def text_width(said: str) -> float:
    """Return about how wide a text of 12 units is.

    >>> text_width("ill") < text_width("one") < text_width("ONE")
    True
    """
    return sum(
        NARROW_LETTER
        if letter in "ijlt.,:;'|()[] "
        else CAPITAL
        if letter.isupper() or letter in "mw%_"
        else LETTER
        for letter in said
    )


def shortened(said: str, room: float) -> str:
    """Return a text that is no wider than the room there is."""
    if text_width(said) <= room:
        return said
    kept = said
    while kept and text_width(f"{kept}…") > room:
        kept = kept[:-1]
    return f"{kept}…"


@dataclass(frozen=True, slots=True)
class Scale:
    """Places values from ``low`` to ``high`` between two positions, ``start`` and ``end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the position of a value; one beyond an end is placed there."""
        within = min(max(value, self.low), self.high)
        share = (within - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, most: int = 6) -> list[float]:
        """Return round values within the scale, at most about so many."""
        return ticks(self.low, self.high, most)


def ticks(low: float, high: float, most: int = 6, *, whole: bool = False) -> list[float]:
    """Return round values from ``low`` to ``high``; ``whole`` ones where only those make sense.

    >>> ticks(0, 1, 6)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low]
    rough = (high - low) / max(most - 1, 1)
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * nice for nice in NICE_STEPS if size * nice >= rough * 0.999)
    if whole:
        step = max(round(step), 1)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(place * step, 12) + 0.0 for place in range(first, last + 1)]


@dataclass(slots=True)
class Picture:
    """A drawing of ``width`` by ``height`` units.

    ``title`` says what it shows; ``figures``, if there are any, are read to who cannot see it.
    """

    title: str
    width: float
    height: float
    figures: str = ""
    _parts: list[str] = field(default_factory=list)

    def line(self, points: Points, kind: str = "line") -> None:
        """Draw a line through points."""
        self._parts.append(f'<polyline class="{kind}" points="{_path(points)}"/>')

    def area(self, points: Points, kind: str = "area") -> None:
        """Fill what points enclose."""
        self._parts.append(f'<polygon class="{kind}" points="{_path(points)}"/>')

    def rule(self, start: tuple[float, float], end: tuple[float, float], kind: str) -> None:
        """Draw a straight line."""
        (x1, y1), (x2, y2) = start, end
        self._parts.append(
            f'<line class="{kind}" x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"/>'
        )

    def box(
        self, x: float, y: float, width: float, height: float, kind: str, *, fill: str = ""
    ) -> None:
        """Draw a rectangle; ``fill`` is its colour where it stands for a value."""
        colour = f' fill="{fill}"' if fill else ""
        self._parts.append(
            f'<rect class="{kind}" x="{_n(x)}" y="{_n(y)}" width="{_n(max(width, 0))}" '
            f'height="{_n(max(height, 0))}"{colour}/>'
        )

    def dot(self, x: float, y: float, kind: str = "dot", radius: float = 3.5) -> None:
        """Draw a dot."""
        self._parts.append(f'<circle class="{kind}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}"/>')

    def text(
        self, x: float, y: float, said: str, kind: str = "", *, anchor: str = "start", turn: int = 0
    ) -> None:
        """Write text at a place; ``anchor`` is start, middle or end."""
        turned = f' transform="rotate({turn} {_n(x)} {_n(y)})"' if turn else ""
        self._parts.append(
            f'<text x="{_n(x)}" y="{_n(y)}" class="{f"{kind} {anchor}".strip()}"{turned}>'
            f"{escape(said)}</text>"
        )

    def svg(self) -> str:
        """Return the drawing as an SVG element."""
        label = f"{self.title}: {self.figures}" if self.figures else self.title
        return (
            f'<svg viewBox="0 0 {_n(self.width)} {_n(self.height)}" role="img" '
            f'aria-label="{escape(label)}" style="max-width:{_n(self.width * 1.15)}px">'
            f"<title>{escape(self.title)}</title>{''.join(self._parts)}</svg>"
        )


@dataclass(slots=True)
class Plot:
    """A picture with two axes. ``x`` and ``y`` place values; make one with ``plot``."""

    picture: Picture
    x: Scale
    y: Scale

    def at(self, points: Points) -> list[tuple[float, float]]:
        """Return the positions of values."""
        return [(self.x(first), self.y(second)) for first, second in points]

    def line(self, points: Points, kind: str = "line") -> None:
        """Draw a line through values."""
        self.picture.line(self.at(points), kind)

    def area(self, points: Points, kind: str = "area") -> None:
        """Fill what values enclose."""
        self.picture.area(self.at(points), kind)

    def upright(self, value: float, kind: str) -> None:
        """Draw a line from bottom to top."""
        self.picture.rule((self.x(value), self.y.start), (self.x(value), self.y.end), kind)

    def level(self, value: float, kind: str) -> None:
        """Draw a line from side to side."""
        self.picture.rule((self.x.start, self.y(value)), (self.x.end, self.y(value)), kind)

    def whisker(self, x: float, low: float, high: float, kind: str = "whisker") -> None:
        """Draw an interval upright at ``x``."""
        self.picture.rule((self.x(x), self.y(low)), (self.x(x), self.y(high)), kind)

    def dot(self, x: float, y: float, kind: str = "dot", radius: float = 3.5) -> None:
        """Draw a dot at a value."""
        self.picture.dot(self.x(x), self.y(y), kind, radius)

    def svg(self) -> str:
        """Return the picture as an SVG element."""
        return self.picture.svg()


@dataclass(frozen=True, kw_only=True)
class Axis:
    """An axis: its range, what it is of, and how its values are written."""

    low: float
    high: float
    label: str
    written: Callable[[float], str] = compact
    ticks: Sequence[float] | None = None
    most: int = 6
    whole: bool = False


def plot(
    title: str,
    x: Axis,
    y: Axis,
    *,
    width: float = 420,
    height: float = 320,
    top: float = 14,
    right: float = 20,
) -> Plot:
    """Return an empty plot with its axes drawn."""
    picture = Picture(title, width, height)
    y_marks = list(y.ticks) if y.ticks is not None else ticks(y.low, y.high, y.most)
    left = 12 + max((text_width(y.written(mark)) for mark in y_marks), default=0.0)
    left += 18 if y.label else 0
    across = Scale(x.low, x.high, left, width - right)
    upward = Scale(y.low, y.high, height - (46 if x.label else 26), top)
    for mark in y_marks:
        picture.rule((across.start, upward(mark)), (across.end, upward(mark)), "grid")
        picture.text(across.start - 7, upward(mark) + 4, y.written(mark), "tick", anchor="end")
    x_marks = list(x.ticks) if x.ticks is not None else ticks(x.low, x.high, x.most, whole=x.whole)
    for mark in x_marks:
        picture.rule((across(mark), upward.start), (across(mark), upward.start + 4), "axis")
        picture.text(across(mark), upward.start + 18, x.written(mark), "tick", anchor="middle")
    picture.rule((across.start, upward.start), (across.end, upward.start), "axis")
    if x.label:
        centre = (across.start + across.end) / 2
        picture.text(centre, height - 8, x.label, "label", anchor="middle")
    if y.label:
        middle = (upward.start + upward.end) / 2
        picture.text(13, middle, y.label, "label", anchor="middle", turn=-90)
    return Plot(picture, across, upward)


def steps(edges: Sequence[float], heights: Sequence[float]) -> list[tuple[float, float]]:
    """Return the corners of a line that keeps each height between two edges.

    >>> steps([0, 1, 2], [5, 7])
    [(0, 5), (1, 5), (1, 7), (2, 7)]
    """
    corners = []
    for place, height in enumerate(heights):
        corners += [(edges[place], height), (edges[place + 1], height)]
    return corners


def _path(points: Points) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)


def _n(value: float) -> str:
    """Return a position to a tenth of a unit: finer is not seen, and takes space.

    >>> _n(3.04), _n(3.05001), _n(-0.01)
    ('3', '3.1', '0')
    """
    text = f"{value:.1f}"
    text = text.removesuffix(".0")
    return "0" if text == "-0" else text
