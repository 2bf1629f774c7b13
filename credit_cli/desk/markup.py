"""Pieces of HTML that the desk adds to those of `credit_core.domain.pages.html`."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from credit_core.domain.pages.html import Markup, element, joined

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

VOID = frozenset({"input", "link", "meta", "br", "hr"})


def tag(name: str, /, *parts: str, **attributes: str | bool | int | None) -> Markup:
    """Return an element with attributes.

    Underscores of their names are hyphens, one at the end is dropped: ``class_``, ``aria_label``.
    None and False leave an attribute out, True writes it without a value.

    >>> tag("input", name="amount", value='"7"', required=True, hidden=False)
    '<input name="amount" value="&quot;7&quot;" required>'
    >>> tag("a", "R&D", href="/x", class_="quiet")
    '<a href="/x" class="quiet">R&amp;D</a>'
    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}"
        + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{joined(parts)}</{name}>")


def verbatim(text: str) -> Markup:
    """Return text as HTML to the letter, as what is sent again or read as data has to be.

    >>> verbatim("doesn't"), tag("p", "doesn't")
    ('doesn&#x27;t', '<p>doesn&rsquo;t</p>')
    """
    return Markup(escape(text))


def link(text: str, href: str, *, kind: str = "") -> Markup:
    """Return a link."""
    return tag("a", text, href=href, class_=kind or None)


def button(text: str, *, kind: str = "", **attributes: str | bool | int | None) -> Markup:
    """Return a button that sends its form."""
    return tag("button", text, type="submit", class_=kind or None, **attributes)


def card(title: str, *parts: str, anchor: str, note: str = "", kind: str = "") -> Markup:
    """Return a part of a page with its heading; ``anchor`` is what links name."""
    heading = tag("h2", title, id=f"{anchor}-title")
    said = element("p", note, kind="note") if note else Markup("")
    return tag(
        "section",
        heading,
        said,
        *parts,
        id=anchor,
        class_=f"card {kind}".strip(),
        aria_labelledby=f"{anchor}-title",
    )


def folded(summary: str, *parts: str, opened: bool = False, anchor: str | None = None) -> Markup:
    """Return parts that a click or a key unfolds."""
    return tag("details", tag("summary", summary), *parts, open=opened, id=anchor)


def notice(*parts: str, kind: str = "info", role: str | None = None) -> Markup:
    """Return a sentence or two that stand out: an ``info``, a ``warning``, ``good`` or ``bad``."""
    return tag("div", *parts, class_=f"notice {kind}", role=role)


def options(choices: Iterable[tuple[str, str]], *, chosen: str) -> Sequence[Markup]:
    """Return the options of a select, each a value and what is shown."""
    return [tag("option", shown, value=value, selected=value == chosen) for value, shown in choices]
