"""The materialization as Amazon States Language: plan, a part each, reconcile, judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import Aws

from cdk_app.components.workflow import LAMBDA_INVOKE, RETRY_LAMBDA, RETRY_THROTTLED
from credit_core.domain.places import MAP_RESULTS

if TYPE_CHECKING:
    from cdk_app.stages import FunctionSize, Stage

MAP_LABEL = "Parts"
"""Where the Map leaves the answers of its parts: kept in the state, they would have to fit it."""
SECONDS_AN_HOUR = 3_600


@dataclass(frozen=True, kw_only=True)
class MaterializationFunctions:
    """The ARNs of the functions that the state machine calls."""

    planner: str
    materializer: str
    reconciler: str


def materialization_definition(
    *, functions: MaterializationFunctions, stage: Stage
) -> dict[str, Any]:
    """Return the state machine's definition.

    Its input is ``{"prefix": "<product>/features/..."}``, the key of an uploaded file for instance,
    or ``{"sweep": true}``; its output the sums of ``files``, ``parts``, ``read``, ``written``,
    ``stale`` and ``rejected``, and the latter per view.

    A part whose worker failed leaves no tally. The others go on; then such parts are tried once
    more in a Map that fails with the worker's own error. There a redriven run goes on, too: with
    exactly the parts that are missing. Where these are many, the first Map takes them again, as
    long as that helps: the second one's events would fill the run's history.
    """
    limits = stage.materialization
    return {
        "Comment": "Feature files of the lake -> online store, reconciled",
        # The Distributed Map reads the plan with JSONPath, the only language the local cloud's
        # knows; each other state says JSONata.
        "QueryLanguage": "JSONPath",
        "TimeoutSeconds": limits.run_hours * SECONDS_AN_HOUR,
        "StartAt": "Plan",
        "States": {
            "Plan": {
                **_call(functions.planner, stage.planner),
                "Arguments": {
                    "FunctionName": functions.planner,
                    "Payload": {
                        "run_id": "{% $states.context.Execution.Name %}",
                        "input": "{% $states.input %}",
                    },
                },
                "Output": "{% $states.result.Payload %}",
                "Next": "AnythingToDo",
            },
            "AnythingToDo": {
                "Type": "Choice",
                "QueryLanguage": "JSONata",
                "Choices": [
                    {"Condition": "{% $states.input.parts > 0 %}", "Next": "MaterializeParts"}
                ],
                "Default": "Reconcile",
            },
            "MaterializeParts": _each_part(functions.materializer, stage),
            "Reconcile": {
                **_call(functions.reconciler, stage.reconciler),
                "Arguments": {
                    "FunctionName": functions.reconciler,
                    "Payload": {
                        "run_id": "{% $states.context.Execution.Name %}",
                        "prefix": "{% $states.input.prefix %}",
                        "hidden": "{% $states.input.hidden %}",
                        "watermark": "{% $states.input.watermark %}",
                        "missing_before": "{% $exists($states.input.outcome)"
                        " ? $states.input.outcome.missing : null %}",
                        "repeated_in_bulk": "{% $exists($states.input.outcome)"
                        " ? $states.input.outcome.missing_key != null : false %}",
                    },
                },
                # In bulk, what is missing is the plan of the next round.
                "Output": "{% $merge([$states.input, {'outcome': $states.result.Payload},"
                " $states.result.Payload.missing_key != null"
                " ? {'key': $states.result.Payload.missing_key} : {}]) %}",
                "Next": "Judge",
            },
            **_verdict(),
            "RepeatParts": _missing_parts(functions.materializer, stage),
        },
    }


def retry(*, attempts: int) -> list[dict[str, Any]]:
    """Return when a call is made again: rows are written only over older ones, so it may be."""
    return [
        RETRY_THROTTLED,
        RETRY_LAMBDA,
        {**RETRY_LAMBDA, "ErrorEquals": ["StoreUnavailableError"], "MaxAttempts": 3},
        # What the local cloud calls a function that it has no worker for.
        {**RETRY_LAMBDA, "ErrorEquals": ["Lambda.Unknown"], "MaxAttempts": attempts},
    ]


def _call(function_arn: str, size: FunctionSize, *, attempts: int = 5) -> dict[str, Any]:
    return {
        "Type": "Task",
        "QueryLanguage": "JSONata",
        "Resource": LAMBDA_INVOKE,
        "Arguments": {"FunctionName": function_arn, "Payload": "{% $states.input %}"},
        # The function's own limit comes first and says more.
        "TimeoutSeconds": size.timeout_seconds + 30,
        "Retry": retry(attempts=attempts),
    }


def _each_part(function_arn: str, stage: Stage) -> dict[str, Any]:
    return {
        "Type": "Map",
        "Label": MAP_LABEL,
        "ItemReader": {
            "Resource": f"arn:{Aws.PARTITION}:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON"},
            "Parameters": {"Bucket.$": "$.bucket", "Key.$": "$.key"},
        },
        "ItemSelector": {"run_id.$": "$$.Execution.Name", "part.$": "$$.Map.Item.Value"},
        "MaxConcurrency": stage.materialization.parts_at_once,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "MaterializePart",
            "States": {
                "MaterializePart": {
                    **_call(function_arn, stage.materializer, attempts=3),
                    "Output": {},
                    "Catch": [
                        {"ErrorEquals": ["States.ALL"], "Output": {}, "Next": "LeftForRepetition"}
                    ],
                    "End": True,
                },
                "LeftForRepetition": {"Type": "Succeed"},
            },
        },
        "ResultWriter": {
            "Resource": f"arn:{Aws.PARTITION}:states:::s3:putObject",
            "Parameters": {"Bucket.$": "$.bucket", "Prefix": MAP_RESULTS},
        },
        # None of the answers goes on. (The CDK would drop the null of a ResultPath.)
        "ResultSelector": {"done": True},
        "ResultPath": "$.parts_tried",
        "Next": "Reconcile",
    }


def _missing_parts(function_arn: str, stage: Stage) -> dict[str, Any]:
    return {
        "Type": "Map",
        "QueryLanguage": "JSONata",
        "Items": "{% [$states.input.outcome.repeat] %}",
        "ItemSelector": {
            "run_id": "{% $states.context.Execution.Name %}",
            "part": "{% $states.context.Map.Item.Value %}",
        },
        "MaxConcurrency": stage.materialization.parts_at_once,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "INLINE"},
            "StartAt": "RepeatPart",
            "States": {
                # Nothing is caught here: the failure of a part is the run's, with its own words.
                "RepeatPart": {
                    **_call(function_arn, stage.materializer, attempts=3),
                    # The answers of all parts are held together.
                    "Output": {},
                    "End": True,
                }
            },
        },
        "Output": "{% $states.input %}",
        "Next": "Reconcile",
    }


def _verdict() -> dict[str, Any]:
    return {
        "Judge": {
            "Type": "Choice",
            "QueryLanguage": "JSONata",
            "Choices": [
                {
                    "Condition": "{% $count($states.input.outcome.repeat) > 0 %}",
                    "Next": "RepeatParts",
                },
                {
                    "Condition": "{% $states.input.outcome.missing_key != null %}",
                    "Next": "MaterializeParts",
                },
                {
                    "Condition": "{% $states.input.outcome.verdict != null %}",
                    "Next": "NotMaterialized",
                },
            ],
            "Default": "Materialized",
        },
        "Materialized": {
            "Type": "Pass",
            "QueryLanguage": "JSONata",
            "Output": "{% $states.input.outcome.counts %}",
            "End": True,
        },
        "NotMaterialized": {
            "Type": "Fail",
            "QueryLanguage": "JSONata",
            "Error": "{% $states.input.outcome.verdict.error %}",
            "Cause": "{% $states.input.outcome.verdict.cause %}",
        },
    }
