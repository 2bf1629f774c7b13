"""What on-call hears of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import CfnOutput, Stack

from cdk_app.components.alarm_topic import AlarmTopic
from cdk_app.components.alarms import (
    EvidenceAlarms,
    FreshnessAlarms,
    PushAlarms,
    ReceiptAlarms,
    ScoringAlarms,
    TriggerAlarms,
    WorkflowAlarms,
)
from cdk_app.components.pager import Pager

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_lambda as lambda_
    from constructs import Construct

    from cdk_app.components.archive import Archive
    from cdk_app.components.batch import Batch
    from cdk_app.components.push import FeaturePush
    from cdk_app.components.records import Records
    from cdk_app.components.scorer import Scorer
    from cdk_app.components.scoring_api import ScoringApi
    from cdk_app.components.workflow import Workflow
    from cdk_app.components.workflow_triggers import WorkflowTriggers
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


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
        records: Records,
        batch: Batch,
        product: CreditProduct,
        archive: Archive,
        evidence: Mapping[str, lambda_.IFunction],
        push: FeaturePush,
        workflows: Mapping[str, Workflow],
        triggers: Mapping[str, WorkflowTriggers],
        **props: Any,
    ) -> None:
        super().__init__(scope, id_, **props)
        topic = AlarmTopic(self, "Alarms", stage=stage).topic
        pager = Pager(self, "Pager", stage=stage, topic=topic)
        scoring = ScoringAlarms(
            self,
            "Scoring",
            stage=stage,
            pager=pager,
            api=api,
            functions={"Scorer": scorer.live, "Records": records.live, "Batch": batch.live},
            product=product,
        )
        WorkflowAlarms(self, "Workflows", pager=pager, workflows=workflows)
        TriggerAlarms(self, "Triggers", pager=pager, triggers=triggers)
        PushAlarms(self, "Push", stage=stage, product=product, pager=pager, push=push)
        ReceiptAlarms(self, "Receipts", stage=stage, pager=pager, archive=archive)
        EvidenceAlarms(
            self, "Evidence", stage=stage, product=product, pager=pager, functions=evidence
        )
        FreshnessAlarms(self, "Freshness", stage=stage, product=product, pager=pager)
        CfnOutput(self, "AlarmTopic", value=topic.topic_arn)
        CfnOutput(self, "LatencyAlarm", value=scoring.latency.alarm_name)
