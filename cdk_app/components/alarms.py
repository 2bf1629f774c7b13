"""Alarms that page on-call; each description says what is wrong and where to look."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from cdk_app.components.scorer import LIVE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cdk_app.components.pager import Pager
    from cdk_app.components.scorer import Scorer
    from cdk_app.components.scoring_api import ScoringApi
    from cdk_app.components.workflow import Workflow
    from cdk_app.stages import Stage


class ScoringAlarms(Construct):
    """Is a decision late, refused, or broken?"""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        pager: Pager,
        api: ScoringApi,
        scorer: Scorer,
    ) -> None:
        super().__init__(scope, id_)
        budget, patience = stage.latency_budget_ms, stage.patience
        name = scorer.function.function_name
        live = {"FunctionName": name, "Resource": f"{name}:{LIVE}"}
        self.latency = pager.page(
            "ScorerLatency",
            description=f"The scorer's p99 is above {budget} ms. Look at the decisions' stage "
            "timings, then at throttles and latency of the tables.",
            namespace="AWS/Lambda",
            metric="Duration",
            dimensions=live,
            statistic="p99",
            above=budget,
            patience=patience,
        )
        pager.page(
            "ApiLatency",
            description=f"Clients wait more than {budget} ms at p99. If the scorer's own p99 is "
            "in order, look at cold starts (spill-over) and the authorizer.",
            namespace="AWS/ApiGateway",
            metric="Latency",
            dimensions={"ApiName": api.name, "Stage": api.stage_name},
            statistic="p99",
            above=budget,
            patience=patience,
        )
        pager.page(
            "ScorerErrors",
            description="The scorer failed: a client got no decision. Its log has the error.",
            namespace="AWS/Lambda",
            metric="Errors",
            dimensions=live,
        )
        pager.page(
            "ApiServerErrors",
            description="The API answered 5xx: clients got no decision. A 503 is the scorer's own "
            "word for a receipt that could not be written; look at the decisions table first.",
            namespace="AWS/ApiGateway",
            metric="5XXError",
            dimensions={"ApiName": api.name, "Stage": api.stage_name},
        )
        pager.page(
            "ScorerThrottles",
            description="Lambda turned requests to the scorer away: the account's or the "
            "function's concurrency is used up.",
            namespace="AWS/Lambda",
            metric="Throttles",
            dimensions=live,
        )
        pager.page(
            "ScorerSpillover",
            description="Requests met a cold start because all warm environments were busy: "
            "raise the provisioned concurrency or its floor at this hour.",
            namespace="AWS/Lambda",
            metric="ProvisionedConcurrencySpilloverInvocations",
            dimensions=live,
            patience=patience,
        )


class WorkflowAlarms(Construct):
    """Did a state machine end without success?"""

    def __init__(
        self, scope: Construct, id_: str, *, pager: Pager, workflows: Mapping[str, Workflow]
    ) -> None:
        super().__init__(scope, id_)
        for name, workflow in workflows.items():
            for metric in ("ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"):
                pager.page(
                    f"{name}{metric}",
                    description=f"A {name.lower()} run ended without success; the execution's "
                    "cause says why. It can be started again as it is.",
                    namespace="AWS/States",
                    metric=metric,
                    dimensions={"StateMachineArn": workflow.arn},
                )
