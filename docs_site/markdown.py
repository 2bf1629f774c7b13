"""Pieces of Markdown that the generated pages are put together from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def code(text: object) -> str:
    """Return text as a code span; empty text stays empty.

    >>> code("a|b")
    '`a|b`'
    """
    return f"`{text}`" if str(text) else ""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    r"""Return a table. Cells are Markdown of one line; bars in them are escaped.

    >>> print(table(("A", "B"), [("x | y", 1)]))
    | A | B |
    | --- | --- |
    | x \| y | 1 |
    <BLANKLINE>
    """
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(_cell(cell) for cell in line)} |\n" for line in lines)


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def names_unbroken(text: str) -> str:
    """Return a table whose first column is not broken, however narrow the page is."""
    return f'<div class="names" markdown>\n\n{text}\n</div>\n'


def prose(docstring: str | None) -> str:
    r"""Return a docstring as Markdown: code spans of one backtick, no indent.

    >>> prose('''First ``a``.
    ...
    ...     Second.''')
    'First `a`.\n\nSecond.'
    """
    lines = (docstring or "").strip().splitlines()
    return "\n".join(line.strip() for line in lines).replace("``", "`")


def sentences(text: str) -> list[str]:
    """Return the sentences of some paragraphs, each on one line.

    >>> sentences("One is 1.5 long. Two; three.")
    ['One is 1.5 long.', 'Two; three.']
    """
    return [
        " ".join(sentence.split())
        for paragraph in text.split("\n\n")
        for sentence in re.split(r"(?<=[.:])\s+(?=[A-Z`])", paragraph)
        if sentence.strip()
    ]


def page(title: str, *parts: str) -> str:
    """Return a page of Markdown from its title and its blocks."""
    return "\n\n".join((f"# {title}", *(part.strip("\n") for part in parts))) + "\n"
