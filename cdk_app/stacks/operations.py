"""What on-call hears of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import CfnOutput, Stack

from cdk_app.components.alarms import DecisionAlarms, ScoringAlarms, TableAlarms
from cdk_app.components.alarms_features import FreshnessAlarms, PushAlarms, RejectedRowsAlarms
from cdk_app.components.alarms_models import DriftAlarms, EvidenceAlarms, ModelAlarms
from cdk_app.components.alarms_pipelines import (
    ReceiptAlarms,
    SilenceAlarms,
    TriggerAlarms,
    WorkflowAlarms,
)
from cdk_app.components.dashboard import Dashboard
from cdk_app.components.dashboard_answers import is_it_deciding_as_usual, is_it_fast, is_it_up
from cdk_app.components.dashboard_costs import what_costs
from cdk_app.components.dashboard_graphs import Own
from cdk_app.components.dashboard_models import (
    are_features_fresh,
    do_pipelines_run,
    is_the_model_healthy,
)
from cdk_app.components.model_guard import GuardAlarms
from cdk_app.components.pager import Pager
from cdk_app.components.saved_queries import SavedQueries
from credit_core.domain.log_queries import ACCESS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aws_cdk import aws_lambda as lambda_
    from constructs import Construct

    from cdk_app.components.archive import Archive
    from cdk_app.components.batch import Batch
    from cdk_app.components.model_guard import ModelGuard
    from cdk_app.components.push import FeaturePush
    from cdk_app.components.records import Records
    from cdk_app.components.scorer import Scorer
    from cdk_app.components.scoring_api import ScoringApi
    from cdk_app.components.service_function import ServiceFunction
    from cdk_app.components.storage import Storage
    from cdk_app.components.workflow import Workflow
    from cdk_app.components.workflow_triggers import WorkflowTriggers
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


class OperationsStack(Stack):
    """Alarms, the dashboard, and queries of the logs."""

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
        storage: Storage,
        archive: Archive,
        evidence: Mapping[str, lambda_.IFunction],
        push: FeaturePush,
        functions: Sequence[ServiceFunction],
        guard: ModelGuard,
        workflows: Mapping[str, Workflow],
        triggers: Mapping[str, WorkflowTriggers],
        **props: Any,
    ) -> None:
        super().__init__(scope, id_, **props)
        pager = Pager(self, "Pager", stage=stage, channels=storage.channels)
        answering = {"Scorer": scorer.live, "Records": records.live, "Batch": batch.live}
        scoring = ScoringAlarms(
            self,
            "Scoring",
            stage=stage,
            pager=pager,
            api=api,
            functions=answering,
        )
        DecisionAlarms(self, "Decisions", stage=stage, product=product, pager=pager)
        TableAlarms(self, "Tables", stage=stage, pager=pager, tables=storage.tables)
        FreshnessAlarms(self, "Freshness", stage=stage, product=product, pager=pager)
        RejectedRowsAlarms(self, "Rejected", stage=stage, product=product, pager=pager)
        PushAlarms(self, "Push", stage=stage, pager=pager, push=push)
        WorkflowAlarms(self, "Workflows", pager=pager, workflows=workflows)
        TriggerAlarms(self, "Triggers", pager=pager, triggers=triggers)
        SilenceAlarms(
            self,
            "Silence",
            pager=pager,
            workflows={name: workflows[name] for name in ("Materialization",)},
            functions={name: evidence[name] for name in ("Skew",)},
        )
        ReceiptAlarms(self, "Receipts", stage=stage, pager=pager, archive=archive)
        ModelAlarms(self, "Models", stage=stage, product=product, pager=pager)
        DriftAlarms(self, "Drift", stage=stage, product=product, pager=pager)
        EvidenceAlarms(
            self, "Evidence", stage=stage, product=product, pager=pager, functions=evidence
        )
        GuardAlarms(self, "Guard", pager=pager, guard=guard)
        pager.close()
        own = Own(stage, product)
        Dashboard(
            self,
            "Dashboard",
            stage=stage,
            product=product,
            pager=pager,
            sections=[
                is_it_up(api, answering, pager),
                is_it_fast(own, api, answering, storage.tables, pager),
                is_it_deciding_as_usual(own, pager),
                are_features_fresh(own, product, pager),
                is_the_model_healthy(own, product, pager),
                do_pipelines_run(
                    own,
                    workflows=workflows,
                    triggers=triggers,
                    push=push,
                    archive=archive,
                    pager=pager,
                ),
                what_costs(stage, api, functions, storage),
            ],
        )
        if stage.saved_queries:
            groups = {function.name: function.log_group for function in functions}
            SavedQueries(self, "Queries", stage=stage, groups={**groups, ACCESS: api.access_log})
        CfnOutput(self, "LatencyAlarm", value=scoring.latency.alarm_name)
