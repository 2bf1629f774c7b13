"""From feature files to the online store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import CfnOutput, Stack

from cdk_app.components.freshness import FreshnessMeter
from cdk_app.components.layers import Layers
from cdk_app.components.materialization import FeatureMaterialization
from cdk_app.components.push import FeaturePush

if TYPE_CHECKING:
    from constructs import Construct

    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


class MaterializationStack(Stack):
    """What keeps the online store fresh: files, single rows, and a measure of their age."""

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
        features = FeatureMaterialization(
            self, "Features", stage=stage, product=product, storage=storage, layers=layers
        )
        self.workflow = features.workflow
        self.triggers = features.triggers
        self.push = FeaturePush(
            self, "Push", stage=stage, product=product, storage=storage, layers=layers
        )
        FreshnessMeter(
            self, "Freshness", stage=stage, product=product, storage=storage, layers=layers
        )
        CfnOutput(self, "FeatureBus", value=self.push.bus_name)
        CfnOutput(self, "MaterializationStateMachine", value=self.workflow.state_machine.ref)
