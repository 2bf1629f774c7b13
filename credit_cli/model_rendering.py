"""Registered models in words for a person, and as documents for a machine."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from credit_cli.champion import interval, quality
from credit_cli.errors import CliError
from credit_core.domain.model_manifest import MEASURES, who_answers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from credit_core.domain.model_manifest import (
        CandidateRecord,
        Evaluation,
        ModelManifest,
        RolloutPointer,
    )
    from credit_core.ports import PointerMove, RegisteredModel

WIDTH, LABEL, GATE = 100, 12, 21


def model_document(model: RegisteredModel, manifest: ModelManifest | CliError) -> dict[str, Any]:
    """Return a version as it is listed, with a ``fault`` where its manifest can't be read."""
    registered = {
        "version": model.reference.version,
        "state": model.state,
        "created_at": model.created_at.isoformat(),
        "moved_at": model.moved_at.isoformat(),
        "moved_by": model.moved_by,
        "manifest_sha256": model.reference.manifest_sha256,
        "report_sha256": model.report_sha256,
    }
    if isinstance(manifest, CliError):
        return {**registered, "fault": manifest.message}
    return {
        **registered,
        "algorithm": manifest.algorithm,
        "pairwise": manifest.pairwise,
        "auc": manifest.evaluation.auc.model_dump(),
        "gates_passed": manifest.gates_passed,
        "failed_gates": [gate.name for gate in manifest.failed_gates],
        "onnx_sha256": manifest.onnx_sha256,
    }


def listed_lines(
    models: Sequence[tuple[RegisteredModel, ModelManifest | CliError]],
    pointer: RolloutPointer | None,
) -> Iterator[str]:
    """Yield every version in a line, and who answers in the last."""
    width = max(len("Version"), *(len(model.reference.version) for model, _ in models))
    yield f"{'Version':<{width}}  {'State':<10}  {'Model':<12}  {'AUC':<22}  {'Gates':<8}  Moved"
    for model, manifest in models:
        if isinstance(manifest, CliError):
            yield f"{model.reference.version:<{width}}  {model.state:<10}  {manifest.message}"
            continue
        failed = len(manifest.failed_gates)
        gates = f"{failed} failed" if failed else "passed"
        yield (
            f"{model.reference.version:<{width}}  {model.state:<10}  {manifest.algorithm:<12}  "
            f"{interval(manifest.evaluation.auc):<22}  {gates:<8}  "
            f"{model.moved_at:%Y-%m-%d %H:%M} by {model.moved_by}"
        )
    yield answering_line(pointer)


def answering_line(pointer: RolloutPointer | None) -> str:
    """Say which models answer whom."""
    if pointer is None:
        return "Nothing was promoted yet: every application is referred to a person."
    return answered(who_answers(pointer))


def answered(document: Mapping[str, Any]) -> str:
    """Say who answers whom, as the promoter has answered it.

    >>> print(answered({"champion": "v1", "challenger": None, "share": None,
    ...     "previous_champion": None, "revision": 1}))
    v1 answers everybody. Revision 1.
    >>> print(answered({"champion": "v1", "challenger": "v2", "share": 0.0,
    ...     "previous_champion": "v0", "revision": 2}))
    v1 answers everybody; v2 is in shadow. The way back is v0. Revision 2.
    >>> print(answered({"champion": "v1", "challenger": "v2", "share": 0.25,
    ...     "previous_champion": None, "revision": 3}))
    v2 answers 25 % of the applicants, v1 the others. Revision 3.
    >>> print(answered({"champion": None, "revision": 0}))
    Nothing was promoted yet.
    """
    champion, challenger = document["champion"], document.get("challenger")
    if champion is None:
        return "Nothing was promoted yet."
    if challenger is None:
        who = f"{champion} answers everybody."
    elif not document["share"]:
        who = f"{champion} answers everybody; {challenger} is in shadow."
    else:
        who = f"{challenger} answers {100 * document['share']:g} % of the applicants, "
        who += f"{champion} the others."
    previous = document.get("previous_champion")
    back = f" The way back is {previous}." if previous else ""
    return f"{who}{back} Revision {document['revision']}."


def shown_lines(model: RegisteredModel, manifest: ModelManifest) -> Iterator[str]:
    """Yield all that a person asks first about a version."""
    passed = len(manifest.gates) - len(manifest.failed_gates)
    yield from labelled("Version", f"{manifest.version} of {manifest.product}, {model.state}")
    yield from labelled("Moved", f"{model.moved_at:%Y-%m-%d %H:%M:%S} UTC by {model.moved_by}")
    yield from labelled("Model", f"{manifest.algorithm}, {settings(manifest.parameters)}")
    yield from labelled("Chosen", manifest.selection)
    yield from labelled("Quality", quality(manifest.evaluation))
    yield from candidate_lines(manifest.candidates)
    yield from labelled("Gates", f"{passed} of {len(manifest.gates)} passed")
    for gate in manifest.gates:
        mark = "✓" if gate.passed else "✗"
        yield from wrapped(f"  {mark} {gate.name:<{GATE}}", gate.evidence)
        if gate.look_at:
            yield from wrapped(f"    {'':<{GATE}}", f"look at: {gate.look_at}")
    yield from labelled("Inputs", f"{len(manifest.inputs)}")
    yield from labelled("Trained on", settings({**manifest.training_set, "query": None}))
    yield from labelled("Made with", settings(manifest.libraries))
    yield from labelled("Code", f"SHA-256 {manifest.code_sha256[:12]}…")
    yield from labelled(
        "Files",
        f"model {manifest.onnx_bytes:,} bytes, SHA-256 {manifest.onnx_sha256[:12]}…; "
        f"manifest {model.reference.manifest_sha256[:12]}…, signed; "
        f"report {model.report_sha256[:12]}…",
    )


def candidate_lines(candidates: Mapping[str, CandidateRecord]) -> Iterator[str]:
    """Yield the candidates side by side."""
    yield f"  {'Candidate':<16}  {'AUC':<22}  {'KS':<22}  {'Brier':<26}  Log loss"
    for name, candidate in candidates.items():
        found = candidate.evaluation
        yield (
            f"  {name:<16}  {interval(found.auc):<22}  {interval(found.ks):<22}  "
            f"{interval(found.brier, digits=4):<26}  {interval(found.log_loss, digits=4)}"
        )


def settings(values: Mapping[str, object]) -> str:
    """Return names and values in a line; those that are None are left out.

    >>> settings({"rows": 7_500, "seed": None, "learning_rate": 0.03})
    'rows 7500, learning_rate 0.03'
    """
    return ", ".join(f"{name} {value}" for name, value in values.items() if value is not None)


def labelled(label: str, text: str) -> Iterator[str]:
    """Yield text with its label in the margin.

    >>> list(labelled("Inputs", "27"))
    ['Inputs      27']
    """
    return wrapped(f"{label:<{LABEL}}", text)


def wrapped(margin: str, text: str) -> Iterator[str]:
    """Yield text in lines that fit a terminal, what is in the margin only in the first."""
    lines = textwrap.wrap(text, WIDTH - len(margin), break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        yield f"{' ' * len(margin) if number else margin}{line}"


def difference_document(before: ModelManifest, after: ModelManifest) -> dict[str, Any]:
    """Return in what two versions differ; what is equal in both is left out."""
    pairs: dict[str, tuple[Any, Any]] = {
        "algorithm": (before.algorithm, after.algorithm),
        "selection": (before.selection, after.selection),
        "code_sha256": (before.code_sha256, after.code_sha256),
        "onnx_sha256": (before.onnx_sha256, after.onnx_sha256),
        **_by_name("parameters", before.parameters, after.parameters),
        **_by_name("training_set", before.training_set, after.training_set),
        **_by_name("libraries", before.libraries, after.libraries),
        **_by_name("categories", before.categories, after.categories),
        **_by_name("gates", _gates(before), _gates(after)),
        **_by_name("evaluation", _values(before.evaluation), _values(after.evaluation)),
    }
    changes = {
        name: {"from": first, "to": second}
        for name, (first, second) in pairs.items()
        if first != second
    }
    return {
        "from": before.version,
        "to": after.version,
        "inputs_added": [name for name in after.inputs if name not in before.inputs],
        "inputs_removed": [name for name in before.inputs if name not in after.inputs],
        "changes": changes,
    }


def difference_lines(document: Mapping[str, Any]) -> Iterator[str]:
    r"""Yield a difference a line each.

    >>> print(*difference_lines({"from": "v1", "to": "v2", "inputs_added": ["age"],
    ...     "inputs_removed": [], "changes": {"algorithm": {"from": "scorecard", "to": "additive"},
    ...     "evaluation.auc": {"from": 0.7, "to": 0.71}}}), sep="\n")
    v1 -> v2
      input age is new
      algorithm: scorecard -> additive
      evaluation.auc: 0.7 -> 0.71
    """
    yield f"{document['from']} -> {document['to']}"
    yield from (f"  input {name} is new" for name in document["inputs_added"])
    yield from (f"  input {name} is gone" for name in document["inputs_removed"])
    for name, change in document["changes"].items():
        yield f"  {name}: {change['from']} -> {change['to']}"
    if not (document["inputs_added"] or document["inputs_removed"] or document["changes"]):
        yield "  they do not differ"


def moved_document(move: PointerMove) -> dict[str, Any]:
    """Return a move of the pointer; there is nothing before the first one."""
    before = None if move.before is None else who_answers(move.before)
    return {"from": before, "to": who_answers(move.after)}


def moved_line(move: PointerMove) -> str:
    """Return a move of the pointer in a line."""
    after = move.after
    return f"{after.moved_at:%Y-%m-%d %H:%M:%S} {after.moved_by}: {answering_line(after)}"


def _by_name(
    what: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    names = dict.fromkeys([*before, *after])
    return {f"{what}.{name}": (before.get(name), after.get(name)) for name in names}


def _gates(manifest: ModelManifest) -> dict[str, str]:
    return {gate.name: "passed" if gate.passed else "failed" for gate in manifest.gates}


def _values(evaluation: Evaluation) -> dict[str, Any]:
    measured = {name: round(getattr(evaluation, name).value, 6) for name in MEASURES}
    return {"loans": evaluation.loans, "defaults": evaluation.defaults, **measured}
