"""The retraining as Amazon States Language: training set, model, gates, promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Aws

from cdk_app.components.workflow import LAMBDA_INVOKE, RETRY_LAMBDA, RETRY_THROTTLED

if TYPE_CHECKING:
    from cdk_app.stages import Stage

RETRY_ATHENA = {
    "ErrorEquals": ["Athena.TooManyRequestsException", "Athena.InternalServerException"],
    "IntervalSeconds": 2,
    "BackoffRate": 2,
    "MaxDelaySeconds": 60,
    "MaxAttempts": 5,
    "JitterStrategy": "FULL",
}


def retraining_definition(
    *,
    stage: Stage,
    sql: str,
    database: str,
    workgroup: str,
    trainer_arn: str,
    promoter_arn: str,
) -> dict[str, Any]:
    """Return the state machine's definition; its input is ``{}``.

    Its output is what the trainer and the promoter answered, merged.
    """
    return {
        "Comment": "Training set by Athena -> model -> gates -> champion",
        "QueryLanguage": "JSONata",
        "StartAt": "StartQuery",
        "States": {
            **_query(stage, sql=sql, database=database, workgroup=workgroup),
            "Train": {
                "Type": "Task",
                "Resource": LAMBDA_INVOKE,
                "Arguments": {
                    "FunctionName": trainer_arn,
                    "Payload": {
                        "output_location": "{% $output_location %}",
                        "query": sql,
                        "query_execution_id": "{% $query_execution_id %}",
                        "run_id": "{% $states.context.Execution.Name %}",
                        "started_at": "{% $states.context.Execution.StartTime %}",
                    },
                },
                "TimeoutSeconds": stage.trainer.timeout_seconds + 30,
                "Retry": [RETRY_THROTTLED, {**RETRY_LAMBDA, "MaxAttempts": 2}],
                "Output": "{% $states.result.Payload %}",
                "Next": "GatesPassed",
            },
            "GatesPassed": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $states.input.gates_passed %}", "Next": "Promote"}],
                "Default": "GatesFailed",
            },
            "GatesFailed": {
                "Type": "Fail",
                "Error": "GatesFailed",
                "Cause": "{% 'model ' & $states.input.version & ' stays out; failed gates: '"
                " & $join([$states.input.failed_gates], ', ') %}",
            },
            "Promote": {
                "Type": "Task",
                "Resource": LAMBDA_INVOKE,
                "Arguments": {
                    "FunctionName": promoter_arn,
                    "Payload": {
                        "version": "{% $states.input.version %}",
                        "moved_by": "{% 'retraining/' & $states.context.Execution.Name %}",
                    },
                },
                "TimeoutSeconds": stage.promoter.timeout_seconds + 30,
                "Retry": [RETRY_THROTTLED, RETRY_LAMBDA],
                "Output": "{% $merge([$states.input, $states.result.Payload]) %}",
                "End": True,
            },
        },
    }


def _query(stage: Stage, *, sql: str, database: str, workgroup: str) -> dict[str, Any]:
    # Started and polled, not `.sync`: the local cloud lacks that, and a failure's reason from
    # Athena reaches the cause as a sentence.
    sdk = f"arn:{Aws.PARTITION}:states:::aws-sdk:athena"
    limit_ms = stage.retraining.query_timeout_seconds * 1_000
    query_id = {"QueryExecutionId": "{% $query_execution_id %}"}
    return {
        "StartQuery": {
            "Type": "Task",
            "Resource": f"{sdk}:startQueryExecution",
            "Arguments": {
                "QueryString": sql,
                "QueryExecutionContext": {"Database": database},
                "WorkGroup": workgroup,
            },
            "Retry": [RETRY_ATHENA],
            "Assign": {"query_execution_id": "{% $states.result.QueryExecutionId %}"},
            "Next": "WaitForQuery",
        },
        "WaitForQuery": {
            "Type": "Wait",
            "Seconds": stage.retraining.query_poll_seconds,
            "Next": "GetQuery",
        },
        "GetQuery": {
            "Type": "Task",
            "Resource": f"{sdk}:getQueryExecution",
            "Arguments": query_id,
            "Retry": [RETRY_ATHENA],
            "Output": "{% $states.result.QueryExecution.Status %}",
            "Assign": {
                "output_location": "{% $states.result.QueryExecution"
                ".ResultConfiguration.OutputLocation %}"
            },
            "Next": "QueryDone",
        },
        "QueryDone": {
            "Type": "Choice",
            "Choices": [
                {"Condition": "{% $states.input.State = 'SUCCEEDED' %}", "Next": "Train"},
                {
                    "Condition": "{% $states.input.State in ['FAILED', 'CANCELLED'] %}",
                    "Next": "QueryFailed",
                },
                {
                    "Condition": "{% $millis() - $toMillis($states.context.Execution.StartTime)"
                    f" > {limit_ms} %}}",
                    "Next": "StopQuery",
                },
            ],
            "Default": "WaitForQuery",
        },
        "QueryFailed": {
            "Type": "Fail",
            "Error": "QueryFailed",
            "Cause": "{% 'the training set query ' & $query_execution_id & ' '"
            " & $lowercase($states.input.State) & ': ' & $states.input.StateChangeReason %}",
        },
        "StopQuery": {
            "Type": "Task",
            "Resource": f"{sdk}:stopQueryExecution",
            "Arguments": query_id,
            "Next": "QueryTimedOut",
        },
        "QueryTimedOut": {
            "Type": "Fail",
            "Error": "QueryTimedOut",
            "Cause": "{% 'the training set query ' & $query_execution_id & ' was stopped after"
            f" {stage.retraining.query_timeout_seconds} s' %}}",
        },
    }
