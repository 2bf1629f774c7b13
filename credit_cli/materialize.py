"""`credit materialize`: feature files brought into the online store, with what became of them."""

from __future__ import annotations

from typing import Annotated

import typer

from credit_cli.deployment import deployed
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct
from credit_cli.terminal import Json, print_json, progress_for, say


def materialize(
    *,
    product: DeployedProduct = DEFAULT_PRODUCT,
    prefix: Annotated[
        str | None,
        typer.Option(
            help="Only files whose key begins so; else all of the product's.", show_default=False
        ),
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Only files that came since the last sweep.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring feature files of the lake into the online store.

    Uploads and a schedule do so by themselves; this does it now. Files may be brought in any number
    of times, because a row is written only over an older one.

    Examples:
        credit materialize
        credit materialize --sweep

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    from credit_cli import materialization  # noqa: PLC0415 (NumPy takes its time)

    asked = materialization.execution_input(product, prefix=prefix, sweep=sweep)
    aws, deployment = deployed(product, change=f"materialize {asked}")
    with progress_for(as_json=as_json).step("Materialization") as step:
        counts = materialization.run(aws, deployment, asked, step.update)
        step.result = materialization.counts_line(counts)
    if as_json:
        print_json(counts | {"seconds": round(step.seconds, 1)})
        return
    for line in materialization.view_lines(counts):
        say(line)
