"""Names that the exporter gives to CloudWatch's metrics, and queries by them.

Source: YACE (prometheus-community/yet-another-cloudwatch-exporter) 0.63, ``pkg/promutil``:
``BuildMetricName``, ``PromString`` and ``PromStringTag`` without ``-labels-snake-case``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SEPARATORS = frozenset(" ,\t/\\.-:=@<>()“")
PREFIX = "aws"


def metric_name(namespace: str, metric: str, statistic: str) -> str:
    """Return the name of a CloudWatch metric's statistic in Prometheus.

    >>> metric_name("CreditDecisions", "FaultReferrals", "Sum")
    'aws_creditdecisions_fault_referrals_sum'
    >>> metric_name("AWS/ApiGateway", "4XXError", "Sum")
    'aws_apigateway_4_xxerror_sum'
    >>> metric_name("AWS/Lambda", "Duration", "p99")
    'aws_lambda_duration_p99'
    >>> metric_name("AWS/States", "ExecutionsTimedOut", "Sum")
    'aws_states_executions_timed_out_sum'
    """
    of_namespace = snake_case(namespace.lower()).removeprefix("_")
    named = snake_case(metric)
    for part in of_namespace.split("_"):
        named = named.removeprefix(part)
    whole = f"{of_namespace}_{named.removeprefix('_')}_{snake_case(statistic)}"
    return whole if whole.startswith(PREFIX) else f"{PREFIX}_{whole}"


def snake_case(text: str) -> str:
    """Return a name in lower case with underscores, as the exporter does.

    >>> snake_case("SuccessfulRequestLatency"), snake_case("5XXError"), snake_case("95%")
    ('successful_request_latency', '5_xxerror', '95_percent')
    """
    written, before = [], ""
    for letter in text:
        if letter in SEPARATORS:
            written.append("_")
        elif letter == "%":
            written.append("_percent")
        else:
            if letter.isupper() and (before.islower() or before.isdigit()):
                written.append("_")
            written.append(letter.lower())
        before = letter
    return "".join(written)


def dimension_label(dimension: str) -> str:
    """Return the label of a dimension.

    >>> dimension_label("FunctionName")
    'dimension_FunctionName'
    """
    return "dimension_" + "".join("_" if letter in SEPARATORS else letter for letter in dimension)


def selector(name: str, labels: Mapping[str, str], *, like: Mapping[str, str] | None = None) -> str:
    """Return the PromQL of a metric's series with these labels.

    Args:
        name: Of the metric.
        labels: With exactly these values.
        like: With values that hold these texts.

    >>> selector("a_sum", {"dimension_Stage": "prod"}, like={"dimension_View": "bureau"})
    'a_sum{dimension_Stage="prod",dimension_View=~".*bureau.*"}'
    """
    held = {label: f".*{text.replace('.', '[.]')}.*" for label, text in (like or {}).items()}
    matchers = [f"{label}={json.dumps(value)}" for label, value in labels.items()]
    matchers += [f"{label}=~{json.dumps(pattern)}" for label, pattern in held.items()]
    return f"{name}{{{','.join(matchers)}}}"
