"""Makes alarms: some wake somebody, the others inform; each says what to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

from cdk_app.stages import Patience

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cdk_app.components.channels import Channels
    from cdk_app.stages import Alarms, Share, Stage

MOST_DESCRIPTION = 1_024
"""Characters. Source: CloudWatch API Reference, "PutMetricAlarm"."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One metric as an alarm looks at it; the dimensions are all that the metric has."""

    namespace: str
    metric: str
    dimensions: Mapping[str, str]
    statistic: str = "Sum"


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A share of one figure in another, once the first is at least ``least`` in a period.

    ``least`` keeps one failure among three requests from being a rate of a third. Where the second
    reaches ``fewer_than``, it is 0: another alarm, of a shorter period, looks at so many.
    """

    part: Figure
    whole: Figure
    least: int
    fewer_than: int | None = None


@dataclass(frozen=True, kw_only=True)
class Percentile:
    """A percentile, once at least ``least`` values of a period lie above what the alarm allows.

    Of few values the p99 is the largest: it would tell of single ones. Without metric math it is
    the percentile alone.
    """

    figure: Figure
    least: int


@dataclass(frozen=True, kw_only=True)
class Total:
    """The sum of figures, of which any may be absent; without metric math the first alone."""

    figures: tuple[Figure, ...]


type Measured = Figure | Percentile | Rate | Total


class Pager(Construct):
    """Makes alarms that notify, when they go off and when they are over.

    All inform. Those that page do so together, through one composite alarm, so that one cause is
    one page; ``close`` makes it.
    """

    def __init__(self, scope: Construct, id_: str, *, stage: Stage, channels: Channels) -> None:
        super().__init__(scope, id_)
        self._stage = stage
        self._page = actions.SnsAction(channels.page)
        self._inform = actions.SnsAction(channels.inform)
        self.alarms: dict[str, cloudwatch.Alarm] = {}
        """All alarms made so far but the composite, by the names they were given here."""
        self.paging: list[str] = []
        """Names of those that wake somebody."""
        self.runbooks: dict[str, str] = {}
        """The name of each alarm's runbook."""

    def page(
        self,
        name: str,
        *,
        description: str,
        of: Measured,
        above: float = 0,
        patience: Patience | None = None,
        silence_breaches: bool = False,
        runbook: str | None = None,
    ) -> cloudwatch.Alarm:
        """Wake somebody when the figure lies above a value: applicants are not served as promised.

        Args:
            name: In capitals and lower case, unique in a stage.
            description: What is wrong, in a sentence or two.
            of: What is measured.
            above: The value; of a rate, a share from 0 to 1.
            patience: How long and how often it must lie above; without, once.
            silence_breaches: Whether a period without any figure counts as one above the value.
            runbook: Name of the page in ``docs/runbooks``; without, the alarm's own.
        """
        alarm = self._alarm(
            name,
            description=description,
            of=of,
            threshold=above,
            patience=patience,
            silence_breaches=silence_breaches,
            runbook=runbook,
        )
        self.paging.append(name)
        if not self._stage.alarms.composite:
            alarm.add_alarm_action(self._page)
            alarm.add_ok_action(self._page)
        return alarm

    def inform(
        self,
        name: str,
        *,
        description: str,
        of: Measured,
        above: float = 0,
        patience: Patience | None = None,
        silence_breaches: bool = False,
        runbook: str | None = None,
    ) -> cloudwatch.Alarm:
        """Tell when the figure lies above a value; it can wait for the morning. See ``page``."""
        return self._alarm(
            name,
            description=description,
            of=of,
            threshold=above,
            patience=patience,
            silence_breaches=silence_breaches,
            runbook=runbook,
        )

    def inform_of_silence(
        self, name: str, *, description: str, of: Figure, patience: Patience, runbook: str
    ) -> cloudwatch.Alarm:
        """Tell when what should happen again and again did not, not once.

        Args:
            name: In capitals and lower case, unique in a stage.
            description: What is wrong, in a sentence or two.
            of: What is counted.
            patience: For how long nothing was counted.
            runbook: Name of the page in ``docs/runbooks``.
        """
        return self._alarm(
            name,
            description=description,
            # Filled with zeros: for days without figures CloudWatch would take older ones, as far
            # as it looks back, and ring days later.
            of=Total(figures=(of,)),
            threshold=1,
            operator=cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
            patience=patience,
            silence_breaches=True,
            runbook=runbook,
        )

    def close(self) -> None:
        """Make the composite alarm of all that page, where the stage can have one."""
        if not self._stage.alarms.composite:
            return
        children = [self.alarms[name] for name in self.paging]
        composite = cloudwatch.CompositeAlarm(
            self,
            "Page",
            composite_alarm_name=f"{self._stage.prefix}-page",
            alarm_description=self._described(
                "Applicants are not served as promised. `credit alarms list` says which of the "
                "alarms behind this one ring; their runbooks say what to do.",
                "page",
            ),
            # By name: each ARN would be an eighth of what a rule may be long.
            alarm_rule=cloudwatch.AlarmRule.from_string(
                " OR ".join(f'ALARM("{self._name(name)}")' for name in self.paging)
            ),
        )
        # A rule may only name alarms that are there.
        composite.node.add_dependency(*children)
        composite.add_alarm_action(self._page)
        composite.add_ok_action(self._page)

    def _alarm(
        self,
        name: str,
        *,
        description: str,
        of: Measured,
        threshold: float,
        patience: Patience | None,
        silence_breaches: bool,
        runbook: str | None,
        operator: cloudwatch.ComparisonOperator = (
            cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD
        ),
    ) -> cloudwatch.Alarm:
        period = Duration.seconds((patience or self._stage.patience).period_seconds)
        wanted, periods = (patience.breaching, patience.periods) if patience else (1, 1)
        percentile = isinstance(of, Percentile) and not self._stage.alarms.metric_math
        if isinstance(of, Rate) and not self._stage.alarms.metric_math:
            # The local cloud divides nothing: there the least number alone rings.
            threshold = of.least - 1
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=self._name(name),
            alarm_description=self._described(description, runbook or kebab(name)),
            metric=self._measured(name, of, period, threshold=threshold),
            threshold=threshold,
            comparison_operator=operator,
            evaluation_periods=periods,
            datapoints_to_alarm=wanted,
            # No traffic is no slow traffic; but what is always measured should not fall silent.
            treat_missing_data=(
                cloudwatch.TreatMissingData.BREACHING
                if silence_breaches
                else cloudwatch.TreatMissingData.NOT_BREACHING
            ),
            # CloudWatch refuses a word on low samples for any statistic that is no percentile.
            evaluate_low_sample_count_percentile=(
                ("evaluate" if patience.evaluate_low_samples else "ignore")
                if patience and percentile
                else None
            ),
        )
        alarm.add_alarm_action(self._inform)
        alarm.add_ok_action(self._inform)
        self.alarms[name] = alarm
        self.runbooks[name] = runbook or kebab(name)
        return alarm

    def _measured(
        self, name: str, of: Measured, period: Duration, *, threshold: float
    ) -> cloudwatch.IMetric:
        """Return what an alarm looks at, as far as the stage's CloudWatch calculates."""
        match of:
            case Figure():
                return _metric(of, period)
            case Percentile() if self._stage.alarms.metric_math:
                # A percentile rank says which share lies below; half a request is for its rounding.
                above = f"(100 - within) / 100 * requests >= {of.least - 0.5}"
                expression = f"IF({above}, {of.figure.statistic}, 0)"
                parts = {
                    of.figure.statistic: of.figure,
                    "within": replace(of.figure, statistic=f"PR(:{threshold:g})"),
                    "requests": replace(of.figure, statistic="SampleCount"),
                }
            case Percentile():
                return _metric(of.figure, period)
            case Rate() if self._stage.alarms.metric_math:
                enough = f"part >= {of.least}"
                if of.fewer_than is not None:
                    enough += f" AND whole < {of.fewer_than}"
                expression = f"IF({enough}, part / whole, 0)"
                parts = {"part": of.part, "whole": of.whole}
            case Rate():
                return _metric(of.part, period)
            case Total() if self._stage.alarms.metric_math:
                parts = {f"part{number}": figure for number, figure in enumerate(of.figures)}
                expression = f"SUM([{', '.join(f'FILL({part}, 0)' for part in parts)}])"
            case Total():
                return _metric(of.figures[0], period)
        return cloudwatch.MathExpression(
            expression=expression,
            using_metrics={part: _metric(figure, period) for part, figure in parts.items()},
            label=name,
            period=period,
        )

    def _name(self, name: str) -> str:
        return f"{self._stage.prefix}-{kebab(name)}"

    def _described(self, description: str, runbook: str) -> str:
        """Return a description with its runbook.

        Raises:
            ValueError: It is longer than CloudWatch takes.
        """
        text = f"{description} Runbook: {self._stage.alarms.runbooks}/{runbook}.md"
        if len(text) > MOST_DESCRIPTION:
            raise ValueError(f"a description of {len(text)} characters; {MOST_DESCRIPTION} go")
        return text


def share_of(part: Figure, whole: Figure, share: Share) -> Rate:
    """Return the rate of which a stage says when it rings."""
    return Rate(part=part, whole=whole, least=share.least)


def window(alarms: Alarms) -> Patience:
    """Return the patience in which shares and small numbers are counted."""
    return Patience(
        period_seconds=alarms.share_seconds, periods=1, breaching=1, evaluate_low_samples=True
    )


def waiting_in(queue_name: str) -> Figure:
    """Return how many messages wait in a queue."""
    return Figure(
        namespace="AWS/SQS",
        metric="ApproximateNumberOfMessagesVisible",
        dimensions={"QueueName": queue_name},
        statistic="Maximum",
    )


def _metric(figure: Figure, period: Duration) -> cloudwatch.Metric:
    return cloudwatch.Metric(
        namespace=figure.namespace,
        metric_name=figure.metric,
        dimensions_map=dict(figure.dimensions),
        statistic=figure.statistic,
        period=period,
    )


def kebab(name: str) -> str:
    """Return a name in lower case with hyphens.

    >>> kebab("ScorerLatency")
    'scorer-latency'
    """
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]
