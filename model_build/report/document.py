"""Puts the report together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credit_core.domain.pages.document import document
from model_build.report.drivers import drivers, reasons
from model_build.report.facts import Facts
from model_build.report.oversight import fairness, gates, limits, lineage, stability
from model_build.report.overview import cover, data, purpose
from model_build.report.quality import calibration, candidates, decisions, ranking

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


def render(inputs: ReportInputs) -> bytes:
    """Return the report as one HTML file, UTF-8; the same inputs give the same bytes.

    It is made of what was measured: shares, rates and figures of loans, never one applicant's
    values.
    """
    facts = Facts(inputs)
    return document(
        f"{inputs.product.title}: model report {inputs.manifest.version}",
        cover=cover(facts),
        sections=[section(facts) for section in SECTIONS],
        footer=f"Made with the model and registered beside it; version {inputs.manifest.version}, "
        f"model file {inputs.manifest.onnx_sha256[:16]}.",
    )
