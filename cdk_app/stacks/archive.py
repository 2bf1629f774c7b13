"""From the table of decisions to the archive of receipts, and to what these show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import CfnOutput, Stack

from cdk_app.components.archive import Archive
from cdk_app.components.comparison import ModelEvidence
from cdk_app.components.erasure import Erasure
from cdk_app.components.layers import Layers
from cdk_app.components.monitoring import DecisionMonitoring
from cdk_app.components.skew import SkewMeter

if TYPE_CHECKING:
    from constructs import Construct

    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


class ArchiveStack(Stack):
    """What follows each decision into the archive; no decision waits for it."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        product: CreditProduct,
        storage: Storage,
        **props: Any,
    ) -> None:
        super().__init__(scope, id_, **props)
        layers = Layers(self, "Layers", stage=stage)
        self.archive = Archive(
            self, "Archive", stage=stage, product=product, storage=storage, layers=layers
        )
        self.evidence = ModelEvidence(
            self, "Evidence", stage=stage, product=product, storage=storage, layers=layers
        )
        self.skew = SkewMeter(
            self, "Skew", stage=stage, product=product, storage=storage, layers=layers
        )
        erasure = Erasure(
            self, "Erasure", stage=stage, product=product, storage=storage, layers=layers
        )
        self.monitoring = DecisionMonitoring(
            self, "Monitoring", stage=stage, product=product, storage=storage, layers=layers
        )
        for name, value in {
            "ArchiverFunction": self.archive.function.function_name,
            "FailedBatchesQueue": self.archive.failed_batches.queue_url,
            "ComparerFunction": self.evidence.comparer.function_name,
            "ServedSetFunction": self.evidence.served_set.function_name,
            "SkewFunction": self.skew.function.function_name,
            "MonitorFunction": self.monitoring.function.function_name,
            "MonitoringStateMachine": self.monitoring.workflow.state_machine.ref,
            "EraserFunction": erasure.function.function_name,
        }.items():
            CfnOutput(self, name, value=value)
