"""Feature files brought into the online store: by an upload's event, by a sweep, or on demand."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from credit_cli import pipelines
from credit_cli.errors import UsageError
from credit_cli.known_product import known_product
from credit_core.domain.places import PUSHED_FOLDER
from credit_core.use_cases.materialize import is_hidden

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment

MACHINE = "MaterializationStateMachine"
SUMS = ("files", "parts", "read", "written", "stale", "rejected")
ANNOUNCED_SECONDS = 15.0
"""Within this time of an upload its run is seen, or it is not waited for any longer."""


def execution_input(product: str, *, prefix: str | None, sweep: bool) -> dict[str, Any]:
    """Return the state machine's input for what a person asked for.

    Raises:
        UsageError: The product has no such prefix, or both ways were asked for.
        InvalidProductError: There is no such product, or its definition is broken.
    """
    root = known_product(product).features_prefix
    if sweep:
        if prefix is not None:
            raise UsageError("--sweep takes what is new, so it goes without --prefix")
        return {"sweep": True}
    if prefix is not None and not prefix.startswith(root):
        raise UsageError(f"--prefix {prefix}: keys of {product}'s features begin with {root}")
    return {"prefix": prefix or root}


def run(
    aws: Aws,
    deployment: Deployment,
    asked: Mapping[str, Any],
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Run the materialization; return its sums, and those of each view.

    Raises:
        PipelineError: It failed; the message says why.
    """
    return finished(aws, pipelines.start(aws, deployment[MACHINE], asked), progress)


def finished(
    aws: Aws, execution: str, progress: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Wait for a run to end and return its sums.

    Raises:
        PipelineError: It failed; the message says why.
    """
    run_id = execution.rpartition(":")[2]
    hint = f"each file and its cause: runs/{run_id}/summary.json in the results bucket"
    return pipelines.wait_for(aws, execution, progress, hint=hint)


# --- Runs that uploads started --------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """A run of the materialization over the files under a prefix."""

    execution: str
    status: str
    started: datetime
    prefix: str

    def covers(self, key: str, last_modified: datetime) -> bool:
        """Whether the run took the file as it is now."""
        return key.startswith(self.prefix) and self.started >= last_modified


def settled(
    aws: Aws,
    deployment: Deployment,
    product: str,
    progress: Callable[[str], None],
    *,
    uploaded: bool,
) -> dict[str, Any]:
    """Return the sums of the runs that brought in all files as they are now.

    An upload starts a run by itself; runs under way are waited for. If the latest run of any file
    failed, or there is none, all files are materialized now.

    Args:
        aws: Where it is deployed.
        deployment: What is deployed there.
        product: Whose features they are.
        progress: Told what is being done.
        uploaded: Whether files have just been uploaded, so that runs of them are about to start.

    Raises:
        PipelineError: The materialization failed.
    """
    files = feature_files(aws, deployment["LakeBucket"], product)
    give_up = time.monotonic() + (ANNOUNCED_SECONDS if uploaded else 0)
    latest = latest_runs(aws, deployment[MACHINE], files)
    while len(latest) < len(files) and time.monotonic() < give_up:
        progress(f"runs of {len(latest)} of {len(files)} files have started")
        time.sleep(pipelines.POLL_SECONDS)
        latest = latest_runs(aws, deployment[MACHINE], files)
    runs = {found.execution: found for found in latest.values()}
    sound = all(found.status in {"RUNNING", "SUCCEEDED"} for found in runs.values())
    if not files or len(latest) < len(files) or not sound:
        prefix = known_product(product).features_prefix
        return run(aws, deployment, {"prefix": prefix}, progress) | {"done_before": False}
    counts = added([finished(aws, execution, progress) for execution in runs])
    return counts | {"done_before": not uploaded}


def feature_files(aws: Aws, bucket: str, product: str) -> dict[str, datetime]:
    """Return the feature files that uploads announce, each with the time of its upload."""
    s3: S3Client = aws.client("s3")
    return {
        entry["Key"]: entry["LastModified"]
        for page in s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, Prefix=known_product(product).features_prefix
        )
        for entry in page.get("Contents", [])
        if not is_hidden(entry["Key"]) and f"/{PUSHED_FOLDER}/" not in entry["Key"]
    }


def latest_runs(aws: Aws, state_machine: str, files: Mapping[str, datetime]) -> dict[str, Run]:
    """Return the latest run that took each file as it is now, where there is one."""
    stepfunctions: SFNClient = aws.client("stepfunctions")
    executions = [
        execution
        for page in stepfunctions.get_paginator("list_executions").paginate(
            stateMachineArn=state_machine
        )
        for execution in page["executions"]
    ]
    found: dict[str, Run] = {}
    for execution in sorted(executions, key=lambda found: found["startDate"], reverse=True):
        if len(found) == len(files) or execution["startDate"] < min(files.values()):
            break
        described = stepfunctions.describe_execution(executionArn=execution["executionArn"])
        prefix = json.loads(described.get("input", "{}")).get("prefix")
        if not isinstance(prefix, str):
            continue  # a sweep doesn't say what it took
        candidate = Run(
            execution["executionArn"], described["status"], execution["startDate"], prefix
        )
        for key, last_modified in files.items():
            if candidate.covers(key, last_modified):
                found.setdefault(key, candidate)
    return found


# --- In words -------------------------------------------------------------------------------


def added(outputs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the sums of several runs' sums.

    >>> one = dict.fromkeys(SUMS, 1) | {"views": {"bureau": {"read": 1}}}
    >>> added([one, one])["read"], added([one, one])["views"]
    (2, {'bureau': {'read': 2}})
    """
    views: dict[str, dict[str, int]] = {}
    for output in outputs:
        for view, counts in output["views"].items():
            sums = views.setdefault(view, {})
            for name, count in counts.items():
                sums[name] = sums.get(name, 0) + count
    return {name: sum(output[name] for output in outputs) for name in SUMS} | {"views": views}


def counts_line(counts: Mapping[str, Any]) -> str:
    """Return the sums of a run as an equation.

    >>> counts_line({"files": 6, "read": 1000, "written": 990, "stale": 10, "rejected": 0})
    '6 files: 1,000 rows read = 990 written + 10 stale + 0 rejected'
    """
    files = f"{counts['files']:,} file{'' if counts['files'] == 1 else 's'}"
    return f"{files}: {equation(counts)}"


def equation(counts: Mapping[str, int]) -> str:
    """Return counts as an equation."""
    return (
        f"{counts['read']:,} row{'' if counts['read'] == 1 else 's'} read"
        f" = {counts['written']:,} written"
        f" + {counts['stale']:,} stale + {counts['rejected']:,} rejected"
    )


def view_lines(counts: Mapping[str, Any]) -> list[str]:
    """Return a line for each view of a run."""
    views = counts["views"]
    width = max(map(len, views), default=0)
    return [f"  {view:<{width}}  {equation(sums)}" for view, sums in views.items()]
