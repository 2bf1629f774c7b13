"""`credit dataset`: training sets, made of a lake in a local folder or of what was served."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credit_cli.errors import CliError, UsageError
from credit_cli.known_product import DEFAULT_PRODUCT, known_product, product_names
from credit_cli.output_file import require_writable
from credit_cli.served_set import served
from credit_cli.terminal import Json, interruptible_queries, print_json, progress_for, say

if TYPE_CHECKING:
    from credit_core.adapters.local_lake import WrittenTrainingSet
    from credit_core.domain.product import CreditProduct

ENDINGS = (".parquet", ".csv")
LEAST_MEMORY_MB = 256
LABEL_WIDTH = 16

dataset = typer.Typer(
    no_args_is_help=True,
    help="""Training sets of a lake in a local folder, and of what decisions were served.

    Examples:
        credit dataset build --data book  # of a lake in a folder
        credit dataset served  # of decisions and their outcomes

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """,
)


dataset.command()(served)


@dataset.command()
def build(
    *,
    product: Annotated[
        str, typer.Option(help="Whose training set to build.", autocompletion=product_names)
    ] = DEFAULT_PRODUCT,
    data: Annotated[
        Path, typer.Option(help="Folder laid out like the lake: PRODUCT/applications/ and so on.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="File to write, .parquet or .csv; else PRODUCT-training-set.parquet here.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")] = False,
    memory: Annotated[
        int, typer.Option(help="MB that the query may use; more goes to temporary files.")
    ] = 4_096,
    scratch: Annotated[
        Path | None,
        typer.Option(help="Folder for temporary files; else the system's.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Build the training set by the very query that Athena runs.

    One row per application with a matured outcome: what was known when it was made, no more.

    Examples:
        credit dataset build --data book
        credit dataset build --data book --product credit_card --out loans.csv

    Exit codes: 0 done, 1 failed, 2 used wrongly.
    """
    from credit_core.adapters.local_lake import LocalLake  # noqa: PLC0415 (DuckDB takes its time)
    from credit_core.errors import CreditScoringError  # noqa: PLC0415 (as above)

    chosen = known_product(product)
    target = out or Path(f"{product}-training-set.parquet")
    require_usable(chosen, data, target, scratch, force=force, memory_mb=memory)
    with progress_for(as_json=as_json).step("Training set") as step:
        lake = LocalLake(chosen, data, memory_mb=memory, scratch=scratch, progress=step.update)
        try:
            with interruptible_queries():
                written = lake.write_training_set(target)
        except CreditScoringError as error:
            raise CliError(str(error), hint=hint_for(error)) from None
        step.result = f"{written.rows:,} rows in {target}"
    if as_json:
        seconds = round(step.seconds, 1)
        print_json(summary(chosen, written, target, seconds=seconds))
        return
    for line in lines(written):
        say(line)


def require_usable(
    product: CreditProduct,
    data: Path,
    target: Path,
    scratch: Path | None,
    *,
    force: bool,
    memory_mb: int,
) -> None:
    """Check what can be checked before any work.

    Raises:
        UsageError: A folder is not there, or the file's name says no format, or it exists.
    """
    if not data.is_dir():
        raise UsageError(f"--data {data} is not a folder")
    if not (data / product.name).is_dir():
        raise UsageError(
            f"--data {data} holds no folder {product.name}/",
            hint=f"put Parquet into {data / product.applications_prefix}/ and beside it,"
            " or make some: credit sample generate --help",
        )
    require_writable(target, ENDINGS, force=force)
    if scratch is not None and not scratch.is_dir():
        raise UsageError(f"--scratch {scratch} is not a folder")
    if memory_mb < LEAST_MEMORY_MB:
        raise UsageError(f"--memory {memory_mb} is below {LEAST_MEMORY_MB} MB")


def hint_for(error: Exception) -> str | None:
    """Return what to do about an error of the lake, if there is something."""
    from credit_core.errors import StoreUnavailableError  # noqa: PLC0415 (see build)

    if isinstance(error, StoreUnavailableError):
        return "raise --memory, or name a folder with more room: --scratch"
    return None


def summary(
    product: CreditProduct, written: WrittenTrainingSet, target: Path, *, seconds: float
) -> dict[str, Any]:
    """Return the JSON object that `credit dataset build --json` prints."""
    return {
        "product": product.name,
        "file": str(target),
        "rows": written.rows,
        "defaults": written.defaults,
        "columns": list(written.columns),
        "views": {
            name: {"fresh": found.fresh, "stale": found.stale, "missing": found.missing}
            for name, found in written.views.items()
        },
        "seconds": seconds,
    }


def lines(written: WrittenTrainingSet) -> list[str]:
    """Return what was written, in a few lines for a person."""
    rows = max(1, written.rows)
    named = {
        "rows": f"{written.rows:,}",
        "defaults": f"{written.defaults:,} ({written.defaults / rows:.1%})",
        "columns": str(len(written.columns)),
        **{
            name: f"fresh {found.fresh / rows:.1%}, stale {found.stale / rows:.1%},"
            f" missing {found.missing / rows:.1%}"
            for name, found in written.views.items()
        },
    }
    width = max(LABEL_WIDTH, *(len(name) + 2 for name in named))
    shown = [f"{name:<{width}}{value}" for name, value in named.items()]
    if not written.rows:
        shown.append("No application has an outcome whose horizon has passed.")
    return shown
