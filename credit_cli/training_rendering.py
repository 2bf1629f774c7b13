"""What `credit train` prints: a JSON summary for machines, a few tables for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from credit_cli.gate_lines import failed_gate_lines
from credit_cli.training_run import FILES
from credit_core.domain.model_manifest import MEASURES, Split

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from credit_cli.training_run import FoundData
    from credit_core.domain.model_manifest import Estimate, Evaluation, ModelManifest

TITLES = ("AUC", "Gini", "KS", "Brier", "Log loss", "Calibr. err.", "PSI")
"""Of the measures, in their order."""
LOUD_SHARE = 0.03
"""Of rows left out: above it a person is warned before anything is trained."""
MOST_LISTED = 12


def summary(
    found: FoundData, manifest: ModelManifest, out: Path, *, seconds: float
) -> dict[str, Any]:
    """Return the JSON object that `credit train --json` prints, and that summary.json holds."""
    training_set = found.training_set
    return {
        "product": manifest.product,
        "version": manifest.version,
        "gates_passed": manifest.gates_passed,
        "failed_gates": [gate.name for gate in manifest.failed_gates],
        "chosen": manifest.algorithm,
        "selection": manifest.selection,
        "split": manifest.evaluation.split.value,
        "data": {
            **{key: value for key, value in found.lineage.items() if key == "source"},
            "sha256": training_set.sha256,
            "rows": training_set.rows,
            "rows_not_labelled": training_set.not_labelled,
            "rows_referred": training_set.referred,
            "rows_unservable": training_set.unservable_rows,
            "loans": len(training_set.loans),
            "defaults": training_set.loans.defaults,
            "left_out": [
                {"column": it.column, "rows": it.rows, "why": it.why, "first": it.first}
                for it in found.left_out
            ]
            or [
                {"column": column, "rows": rows} for column, rows in training_set.unservable.items()
            ],
            "renamed_columns": dict(found.renamed or {}),
            "remarks": list(found.remarks),
        },
        "candidates": {
            name: {
                "chosen": name == manifest.algorithm,
                "pairwise": record.pairwise,
                "parameters": record.parameters,
                "cross_validated_log_loss": record.cross_validated_log_loss,
                **{measure: _estimate(getattr(record.evaluation, measure)) for measure in MEASURES},
            }
            for name, record in manifest.candidates.items()
        },
        "gates": [gate.model_dump(mode="json") for gate in manifest.gates],
        "files": dict(zip(("model", "manifest", "report", "summary"), FILES, strict=True)),
        "out": str(out),
        "seed": manifest.training_set.get("seed"),
        "seconds": round(seconds, 1),
    }


def data_lines(found: FoundData) -> list[str]:
    """Return what a person should know about the data before a model is made of it."""
    training_set = found.training_set
    lines = [f"  {remark}" for remark in found.remarks]
    if found.renamed:
        given, name = next((given, name) for name, given in found.renamed.items())
        lines.append(
            f"  {len(found.renamed)} column(s) are read by another name, as {given} for {name}"
        )
    if training_set.not_labelled:
        one = training_set.not_labelled == 1
        what = "row has" if one else "rows have"
        lines.append(f"  {training_set.not_labelled:,} {what} no outcome yet")
    lost = training_set.referred + training_set.unservable_rows
    if lost:
        share = lost / max(1, training_set.rows - training_set.not_labelled)
        loud = "WARNING: " if share > LOUD_SHARE else ""
        lines.append(
            f"  {loud}{lost:,} rows ({share:.1%}) are left out, because scoring would refuse or"
            " refer such an application:"
        )
        if training_set.referred:
            lines.append(f"    {training_set.referred:,} lack a view, or it is too old")
        if found.left_out:
            lines += [
                f"    {it.column}: {it.rows:,} {it.why}, the first in {it.first}"
                for it in found.left_out[:MOST_LISTED]
            ]
        else:
            lines += [
                f"    {column}: {rows:,} outside its definition"
                for column, rows in training_set.unservable.items()
            ]
    return lines


def model_lines(manifest: ModelManifest) -> list[str]:
    """Return the candidates side by side, why one was chosen, and what the gates found."""
    evaluation = manifest.evaluation
    lines = ["", *_table(_candidate_rows(manifest)), ""]
    lines += [f"{_measured_on(evaluation)} In brackets: 95 % intervals of the AUC.", ""]
    lines += [f"Chosen: {manifest.algorithm}. {manifest.selection}", ""]
    passed = len(manifest.gates) - len(manifest.failed_gates)
    lines.append(f"Gates: {passed} of {len(manifest.gates)} passed.")
    return [*lines, *failed_gate_lines(manifest.failed_gates)]


def _candidate_rows(manifest: ModelManifest) -> Iterable[Sequence[str]]:
    yield ("", "", *TITLES)
    for name, record in manifest.candidates.items():
        values = [getattr(record.evaluation, measure) for measure in MEASURES]
        auc = values[0]
        yield (
            "*" if name == manifest.algorithm else "",
            name,
            f"{auc.value:.3f} [{auc.low:.3f} {auc.high:.3f}]",
            *(f"{it.value:.3f}" for it in values[1:]),
        )


def _table(rows: Iterable[Sequence[str]]) -> list[str]:
    listed = list(rows)
    widths = [max(len(row[place]) for row in listed) for place in range(len(listed[0]))]
    return [
        "  ".join(
            text.ljust(width) if place < 2 else text.rjust(width)  # noqa: PLR2004 (mark and name)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in listed
    ]


def _measured_on(evaluation: Evaluation) -> str:
    of = f"{evaluation.loans:,} loans, {evaluation.defaults:,} of which defaulted"
    if evaluation.split is Split.OUT_OF_TIME:
        period = f"{str(evaluation.first_event)[:10]} to {str(evaluation.last_event)[:10]}"
        return f"Tested out of time, on {of}, {period}."
    return f"Cross-validated on {of}."


def _estimate(estimate: Estimate) -> dict[str, float]:
    return estimate.model_dump(mode="json")
