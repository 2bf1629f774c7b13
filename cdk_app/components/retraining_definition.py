"""The retraining as Amazon States Language, from a training set to a champion.

A run that fails keeps its lock and can be redriven: it goes on with the step that failed, and what
was done before is not done again. So no Catch hides a failed step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import Aws

from cdk_app.components.retraining_lock import lock_states, release_states
from cdk_app.components.training_query import training_query_states
from cdk_app.components.workflow import LAMBDA_INVOKE, RETRY_LAMBDA, RETRY_THROTTLED

if TYPE_CHECKING:
    from cdk_app.stages import FunctionSize, Stage

EXECUTION = "{% $states.context.Execution.Id %}"
LOCATION = {"output_location": "{% $output_location %}"}
PAYLOAD = "{% $states.result.Payload %}"

RETRY_STEP = {**RETRY_LAMBDA, "MaxAttempts": 2}
RETRY_STORE = {
    "ErrorEquals": ["StoreUnavailableError"],
    "IntervalSeconds": 5,
    "BackoffRate": 3,
    "MaxDelaySeconds": 60,
    "MaxAttempts": 3,
    "JitterStrategy": "FULL",
}
RETRY_START = {
    "ErrorEquals": [
        # AWS writes of the first; its clients call it the second.
        "StepFunctions.ExecutionLimitExceeded",
        "StepFunctions.ExecutionLimitExceededException",
        "StepFunctions.SdkClientException",
    ],
    "IntervalSeconds": 2,
    "BackoffRate": 2,
    "MaxDelaySeconds": 60,
    "MaxAttempts": 6,
    "JitterStrategy": "FULL",
}

FAILED_GATES = (
    "$join([$states.input.failed_gates.("
    "name & ': ' & evidence & (look_at = '' ? '' : '; look at: ' & look_at))], ' | ')"
)


@dataclass(frozen=True, kw_only=True)
class RetrainingParts:
    """What the state machine calls and writes, by name or ARN.

    ``served_set`` is the function that makes a training set of what was served.
    """

    trainer: str
    served_set: str
    rollout: str
    registry_table: str
    lock_partition: str
    database: str
    workgroup: str
    sql: str


def retraining_definition(*, stage: Stage, parts: RetrainingParts) -> dict[str, Any]:
    """Return the state machine's definition.

    Its input is ``{}``, or ``{"training_set": "served"}`` for loans with the very features that
    they were decided with. ``trigger`` in it says what asked for the run. Its output is what the
    trainer and the rollout answered; or ``already_running``, with the name of the run that is under
    way and since when.
    """
    lock = {"table": parts.registry_table, "partition": parts.lock_partition}
    return {
        "Comment": "Training set -> checks -> candidates -> gates -> registered -> rolled out",
        "QueryLanguage": "JSONata",
        "TimeoutSeconds": stage.retraining.run_hours * 3_600,
        "StartAt": "Lock",
        "States": {
            **lock_states(**lock, then="WhichLoans"),
            **_loans(stage, parts),
            **_check(stage, parts),
            **_models(stage, parts),
            **_rollout(stage, parts),
            **release_states(**lock, then="Retrained"),
            "Retrained": {"Type": "Succeed"},
        },
    }


def _loans(stage: Stage, parts: RetrainingParts) -> dict[str, Any]:
    return {
        "WhichLoans": {
            "Type": "Choice",
            "Choices": [
                {
                    "Condition": "{% $states.context.Execution.Input.training_set = 'served' %}",
                    "Next": "ServedTrainingSet",
                }
            ],
            "Default": "TrainingSet",
        },
        "TrainingSet": {
            **training_query_states(
                stage, sql=parts.sql, database=parts.database, workgroup=parts.workgroup
            ),
            **_remembered("$states.result[0]"),
            "Next": "CheckData",
        },
        "ServedTrainingSet": {
            **_call(
                parts.served_set,
                {"run_id": "{% $states.context.Execution.Name %}"},
                size=stage.served_set,
            ),
            **_remembered("$states.result.Payload"),
            "Next": "CheckData",
        },
    }


def _remembered(found: str) -> dict[str, Any]:
    """Return the fields that keep where the loans lie and how they were found."""
    names = ("query", "query_execution_id")
    return {
        "Output": {},
        "Assign": {
            "output_location": f"{{% {found}.output_location %}}",
            "lineage": {
                **{name: f"{{% {found}.{name} %}}" for name in names},
                "output_location": f"{{% {found}.output_location %}}",
                "run_id": "{% $states.context.Execution.Name %}",
                "trigger": "{% $exists($states.context.Execution.Input.trigger)"
                " ? $string($states.context.Execution.Input.trigger) : 'by hand' %}",
            },
        },
    }


def _check(stage: Stage, parts: RetrainingParts) -> dict[str, Any]:
    return {
        "CheckData": {
            **_step(stage, parts, "check", LOCATION),
            "Assign": {
                "candidates": "{% $states.result.Payload.candidates %}",
                "champion": "{% $states.result.Payload.champion %}",
            },
            "Next": "DataSound",
        },
        "DataSound": {
            "Type": "Choice",
            "Choices": [
                {
                    "Condition": "{% $count($states.input.failed_gates) = 0 %}",
                    "Next": "Candidates",
                }
            ],
            "Default": "DataRefused",
        },
        "DataRefused": {
            "Type": "Fail",
            "Error": "DataRefused",
            "Cause": f"{{% 'no model was trained; ' & {FAILED_GATES} %}}",
        },
    }


def _models(stage: Stage, parts: RetrainingParts) -> dict[str, Any]:
    fit = _step(stage, parts, "fit", {**LOCATION, "candidate": "{% $states.input %}"})
    return {
        "Candidates": {
            "Type": "Map",
            "Items": "{% $candidates %}",
            "MaxConcurrency": stage.retraining.candidates_at_once,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "INLINE"},
                "StartAt": "Fit",
                "States": {"Fit": {**fit, "End": True}},
            },
            "Next": "Judge",
        },
        "Judge": {
            **_step(
                stage,
                parts,
                "judge",
                {
                    **LOCATION,
                    "champion": "{% $champion %}",
                    "lineage": "{% $lineage %}",
                    "started_at": "{% $states.context.Execution.StartTime %}",
                },
            ),
            "Next": "Register",
        },
        "Register": {**_step(stage, parts, "register", {}), "Next": "GatesPassed"},
        "GatesPassed": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $states.input.gates_passed %}", "Next": "Rollout"}],
            "Default": "GatesFailed",
        },
        "GatesFailed": {
            "Type": "Fail",
            "Error": "GatesFailed",
            "Cause": f"{{% 'model ' & $states.input.version & ' stays out; ' & {FAILED_GATES} %}}",
        },
    }


def _rollout(stage: Stage, parts: RetrainingParts) -> dict[str, Any]:
    return {
        "Rollout": {
            "Type": "Task",
            # A rollout that was stopped fails this state, with its reason; redriven, another one is
            # begun. So it has no name of its own.
            "Resource": f"arn:{Aws.PARTITION}:states:::states:startExecution.sync:2",
            "Arguments": {
                "StateMachineArn": parts.rollout,
                "Input": {
                    "version": "{% $states.input.version %}",
                    "moved_by": "{% 'retraining/' & $states.context.Execution.Name %}",
                    "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID": EXECUTION,
                },
            },
            "TimeoutSeconds": stage.retraining.run_hours * 3_600,
            "Retry": [RETRY_START],
            "Output": "{% $merge([$states.input, {'rollout': $states.result.Output}]) %}",
            "Next": "Release",
        },
    }


def _step(
    stage: Stage, parts: RetrainingParts, action: str, payload: dict[str, Any]
) -> dict[str, Any]:
    """Return a step that the trainer does."""
    asked = {"action": action, "execution": EXECUTION, **payload}
    return {**_call(parts.trainer, asked, size=stage.trainer), "Output": PAYLOAD}


def _call(function: str, payload: dict[str, Any], *, size: FunctionSize) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": LAMBDA_INVOKE,
        "Arguments": {"FunctionName": function, "Payload": payload},
        "TimeoutSeconds": size.timeout_seconds + 30,
        "Retry": [RETRY_THROTTLED, RETRY_STEP, RETRY_STORE],
    }
