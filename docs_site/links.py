"""Links of a document: as it is read in the repository, and on the site.

In the repository a link leads from file to file, be it a document or not. The site has the
documents alone; what else one leads to is shown there on a page of its own, under ``FILES``.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENTS = "docs/"
FILES = "files"
LINK = re.compile(r"(?P<before>!?\[(?:[^\]\\]|\\.)*\]\()(?P<target>[^)\s]+)(?P<after>[^)]*\))")
FENCE = re.compile(
    r"^(?P<indent> *)(?P<fence>```+)[^\n]*\n.*?^(?P=indent)(?P=fence)[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
SPAN = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:")


def links_of(text: str) -> Iterator[str]:
    """Yield what a document's links lead to, those of pictures too, none that code only shows.

    >>> list(links_of("[a](b.md#c) `[x](y)` ![p](d.png)"))
    ['b.md#c', 'd.png']
    """
    for place in _links(text):
        yield place["target"]


def _links(text: str) -> Iterator[re.Match[str]]:
    code = [found.span() for found in FENCE.finditer(text)]
    code += [found.span() for found in SPAN.finditer(FENCE.sub(lambda m: " " * len(m[0]), text))]
    for found in LINK.finditer(text):
        if not any(start <= found.start() < end for start, end in code):
            yield found


def is_elsewhere(target: str) -> bool:
    """Whether a link leads out of the repository, or to a place of the same page.

    >>> is_elsewhere("https://a.example"), is_elsewhere("#b"), is_elsewhere("c.md")
    (True, True, False)
    """
    return bool(ELSEWHERE.match(target)) or target.startswith("#")


def led_to(path: str, target: str) -> str:
    """Return the file that a link of a document leads to.

    Args:
        path: The document, from the root of the repository.
        target: The link as written; what follows ``#`` is left out.

    >>> led_to("docs/runbooks/page.md", "../../README.md#limits")
    'README.md'
    """
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target.partition("#")[0]))


def place_on_site(path: str) -> str:
    """Return where the site shows a file of the repository, among its documents.

    >>> place_on_site("docs/alarms.md"), place_on_site("README.md"), place_on_site("cdk.json")
    ('alarms.md', 'files/README.md', 'files/cdk.json.md')
    """
    if path.startswith(DOCUMENTS):
        return path.removeprefix(DOCUMENTS)
    return f"{FILES}/{path if path.endswith('.md') else f'{path}.md'}"


def linked_for_site(path: str, text: str) -> str:
    """Return a document's text with links that are good on the site.

    Args:
        path: The document, from the root of the repository.
        text: What it says there.

    >>> linked_for_site("docs/a/b.md", "[s](../../cdk.json) [t](../c.md#d)")
    '[s](../files/cdk.json.md) [t](../c.md#d)'
    """
    here = posixpath.dirname(place_on_site(path))
    pieces, end = [], 0
    for found in _links(text):
        target = found["target"]
        if is_elsewhere(target):
            continue
        file, mark, anchor = target.partition("#")
        there = place_on_site(led_to(path, file))
        pieces += [
            text[end : found.start("target")],
            posixpath.relpath(there, here or "."),
            mark,
            anchor,
        ]
        end = found.end("target")
    return "".join((*pieces, text[end:]))
