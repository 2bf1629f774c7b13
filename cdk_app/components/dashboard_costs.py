"""Of the dashboard: what costs, by what is billed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdk_app.components.dashboard_graphs import (
    A_DAY,
    AN_HOUR,
    Section,
    calculated,
    found,
    graph,
    line,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aws_cdk import aws_cloudwatch as cloudwatch

    from cdk_app.components.scoring_api import ScoringApi
    from cdk_app.components.service_function import ServiceFunction
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage

FUNCTIONS, TABLES, BUCKETS = "AWS/Lambda", "AWS/DynamoDB", "AWS/S3"
MB_MS_OF_A_GB_S = 1_024_000


def what_costs(
    stage: Stage, api: ScoringApi, functions: Sequence[ServiceFunction], storage: Storage
) -> Section:
    """Return what AWS bills by use."""
    tables = {
        "online store": storage.tables.online_store,
        "decisions": storage.tables.decisions,
        "registry": storage.tables.registry,
    }
    of_api = {"ApiName": api.name, "Stage": api.stage_name}
    return Section(
        title="What costs?",
        words="What the same would be by list prices: `credit capacity`, docs/capacity.md.",
        graphs=[
            graph(
                "Runs of functions",
                [_of_function(function, "Invocations", function.name) for function in functions],
                unit="runs in an hour",
                right=[line("AWS/ApiGateway", "Count", of_api, "API calls", every=AN_HOUR)],
                right_unit="calls in an hour",
            ),
            graph(
                "Memory and time of functions",
                [_gigabyte_seconds(function) for function in functions],
                unit="GB-s in an hour",
                stacked=True,
            ),
            graph(
                "Capacity of tables",
                [
                    line(
                        TABLES,
                        metric,
                        {"TableName": table.table_name},
                        f"{name} {what}",
                        every=AN_HOUR,
                    )
                    for name, table in tables.items()
                    for metric, what in (
                        ("ConsumedReadCapacityUnits", "read"),
                        ("ConsumedWriteCapacityUnits", "written"),
                    )
                ],
                unit="units in an hour",
            ),
            graph(
                "Stored in buckets",
                [
                    line(
                        BUCKETS,
                        "BucketSizeBytes",
                        {"BucketName": bucket.bucket_name, "StorageType": "StandardStorage"},
                        bucket.node.id,
                        every=A_DAY,
                        statistic="Average",
                    )
                    for bucket in storage.buckets.all
                ],
                unit="bytes",
            ),
            graph(
                "Written to logs",
                [
                    found(
                        "AWS/Logs,LogGroupName",
                        {"LogGroupName": stage.prefix, "MetricName": "IncomingBytes"},
                        statistic="Sum",
                        every=AN_HOUR,
                    )
                ],
                unit="bytes in an hour",
                stacked=True,
            ),
            graph(
                "Calls to KMS, of the whole account",
                [
                    line(
                        "AWS/Usage",
                        "CallCount",
                        {
                            "Class": "None",
                            "Resource": "CryptographicOperationsSymmetric",
                            "Service": "KMS",
                            "Type": "API",
                        },
                        "symmetric",
                        every=AN_HOUR,
                    )
                ],
                unit="calls in an hour",
            ),
        ],
    )


def _of_function(function: ServiceFunction, metric: str, label: str) -> cloudwatch.Metric:
    named = {"FunctionName": function.full_name}
    return line(FUNCTIONS, metric, named, label, every=AN_HOUR)


def _gigabyte_seconds(function: ServiceFunction) -> cloudwatch.MathExpression:
    return calculated(
        f"{{ms}} * {function.memory_mb} / {MB_MS_OF_A_GB_S}",
        {"ms": _of_function(function, "Duration", function.name)},
        function.name,
        every=AN_HOUR,
    )
