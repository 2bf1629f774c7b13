"""From feature files to the online store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import CfnOutput, Stack

from cdk_app.components.layers import Layers
from cdk_app.components.materialization import FeatureMaterialization

if TYPE_CHECKING:
    from constructs import Construct

    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


class MaterializationStack(Stack):
    """The state machine that keeps the online store fresh."""

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
        self.workflow = FeatureMaterialization(
            self, "Features", stage=stage, product=product, storage=storage, layers=layers
        ).workflow
        CfnOutput(self, "MaterializationStateMachine", value=self.workflow.state_machine.ref)
