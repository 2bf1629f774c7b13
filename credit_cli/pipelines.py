"""State machines run from here: started, waited for, and read."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from credit_cli.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_stepfunctions import SFNClient

    from credit_cli.aws import LocalAws

POLL_SECONDS = 0.5
LIMIT_SECONDS = 15 * 60.0
"""On two slow cores the longest takes about two minutes."""


def run(
    aws: LocalAws,
    state_machine: str,
    execution_input: Mapping[str, Any],
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Run a state machine to its end and return its output.

    Raises:
        PipelineError: It failed, or is not done within 15 minutes.
    """
    stepfunctions: SFNClient = aws.client("stepfunctions")
    execution = stepfunctions.start_execution(
        stateMachineArn=state_machine, input=json.dumps(execution_input)
    )["executionArn"]
    name = state_machine.rpartition(":")[2]
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < LIMIT_SECONDS:
        found = stepfunctions.describe_execution(executionArn=execution)
        if found["status"] == "SUCCEEDED":
            output = json.loads(found.get("output", "{}"))
            return output if isinstance(output, dict) else {"output": output}
        if found["status"] != "RUNNING":
            words = [found["status"].lower(), found.get("error", ""), found.get("cause", "")]
            raise PipelineError(f"{name}: {in_a_line(' '.join(filter(None, words)))}")
        progress(f"{state_under_way(stepfunctions, execution)}, {elapsed:.0f} s")
        time.sleep(POLL_SECONDS)
    raise PipelineError(f"{name} is not done after {LIMIT_SECONDS / 60:.0f} minutes")


def output_of_latest(aws: LocalAws, state_machine: str) -> dict[str, Any] | None:
    """Return the output of the latest execution if that succeeded, else None: try it again."""
    stepfunctions: SFNClient = aws.client("stepfunctions")
    executions = stepfunctions.list_executions(stateMachineArn=state_machine)["executions"]
    if not executions:
        return None
    latest = max(executions, key=lambda execution: execution["startDate"])
    if latest["status"] != "SUCCEEDED":
        return None
    found = stepfunctions.describe_execution(executionArn=latest["executionArn"])
    output = json.loads(found.get("output", "{}"))
    return output if isinstance(output, dict) else None


def state_under_way(stepfunctions: SFNClient, execution: str) -> str:
    """Return the name of the state that an execution entered last."""
    events = stepfunctions.get_execution_history(
        executionArn=execution, reverseOrder=True, maxResults=20
    )["events"]
    for event in events:
        entered = event.get("stateEnteredEventDetails")
        if entered:
            return entered["name"]
    return "starting"


def in_a_line(text: str) -> str:
    """Return text without line breaks, cut where nobody reads on."""
    return " ".join(text.split())[:400]
