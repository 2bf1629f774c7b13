"""A retraining started from here and watched, step by step."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from credit_cli import pipelines
from credit_cli.errors import PipelineError, UsageError
from credit_core.domain.model_manifest import Gate
from credit_core.domain.places import FITTED, progress_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_stepfunctions import SFNClient

    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment
    from credit_cli.progress import Step

    type Steps = Callable[[str], AbstractContextManager[Step]]

MACHINE, ROLLOUT_MACHINE = "RetrainingStateMachine", "RolloutStateMachine"
LIMIT_SECONDS = 2 * 3_600.0
"""As long as the local cloud's state machine has itself; in an account nothing is given up."""

TITLES = {
    "TrainingSet": "Training set",
    "ServedTrainingSet": "Training set",
    "CheckData": "Data checks",
    "Candidates": "Candidates",
    "Judge": "Gates",
    "Register": "Registration",
    "Rollout": "Rollout",
}
"""The states that a person is shown; the others take no time."""


@dataclass(frozen=True)
class Visit:
    """A state that an execution entered; ``output`` is None until it has left it."""

    name: str
    output: Any = None


@dataclass(frozen=True)
class Retrained:
    """What came of a run, by its name: how it ended, and what its states answered by theirs."""

    execution: str
    status: str
    error: str
    cause: str
    answers: Mapping[str, Any] = field(repr=False)

    @property
    def succeeded(self) -> bool:
        """Whether the model that was trained is rolled out."""
        return self.status == "SUCCEEDED"

    @property
    def verdict(self) -> Mapping[str, Any]:
        """What the trainer said of the model; of the loans, where it came to no model."""
        found: Mapping[str, Any] = self.answers.get("Judge") or self.answers.get("CheckData") or {}
        return found

    @property
    def failed_gates(self) -> list[Gate]:
        """The gates that did not pass."""
        return [Gate(passed=False, **gate) for gate in self.verdict.get("failed_gates", [])]

    @property
    def rollout(self) -> Mapping[str, Any]:
        """What the rollout did."""
        return dict(self.answers.get("Rollout", {}).get("rollout", {}))

    @property
    def failure(self) -> str:
        """Why there is no new champion, in a line."""
        names = ", ".join(gate.name for gate in self.failed_gates)
        if names and "version" in self.verdict:
            return f"model {self.verdict['version']} stays out: it failed {names}"
        if names:
            return f"no model was trained: the loans failed {names}"
        return pipelines.why_it_ended(self.status, self.error, self.cause)

    def as_document(self) -> dict[str, Any]:
        """Return the JSON object that `credit retrain --json` prints.

        Of the gates that passed it has the names; their evidence is in the manifest.
        """
        verdict = dict(self.verdict)
        passed = [{"name": name, "passed": True} for name in verdict.pop("passed_gates", [])]
        gates = [*passed, *(gate.model_dump(mode="json") for gate in self.failed_gates)]
        return {
            "execution": self.execution,
            "status": self.status.lower(),
            **({"error": self.error, "cause": self.cause} if self.error else {}),
            **verdict,
            "failed_gates": [gate.name for gate in self.failed_gates],
            "gates": gates,
            "candidates": self.answers.get("Candidates", []),
            "rollout": self.rollout,
        }


def start(aws: Aws, deployment: Deployment, *, trigger: str, served: bool = False) -> str:
    """Start a retraining and return the execution's ARN.

    Args:
        aws: Where it is deployed.
        deployment: What is deployed there.
        trigger: What asked for it; the model's manifest keeps that.
        served: Train on what was served, in place of what the lake has.
    """
    asked = {"trigger": trigger} | ({"training_set": "served"} if served else {})
    return pipelines.start(aws, deployment[MACHINE], asked)


def require_begun(watch: Watch) -> None:
    """Wait until a run is at its first step.

    Raises:
        PipelineError: Another run is under way.
    """
    while watch.running and watch.step(0) is None:
        watch.wait()
    watch.require_alone()


def follow(watch: Watch, *, steps: Steps) -> Retrained:
    """Watch a run to its end and return what came of it, whether or not its gates passed.

    Args:
        watch: Of the run.
        steps: Shows a step while it is under way.

    Raises:
        PipelineError: Another run is under way, a step failed, or it is not done in two hours.
    """
    number = 0
    while True:
        while watch.running and watch.step(number) is None:
            watch.wait()
        visit = watch.step(number)
        if visit is None:
            break
        with steps(TITLES[visit.name]) as step:
            step.result = said(visit.name, watch.answer(number, step.update))
        number += 1
    watch.require_alone()
    return watch.retrained()


class Watch:
    """Looks at an execution now and then.

    Args:
        aws: Where it is deployed.
        deployment: What is deployed there.
        execution: The execution's ARN.
        product: Whose model is trained.

    Raises:
        UsageError: There is no such execution.
    """

    def __init__(self, aws: Aws, deployment: Deployment, execution: str, *, product: str) -> None:
        self.name = pipelines.execution_name(execution)
        self._execution = execution
        self._deployment = deployment
        self._product = product
        self._stepfunctions: SFNClient = aws.client("stepfunctions")
        self._s3: S3Client = aws.client("s3")
        self._give_up = time.monotonic() + pipelines.limited(LIMIT_SECONDS)
        try:
            self._look()
        except self._stepfunctions.exceptions.ExecutionDoesNotExist:
            raise UsageError(f"there is no retraining {self.name}") from None

    @property
    def running(self) -> bool:
        """Whether the run was under way when it was looked at last."""
        return self._status == "RUNNING"

    def wait(self) -> None:
        """Wait a moment and look again.

        Raises:
            PipelineError: It is not done in two hours.
        """
        if time.monotonic() > self._give_up:
            raise PipelineError(f"the retraining {self.name} is not done in two hours")
        pipelines.pause()
        self._look()

    def step(self, number: int) -> Visit | None:
        """Return the state of that number among those that are shown, None before it is entered."""
        shown = [visit for visit in self._visits if visit.name in TITLES]
        return shown[number] if number < len(shown) else None

    def answer(self, number: int, progress: Callable[[str], None]) -> Any:
        """Wait until a state is left and return its output.

        Raises:
            PipelineError: The run ended in it.
        """
        while (visit := self.step(number)) is None or visit.output is None:
            if not self.running:
                raise PipelineError(pipelines.why_it_ended(self._status, self._error, self._cause))
            if visit is not None and (detail := self._detail(visit.name)):
                progress(detail)
            self.wait()
        return visit.output

    def require_alone(self) -> None:
        """Check that this run was not turned away.

        Raises:
            PipelineError: Another run is under way.
        """
        if other := self._output.get("already_running"):
            since = datetime.fromisoformat(other["since"]).astimezone(UTC)
            raise PipelineError(
                f"a retraining of {self._product} is running already: {other['name']}, since "
                f"{since:%Y-%m-%d %H:%M:%S} UTC",
                hint=f"watch it with: credit retrain --follow {other['name']}",
            )

    def retrained(self) -> Retrained:
        """Return what came of the run."""
        answers = {visit.name: visit.output for visit in self._visits if visit.output is not None}
        return Retrained(self.name, self._status, self._error, self._cause, answers)

    def _look(self) -> None:
        found = self._stepfunctions.describe_execution(executionArn=self._execution)
        self._status = found["status"]
        self._error, self._cause = found.get("error", ""), found.get("cause", "")
        self._output = json.loads(found.get("output") or "{}") if not self.running else {}
        # After the status, so that a run that has ended is seen whole.
        self._visits = self._history()

    def _history(self) -> list[Visit]:
        visits: list[Visit] = []
        pages = self._stepfunctions.get_paginator("get_execution_history")
        for page in pages.paginate(executionArn=self._execution):
            for event in page["events"]:
                entered = event.get("stateEnteredEventDetails")
                left = event.get("stateExitedEventDetails")
                if entered:
                    visits.append(Visit(entered["name"]))
                elif left:
                    where = max(at for at, visit in enumerate(visits) if visit.name == left["name"])
                    visits[where] = Visit(left["name"], json.loads(left.get("output") or "{}"))
        return visits

    def _detail(self, state: str) -> str:
        if state == "Candidates":
            return self._progress()
        if state == "Rollout":
            return self._rollout_state()
        return ""

    def _progress(self) -> str:
        """Return how many candidates are fitted, and how far the others have got."""
        bucket = self._deployment["ResultsBucket"]
        prefix = progress_key(self.name, "")
        listed = self._s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        told = {
            item["Key"].removeprefix(prefix): self._s3.get_object(Bucket=bucket, Key=item["Key"])[
                "Body"
            ]
            .read()
            .decode()
            for item in listed
        }
        under_way = [f"{name} {words}" for name, words in sorted(told.items()) if words != FITTED]
        return ", ".join([f"{len(told) - len(under_way)} fitted", *under_way])

    def _rollout_state(self) -> str:
        under_way = self._stepfunctions.list_executions(
            stateMachineArn=self._deployment[ROLLOUT_MACHINE], statusFilter="RUNNING"
        )["executions"]
        return ", ".join(
            pipelines.state_under_way(self._stepfunctions, found["executionArn"])
            for found in under_way
        )


def said(state: str, answer: Any) -> str:
    """Say in a line what a step came to."""
    match state:
        case "CheckData":
            gates = gates_line(answer)
            return (
                f"{answer['loans_fitted']:,} loans to learn from, {answer['loans_tested']:,} to "
                f"test with, {answer['defaults']:,} defaults; {gates}"
            )
        case "Candidates":
            return ", ".join(f"{found['candidate']} {found['seconds']:.0f} s" for found in answer)
        case "Judge":
            return f"{answer['algorithm']} chosen; {gates_line(answer)}"
        case "Register":
            return str(answer["version"])
        case "Rollout":
            rollout = answer["rollout"]
            champion, before = rollout.get("champion"), rollout.get("previous_champion")
            return f"champion {champion}{f', before it {before}' if before else ''}"
    return ""


def gates_line(answer: Mapping[str, Any]) -> str:
    """Say how many gates passed.

    >>> gates_line({"passed_gates": ["a", "b"], "failed_gates": []})
    'all 2 gates passed'
    >>> gates_line({"passed_gates": ["a"], "failed_gates": [{"name": "b"}]})
    '1 of 2 gates failed'
    """
    failed, passed = len(answer["failed_gates"]), len(answer["passed_gates"])
    return f"{failed} of {failed + passed} gates failed" if failed else f"all {passed} gates passed"


def arn_of(deployment: Deployment, name: str) -> str:
    """Return the ARN of the retraining of that name."""
    machine = deployment[MACHINE]
    return f"{machine.replace(':stateMachine:', ':execution:')}:{name}"
