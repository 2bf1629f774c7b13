"""`credit models`: what is registered, which models answer, and how that is moved."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credit_cli import pipelines
from credit_cli.compare import compare
from credit_cli.completion import versions
from credit_cli.deployment import deployed
from credit_cli.errors import CliError, UsageError
from credit_cli.gate_lines import failed_gate_lines
from credit_cli.invocation import invoked
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct, known_product
from credit_cli.registered_models import RegisteredModels, registry_errors
from credit_cli.target import target
from credit_cli.terminal import Json, print_json, progress_for, say

if TYPE_CHECKING:
    from credit_core.domain.model_manifest import ModelManifest
    from credit_core.ports import RegisteredModel

models = typer.Typer(
    no_args_is_help=True,
    help="""Registered models.

    The champion answers. A challenger scores beside it unheard, or answers a share of applicants,
    until it is promoted or withdrawn.

    Examples:
        credit models list
        credit models show  # the champion
        credit models promote VERSION
        credit models rollback
    """,
)
models.command()(compare)

Version = Annotated[
    str,
    typer.Argument(help="A registered version.", show_default=False, autocompletion=versions),
]
MovedBy = Annotated[
    str, typer.Option("--by", help="Who asks, kept in the registry; by default you.")
]
ReportFile = Annotated[
    Path | None,
    typer.Option(help="Write its report, an HTML page, into this file.", show_default=False),
]
ASKED = frozenset({"promote", "share", "retire"})
"""Moves after which another model answers than the one that proved itself, or none ever again. The
way back, to the champion, is never asked about."""
WORDS = frozenset({"approve", "reject"})
"""Asked of the approver, apart from the promoter: not the same people need be let to do both."""

TrainedFolder = Annotated[Path, typer.Argument(help="The --out of credit train.")]


def move_command(action: str, meaning: str) -> None:
    """Add the command of that name, which needs nothing but a version."""

    def command(
        version: Version,
        *,
        by: MovedBy = "",
        product: DeployedProduct = DEFAULT_PRODUCT,
        as_json: Json = False,
    ) -> None:
        move(action, version, by=by, product=product, as_json=as_json)

    example = f"credit models {action} VERSION"
    models.command(action, help=f"{meaning}\n\nExamples:\n    {example}")(command)


@models.command("list")
def list_models(*, product: DeployedProduct = DEFAULT_PRODUCT, as_json: Json = False) -> None:
    """List every version with its state and quality, the newest first, and who answers.

    Examples:
        credit models list
        credit models list --json

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    from credit_cli.model_rendering import listed_lines, model_document  # noqa: PLC0415 (NumPy takes its time)
    from credit_core.domain.model_manifest import who_answers  # noqa: PLC0415 (as above)

    registered = RegisteredModels.of(*deployed(product), product)
    found = [(model, manifest_or_fault(registered, model)) for model in registered.models()]
    pointer = registered.pointer()
    if as_json:
        listed = [model_document(model, manifest) for model, manifest in found]
        print_json({"pointer": who_answers(pointer), "models": listed})
        return
    if not found:
        say(f"No model of {product} is registered.")
        return
    for line in listed_lines(found, pointer):
        say(line)


@models.command()
def show(
    version: Annotated[
        str | None,
        typer.Argument(
            help="By default the champion.", show_default=False, autocompletion=versions
        ),
    ] = None,
    *,
    report: ReportFile = None,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Show a version: quality, candidates, gates with their evidence, lineage.

    With --report its page is written too: how good it is, for whom, and what it looks at.

    Examples:
        credit models show  # the champion
        credit models show VERSION --report model.html

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    from credit_cli.model_rendering import model_document, shown_lines  # noqa: PLC0415 (as above)

    registered = RegisteredModels.of(*deployed(product), product)
    model, manifest = found_model(registered, version)
    if report is not None:
        report.write_bytes(registered.report(model))
    if as_json:
        manifested = manifest.model_dump(mode="json")
        print_json({**model_document(model, manifest), "manifest": manifested})
        return
    for line in shown_lines(model, manifest):
        say(line)
    if report is not None:
        say(f"Its report is in {report}.")


@models.command()
def diff(
    before: Version,
    after: Version,
    *,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Say in what two versions differ: quality, inputs, settings, gates, data, libraries, code.

    Examples:
        credit models diff BEFORE AFTER

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    from credit_cli.model_rendering import difference_document, difference_lines  # noqa: PLC0415 (as above)

    registered = RegisteredModels.of(*deployed(product), product)
    first, second = (found_model(registered, version)[1] for version in (before, after))
    document = difference_document(first, second)
    if as_json:
        print_json(document)
        return
    for line in difference_lines(document):
        say(line)


@models.command()
def history(*, product: DeployedProduct = DEFAULT_PRODUCT, as_json: Json = False) -> None:
    """Say who moved which model to which place, the latest first.

    Examples:
        credit models history

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    from credit_cli.model_rendering import moved_document, moved_line  # noqa: PLC0415 (as above)

    registered = RegisteredModels.of(*deployed(product), product)
    with registry_errors():
        moves = list(registered.registry.moves())
    if as_json:
        print_json({"moves": [moved_document(move) for move in moves]})
        return
    for move in moves:
        say(moved_line(move))


@models.command()
def promote(
    version: Version,
    *,
    now: Annotated[
        bool, typer.Option("--now", help="At once, without shadow, shares and approval.")
    ] = False,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Do not wait for the end.")] = False,
    by: MovedBy = "",
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Make a version champion: through shadow and live share, watched by the stage's alarms.

    The usual way for a version that passed its gates. On AWS it takes days and waits for `credit
    models approve`; on the local cloud seconds.

    Examples:
        credit models promote VERSION
        credit models promote VERSION --now  # at once

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    if now:
        move("promote", version, by=by, product=product, as_json=as_json)
        return
    aws, deployment = deployed(product, change=f"start the rollout of {version}")
    asked = {"version": version, "moved_by": by or getpass.getuser()}
    execution = pipelines.start(aws, deployment["RolloutStateMachine"], asked)
    if no_wait or not target().is_local:  # elsewhere it takes days
        name = pipelines.execution_name(execution)
        if as_json:
            print_json({"execution": name, "status": "running"})
        else:
            say(f"The rollout {name} is under way; see: credit models history")
        return
    with progress_for(as_json=as_json).step("Rollout") as step:
        hint = "see: credit models history"
        done = pipelines.wait_for(aws, execution, step.update, hint=hint)
        step.result = f"{version} is the champion"
    told(done, as_json=as_json)


move_command("shadow", "Let a version score beside the champion, unheard.")


@models.command()
def share(
    version: Version,
    part: Annotated[
        float, typer.Argument(metavar="SHARE", help="Of applicants: 0.1 is 10 %.", min=0, max=1)
    ],
    *,
    by: MovedBy = "",
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Let the version that is in shadow answer a share of the applicants; 0 is shadow again.

    Examples:
        credit models share VERSION 0.1  # a tenth of the applicants

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    action = "share" if part else "shadow"
    move(action, version, by=by, product=product, as_json=as_json, share=part)


@models.command()
def withdraw(
    version: Annotated[
        str | None,
        typer.Argument(
            help="By default whichever is tried.", show_default=False, autocompletion=versions
        ),
    ] = None,
    *,
    by: MovedBy = "",
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """End the trial of a version: the champion answers everybody.

    Examples:
        credit models withdraw

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    pointer = RegisteredModels.of(*deployed(product), product).champion()
    tried = pointer.challenger.model.version if pointer.challenger else None
    if tried is None or version not in {None, tried}:
        raise CliError(f"{version} is not under trial" if version else "nothing is under trial")
    move("withdraw", tried, by=by, product=product, as_json=as_json)


@models.command()
def rollback(
    *, by: MovedBy = "", product: DeployedProduct = DEFAULT_PRODUCT, as_json: Json = False
) -> None:
    """Make the champion before this one champion again, at once; a trial ends with it.

    When the champion answers what it should not.

    Examples:
        credit models rollback

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    pointer = RegisteredModels.of(*deployed(product), product).champion()
    move("rollback", pointer.champion.version, by=by, product=product, as_json=as_json)


move_command(
    "retire", "Take a version out of use for good; it stays registered, for its decisions' sake."
)


move_command("approve", "Let the rollout of a version go on that waits for approval.")


move_command("reject", "End the rollout of a version that waits for approval; it is withdrawn.")


@models.command()
def register(
    folder: TrainedFolder,
    *,
    by: MovedBy = "",
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Register and sign a model that was trained elsewhere; a failed gate makes it rejected.

    Examples:
        credit models register FOLDER  # the --out of credit train

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    from credit_cli.model_rendering import model_document  # noqa: PLC0415 (as above)
    from credit_cli.trained_folder import TrainedFolder  # noqa: PLC0415 (as above)
    from credit_core.errors import ModelUnavailableError  # noqa: PLC0415 (as above)

    trained = TrainedFolder.read(folder, product)
    manifest = trained.manifest
    try:
        manifest.check_serves(known_product(product))
    except ModelUnavailableError as error:
        raise UsageError(f"{folder}: {error}") from None
    aws, deployment = deployed(product, change=f"register {manifest.version}")
    registered = RegisteredModels.of(aws, deployment, product)
    with registry_errors():
        registered.registry.register(
            manifest,
            trained.onnx,
            trained.report,
            registered_by=by or getpass.getuser(),
            as_of=datetime.now(UTC),
        )
    model = registered.find(manifest.version)
    if as_json:
        print_json(model_document(model, manifest))
        return
    say(f"{manifest.version} is {model.state}, signed.")
    for line in failed_gate_lines(manifest.failed_gates):
        say(line)
    if manifest.gates_passed:
        say(f"Next: credit models promote {manifest.version} --product {product}")


def move(
    action: str, version: str, *, by: str, product: str, as_json: bool, share: float | None = None
) -> None:
    """Have the promoter move the pointer, or the approver pass a word on; say who answers then.

    Raises:
        CliError: It refused, and said why.
    """
    event = {"action": action, "version": version, "moved_by": by or getpass.getuser()}
    if share is not None:
        event |= {"share": share}  # type: ignore[dict-item]
    aws, deployment = deployed(product, change=f"{action} {version}", ask=action in ASKED)
    called = "approver" if action in WORDS else "promoter"
    function = f"{called.title()}Function"
    done = invoked(aws, deployment, function, event, called=called, verb="refused")
    told(done, as_json=as_json)


def told(done: dict[str, Any], *, as_json: bool) -> None:
    """Say who answers."""
    from credit_cli.model_rendering import answered  # noqa: PLC0415 (as above)

    if as_json:
        print_json(done)
    else:
        say(answered(done))


def manifest_or_fault(
    registered: RegisteredModels, model: RegisteredModel
) -> ModelManifest | CliError:
    """Return the manifest of a version, or why it can't be: one must not hide the others."""
    try:
        return registered.manifest(model)
    except CliError as fault:
        return fault


def found_model(
    registered: RegisteredModels, version: str | None
) -> tuple[RegisteredModel, ModelManifest]:
    """Return a version with its manifest, the champion if none is named.

    Raises:
        CliError: There is none, or it is not what was registered.
    """
    wanted = version or registered.champion().champion.version
    model = registered.find(wanted)
    return model, registered.manifest(model)
