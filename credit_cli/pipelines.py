"""State machines run from here: started, waited for, and read."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any

from credit_cli.errors import PipelineError
from credit_cli.target import target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_stepfunctions import SFNClient

    from credit_cli.aws import Aws

POLL_SECONDS = 0.5
ACCOUNT_POLL_SECONDS = 5.0
"""Of an account, which answers every caller only so often."""

LIMIT_SECONDS = 15 * 60.0
"""On two slow cores the longest takes about two minutes. In an account nothing is given up: there a
state machine has a limit of its own, and Ctrl-C ends no more than the waiting."""


def run(
    aws: Aws,
    state_machine: str,
    execution_input: Mapping[str, Any],
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Run a state machine to its end and return its output.

    Raises:
        PipelineError: It failed, or the local cloud is not done within 15 minutes.
    """
    return wait_for(aws, start(aws, state_machine, execution_input), progress)


def start(aws: Aws, state_machine: str, execution_input: Mapping[str, Any]) -> str:
    """Start a state machine and return the execution's ARN."""
    stepfunctions: SFNClient = aws.client("stepfunctions")
    return stepfunctions.start_execution(
        stateMachineArn=state_machine, input=json.dumps(execution_input)
    )["executionArn"]


def wait_for(
    aws: Aws,
    execution: str,
    progress: Callable[[str], None] = lambda _: None,
    *,
    hint: str | None = None,
) -> dict[str, Any]:
    """Wait for the end of an execution and return its output.

    Args:
        aws: Where it runs.
        execution: The execution's ARN.
        progress: Told now and then what it is doing.
        hint: What a person may look at when it fails.

    Raises:
        PipelineError: It failed, or the local cloud is not done within 15 minutes.
    """
    stepfunctions: SFNClient = aws.client("stepfunctions")
    name = machine_name(execution)
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < limited(LIMIT_SECONDS):
        found = stepfunctions.describe_execution(executionArn=execution)
        if found["status"] == "SUCCEEDED":
            output = json.loads(found.get("output", "{}"))
            return output if isinstance(output, dict) else {"output": output}
        if found["status"] != "RUNNING":
            words = [found["status"].lower(), found.get("error", ""), said(found.get("cause", ""))]
            raise PipelineError(f"{name}: {in_a_line(' '.join(filter(None, words)))}", hint=hint)
        progress(f"{state_under_way(stepfunctions, execution)}, {elapsed:.0f} s")
        pause()
    raise PipelineError(f"{name} is not done after {LIMIT_SECONDS / 60:.0f} minutes", hint=hint)


def limited(seconds: float) -> float:
    """Return how long to wait for the end of something that the local cloud does within a time."""
    return seconds if target().is_local else math.inf


def pause() -> None:
    """Wait before another look."""
    time.sleep(POLL_SECONDS if target().is_local else ACCOUNT_POLL_SECONDS)


def state_under_way(stepfunctions: SFNClient, execution: str) -> str:
    """Return the state that an execution entered last, and how far a Distributed Map has got."""
    events = stepfunctions.get_execution_history(
        executionArn=execution, reverseOrder=True, maxResults=20
    )["events"]
    for event in events:
        entered = event.get("stateEnteredEventDetails")
        if entered and event["type"] == "MapStateEntered":
            return f"{entered['name']}{items_done(stepfunctions, execution)}"
        if entered:
            return entered["name"]
    return "starting"


def items_done(stepfunctions: SFNClient, execution: str) -> str:
    """Return how many items of an execution's Distributed Map are done, as words to append."""
    runs = stepfunctions.list_map_runs(executionArn=execution)["mapRuns"]
    if not runs:
        return ""
    latest = max(runs, key=lambda run: run["startDate"])
    counts = stepfunctions.describe_map_run(mapRunArn=latest["mapRunArn"])["itemCounts"]
    done = counts["succeeded"] + counts["failed"] + counts["timedOut"] + counts["aborted"]
    return f", {done:,} of {counts['total']:,} done"


def machine_name(execution: str) -> str:
    """Return the name of the state machine that an execution is of.

    >>> machine_name("arn:aws:states:us-east-1:000000000000:execution:retraining:4f1d")
    'retraining'
    """
    return execution.split(":")[6]


def execution_name(execution: str) -> str:
    """Return the name of an execution, the last part of its ARN.

    >>> execution_name("arn:aws:states:us-east-1:000000000000:execution:retraining:4f1d")
    '4f1d'
    """
    return execution.rpartition(":")[2]


def said(cause: str) -> str:
    """Return the sentence in a cause; that of a function, or of another run, is wrapped in JSON.

    >>> said('{"errorMessage": "a batch failed", "errorType": "StoreUnavailableError"}')
    'a batch failed'
    >>> said('{"ExecutionArn": "…", "Error": "RolledBack", "Cause": "ScorerErrors is in alarm"}')
    'ScorerErrors is in alarm'
    >>> said("gates failed")
    'gates failed'
    """
    try:
        document = json.loads(cause)
    except ValueError:
        return cause
    if not isinstance(document, dict):
        return cause
    sentence = document.get("errorMessage") or document.get("Cause")
    return sentence if isinstance(sentence, str) else cause


def why_it_ended(status: str, error: str, cause: str) -> str:
    """Return in a line why an execution did not succeed; one that was stopped may give no cause.

    >>> why_it_ended("ABORTED", "", "")
    'it was stopped'
    >>> why_it_ended("ABORTED", "", "by on-call")
    'it was stopped: by on-call'
    >>> why_it_ended("FAILED", "GatesFailed", "gates failed")
    'gates failed'
    """
    why = said(cause or error)
    ended = {"ABORTED": "it was stopped", "TIMED_OUT": "it took too long"}.get(status)
    return in_a_line(": ".join(filter(None, (ended, why))))


def in_a_line(text: str) -> str:
    """Return text without line breaks, cut where nobody reads on."""
    return " ".join(text.split())[:400]
