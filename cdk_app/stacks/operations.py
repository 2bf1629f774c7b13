"""What on-call hears of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import CfnOutput, Stack

from cdk_app.components.alarm_topic import AlarmTopic
from cdk_app.components.alarms import ScoringAlarms, WorkflowAlarms
from cdk_app.components.pager import Pager

if TYPE_CHECKING:
    from collections.abc import Mapping

    from constructs import Construct

    from cdk_app.components.scorer import Scorer
    from cdk_app.components.scoring_api import ScoringApi
    from cdk_app.components.workflow import Workflow
    from cdk_app.stages import Stage


class OperationsStack(Stack):
    """Alarms, and the topic that carries them."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        api: ScoringApi,
        scorer: Scorer,
        workflows: Mapping[str, Workflow],
        **props: Any,
    ) -> None:
        super().__init__(scope, id_, **props)
        topic = AlarmTopic(self, "Alarms", stage=stage).topic
        pager = Pager(self, "Pager", stage=stage, topic=topic)
        scoring = ScoringAlarms(self, "Scoring", stage=stage, pager=pager, api=api, scorer=scorer)
        WorkflowAlarms(self, "Workflows", pager=pager, workflows=workflows)
        CfnOutput(self, "AlarmTopic", value=topic.topic_arn)
        CfnOutput(self, "LatencyAlarm", value=scoring.latency.alarm_name)
