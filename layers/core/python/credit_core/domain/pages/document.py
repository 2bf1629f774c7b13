"""The frame of a page: its head, its contents, its numbered sections."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from credit_core.domain.pages.html import Markup, element, joined, safe
from credit_core.domain.pages.style import STYLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from credit_core.domain.pages.html import Section

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; style-src-attr 'unsafe-inline'; "
    "style-src-elem "
    f"'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
)
"""Nothing may be loaded or run, but for the very style above and the widths of pictures."""


def document(title: str, *, cover: Markup, sections: Sequence[Section], footer: str) -> bytes:
    """Return a page as one HTML file, UTF-8; the same parts give the same bytes.

    It holds its style and its pictures, needs no script and loads nothing.
    """
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_SECURITY_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{safe(title)}</title><style>{STYLE}</style></head><body>",
        '<a class="skip" href="#content">To the content</a>',
        '<main id="content">',
        cover,
        _contents(sections),
        *(_numbered(place, section) for place, section in enumerate(sections, 1)),
        element("footer", footer),
        "</main></body></html>\n",
    ]
    return "\n".join(parts).encode()


def _contents(sections: Sequence[Section]) -> Markup:
    links = [
        element("li", Markup(f'<a href="#{section.anchor}">{safe(section.title)}</a>'))
        for section in sections
    ]
    return Markup(f'<nav aria-label="Contents"><p>Contents</p>{element("ol", *links)}</nav>')


def _numbered(place: int, section: Section) -> Markup:
    heading = joined((element("span", str(place), kind="place"), section.title))
    return Markup(
        f'<section id="{section.anchor}" aria-labelledby="{section.anchor}-title">'
        f'<h2 id="{section.anchor}-title">{heading}</h2>{section.body}</section>'
    )
