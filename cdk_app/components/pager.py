"""Makes alarms that reach on-call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from constructs import Construct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_sns as sns

    from cdk_app.stages import Patience, Stage


class Pager(Construct):
    """Makes alarms that notify one topic, when they go off and when they are over."""

    def __init__(self, scope: Construct, id_: str, *, stage: Stage, topic: sns.ITopic) -> None:
        super().__init__(scope, id_)
        self._stage = stage
        self._action = actions.SnsAction(topic)

    def page(
        self,
        name: str,
        *,
        description: str,
        namespace: str,
        metric: str,
        dimensions: Mapping[str, str],
        statistic: str = "Sum",
        above: float = 0,
        patience: Patience | None = None,
        silence_breaches: bool = False,
    ) -> cloudwatch.Alarm:
        """Page when the metric lies above a value; without ``patience``, at the first time.

        With ``silence_breaches`` a period without any figure counts as one above the value.
        """
        period = (patience or self._stage.patience).period_seconds
        wanted, periods = (patience.breaching, patience.periods) if patience else (1, 1)
        if name in self._stage.rollout.alarms:
            # A rollout looks now and then: what rang since its last look rings at the next one.
            periods = max(periods, wanted + self._stage.rollout.poll_seconds // period)
        # CloudWatch refuses a word on low samples for any statistic that is no percentile.
        low_samples = patience if statistic.startswith("p") else None
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=f"{self._stage.prefix}-{kebab(name)}",
            alarm_description=description,
            metric=cloudwatch.Metric(
                namespace=namespace,
                metric_name=metric,
                dimensions_map=dict(dimensions),
                statistic=statistic,
                period=Duration.seconds(period),
            ),
            threshold=above,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=periods,
            datapoints_to_alarm=wanted,
            # No traffic is no slow traffic; but what is always measured should not fall silent.
            treat_missing_data=(
                cloudwatch.TreatMissingData.BREACHING
                if silence_breaches
                else cloudwatch.TreatMissingData.NOT_BREACHING
            ),
            evaluate_low_sample_count_percentile=(
                ("evaluate" if low_samples.evaluate_low_samples else "ignore")
                if low_samples
                else None
            ),
        )
        alarm.add_alarm_action(self._action)
        alarm.add_ok_action(self._action)
        return alarm


def kebab(name: str) -> str:
    """Return a name in lower case with hyphens.

    >>> kebab("ScorerLatency")
    'scorer-latency'
    """
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)[1:]
