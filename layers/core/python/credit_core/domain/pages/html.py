"""The few pieces of HTML that a page is made of. Text is escaped here, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


MOST_ROWS_KEPT = 14
"""A table of so few rows is printed on one page."""

WIDE, NARROW = 860, 420
"""Widths of pictures: over the whole page, and over half of it or a telephone's."""


class Markup(str):
    """HTML that is safe to write as it stands; any other text is escaped."""

    __slots__ = ()


def safe(text: str) -> str:
    """Return text as HTML, with apostrophes as they are printed; and HTML as it is.

    >>> safe("<b>"), safe(Markup("<b>")), safe("lender's")
    ('&lt;b&gt;', '<b>', 'lender&rsquo;s')
    """
    if isinstance(text, Markup):
        return text
    return escape(text).replace("&#x27;", "&rsquo;")


def joined(parts: Iterable[str]) -> Markup:
    """Return the parts one after the other."""
    return Markup("".join(safe(part) for part in parts))


def element(name: str, *parts: str, kind: str = "") -> Markup:
    """Return an element with these contents; ``kind`` is its class.

    >>> element("p", "a < b", kind="note")
    '<p class="note">a &lt; b</p>'
    """
    attribute = f' class="{escape(kind)}"' if kind else ""
    return Markup(f"<{name}{attribute}>{joined(parts)}</{name}>")


def paragraph(*parts: str, kind: str = "") -> Markup:
    """Return a paragraph."""
    return element("p", *parts, kind=kind)


def items(entries: Iterable[str], *, kind: str = "") -> Markup:
    """Return a list with a bullet for each entry."""
    return element("ul", *(element("li", entry) for entry in entries), kind=kind)


def pairs(entries: Iterable[tuple[str, str]]) -> Markup:
    """Return names with what is said of each."""
    return element(
        "dl", *(joined((element("dt", name), element("dd", said))) for name, said in entries)
    )


def tiles(figures: Iterable[tuple[str, str, str]]) -> Markup:
    """Return figures in large type, each below its name and above a note on it."""
    return element(
        "dl",
        *(
            element(
                "div",
                element("dt", name),
                element("dd", value, kind="value"),
                element("dd", note, kind="note"),
            )
            for name, value, note in figures
        ),
        kind="tiles",
    )


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table with a caption and one heading per column.

    The first ``words`` columns hold text, the others numbers. ``marked`` rows are shown strongly;
    ``kind`` is its class. A row of a ``grouped`` table whose first cell is empty belongs to the one
    before it.
    """

    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    marked: frozenset[int] = field(default_factory=frozenset)
    kind: str = ""
    grouped: bool = False

    def html(self) -> Markup:
        """Return the table, in a frame that scrolls where the page is narrow."""
        head = [
            Markup(f'<th scope="col"{self._kind(place)}>{safe(heading)}</th>')
            for place, heading in enumerate(self.headings)
        ]
        bodies: list[list[Markup]] = []
        for place, row in enumerate(self.rows):
            if not bodies or (self.grouped and row[0]):
                bodies.append([])
            kind = "marked" if place in self.marked else ""
            bodies[-1].append(element("tr", *self._cells(row), kind=kind))
        table = element(
            "table",
            element("caption", self.caption),
            element("thead", element("tr", *head)),
            *(element("tbody", *body) for body in bodies),
            kind=self.kind,
        )
        short = " short" if len(self.rows) <= MOST_ROWS_KEPT else ""
        # A keyboard can only scroll what it can reach.
        return Markup(
            f'<div class="scroll{short}" role="region" tabindex="0" '
            f'aria-label="{escape(self.caption)}">'
            f"{table}</div>"
        )

    def _cells(self, row: Sequence[str]) -> list[str]:
        first, *others = row
        return [
            Markup(f'<th scope="row">{safe(first)}</th>'),
            *(
                Markup(f"<td{self._kind(place)}>{safe(cell)}</td>")
                for place, cell in enumerate(others, 1)
            ),
        ]

    def _kind(self, place: int) -> str:
        return "" if place < self.words else ' class="number"'


@dataclass(frozen=True, slots=True)
class Section:
    """A numbered part of the report; ``anchor`` is what links name."""

    anchor: str
    title: str
    body: Markup


def wide_and_narrow(draw: Callable[[int], str]) -> Markup:
    """Return a picture twice, for a wide page and for a telephone; the style shows one of them.

    ``draw`` takes the width in units. A wide picture on a narrow page could not be read.
    """
    return Markup(f'<div class="wide">{draw(WIDE)}</div><div class="narrow">{draw(NARROW)}</div>')


def figure(picture: str, caption: str, *, kind: str = "") -> Markup:
    """Return a picture, of one or more drawings, with what it shows."""
    return element("figure", Markup(picture), element("figcaption", caption), kind=kind)


def side_by_side(*parts: str, kind: str = "") -> Markup:
    """Return parts that stand beside each other where there is room."""
    return element("div", *parts, kind=f"beside {kind}".strip())


def status(*, passed: bool) -> Markup:
    """Return a word that says how a gate ended, in colour and readable without it."""
    return element("span", "passed" if passed else "failed", kind="pass" if passed else "fail")
