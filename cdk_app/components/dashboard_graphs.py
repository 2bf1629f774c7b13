"""What a dashboard is drawn with: lines, shares, and graphs of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

from credit_core.domain.metrics import NAMESPACE, dimensions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct

A_MINUTE, FIVE_MINUTES, AN_HOUR, A_DAY = 60, 300, 3_600, 86_400
"""In seconds."""

WIDTH, HEIGHT = 24, 6
"""A dashboard is 24 units wide."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A question, what tells the answer, and the graphs that do."""

    title: str
    words: str
    graphs: Sequence[cloudwatch.IWidget]


class Own:
    """The service's own metrics of one stage and product."""

    def __init__(self, stage: Stage, product: CreditProduct) -> None:
        self._named = {"stage": stage.name, "product": product.name}

    def line(
        self,
        metric: str,
        label: str,
        *,
        every: int,
        statistic: str = "Sum",
        view: str | None = None,
    ) -> cloudwatch.Metric:
        """Return one of them as a line, a point for each so many seconds."""
        named = dimensions(**self._named, view=view)
        return line(NAMESPACE, metric, named, label, every=every, statistic=statistic)


def line(
    namespace: str,
    metric: str,
    named: Mapping[str, str],
    label: str,
    *,
    every: int,
    statistic: str = "Sum",
) -> cloudwatch.Metric:
    """Return a metric as a line, a point for each so many seconds."""
    return cloudwatch.Metric(
        namespace=namespace,
        metric_name=metric,
        dimensions_map=dict(named),
        statistic=statistic,
        period=Duration.seconds(every),
        label=label,
    )


def calculated(
    expression: str, of: Mapping[str, cloudwatch.IMetric], label: str, *, every: int
) -> cloudwatch.MathExpression:
    """Return what is calculated of other metrics, as a line.

    Args:
        expression: With the names of these metrics in braces.
        of: By name.
        label: Of the line; another one for each line of a graph.
        every: Seconds of a point.
    """
    # A graph knows each metric by one id.
    mark = "".join(letter if letter.isalnum() else "_" for letter in label.lower())
    ids = {name: f"{name}_{mark}" for name in of}
    return cloudwatch.MathExpression(
        expression=expression.format_map(ids),
        using_metrics={ids[name]: metric for name, metric in of.items()},
        period=Duration.seconds(every),
        label=label,
    )


def share(
    part: cloudwatch.IMetric, whole: cloudwatch.IMetric, label: str, *, every: int
) -> cloudwatch.MathExpression:
    """Return a part as a share of the whole, as a line; nothing where there is no whole."""
    return calculated(
        "FILL({part}, 0) / {whole}", {"part": part, "whole": whole}, label, every=every
    )


def found(
    schema: str, terms: Mapping[str, str], *, statistic: str, every: int
) -> cloudwatch.MathExpression:
    """Return the metrics that a search finds, a line each; what is made later is found too.

    Args:
        schema: Namespace and names of all dimensions, as in ``AWS/Logs,LogGroupName``.
        terms: What the metric's name and its dimensions hold.
        statistic: As of any metric.
        every: Seconds of a point.
    """
    wanted = " ".join(f'{name}="{value}"' for name, value in terms.items())
    return cloudwatch.MathExpression(
        expression=f"SEARCH('{{{schema}}} {wanted}', '{statistic}', {every})",
        period=Duration.seconds(every),
        label="",
    )


def graph(
    title: str,
    lines: Sequence[cloudwatch.IMetric],
    *,
    unit: str,
    right: Sequence[cloudwatch.IMetric] = (),
    right_unit: str = "",
    rings_at: Sequence[cloudwatch.Alarm] = (),
    stacked: bool = False,
    width: int = 8,
) -> cloudwatch.GraphWidget:
    """Return a graph from 0 up, with the limits at which these alarms ring."""
    return cloudwatch.GraphWidget(
        title=title,
        left=list(lines),
        right=list(right),
        left_y_axis=cloudwatch.YAxisProps(label=unit, min=0, show_units=False),
        right_y_axis=cloudwatch.YAxisProps(label=right_unit, min=0, show_units=False),
        left_annotations=[alarm.to_annotation() for alarm in rings_at],
        stacked=stacked,
        width=width,
        height=HEIGHT,
    )


def words(markdown: str, *, height: int) -> cloudwatch.TextWidget:
    """Return words across the whole width."""
    return cloudwatch.TextWidget(
        markdown=markdown,
        width=WIDTH,
        height=height,
        background=cloudwatch.TextWidgetBackground.TRANSPARENT,
    )
