"""From the archive of receipts to what each day's decisions were like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from cdk_app.components.monitoring_definition import monitoring_definition
from cdk_app.components.service_function import ServiceFunction
from cdk_app.components.workflow import Workflow
from cdk_app.components.workflow_triggers import WorkflowTriggers
from credit_core.domain.places import MONITORING, receipts_prefix
from credit_core.settings import MonitorSettings

if TYPE_CHECKING:
    from cdk_app.components.layers import Layers
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


class DecisionMonitoring(Construct):
    """A function for each step, a state machine over it, and the clock that starts it each day."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        product: CreditProduct,
        storage: Storage,
        layers: Layers,
    ) -> None:
        super().__init__(scope, id_)
        buckets, limits = storage.buckets, stage.monitoring
        monitor = ServiceFunction(
            self,
            "Monitor",
            name="monitor",
            description="Tells what a day's decisions were like, beside training and other days",
            stage=stage,
            size=stage.monitor,
            settings=MonitorSettings(
                stage=stage.name,
                product=product.name,
                receipts_bucket=buckets.receipts.bucket_name,
                models_bucket=buckets.models.bucket_name,
                results_bucket=buckets.results.bucket_name,
                decisions_a_part=limits.decisions_a_part,
                least_decisions=limits.least_decisions,
                most_drift=limits.most_drift,
                most_outcome_shift=limits.most_outcome_shift,
                most_reason_shift=limits.most_reason_shift,
                drift_per_feature=limits.drift_per_feature,
            ),
            layers=layers,
            key=storage.key,
        )
        may = monitor.role
        monitoring, models = f"{MONITORING}{product.name}/", f"{product.name}/"
        may.allow_listing(buckets.receipts, receipts_prefix(product.name))
        # Days that were not monitored, and models that are gone, are told from refusals.
        may.allow_listing(buckets.results, monitoring, tells_what_is_missing=True)
        may.allow_listing(buckets.models, models, tells_what_is_missing=True)
        may.allow_objects(
            "s3:GetObject", bucket=buckets.receipts, prefix=receipts_prefix(product.name)
        )
        may.allow_objects("s3:GetObject", bucket=buckets.models, prefix=models)
        may.allow_objects("s3:GetObject", "s3:PutObject", bucket=buckets.results, prefix=monitoring)
        may.allow_key(storage.key, through=("s3",))
        may.allow_metrics()
        self.function = monitor.function
        self.workflow = Workflow(
            self,
            "Workflow",
            name="monitoring",
            definition=monitoring_definition(stage=stage, monitor_arn=self.function.function_arn),
            stage=stage,
            key=storage.key,
        )
        self.workflow.role.allow("lambda:InvokeFunction", on=[self.function.function_arn])
        self.triggers = WorkflowTriggers(self, "Triggers", workflow=self.workflow)
        self.triggers.on_schedule(
            "Schedule",
            description=f"Looks at what {stage.prefix} decided yesterday",
            expression=limits.schedule,
            asked={"trigger": "schedule"},
        )
