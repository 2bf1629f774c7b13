"""`credit monitor`: what a day's decisions were like, beside training and the days before."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path  # noqa: TC003 (Typer reads it)
from typing import TYPE_CHECKING, Annotated

import typer

from credit_cli import pipelines
from credit_cli.deployment import deployed
from credit_cli.errors import ExitCode, UsageError
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct
from credit_cli.output_file import require_writable
from credit_cli.terminal import Json, print_json, progress_for, say, to_day

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MACHINE = "MonitoringStateMachine"


def monitor(
    *,
    day: Annotated[
        date | None,
        typer.Option(
            parser=to_day,
            metavar="YYYY-MM-DD",
            help="The day, UTC; of today what the archive has so far.",
            show_default="yesterday",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write the page to this file, too.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace that file.")] = False,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Look at a day's decisions: outcomes, reasons, drift, latency; fails beyond limits.

    A run starts by itself each night; this does it now, and prints the figures. The page with all
    of them lies in the results bucket.

    Examples:
        credit monitor
        credit monitor --day 2026-11-22 --out sunday.html

    Exit codes: 0 within the limits, 1 beyond one or it failed, 2 used wrongly, 4 not running or
    unreachable.
    """
    from credit_core.use_cases.monitor import (  # noqa: PLC0415 (NumPy takes its time)
        decided,
        monitoring_lines,
    )

    today = datetime.now(UTC).date()
    day = day or today - timedelta(days=1)
    if day > today:
        raise UsageError(f"--day {day} has not begun; today is {today} (UTC)")
    if out is not None:
        require_writable(out, (".html",), force=force)
    aws, deployment = deployed(product, change=f"monitor the decisions of {day}")
    asked = {"day": str(day), "trigger": "credit monitor"}
    with progress_for(as_json=as_json).step("Monitoring") as step:
        found = pipelines.run(aws, deployment[MACHINE], asked, step.update)
        step.result = decided(found["figures"])
    if out is not None:
        s3: S3Client = aws.client("s3")
        bucket, _, key = found["report"].removeprefix("s3://").partition("/")
        out.write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    if as_json:
        print_json(found)
    else:
        for line in monitoring_lines(found):
            say(line)
        say(f"page: {out or found['report']}")
    if found["figures"]["findings"]:
        raise typer.Exit(ExitCode.FAILED)
