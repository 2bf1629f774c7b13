"""The model report: one HTML file per version, for the people who decide whether it is used."""

from model_build.report.document import render
from model_build.report.inputs import ReportInputs

__all__ = ["ReportInputs", "render"]
