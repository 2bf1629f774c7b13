"""What a function left behind: figures in CloudWatch, and objects in S3."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from credit_core.domain.metrics import NAMESPACE
from tests.builders import PRODUCT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_s3 import S3Client

    from credit_core.domain.metrics import Metric


def published(
    cloudwatch: CloudWatchClient,
    metric: Metric,
    *,
    stage: str,
    more: Mapping[str, str] | None = None,
    statistic: Literal["Maximum", "Sum"] = "Maximum",
) -> list[float]:
    """Return a statistic of a metric in the last hour, if there is one; ``more`` are dimensions."""
    named = {"Stage": stage, "Product": PRODUCT.name} | dict(more or {})
    found = cloudwatch.get_metric_statistics(
        Namespace=NAMESPACE,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in named.items()],
        StartTime=datetime.now(UTC) - timedelta(hours=1),
        EndTime=datetime.now(UTC) + timedelta(minutes=1),
        Period=3_600,
        Statistics=[statistic],
    )
    # CloudWatch sums up by the hour of the clock, of which the last hour may have met two.
    figures = [point[statistic] for point in found["Datapoints"]]
    whole = sum if statistic == "Sum" else max
    return [whole(figures)] if figures else []


def noted_rejection(s3: S3Client, bucket: str, event_id: str) -> str | None:
    """Return the key under which the pusher noted that it refused an event, once it did."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="rejected/push/")
    keys = [found["Key"] for page in pages for found in page.get("Contents", [])]
    return next((key for key in keys if key.endswith(f"/{event_id}.jsonl")), None)


def body_at(s3: S3Client, location: str) -> bytes:
    """Return the object at an ``s3://`` address."""
    bucket, _, key = location.removeprefix("s3://").partition("/")
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()
