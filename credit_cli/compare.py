"""`credit models compare`: champion and challenger on the applicants whom both have judged."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from credit_cli.days import FirstDay, LastDay, named_days
from credit_cli.deployment import deployed
from credit_cli.invocation import invoked
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct, known_product
from credit_cli.receipts import ReceiptsFolder, decisions_in
from credit_cli.terminal import Json, print_json, progress_for, say

if TYPE_CHECKING:
    from pathlib import Path


def compare(
    *,
    first: FirstDay = None,
    last: LastDay = None,
    receipts: ReceiptsFolder = None,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Compare champion and challenger on the same applicants: outcomes, scores, and who was right.

    Of the decisions of these days, by default of the last ones. With --receipts nothing has to run.

    Before a challenger is promoted, or given a larger share.

    Examples:
        credit models compare
        credit models compare --from 2026-11-01 --to 2026-11-07

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    from credit_core.use_cases.compare_models import comparison_lines  # noqa: PLC0415 (NumPy takes its time)

    days = named_days(first, last)
    with progress_for(as_json=as_json).step("Comparison") as step:
        if receipts is None:
            aws, deployment = deployed(product)
            found = invoked(aws, deployment, "ComparerFunction", days, called="comparer")
        else:
            found = compared_here(receipts, product, days)
        step.result = f"{found['read']:,} decisions"
    if as_json:
        print_json(found)
        return
    for line in comparison_lines(found):
        say(line)


def compared_here(receipts: Path, product: str, days: dict[str, str]) -> dict[str, Any]:
    """Compare by a copy of the archive.

    Raises:
        UsageError: The path can't be read, or is no archive.
    """
    from credit_core.use_cases.compare_models import compare_models  # noqa: PLC0415 (as above)

    decisions = decisions_in(receipts, product, days)
    return compare_models(known_product(product), decisions, as_of=datetime.now(UTC))
