"""`credit archive`: the archive of receipts compared with the table of decisions, and filled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from credit_cli import invocation
from credit_cli.days import FirstDay, LastDay, named_days
from credit_cli.deployment import deployed
from credit_cli.errors import ExitCode
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct
from credit_cli.terminal import Json, print_json, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment

archive = typer.Typer(
    no_args_is_help=True,
    help="""The archive of receipts.

    Examples:
        credit archive check  # is every decision of the table in it?
        credit archive redrive
    """,
)


@archive.command()
def check(
    *,
    first: FirstDay = None,
    last: LastDay = None,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Compare table and archive, of all days unless some are named; fails where they differ.

    What was recorded in the last seconds may still be on its way.

    Examples:
        credit archive check
        credit archive check --from 2026-11-01 --to 2026-11-07

    Exit codes: 0 they are the same, 1 they differ or it failed, 2 used wrongly, 4 not running or
    unreachable.
    """
    days = named_days(first, last)
    found = invoked(*deployed(product), "check", days)
    if as_json:
        print_json(found)
    else:
        for line in comparison_lines(found):
            say(line)
    if found["missing"] or found["unknown"] or found["damaged"]:
        raise typer.Exit(ExitCode.FAILED)


@archive.command()
def redrive(
    *,
    first: FirstDay = None,
    last: LastDay = None,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Archive what lacks of the days of failed batches, and of those that are named.

    After a failure of the archiver was mended. It may be run again without harm.

    Examples:
        credit archive redrive
        credit archive redrive --from 2026-11-01 --to 2026-11-07

    Exit codes: 0 all is archived, 1 something is not, 2 used wrongly, 4 not running or unreachable.
    """
    days = named_days(first, last)
    done = invoked(*deployed(product, change="archive what lacks"), "redrive", days)
    if as_json:
        print_json(done)
    else:
        for line in redrive_lines(done):
            say(line)
    if not done["complete"]:
        raise typer.Exit(ExitCode.FAILED)


def invoked(aws: Aws, deployment: Deployment, word: str, days: dict[str, str]) -> dict[str, Any]:
    """Have the archiver do something and return its answer.

    Raises:
        CliError: It failed.
    """
    return invocation.invoked(
        aws,
        deployment,
        "ArchiverFunction",
        {word: days},
        called="archiver",
        hint="mend that, then run the command again; what was not archived still waits",
    )


def comparison_lines(found: dict[str, Any]) -> Iterator[str]:
    r"""Yield a comparison as lines of text, a day each, the sum last.

    >>> print(*comparison_lines({
    ...     "days": {"2026-11-22": {"recorded": 1_003, "archived": 1_002}},
    ...     "missing": 1, "missing_keys": ["receipts/a"], "unknown": 0, "damaged": {},
    ... }), sep="\n")
    Day           recorded    archived
    2026-11-22       1,003       1,002
    1,002 of 1,003 records are archived, once each; 1 is missing
      missing: receipts/a
    """
    counts = found["days"]
    if counts:
        yield f"{'Day':<10}{'recorded':>12}{'archived':>12}"
    for day, count in counts.items():
        yield f"{day:<10}{count['recorded']:>12,}{count['archived']:>12,}"
    recorded = sum(count["recorded"] for count in counts.values())
    archived = sum(count["archived"] for count in counts.values())
    missing = f"; {found['missing']:,} {'is' if found['missing'] == 1 else 'are'} missing"
    yield (
        f"{archived:,} of {recorded:,} records are archived, once each"
        f"{missing if found['missing'] else ''}"
    )
    for key in found["missing_keys"]:
        yield f"  missing: {key}"
    if found["unknown"]:
        yield f"  the archive has {found['unknown']:,} that the table lacks"
    for record, cause in found["damaged"].items():
        yield f"  {record}: {cause}"


def redrive_lines(done: dict[str, Any]) -> Iterator[str]:
    r"""Yield what a redrive came to as lines of text.

    >>> print(*redrive_lines({"batches": 0, "complete": True, "new": 0, "known": 0, "failed": {},
    ...     "before": {"days": {}, "missing": 0, "damaged": {}}}), sep="\n")
    0 failed batches; missing before: 0; archived now: 0
      no record was looked at; name days with --from and --to
    """
    batches = f"{done['batches']:,} failed {'batch' if done['batches'] == 1 else 'batches'}"
    yield f"{batches}; missing before: {done['before']['missing']:,}; archived now: {done['new']:,}"
    if not done["before"]["days"]:
        yield "  no record was looked at; name days with --from and --to"
    if done["known"]:
        yield f"  {done['known']:,} came by themselves meanwhile"
    for record, cause in (done["failed"] | done["before"]["damaged"]).items():
        yield f"  {record}: {cause}"
    if not done["complete"]:
        yield "The failed batches wait to be redriven again."
