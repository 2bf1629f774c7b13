"""Watching a retraining, with Step Functions and S3 played by a script."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from credit_cli import main, pipelines, retrain, retraining
from credit_cli.aws import LocalAws
from credit_cli.deployment import Deployment
from credit_cli.errors import ExitCode, PipelineError
from credit_cli.progress import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

EXECUTION = "arn:aws:states:us-east-1:000000000000:execution:credit-local-retraining:run-1"
DEPLOYMENT = Deployment(
    LocalAws("http://127.0.0.1:4566"),
    {
        "RetrainingStateMachine": (
            "arn:aws:states:us-east-1:000000000000:stateMachine:credit-local-retraining"
        ),
        "RolloutStateMachine": (
            "arn:aws:states:us-east-1:000000000000:stateMachine:credit-local-rollout"
        ),
        "ResultsBucket": "results",
    },
)
CHECKED = {
    "loans_fitted": 7_412,
    "loans_tested": 2_471,
    "defaults": 1_480,
    "passed_gates": ["enough_data", "drift"],
    "failed_gates": [],
}
FITTED = [
    {"candidate": "scorecard", "log_loss": 0.41, "seconds": 4.2},
    {"candidate": "pairwise", "log_loss": 0.40, "seconds": 9.8},
]
JUDGED: dict[str, Any] = {
    "version": "v2",
    "algorithm": "scorecard",
    "selection": "chosen as the simplest",
    "auc": {"value": 0.71, "low": 0.69, "high": 0.73},
    "gates_passed": True,
    "passed_gates": ["enough_data", "drift", "parity"],
    "failed_gates": [],
}
FAILED_GATE = {"name": "calibration", "evidence": "ratio 1.50; limit 1.20", "look_at": "the curve"}
ROLLED_OUT = {"champion": "v2", "previous_champion": "v1", "revision": 5}

type Event = dict[str, Any]
type Look = tuple[str, list[Event], dict[str, str]]


def entered(name: str) -> Event:
    return {"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": name}}


def left(name: str, output: object) -> list[Event]:
    """Return what a state that was entered and left has in the history."""
    details = {"name": name, "output": json.dumps(output)}
    return [entered(name), {"type": "TaskStateExited", "stateExitedEventDetails": details}]


LOCKED = left("Lock", {})
TRAINING_SET = left("TrainingSet", {})
CHECK = left("CheckData", CHECKED)
CANDIDATES = left("Candidates", FITTED)
JUDGE, REGISTER = left("Judge", JUDGED), left("Register", JUDGED)
ROLLOUT = left("Rollout", JUDGED | {"rollout": ROLLED_OUT})
WHOLE = [
    *LOCKED,
    *TRAINING_SET,
    *CHECK,
    *CANDIDATES,
    *JUDGE,
    *REGISTER,
    *ROLLOUT,
]


@dataclass
class StepFunctions:
    """Shows the next look at the execution each time that it is described; the last one stays."""

    looks: list[Look]
    rollout_state: str | None = None
    started: list[dict[str, str]] = field(default_factory=list)

    def start_execution(self, **asked: str) -> dict[str, str]:
        self.started.append(asked)
        return {"executionArn": EXECUTION}

    def describe_execution(self, **_: str) -> dict[str, Any]:
        if len(self.looks) > 1:
            self.now = self.looks.pop(0)
        else:
            self.now = self.looks[0]
        return {"status": self.now[0]} | self.now[2]

    def get_paginator(self, operation: str) -> StepFunctions:
        assert operation == "get_execution_history"
        return self

    def paginate(self, **_: str) -> Iterator[dict[str, Any]]:
        for event in self.now[1]:
            yield {"events": [event]}

    def list_executions(self, **asked: str) -> dict[str, Any]:
        assert asked["stateMachineArn"].endswith(":credit-local-rollout")
        running = [{"executionArn": "child"}] if self.rollout_state else []
        return {"executions": running}

    def get_execution_history(self, **_: object) -> dict[str, Any]:
        assert self.rollout_state
        return {"events": [entered(self.rollout_state)]}


SAYS = {"pairwise": b"setting 2 of 4, fold 3 of 5", "scorecard": b"fitted", "additive": b"fitted"}


class Bucket:
    """Candidates say how far they have got."""

    def list_objects_v2(self, **asked: str) -> dict[str, Any]:
        return {"Contents": [{"Key": f"{asked['Prefix']}{name}"} for name in SAYS]}

    def get_object(self, **asked: str) -> dict[str, Any]:
        assert asked["Bucket"] == "results"
        prefix, _, name = asked["Key"].rpartition("/")
        assert prefix == "training-runs/run-1/progress"
        return {"Body": io.BytesIO(SAYS[name])}


@dataclass(frozen=True)
class Aws(LocalAws):
    """The local cloud, with those."""

    stepfunctions: StepFunctions

    def client(self, service: str) -> Any:
        return {"stepfunctions": self.stepfunctions, "s3": Bucket()}[service]


@dataclass
class Shown:
    """The steps that a person was shown, what each came to, and what it said meanwhile."""

    steps: list[Step] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        step = Step(name)
        step.update = self.details.append  # type: ignore[assignment,method-assign]
        yield step
        self.steps.append(step)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelines, "POLL_SECONDS", 0.0)


def watching(*looks: Look, rollout_state: str | None = None) -> retraining.Watch:
    aws = Aws("http://127.0.0.1:4566", StepFunctions(list(looks), rollout_state))
    return retraining.Watch(aws, DEPLOYMENT, EXECUTION, product="personal_loan")


def running(*events: Event) -> Look:
    return ("RUNNING", list(events), {})


def succeeded(*events: Event, **output: object) -> Look:
    return ("SUCCEEDED", list(events), {"output": json.dumps(output)})


def failed(*events: Event, error: str, cause: str) -> Look:
    return ("FAILED", list(events), {"error": error, "cause": cause})


def test_each_step_is_shown_when_it_is_done_with_what_it_came_to() -> None:
    shown = Shown()
    looks = [
        running(),
        running(*LOCKED, entered("TrainingSet")),
        running(*LOCKED, *TRAINING_SET, *CHECK, entered("Candidates")),
        succeeded(*WHOLE),
    ]

    done = retraining.follow(watching(*looks), steps=shown.step)

    assert [(step.name, step.result) for step in shown.steps] == [
        ("Training set", ""),
        (
            "Data checks",
            "7,412 loans to learn from, 2,471 to test with, 1,480 defaults; all 2 gates passed",
        ),
        ("Candidates", "scorecard 4 s, pairwise 10 s"),
        ("Gates", "scorecard chosen; all 3 gates passed"),
        ("Registration", "v2"),
        ("Rollout", "champion v2, before it v1"),
    ]
    assert done.succeeded
    assert done.rollout == ROLLED_OUT
    assert done.as_document() == {
        "execution": "run-1",
        "status": "succeeded",
        **{name: value for name, value in JUDGED.items() if name != "passed_gates"},
        "gates": [{"name": name, "passed": True} for name in JUDGED["passed_gates"]],
        "candidates": FITTED,
        "rollout": ROLLED_OUT,
    }


def test_a_long_step_says_how_far_it_has_got() -> None:
    shown = Shown()
    before = [*LOCKED, *TRAINING_SET, *CHECK]
    watch = watching(
        running(*before, entered("Candidates")),
        running(*before, *CANDIDATES, *JUDGE, *REGISTER, entered("Rollout")),
        succeeded(*WHOLE),
        rollout_state="Shadow",
    )

    retraining.follow(watch, steps=shown.step)

    assert shown.details == ["2 fitted, pairwise setting 2 of 4, fold 3 of 5", "Shadow"]


def test_a_second_run_says_which_one_is_under_way_and_since_when() -> None:
    other = {"name": "run-0", "since": "2026-11-22T12:34:56.000Z"}
    watch = watching(running(entered("Lock")), succeeded(*LOCKED, already_running=other))

    with pytest.raises(PipelineError) as error:
        retraining.follow(watch, steps=Shown().step)

    assert error.value.message == (
        "a retraining of personal_loan is running already: run-0, since 2026-11-22 12:34:56 UTC"
    )
    assert error.value.hint == "watch it with: credit retrain --follow run-0"


def test_a_run_that_nobody_waits_for_has_begun_or_was_turned_away() -> None:
    other = {"name": "run-0", "since": "2026-11-22T12:34:56.000Z"}

    retraining.require_begun(watching(running(), running(*LOCKED, entered("TrainingSet"))))
    with pytest.raises(PipelineError, match="run-0"):
        retraining.require_begun(watching(running(), succeeded(already_running=other)))


def test_a_step_that_failed_is_quoted() -> None:
    shown = Shown()
    cause = '{"errorMessage": "the 40 loans have 0 defaults", "errorType": "TrainingDataError"}'
    watch = watching(
        failed(
            *(*LOCKED, *TRAINING_SET, entered("CheckData")), error="TrainingDataError", cause=cause
        )
    )

    with pytest.raises(PipelineError, match=r"^the 40 loans have 0 defaults$"):
        retraining.follow(watch, steps=shown.step)
    assert [step.name for step in shown.steps] == ["Training set"]


def test_a_failed_gate_says_which_by_how_much_and_what_to_look_at() -> None:
    verdict = JUDGED | {"gates_passed": False, "failed_gates": [FAILED_GATE]}
    events = [*LOCKED, *TRAINING_SET, *CHECK, *CANDIDATES]
    events += [*left("Judge", verdict), *left("Register", verdict)]
    watch = watching(failed(*events, error="GatesFailed", cause="model v2 stays out; ..."))
    shown = Shown()

    done = retraining.follow(watch, steps=shown.step)

    assert not done.succeeded
    assert done.failure == "model v2 stays out: it failed calibration"
    assert retrain.lines(done) == [
        "",
        "AUC 0.710 (0.690 to 0.730)",
        "chosen as the simplest",
        "",
        "  ✗ calibration: ratio 1.50; limit 1.20",
        "    look at: the curve",
    ]
    assert shown.steps[-2].result == "scorecard chosen; 1 of 4 gates failed"
    document = done.as_document()
    assert (document["error"], document["failed_gates"]) == ("GatesFailed", ["calibration"])
    assert document["gates"][-1] == FAILED_GATE | {"passed": False}


def test_loans_that_failed_a_check_are_named_without_a_model() -> None:
    checked = CHECKED | {"failed_gates": [FAILED_GATE | {"name": "drift", "look_at": ""}]}
    events = [*LOCKED, *TRAINING_SET, *left("CheckData", checked)]
    watch = watching(failed(*events, error="DataRefused", cause="no model was trained; drift"))

    done = retraining.follow(watch, steps=Shown().step)

    assert done.failure == "no model was trained: the loans failed drift"
    assert retrain.lines(done) == ["", "  ✗ drift: ratio 1.50; limit 1.20"]


def test_a_rollout_that_was_taken_back_is_quoted() -> None:
    events = [*LOCKED, *TRAINING_SET, *CHECK, *CANDIDATES, *JUDGE, *REGISTER, entered("Rollout")]
    cause = "model v2 was withdrawn, v1 answers: ScorerErrors is in alarm"
    watch = watching(failed(*events, error="Withdrawn", cause=cause))

    with pytest.raises(PipelineError, match=r"^model v2 was withdrawn, v1 answers"):
        retraining.follow(watch, steps=Shown().step)


def test_a_run_that_was_stopped_says_so_even_without_a_cause() -> None:
    stopped: Look = ("ABORTED", [*LOCKED, entered("TrainingSet")], {})

    with pytest.raises(PipelineError, match=r"^it was stopped$"):
        retraining.follow(watching(stopped), steps=Shown().step)


def test_waiting_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retraining, "LIMIT_SECONDS", -1.0)

    with pytest.raises(PipelineError, match="run-1 is not done in two hours"):
        retraining.follow(watching(running(*LOCKED)), steps=Shown().step)


@pytest.mark.parametrize(
    ("served", "asked"),
    [
        (False, {"trigger": "credit retrain"}),
        (True, {"trigger": "credit retrain", "training_set": "served"}),
    ],
)
def test_what_asks_for_a_run_is_told_to_it(served: bool, asked: dict[str, str]) -> None:  # noqa: FBT001 (a case)
    stepfunctions = StepFunctions([running()])
    aws = Aws("http://127.0.0.1:4566", stepfunctions)

    execution = retraining.start(aws, DEPLOYMENT, trigger="credit retrain", served=served)

    (started,) = stepfunctions.started
    assert execution == EXECUTION
    assert json.loads(started["input"]) == asked


def test_a_run_is_found_by_its_name() -> None:
    assert retraining.arn_of(DEPLOYMENT, "run-1") == EXECUTION


@pytest.mark.parametrize("words", [["--served"], ["--no-wait"]])
def test_watching_a_run_goes_without_what_starts_one(
    capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main.run(["retrain", "--follow", "run-1", *words]) == ExitCode.USAGE
    assert "--follow only watches" in capsys.readouterr().err
