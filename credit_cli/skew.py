"""`credit skew`: what decisions were served, compared with what the lake had for that moment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import typer

from credit_cli.days import FirstDay, LastDay, named_days
from credit_cli.deployment import deployed
from credit_cli.errors import ExitCode
from credit_cli.invocation import invoked
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct
from credit_cli.terminal import Json, print_json, progress_for, say

skew = typer.Typer(
    no_args_is_help=True,
    help="""Served features against the lake.

    Examples:
        credit skew check
    """,
)


@skew.callback()
def about() -> None:
    """Keep `check` a word of its own, though it is the only one."""


@skew.command()
def check(
    *,
    first: FirstDay = None,
    last: LastDay = None,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Compare decisions of these days, by default of yesterday and today; fails where they differ.

    Rows that were on their way into the store when a decision was made are no skew.

    Examples:
        credit skew check
        credit skew check --from 2026-11-01 --to 2026-11-07

    Exit codes: 0 no skew, 1 there is some or it failed, 2 used wrongly, 4 not running or
    unreachable.
    """
    from credit_core.use_cases.skew import skew_lines  # noqa: PLC0415 (NumPy takes its time)

    days = named_days(first, last)
    if not days:
        today = datetime.now(UTC).date()
        days = named_days(today - timedelta(days=1), today)
    aws, deployment = deployed(product)
    with progress_for(as_json=as_json).step("Skew") as step:
        found = invoked(aws, deployment, "SkewFunction", days, called="skew function")
        step.result = f"{found['read']:,} decisions"
    if as_json:
        print_json(found)
    else:
        for line in skew_lines(found):
            say(line)
    if any(view["skewed"] for view in found["views"].values()):
        raise typer.Exit(ExitCode.FAILED)
