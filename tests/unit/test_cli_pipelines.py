"""Waiting for a state machine, with Step Functions played by a script of statuses."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli import pipelines
from credit_cli.aws import LocalAws
from credit_cli.errors import PipelineError

if TYPE_CHECKING:
    from collections.abc import Iterator

MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:credit-local-retraining"


@dataclass
class StepFunctions:
    """Answers each look at the execution with the next of its answers."""

    answers: list[dict[str, Any]]
    looks: Iterator[dict[str, Any]] = field(init=False)
    inputs: list[str] = field(default_factory=list)
    entered: tuple[str, str] = ("Task", "Train")
    items: list[dict[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.looks = iter(self.answers)

    def start_execution(self, *, stateMachineArn: str, input: str) -> dict[str, str]:  # noqa: A002, N803 (AWS's names)
        self.inputs.append(input)
        name = stateMachineArn.rpartition(":")[2]
        return {"executionArn": f"arn:aws:states:us-east-1:000000000000:execution:{name}:1"}

    def describe_execution(self, **_: str) -> dict[str, Any]:
        return next(self.looks)

    def get_execution_history(self, **_: object) -> dict[str, Any]:
        entered = {"type": f"{self.entered[0]}StateEntered"}
        return {"events": [{}, entered | {"stateEnteredEventDetails": {"name": self.entered[1]}}]}

    def list_map_runs(self, **_: str) -> dict[str, Any]:
        return {
            "mapRuns": [
                {"mapRunArn": number, "startDate": datetime(2026, 11, 20 + number, tzinfo=UTC)}
                for number in range(len(self.items))
            ]
        }

    def describe_map_run(self, *, mapRunArn: int) -> dict[str, Any]:  # noqa: N803 (AWS's name)
        none = dict.fromkeys(("succeeded", "failed", "timedOut", "aborted"), 0)
        return {"itemCounts": none | self.items[mapRunArn]}


@dataclass(frozen=True)
class Aws(LocalAws):
    """The local cloud, with that Step Functions."""

    stepfunctions: StepFunctions

    def client(self, service: str) -> StepFunctions:
        assert service == "stepfunctions"
        return self.stepfunctions


def aws_that_answers(*answers: dict[str, Any]) -> Aws:
    return Aws("http://127.0.0.1:4566", StepFunctions(list(answers)))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines, "POLL_SECONDS", 0.0)


def test_the_output_is_returned_once_it_is_there() -> None:
    aws = aws_that_answers(
        {"status": "RUNNING"}, {"status": "SUCCEEDED", "output": '{"version": "v1"}'}
    )
    told: list[str] = []

    output = pipelines.run(aws, MACHINE, {"prefix": "p/"}, told.append)

    assert output == {"version": "v1"}
    assert aws.stepfunctions.inputs == ['{"prefix": "p/"}']
    assert told == ["Train, 0 s"]


def test_a_failure_is_quoted_in_a_line() -> None:
    aws = aws_that_answers(
        {"status": "FAILED", "error": "GatesFailed", "cause": "gates failed:\n  calibration"}
    )

    with pytest.raises(PipelineError) as error:
        pipelines.run(aws, MACHINE, {})

    assert error.value.message == (
        "credit-local-retraining: failed GatesFailed gates failed: calibration"
    )


def test_a_failed_functions_own_sentence_is_quoted_without_its_wrapping() -> None:
    cause = '{"errorMessage": "a batch failed", "errorType": "StoreUnavailableError"}'
    aws = aws_that_answers({"status": "FAILED", "error": "StoreUnavailableError", "cause": cause})

    with pytest.raises(PipelineError) as error:
        pipelines.run(aws, MACHINE, {})

    assert error.value.message == (
        "credit-local-retraining: failed StoreUnavailableError a batch failed"
    )


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ([], "MaterializeParts, 0 s"),
        (
            [{"total": 9, "succeeded": 9}, {"total": 1_200, "succeeded": 1_000, "failed": 20}],
            "MaterializeParts, 1,020 of 1,200 done, 0 s",
        ),
    ],
)
def test_a_map_says_how_far_it_has_got(items: list[dict[str, int]], told: str) -> None:
    aws = aws_that_answers({"status": "RUNNING"}, {"status": "SUCCEEDED"})
    aws.stepfunctions.entered = ("Map", "MaterializeParts")
    aws.stepfunctions.items = items
    heard: list[str] = []

    pipelines.run(aws, MACHINE, {}, heard.append)

    assert heard == [told]


def test_a_failure_without_words_still_names_the_machine() -> None:
    with pytest.raises(PipelineError, match="credit-local-retraining: timed_out"):
        pipelines.run(aws_that_answers({"status": "TIMED_OUT"}), MACHINE, {})


def test_waiting_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines, "LIMIT_SECONDS", 0.0)

    with pytest.raises(PipelineError, match="is not done after 0 minutes"):
        pipelines.run(aws_that_answers(), MACHINE, {})
