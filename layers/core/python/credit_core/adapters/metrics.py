"""Measurements, published to CloudWatch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credit_core.adapters.clients import AWS_ERRORS, error_code
from credit_core.domain.metrics import NAMESPACE
from credit_core.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mypy_boto3_cloudwatch import CloudWatchClient

    from credit_core.domain.metrics import Measurement


class CloudWatchMetrics:
    """Puts measurements into this service's namespace, all of a call at once."""

    def __init__(self, cloudwatch: CloudWatchClient) -> None:
        self._cloudwatch = cloudwatch

    def publish(self, measurements: Sequence[Measurement], *, at: datetime) -> None:
        """Publish measurements of one moment, at most 1,000 (AWS limit).

        Raises:
            StoreUnavailableError: They are not known to have arrived.
        """
        try:
            self._cloudwatch.put_metric_data(
                Namespace=NAMESPACE,
                MetricData=[
                    {
                        "MetricName": measurement.metric.value,
                        "Dimensions": [
                            {"Name": name, "Value": value}
                            for name, value in measurement.dimensions.items()
                        ],
                        "Timestamp": at,
                        "Value": measurement.value,
                        "Unit": measurement.unit.value,
                    }
                    for measurement in measurements
                ],
            )
        except AWS_ERRORS as error:
            message = f"metrics could not be published: {error_code(error)}"
            raise StoreUnavailableError(message) from None
