"""The materialization as Amazon States Language: a file each, then the sum of the counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Aws

from cdk_app.components.workflow import LAMBDA_INVOKE, RETRY_LAMBDA

if TYPE_CHECKING:
    from cdk_app.stages import Materialization

MAP_LABEL = "Files"
CAUSE = 120
"""Characters of a failed file's cause that reach the run's: all files' must fit one state."""

# One JSONata expression: the tallies of all files become one, with what decides over the run.
SUM = """{% (
    $tallies := $states.input.tallies;
    {
        "prefix": $states.input.prefix,
        "files": $count($tallies),
        "failed": [$tallies.failed],
        "unreconciled": $count($tallies[read != written + stale + rejected]),
        "read": $sum([$tallies.read]),
        "written": $sum([$tallies.written]),
        "stale": $sum([$tallies.stale]),
        "rejected": $sum([$tallies.rejected])
    }
) %}"""

OUTPUT = {
    count: f"{{% $states.input.{count} %}}"
    for count in ("files", "read", "written", "stale", "rejected")
}


def materialization_definition(
    *, function_arn: str, bucket: str, timeout_seconds: int, limits: Materialization
) -> dict[str, Any]:
    """Return the state machine's definition.

    Its input is ``{"prefix": "<key prefix of Parquet files>"}``, its output the sums of ``files``,
    ``read``, ``written``, ``stale`` and ``rejected``. One file's failure doesn't keep the others
    from being materialized; whether the run as a whole succeeded is judged at the end.

    Each file's tally is some 60 bytes and a state may hold 256 KiB: one run takes about 4,000
    files.
    """
    return {
        "Comment": "Feature files of the lake -> online store, reconciled",
        # The Map reads its listing with JSONPath, the only language the local cloud's Distributed
        # Map knows; each other state says JSONata.
        "QueryLanguage": "JSONPath",
        "StartAt": "MaterializeEachFile",
        "States": {
            "MaterializeEachFile": {
                "Type": "Map",
                "Label": MAP_LABEL,
                "ItemReader": {
                    "Resource": f"arn:{Aws.PARTITION}:states:::s3:listObjectsV2",
                    "Parameters": {"Bucket": bucket, "Prefix.$": "$.prefix"},
                },
                "ItemSelector": {
                    "bucket": bucket,
                    "key.$": "$$.Map.Item.Value.Key",
                    "run_id.$": "$$.Execution.Name",
                },
                "MaxConcurrency": limits.files_at_once,
                "ItemProcessor": {
                    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                    **_one_file(function_arn, timeout_seconds),
                },
                "ResultPath": "$.tallies",
                "Next": "Sum",
            },
            "Sum": {"Type": "Pass", "QueryLanguage": "JSONata", "Output": SUM, "Next": "Judge"},
            **_verdict(limits),
        },
    }


def _one_file(function_arn: str, timeout_seconds: int) -> dict[str, Any]:
    counts = ("read", "written", "stale", "rejected")
    return {
        "StartAt": "MaterializeFile",
        "States": {
            "MaterializeFile": {
                "Type": "Task",
                "QueryLanguage": "JSONata",
                "Resource": LAMBDA_INVOKE,
                "Arguments": {"FunctionName": function_arn, "Payload": "{% $states.input %}"},
                # The function's own limit comes first and says more.
                "TimeoutSeconds": timeout_seconds + 30,
                "Retry": [
                    RETRY_LAMBDA,
                    # Rows are written only over older ones, so a file can be done twice.
                    {**RETRY_LAMBDA, "ErrorEquals": ["StoreUnavailableError"], "MaxAttempts": 3},
                ],
                "Catch": [
                    {
                        "ErrorEquals": ["States.ALL"],
                        "Output": {
                            "failed": "{% $states.input.key & ': ' & $states.errorOutput.Error"
                            f" & ' ' & $substring($states.errorOutput.Cause, 0, {CAUSE}) %}}"
                        },
                        "Next": "FileFailed",
                    }
                ],
                "Output": {count: f"{{% $states.result.Payload.{count} %}}" for count in counts},
                "End": True,
            },
            "FileFailed": {"Type": "Succeed"},
        },
    }


def _verdict(limits: Materialization) -> dict[str, Any]:
    rejected, failed = limits.rejected_rows_share, limits.failed_files_share
    verdicts = {
        "NoFiles": (
            "$states.input.files = 0",
            "'there is no file under ' & $states.input.prefix",
        ),
        "FilesFailed": (
            f"$count($states.input.failed) > {failed} * $states.input.files",
            (
                "$count($states.input.failed) & ' of ' & $states.input.files & ' files failed: '"
                " & $join([$states.input.failed][[0..4]], ', ')"
            ),
        ),
        "CountsDoNotReconcile": (
            "$states.input.unreconciled > 0",
            (
                "$states.input.unreconciled & ' files reported counts where read is not"
                " written + stale + rejected'"
            ),
        ),
        "TooManyRejected": (
            f"$states.input.rejected > {rejected} * $states.input.read",
            (
                "$states.input.rejected & ' of ' & $states.input.read & ' rows were rejected;"
                f" the limit is a share of {rejected}. They lie, with reasons, under rejected/'"
                " & $states.context.Execution.Name & '/ in the results bucket'"
            ),
        ),
    }
    return {
        "Judge": {
            "Type": "Choice",
            "QueryLanguage": "JSONata",
            "Choices": [
                {"Condition": f"{{% {condition} %}}", "Next": name}
                for name, (condition, _) in verdicts.items()
            ],
            "Default": "Materialized",
        },
        "Materialized": {
            "Type": "Pass",
            "QueryLanguage": "JSONata",
            "Output": OUTPUT,
            "End": True,
        },
        **{
            name: {
                "Type": "Fail",
                "QueryLanguage": "JSONata",
                "Error": name,
                "Cause": f"{{% {cause} %}}",
            }
            for name, (_, cause) in verdicts.items()
        },
    }
