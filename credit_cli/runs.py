"""`credit runs`: runs of the workflows, how they ended, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credit_cli.completion import workflow_names
from credit_cli.default_command import ListsByDefault
from credit_cli.deployment import deployed
from credit_cli.durations import span_text
from credit_cli.errors import UsageError
from credit_cli.inventory import Inventory, chosen
from credit_cli.known_product import DEFAULT_PRODUCT, DeployedProduct
from credit_cli.pipelines import in_a_line, said, why_it_ended
from credit_cli.terminal import Json, print_json, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import HistoryEventTypeDef


FAILED = ("FAILED", "TIMED_OUT", "ABORTED")
LOOKED_AT = 1_000
"""Runs of a workflow that are searched for one name."""

runs = typer.Typer(
    cls=ListsByDefault,
    help="""Runs of the workflows.

    Without another word the last ones are listed: of materialization, retraining, rollout and
    monitoring.

    Examples:
        credit runs
        credit runs retraining --failed
        credit runs show RUN
    """,
)


@dataclass(frozen=True)
class Run:
    """One execution of a state machine."""

    workflow: str
    name: str
    arn: str
    status: str
    started: datetime
    ended: datetime | None
    cause: str = ""

    @property
    def seconds(self) -> float:
        """How long it took, or takes so far."""
        return ((self.ended or datetime.now(UTC)) - self.started).total_seconds()

    def as_document(self) -> dict[str, Any]:
        """Return the JSON object of `credit runs --json`."""
        return {
            "workflow": self.workflow,
            "run": self.name,
            "status": self.status.lower(),
            "started": self.started.astimezone(UTC).isoformat(),
            "seconds": round(self.seconds, 1),
            "cause": self.cause or None,
        }

    def line(self) -> str:
        """Return it as a line of text."""
        started = f"{self.started.astimezone(UTC):%Y-%m-%d %H:%M}"
        what = (
            f"{self.workflow:<17}{self.status.lower():<11}{started}  {span_text(self.seconds):<13}"
        )
        return f"{what}{self.name}{f'  {self.cause}' if self.cause else ''}"


@dataclass
class Visit:
    """A state of a run, until it was left; ``failure`` where something in it failed."""

    state: str
    entered: datetime
    left: datetime | None = None
    failure: str = ""

    def as_document(self, last: datetime) -> dict[str, Any]:
        """Return the JSON object; a state that was not left took until the last that happened."""
        seconds = round(((self.left or last) - self.entered).total_seconds(), 1)
        return {"state": self.state, "seconds": seconds, "failure": self.failure or None}


@runs.command("list")
def list_runs(
    workflow: Annotated[
        str | None,
        typer.Argument(
            help="By default every workflow.", show_default=False, autocompletion=workflow_names
        ),
    ] = None,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that failed.")] = False,
    limit: Annotated[int, typer.Option(help="Most runs of a workflow.", min=1, max=100)] = 5,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """List the last runs of the workflows: how each ended, when, how long it took, and why.

    `credit runs` does the same.

    Examples:
        credit runs
        credit runs retraining --failed

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    aws, deployment = deployed(product)
    workflows = Inventory(aws, deployment).workflows
    if workflow is not None:
        arn = chosen(workflow, workflows, "workflow")
        workflows = {name: one for name, one in workflows.items() if one == arn}
    stepfunctions: SFNClient = aws.client("stepfunctions")
    found = [
        with_cause(stepfunctions, run)
        for name, arn in workflows.items()
        for run in islice(latest(stepfunctions, name, arn, failed=failed), limit)
    ]
    if as_json:
        print_json({"runs": [run.as_document() for run in found]})
        return
    for run in found:
        say(run.line())
    if not found:
        say("No run has failed." if failed else "Nothing has run.")


@runs.command()
def show(
    run: Annotated[str, typer.Argument(help="Its name, as the list has it, or its beginning.")],
    *,
    product: DeployedProduct = DEFAULT_PRODUCT,
    as_json: Json = False,
) -> None:
    """Show a run: its states in order, where it failed and why.

    Examples:
        credit runs show RUN

    Exit codes: 0 done, 1 failed, 2 used wrongly, 4 not running or unreachable.
    """
    aws, deployment = deployed(product)
    stepfunctions: SFNClient = aws.client("stepfunctions")
    found = find(stepfunctions, Inventory(aws, deployment).workflows, run)
    visits = visited(events_of(stepfunctions, found.arn))
    parts = list(failed_parts(stepfunctions, found.arn))
    if as_json:
        print_json(found.as_document() | {"states": visits, "parts": parts})
        return
    say(found.line())
    for visit in visits:
        line = f"  {visit['state']:<28}{visit['seconds']:>9.1f} s  {visit['failure'] or ''}"
        say(line.rstrip())
    for part in parts:
        say(f"  part {part['part']}: {part['status']}  {part['cause']}")


def latest(
    stepfunctions: SFNClient, workflow: str, arn: str, *, failed: bool = False
) -> Iterator[Run]:
    """Yield the runs of a workflow, the latest first."""
    for page in stepfunctions.get_paginator("list_executions").paginate(stateMachineArn=arn):
        for execution in page["executions"]:
            if failed and execution["status"] not in FAILED:
                continue
            yield Run(
                workflow,
                execution["name"],
                execution["executionArn"],
                execution["status"],
                execution["startDate"],
                execution.get("stopDate"),
            )


def with_cause(stepfunctions: SFNClient, run: Run) -> Run:
    """Return a run with the reason for which it ended, if it failed."""
    if run.status not in FAILED:
        return run
    found = stepfunctions.describe_execution(executionArn=run.arn)
    cause = why_it_ended(run.status, found.get("error", ""), found.get("cause", ""))
    return replace(run, cause=cause)


def find(stepfunctions: SFNClient, workflows: Mapping[str, str], name: str) -> Run:
    """Return the run of that name, or the one whose name begins so.

    Raises:
        UsageError: There is none, or there are several.
    """
    found = [
        run
        for workflow, arn in workflows.items()
        for run in islice(latest(stepfunctions, workflow, arn), LOOKED_AT)
        if run.name.startswith(name)
    ]
    exactly = [run for run in found if run.name == name] or found
    if len(exactly) != 1:
        many = f"{len(exactly)} runs begin with" if exactly else "there is no run"
        raise UsageError(f"{many} {name!r}", hint="see: credit runs --limit 100")
    return with_cause(stepfunctions, exactly[0])


def events_of(stepfunctions: SFNClient, arn: str) -> list[HistoryEventTypeDef]:
    """Return all that happened in a run, in order."""
    pages = stepfunctions.get_paginator("get_execution_history").paginate(executionArn=arn)
    return [event for page in pages for event in page["events"]]


def visited(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the states that a run went through, in order of entry.

    What fails belongs to the state that was entered last and is not left.
    """
    visits: list[Visit] = []
    for event in events:
        entered, exited = (event.get(f"state{word}EventDetails") for word in ("Entered", "Exited"))
        under_way = [visit for visit in visits if visit.left is None]
        if entered:
            visits.append(Visit(entered["name"], event["timestamp"]))
        elif exited:
            for visit in under_way:
                if visit.state == exited["name"]:
                    visit.left = event["timestamp"]
                    break
        elif under_way and (failure := failure_in(event)):
            under_way[-1].failure = failure
    return [visit.as_document(events[-1]["timestamp"]) for visit in visits]


def failure_in(event: Mapping[str, Any]) -> str:
    """Return the cause that an event gives, in a line; none if it is no failure.

    >>> failure_in({"type": "TaskFailed", "taskFailedEventDetails": {"error": "E", "cause": "no"}})
    'E: no'
    >>> failure_in({"type": "TaskScheduled"})
    ''
    """
    for name, details in event.items():
        if name.endswith(("FailedEventDetails", "TimedOutEventDetails")) and details:
            cause = said(details.get("cause", ""))
            return in_a_line(": ".join(filter(None, (details.get("error", ""), cause))))
    return ""


def failed_parts(stepfunctions: SFNClient, arn: str) -> Iterator[dict[str, str]]:
    """Yield the failed items of a run's Distributed Maps, ten of each, with their causes."""
    for page in stepfunctions.get_paginator("list_map_runs").paginate(executionArn=arn):
        for map_run in page["mapRuns"]:
            for status in FAILED:
                children = stepfunctions.list_executions(
                    mapRunArn=map_run["mapRunArn"],
                    statusFilter=status,  # type: ignore[arg-type]
                    maxResults=10,
                )["executions"]
                for child in children:
                    found = stepfunctions.describe_execution(executionArn=child["executionArn"])
                    cause = why_it_ended(status, found.get("error", ""), found.get("cause", ""))
                    yield {"part": child["name"], "status": status.lower(), "cause": cause}
