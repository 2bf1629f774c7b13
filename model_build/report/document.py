"""Puts the report together."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

from model_build.report.drivers import drivers, reasons
from model_build.report.facts import Facts
from model_build.report.html import Markup, Section, element, joined, safe
from model_build.report.oversight import fairness, gates, limits, lineage, stability
from model_build.report.overview import cover, data, purpose
from model_build.report.quality import calibration, candidates, decisions, ranking
from model_build.report.style import STYLE

if TYPE_CHECKING:
    from model_build.report.inputs import ReportInputs

SECTIONS = (
    purpose,
    data,
    candidates,
    ranking,
    calibration,
    decisions,
    drivers,
    reasons,
    stability,
    fairness,
    gates,
    limits,
    lineage,
)
"""In the order in which a committee reads."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; style-src-attr 'unsafe-inline'; "
    "style-src-elem "
    f"'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
)
"""Nothing may be loaded or run, but for the very style above and the widths of pictures."""


def render(inputs: ReportInputs) -> bytes:
    """Return the report as one HTML file, UTF-8; the same inputs give the same bytes.

    It holds its style and its pictures, needs no script and loads nothing. It is made of what was
    measured: shares, rates and figures of loans, never one applicant's values.
    """
    facts = Facts(inputs)
    sections = [section(facts) for section in SECTIONS]
    title = f"{inputs.product.title}: model report {inputs.manifest.version}"
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_SECURITY_POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{safe(title)}</title><style>{STYLE}</style></head><body>",
        '<a class="skip" href="#content">To the content</a>',
        '<main id="content">',
        cover(facts),
        _contents(sections),
        *(_numbered(place, section) for place, section in enumerate(sections, 1)),
        element(
            "footer",
            f"Made with the model and registered beside it; version {inputs.manifest.version}, "
            f"model file {inputs.manifest.onnx_sha256[:16]}.",
        ),
        "</main></body></html>\n",
    ]
    return "\n".join(parts).encode()


def _contents(sections: list[Section]) -> Markup:
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
