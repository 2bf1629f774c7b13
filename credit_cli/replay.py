"""`credit decisions`: recorded decisions shown, and replayed from receipt and model alone."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path  # noqa: TC003 (Typer reads annotations at run time)
from typing import TYPE_CHECKING, Annotated

import typer

from credit_cli.deployment import deployed
from credit_cli.errors import CliError, ExitCode, UnreachableError, UsageError
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct
from credit_cli.receipts import ReceiptsFolder, archive_errors
from credit_cli.review import review
from credit_cli.terminal import Json, print_json, progress_for, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

    from credit_cli.progress import Step
    from credit_core.domain.application_records import StoredRecord
    from credit_core.domain.product import CreditProduct
    from credit_core.ports import RegisteredModels

UPDATE_EVERY = 100
"""Receipts between two words about progress."""

decisions = typer.Typer(
    no_args_is_help=True,
    help="""Recorded decisions.

    Each decision leaves a receipt: what was asked, what was read, which model answered and why.

    Examples:
        credit decisions show ID
        credit decisions replay ID
    """,
)
decisions.command()(review)


@decisions.command()
def replay(
    application_ids: Annotated[
        list[str] | None,
        typer.Argument(help="Whose receipts, superseded ones too.", show_default=False),
    ] = None,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Every receipt of the table, or of --receipts.")
    ] = False,
    receipts: ReceiptsFolder = None,
    models: Annotated[
        Path | None,
        typer.Option(
            help="A folder like the models bucket: <product>/<version>/model.onnx, manifest.json.",
            show_default=False,
        ),
    ] = None,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Recompute decisions from their receipts and models, and say where they differ.

    With --receipts and --models nothing has to run.

    Examples:
        credit decisions replay ID
        credit decisions replay --all  # every receipt
        credit decisions replay --all --receipts archive --models models  # without a cloud

    Exit codes: 0 all are identical; 1 one is not, cannot be replayed or was not found; 2 used
    wrongly; 4 not running or unreachable.
    """
    from credit_cli.replay_rendering import Tally, replay_document, replay_lines  # noqa: PLC0415 (NumPy and onnxruntime take their time)
    from credit_core.use_cases.replay import Replayer  # noqa: PLC0415 (as above)

    wanted = list(dict.fromkeys(application_ids or ()))
    if bool(wanted) == everything:
        raise UsageError("name application ids, or --all of them")
    replayer = Replayer(model_loader(models, product), product_now)
    tally, progress = Tally(names_each=not everything), progress_for(as_json=as_json)
    with progress.step("Replay") as step:
        started = time.monotonic()
        records = found_records(receipts, product, wanted)
        for done in map(replayer, only_receipts(records, wanted)):
            tally.add(done)
            show(step, tally.count)
        seconds = time.monotonic() - started
        step.result = f"{tally.count / seconds:,.0f} a second"
    missing = [name for name in wanted if name not in tally.seen]
    if not tally.count and not missing:
        raise CliError(f"there are no receipts in {receipts or 'the table'}")
    if as_json:
        print_json(replay_document(tally, missing=missing, seconds=seconds))
    else:
        for line in replay_lines(tally, missing=missing):
            say(line)
    if missing or not tally.is_identical:
        raise typer.Exit(ExitCode.FAILED)


@decisions.command("show")
def show_decision(
    application_id: Annotated[str, typer.Argument(help="The application.")],
    *,
    receipts: ReceiptsFolder = None,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Show all that is recorded of an application: decision, model input, what came later.

    What an applicant, an auditor or a court asks for: what was known, what it was worth, and who
    reviewed it. With --receipts nothing has to run.

    Examples:
        credit decisions show ID
        credit decisions show ID --json

    Exit codes: 0 done, 1 there is none or it cannot be read, 2 used wrongly, 4 not running or
    unreachable.
    """
    from credit_cli.replay_rendering import record_document, record_lines  # noqa: PLC0415 (as above)

    records = [
        record
        for record in found_records(receipts, product, [application_id])
        if record.get("application_id") == application_id
    ]
    if not records:
        raise CliError(f"there is no decision under application_id {application_id}")
    if as_json:
        documents = [record_document(record) for record in records]
        print_json({"application_id": application_id, "records": documents})
        return
    for line in record_lines(records):
        say(line)


def found_records(
    receipts: Path | None, product: str, wanted: Sequence[str]
) -> Iterator[StoredRecord]:
    """Yield the records that are asked for, and perhaps others; from the table without a path.

    Raises:
        UsageError: The path can't be read, or is no archive.
        UnreachableError: The table can't be read.
    """
    from credit_core.adapters.decision_records import DynamoDecisionRecords  # noqa: PLC0415 (as above)
    from credit_core.adapters.local_archive import archived_records  # noqa: PLC0415 (as above)
    from credit_core.domain.receipt_archive import Days  # noqa: PLC0415 (as above)
    from credit_core.errors import StoreUnavailableError  # noqa: PLC0415 (as above)

    if receipts is not None:
        with archive_errors(receipts):
            yield from archived_records(receipts)
        return
    aws, deployment = deployed(product)
    dynamodb: DynamoDBClient = aws.client("dynamodb")
    table = DynamoDecisionRecords(dynamodb, deployment["DecisionsTable"])
    try:
        if not wanted:
            yield from table.of(Days())
        for name in wanted:
            yield from table.of_application(name)
    except StoreUnavailableError as error:
        raise UnreachableError(str(error)) from None


def only_receipts(records: Iterator[StoredRecord], wanted: Sequence[str]) -> Iterator[StoredRecord]:
    """Yield the receipts among records, of these applications if some are named."""
    from credit_core.domain.receipt import is_receipt  # noqa: PLC0415 (as above)

    named = set(wanted)
    for record in records:
        if is_receipt(record) and (not named or record.get("application_id") in named):
            yield record


def model_loader(models: Path | None, product: str) -> RegisteredModels:
    """Return how models are loaded and verified: from a folder, or from the models bucket.

    Raises:
        UsageError: There is no such folder.
    """
    from credit_core.adapters.local_archive import objects_below  # noqa: PLC0415 (as above)
    from credit_core.adapters.model_artifacts import verified_model  # noqa: PLC0415 (as above)
    from credit_core.adapters.model_registry import objects_in  # noqa: PLC0415 (as above)

    if models is not None:
        if not models.is_dir():
            raise UsageError(f"{models} is no folder")
        read = objects_below(models)
    else:
        aws, deployment = deployed(product)
        s3: S3Client = aws.client("s3")
        read = objects_in(s3, deployment["ModelsBucket"])
    return partial(verified_model, read)


def product_now(name: str) -> CreditProduct | None:
    """Return a product as this checkout defines it, None where it defines none."""
    from credit_core.domain.product import load_product  # noqa: PLC0415 (as above)
    from credit_core.errors import InvalidProductError  # noqa: PLC0415 (as above)

    try:
        return load_product(name)
    except InvalidProductError:
        return None


def show(step: Step, count: int) -> None:
    """Say now and then how many are done."""
    if count % UPDATE_EVERY == 0:
        step.update(f"{count:,} receipts")
