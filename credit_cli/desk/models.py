"""Pages of registered models: who answers, every version, and each version's report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.exceptions import HTTPException
from starlette.routing import Route

from credit_cli.desk.framed import framed
from credit_cli.desk.markup import card, link, notice, tag
from credit_cli.desk.moments import moment
from credit_cli.desk.shell import Tab
from credit_cli.errors import CliError
from credit_cli.model_rendering import answering_line, difference_document, settings
from credit_core.domain.model_manifest import RolloutMode, who_answers
from credit_core.domain.pages import words
from credit_core.domain.pages.html import (
    WIDE,
    Markup,
    Table,
    element,
    figure,
    items,
    joined,
    pairs,
    paragraph,
    status,
    tiles,
    wide_and_narrow,
)
from credit_core.domain.pages.svg import Picture, Scale, shortened, text_width
from credit_core.use_cases.rollout_history import asked_by

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from credit_cli.desk.desk import Desk
    from credit_cli.desk.evidence import Evidence, UnderWay
    from credit_core.domain.model_manifest import (
        CandidateRecord,
        Evaluation,
        ModelManifest,
        RolloutPointer,
    )
    from credit_core.domain.product import CreditProduct
    from credit_core.ports import PointerMove, RegisteredModel

type Listed = tuple[RegisteredModel, ModelManifest | CliError]

MODELS = Tab.MODELS.value
COMPARISON = f"{MODELS}/comparison"
MOST_MOVES = 10
ROW, PHONE = 26, 330
"""Heights of rows, and the width of a picture on a telephone, in units."""
STATES = {
    "registered": "ready to be tried",
    "rejected": "failed a gate; it never answers",
    "shadow": "scores beside the champion, unheard",
    "live": "answers a share of the applicants",
    "champion": "answers",
    "retired": "out of use for good",
}
"""What each state means, in words."""
STAGES = {
    "Shadow": "enters the shadow",
    "AskApproval": "waits for a person's approval",
    "Watch": "watches the alarms",
}
"""What a rollout does in a state that it stays in, where the state's name does not say it."""


def routes(desk: Desk) -> list[Route]:
    """Return the pages of models."""

    def models(_: Request) -> Response:
        content = models_content(desk.product, desk.evidence)
        return desk.shell.page("Models", *content, current=Tab.MODELS)

    def model(request: Request) -> Response:
        version = request.path_params["version"]
        found = desk.evidence.model(version)
        if found is None:
            raise HTTPException(404, f"No model {version} of {desk.product.name} is registered.")
        content = model_content(*found, desk.evidence)
        return desk.shell.page(f"Model {version}", *content, current=Tab.MODELS)

    def report(request: Request) -> Response:
        version = request.path_params["version"]
        body = desk.evidence.report(version)
        if body is None:
            raise HTTPException(404, f"No model {version} of {desk.product.name} is registered.")
        return framed(body)

    return [
        Route(MODELS, models),
        Route(f"{MODELS}/{{version}}", model),
        Route(f"{MODELS}/{{version}}/report", report),
    ]


# --- All versions ---------------------------------------------------------------------------------


def models_content(product: CreditProduct, evidence: Evidence) -> Iterator[Markup]:
    """Yield who answers, all versions side by side, and the last moves."""
    found, pointer = evidence.models(), evidence.pointer()
    yield paragraph(product.title, kind="eyebrow")
    yield element("h1", "Models")
    yield _answering(pointer)
    if not found:
        yield notice(
            tag("p", "No model is registered yet."),
            tag(
                "p",
                "To train one on the loans of the lake: ",
                _code("retrain"),
                "; to register one that was trained elsewhere: ",
                _code("models register FOLDER"),
                ".",
            ),
        )
        return
    yield card("Who answers", _rollout(pointer, evidence.rollout()), anchor="answering")
    yield card("Versions", _qualities(found, pointer), _versions(found), anchor="versions")
    yield card("Champion and challenger", _compared(evidence.comparison()), anchor="compared")
    moves = evidence.moves(MOST_MOVES)
    if moves:
        yield card("Who moved what", _moves(moves), anchor="moves")


def _answering(pointer: RolloutPointer | None) -> Markup:
    if pointer is None:
        return element("div", element("strong", answering_line(None)), kind="verdict no")
    return element("div", element("strong", answering_line(pointer)), kind="verdict yes")


def _rollout(pointer: RolloutPointer | None, rollout: UnderWay | None) -> Markup:
    """Return who answers which share, and what the last rollout came to."""
    parts: list[str] = []
    if pointer is not None:
        parts += [_share_bar(pointer), _shares(pointer)]
    if rollout is not None:
        parts.append(_run(rollout))
    return joined(parts)


def _shares(pointer: RolloutPointer) -> Markup:
    """Say who answers which share of the applicants."""
    tried = pointer.challenger
    said = [
        joined(
            (
                "Champion ",
                element("b", Markup(words.breakable(pointer.champion.version))),
                f": {words.percent(1 - (tried.share if tried else 0.0), 0)} of the applicants",
            )
        )
    ]
    if tried is None:
        return items([*said, "Nobody is on trial."])
    named = ("Challenger ", element("b", Markup(words.breakable(tried.model.version))))
    if tried.mode is RolloutMode.SHADOW:
        unheard = ": in the shadow, it scores every application and nobody hears it"
        return items([*said, joined((*named, unheard))])
    again = "; whoever applies again meets the same model"
    return items([*said, joined((*named, f": {words.percent(tried.share, 0)}{again}"))])


def _share_bar(pointer: RolloutPointer) -> Markup:
    """Draw the applicants as a bar: the champion's part, and the challenger's."""
    share = pointer.challenger.share if pointer.challenger else 0.0

    def draw(width: int) -> str:
        picture = Picture("Who answers the applicants", width, 20)
        scale = Scale(0, 1, 0, width)
        picture.figures = (
            f"champion {words.percent(1 - share, 0)}, challenger {words.percent(share, 0)}"
        )
        picture.box(0, 2, scale(1 - share), 16, "bar part")
        if share:
            picture.box(scale(1 - share), 2, scale(share), 16, "bar defaults")
        return picture.svg()

    return wide_and_narrow(draw)


def _run(rollout: UnderWay) -> Markup:
    run = rollout.run
    began = f"began {moment(run.started)}"
    if rollout.goes_on:
        doing = STAGES.get(rollout.state, f"is at {words.plain(rollout.state)}")
        return paragraph(
            element("strong", "A rollout is under way."),
            f" It {began} and {doing}. ",
            "Let it go on or end it: ",
            element("code", "credit models approve VERSION"),
            " or ",
            element("code", "credit models reject VERSION"),
            "." if rollout.state == "AskApproval" else " where it asks for approval.",
            kind="warn",
        )
    if run.status == "SUCCEEDED":
        return paragraph(f"The last rollout {began} and went through.", kind="note")
    why = f": {run.cause}" if run.cause else ""
    return paragraph(
        element("strong", "The last rollout did not go through."),
        f" It {began} and ended {run.status.lower().replace('_', ' ')}{why}.",
        kind="warn",
    )


def _qualities(found: Sequence[Listed], pointer: RolloutPointer | None) -> Markup:
    """Return a picture of each version's AUC with its interval."""
    measured = [
        (model.reference.version, manifest.evaluation)
        for model, manifest in found
        if not isinstance(manifest, CliError)
    ]
    if not measured:
        return Markup("")
    champion = pointer.champion.version if pointer else None
    drawn = wide_and_narrow(lambda width: _ranked(measured, champion, width))
    return figure(
        drawn,
        "AUC of each version with its 95 % interval, on the loans it was tested with; dashed: the "
        "champion's. Versions that were tested on other loans can't be compared by it alone.",
    )


def _ranked(measured: Sequence[tuple[str, Evaluation]], champion: str | None, width: int) -> str:
    """Draw a row for each version; on a telephone its name stands above its interval."""
    narrow = width < WIDE
    width = min(width, PHONE) if narrow else width
    row = 2 * ROW - 6 if narrow else ROW
    left = 8 if narrow else min(16 + max(text_width(name) for name, _ in measured), width * 0.45)
    picture = Picture("AUC of each version", width, row * len(measured) + 34)
    lowest = min(found.auc.low for _, found in measured)
    highest = max(found.auc.high for _, found in measured)
    margin = max((highest - lowest) * 0.05, 0.005)
    scale = Scale(lowest - margin, highest + margin, left, width - 56)
    bottom = row * len(measured) + 6
    picture.figures = ", ".join(
        f"{version} {words.estimate(found.auc)}" for version, found in measured
    )
    for mark in scale.ticks(4 if narrow else 6):
        picture.rule((scale(mark), 4), (scale(mark), bottom), "grid")
        picture.text(scale(mark), bottom + 18, words.decimal(mark), "tick", anchor="middle")
    for place, (version, found) in enumerate(measured):
        middle = 6 + row * (place + 1) - ROW / 2
        kind = "strong" if version == champion else ""
        if narrow:
            picture.text(0, middle - 12, shortened(version, width), kind)
        else:
            picture.text(left - 10, middle + 4, shortened(version, left - 10), kind, anchor="end")
        if version == champion:
            picture.rule((scale(found.auc.value), 4), (scale(found.auc.value), bottom), "cutoff")
        picture.rule((scale(found.auc.low), middle), (scale(found.auc.high), middle), "whisker")
        picture.dot(scale(found.auc.value), middle)
        picture.text(width - 46, middle + 4, words.decimal(found.auc.value), "figure")
    return picture.svg()


def _versions(found: Sequence[Listed]) -> Markup:
    rows = []
    for model, manifest in found:
        version = model.reference.version
        named = link(Markup(words.breakable(version)), f"{MODELS}/{version}")
        state = joined((element("b", model.state), element("small", STATES[model.state])))
        moved = joined((moment(model.moved_at), element("small", f"by {asked_by(model.moved_by)}")))
        if isinstance(manifest, CliError):
            fault = element("span", manifest.message, kind="fail")
            rows.append([named, state, fault, moved, "", "", ""])
            continue
        measured = manifest.evaluation
        rows.append(
            [
                named,
                state,
                _gates_in_short(manifest),
                moved,
                *(words.estimate(measured.auc).replace(" (", "\n(", 1).split("\n")),
                f"{words.count(measured.loans)}, {words.count(measured.defaults)} defaulted",
            ]
        )
    return Table(
        caption="Every registered version, the newest first",
        headings=("Version", "State", "Gates", "Moved", "AUC", "95 %", "Tested on loans"),
        rows=rows,
        words=4,
        marked=frozenset(
            place for place, (model, _) in enumerate(found) if model.state == "champion"
        ),
        kind="dense versions",
    ).html()


def _gates_in_short(manifest: ModelManifest) -> Markup:
    failed = manifest.failed_gates
    if manifest.gates_passed:
        return joined((status(passed=True), element("small", f"all {len(manifest.gates)}")))
    named = words.listed([words.plain(gate.name) for gate in failed]) if failed else "without gates"
    return joined((status(passed=False), element("small", named)))


def _compared(document: Mapping[str, Any] | None) -> Markup:
    there = link("The comparison", COMPARISON)
    if document is None:
        return paragraph("They were not compared yet. ", there, " can be made now.")
    made = f" of {document['made_at'][:16].replace('T', ' ')} UTC"
    if not document["pairs"]:
        return paragraph(there, f"{made} found nobody on trial.")
    newest = max(document["pairs"], key=lambda pair: str(pair["last_decision"]))
    share = newest["agreement"]["share"]["value"]
    agree = "" if share is None else f" came to the same outcome in {words.percent(share)} of them"
    return paragraph(
        there,
        f"{made}: {newest['champion']} and {newest['challenger']} both scored "
        f"{words.plural(newest['decisions'], 'application')}{' and' + agree if agree else ''}.",
    )


def _moves(moves: Sequence[PointerMove]) -> Markup:
    return Table(
        caption=f"The last {len(moves)} moves, the latest first"
        if len(moves) == MOST_MOVES
        else "All moves, the latest first",
        headings=("When, UTC", "By", "Then"),
        rows=[
            [
                moment(move.after.moved_at).removesuffix(" UTC"),
                move.after.moved_by,
                answering_line(move.after),
            ]
            for move in moves
        ],
        words=3,
        kind="dense moves",
    ).html()


# --- One version ----------------------------------------------------------------------------------


def model_content(
    model: RegisteredModel, manifest: ModelManifest, evidence: Evidence
) -> Iterator[Markup]:
    """Yield what a person asks first about a version, and where all of it is."""
    version, pointer = manifest.version, evidence.pointer()
    yield paragraph(link("Models", MODELS), kind="eyebrow")
    yield element("h1", Markup(words.breakable(version)))
    yield paragraph(
        element("b", model.state.capitalize()),
        f", {STATES[model.state]}, since {moment(model.moved_at)} by {asked_by(model.moved_by)}. "
        f"Made {moment(manifest.created_at)}.",
        kind="about",
    )
    yield _verdict(manifest)
    yield card(
        "Quality",
        _tiles(manifest.evaluation),
        paragraph(
            link("The whole report", f"{MODELS}/{version}/report"),
            ", for a risk committee: what it was trained on, what it relies on, where it fails.",
        ),
        anchor="quality",
        note="On loans that it did not learn from, with 95 % intervals.",
    )
    yield card("Next", _next(model, pointer), anchor="next")
    yield card("Gates", _gates(manifest), anchor="gates")
    yield card(
        "Candidates",
        paragraph(f"{manifest.selection[:1].upper()}{manifest.selection[1:].rstrip('.')}."),
        _candidates(manifest.candidates),
        anchor="candidates",
    )
    if pointer is not None and pointer.champion.version != version:
        champion = evidence.model(pointer.champion.version)
        if champion is not None:
            yield card(
                "Against the champion", _difference(champion[1], manifest), anchor="difference"
            )
    yield card("Lineage", _lineage(model, manifest), anchor="lineage")


def _verdict(manifest: ModelManifest) -> Markup:
    failed = manifest.failed_gates
    if manifest.gates_passed:
        said = f"All {len(manifest.gates)} gates passed."
        return element("div", element("strong", said), kind="verdict yes")
    if not failed:
        said = "It was judged by no gate."
        return element("div", element("strong", said), kind="verdict no")
    return element(
        "div",
        element("strong", f"{words.plural(len(failed), 'gate')} failed: it can't be promoted."),
        items(
            joined((element("b", words.plain(gate.name)), f": {gate.evidence}")) for gate in failed
        ),
        kind="verdict no",
    )


def _tiles(measured: Evaluation) -> Markup:
    def tile(name: str, part: str, digits: int = 3) -> tuple[str, str, str]:
        found = getattr(measured, part)
        note = words.interval(found.low, found.high, digits)
        return name, words.decimal(found.value, digits), note

    return tiles(
        [
            tile("AUC", "auc"),
            tile("KS", "ks"),
            tile("Brier", "brier", 4),
            tile("Calibration error", "calibration_error", 4),
            tile("Stability to test", "stability"),
            (
                "Tested on",
                words.count(measured.loans),
                f"{words.plain(measured.split)}; {words.count(measured.defaults)} defaulted",
            ),
        ]
    )


def _gates(manifest: ModelManifest) -> Markup:
    rows = [
        [
            words.plain(gate.name),
            status(passed=gate.passed),
            joined((gate.evidence, element("span", f"Look at: {gate.look_at}", kind="look")))
            if gate.look_at
            else gate.evidence,
        ]
        for gate in manifest.gates
    ]
    passed = len(manifest.gates) - len(manifest.failed_gates)
    return Table(
        caption=f"{passed} of {len(manifest.gates)} passed",
        headings=("Gate", "Result", "Evidence"),
        rows=rows,
        words=3,
        kind="dense prose",
    ).html()


def _candidates(candidates: Mapping[str, CandidateRecord]) -> Markup:
    rows = [
        [
            words.plain(name),
            *(
                words.estimate(getattr(candidate.evaluation, part), digits)
                for part, digits in (("auc", 3), ("ks", 3), ("brier", 4), ("log_loss", 4))
            ),
        ]
        for name, candidate in candidates.items()
    ]
    return Table(
        caption="Candidates side by side, with 95 % intervals",
        headings=("Candidate", "AUC", "KS", "Brier", "Log loss"),
        rows=rows,
        kind="dense",
    ).html()


def _difference(champion: ModelManifest, manifest: ModelManifest) -> Markup:
    found = difference_document(champion, manifest)
    rows = [
        *([f"input {name}", "", "new"] for name in found["inputs_added"]),
        *([f"input {name}", "there", "gone"] for name in found["inputs_removed"]),
        *(
            [Markup(words.breakable(name)), _short(change["from"]), _short(change["to"])]
            for name, change in found["changes"].items()
        ),
    ]
    if not rows:
        return paragraph("They do not differ.")
    return Table(
        caption=f"In what it differs from {champion.version}",
        headings=("What", "Champion", "This one"),
        rows=rows,
        words=3,
        kind="dense",
    ).html()


def _short(value: object) -> str:
    """Return a value of a manifest in a cell; a hash by its beginning.

    >>> _short("ab" * 32), _short(None) == words.UNKNOWN, _short(0.5)
    ('abababababab…', True, '0.5')
    """
    if value is None:
        return words.UNKNOWN
    text = str(value)
    is_hash = len(text) == 64 and set(text) <= set("0123456789abcdef")  # noqa: PLR2004 (SHA-256)
    return f"{text[:12]}…" if is_hash else text


def _lineage(model: RegisteredModel, manifest: ModelManifest) -> Markup:
    return element(
        "div",
        pairs(
            [
                ("Model", f"{manifest.algorithm}, {settings(manifest.parameters)}"),
                ("Inputs", words.plural(len(manifest.inputs), "feature")),
                ("Trained on", settings({**manifest.training_set, "query": None})),
                ("Made with", settings(manifest.libraries)),
                ("Code", f"SHA-256 {manifest.code_sha256}"),
                ("ONNX file", f"{manifest.onnx_bytes:,} bytes, SHA-256 {manifest.onnx_sha256}"),
                ("Manifest", f"SHA-256 {model.reference.manifest_sha256}, its signature verified"),
                ("Report", f"SHA-256 {model.report_sha256}"),
            ]
        ),
        kind="lineage",
    )


def _next(model: RegisteredModel, pointer: RolloutPointer | None) -> Markup:
    """Return what moves this version from here: the desk looks, the command acts."""
    version, answers = model.reference.version, who_answers(pointer)
    if model.state == "rejected":
        return paragraph("It failed a gate and never answers. Train again: ", _code("retrain"), ".")
    if model.state == "retired":
        return paragraph("It is out of use for good, and kept for its decisions' sake.")
    if version == answers["champion"]:
        if answers["previous_champion"] is None:
            return paragraph("It is the first champion: there is none to go back to.")
        return paragraph(
            "The champion before it answers again with ", _code("models rollback"), "."
        )
    if version == answers["challenger"]:
        return paragraph("Its trial ends with ", _code("models withdraw"), ".")
    return paragraph(
        "It becomes champion, through shadow and live share, with ",
        _code(f"models promote {version}"),
        ".",
    )


def _code(command: str) -> Markup:
    return element("code", f"credit {command}")
