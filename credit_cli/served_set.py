"""`credit dataset served`: training rows of what decisions were really served."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credit_cli.days import FirstDay, LastDay, named_days
from credit_cli.deployment import deployed
from credit_cli.errors import CliError, ExitCode
from credit_cli.invocation import invoked
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct, known_product
from credit_cli.output_file import require_writable
from credit_cli.receipts import ReceiptsFolder, decisions_in
from credit_cli.terminal import Json, print_json, progress_for, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_s3 import S3Client

    from credit_cli.progress import Step

WIDTH = 20
LEFT_OUT = {
    "no_loan": "were not approved, or withdrawn",
    "not_reported": "have no outcome yet; where each default is reported, --unreported-repay takes"
    " those that are old enough",
    "too_young": "are younger than the label's horizon; --any-age takes them",
    "not_served": "were decided by a person, without features",
    "other_definition": "were decided on other features than the product has today",
    "damaged": "cannot be read",
    "over_limit": "are more than one training set may have",
}


def served(
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write; else PRODUCT-served.csv here.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    first: FirstDay = None,
    last: LastDay = None,
    any_age: Annotated[
        bool,
        typer.Option(
            "--any-age", help="Take reported loans whose horizon has not passed, too: for a try."
        ),
    ] = False,
    unreported_repay: Annotated[
        bool,
        typer.Option(
            "--unreported-repay",
            help="Take loans past their horizon of which nothing was reported for repaid.",
        ),
    ] = False,
    receipts: ReceiptsFolder = None,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Build a training set of the very features that decisions were served, and their outcomes.

    One row per approved loan whose outcome was reported and whose horizon has passed. With
    --receipts nothing has to run. Fails where no row is left.

    Examples:
        credit dataset served
        credit dataset served --from 2026-01-01 --to 2026-06-30 --out loans.csv

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    target = out or Path(f"{product}-served.csv")
    require_writable(target, (".csv",), force=force)
    asked = named_days(first, last) | {
        "any_age": any_age,
        "unreported_repay": unreported_repay,
    }
    with progress_for(as_json=as_json).step("Served loans") as step:
        body, found = (
            made_there(product, asked) if receipts is None else made_here(receipts, product, asked)
        )
        finish(step, target, body, found)
    if as_json:
        print_json({"product": product, "file": str(target), **found})
    else:
        for line in lines(found):
            say(line)
    if not found["rows"]:
        raise typer.Exit(ExitCode.FAILED)


def made_there(product: str, asked: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """Have the training set made in the cloud, and fetch it.

    Raises:
        CliError: The function failed, or what it made can't be read.
    """
    from credit_core.adapters.query_results import read_query_result  # noqa: PLC0415 (boto3 takes its time)
    from credit_core.errors import CreditScoringError  # noqa: PLC0415 (as above)

    aws, deployment = deployed(product)
    event = {"run_id": f"by-hand-{uuid.uuid4()}", **asked}
    found = invoked(aws, deployment, "ServedSetFunction", event, called="served-set function")
    s3: S3Client = aws.client("s3")
    location = found.pop("output_location")
    try:
        body = read_query_result(s3, location, bucket=deployment["ResultsBucket"])
    except CreditScoringError as error:
        raise CliError(str(error)) from None
    del found["query_execution_id"]
    return body, found


def made_here(
    receipts: Path, product: str, asked: Mapping[str, Any]
) -> tuple[bytes, dict[str, Any]]:
    """Make the training set of a copy of the archive.

    Raises:
        UsageError: The path can't be read, or is no archive.
    """
    from credit_core.use_cases.served_training_set import served_training_set  # noqa: PLC0415 (NumPy takes its time)

    made = served_training_set(
        known_product(product),
        decisions_in(receipts, product, asked),
        as_of=datetime.now(UTC),
        any_age=asked["any_age"],
        unreported_repay=asked["unreported_repay"],
    )
    return made.body, made.document()


def finish(step: Step, target: Path, body: bytes, found: Mapping[str, Any]) -> None:
    """Write the file, unless there is no row for it."""
    if found["rows"]:
        target.write_bytes(body)
        step.result = f"{found['rows']:,} rows in {target}"
    else:
        step.result = "no row, so no file"


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what was made and what was left out, in a few lines for a person."""
    yield f"{'decisions':<{WIDTH}}{found['decisions']:,}"
    yield f"{'rows':<{WIDTH}}{found['rows']:,}, {found['defaults']:,} of them defaulted"
    for why, count in found["left_out"].items():
        if count:
            yield f"{'left out':<{WIDTH}}{count:,} {LEFT_OUT[why]}"
