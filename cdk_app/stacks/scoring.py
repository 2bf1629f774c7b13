"""The online path: from request to decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import CfnOutput, Stack

from cdk_app.components.client_access import ClientAccess
from cdk_app.components.layers import Layers
from cdk_app.components.scorer import Scorer
from cdk_app.components.scoring_api import ScoringApi

if TYPE_CHECKING:
    from constructs import Construct

    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


class ScoringStack(Stack):
    """The API, who may call it, and the function that answers."""

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
        self.scorer = Scorer(
            self, "Scorer", stage=stage, product=product, storage=storage, layers=layers
        )
        access = ClientAccess(self, "Access", stage=stage)
        self.api = ScoringApi(
            self, "Api", stage=stage, scorer=self.scorer, access=access, key=storage.key
        )
        for name, value in {
            "ApiUrl": self.api.url,
            "RestApiId": self.api.rest_api.rest_api_id,
            "RestApiStage": self.api.stage_name,
            "UserPoolId": access.user_pool.user_pool_id,
            "ApplicationClientId": access.application_client.user_pool_client_id,
            "TokenUrl": access.token_url,
            "DecideScope": access.scope_name,
            "ScorerFunction": self.scorer.function.function_name,
        }.items():
            CfnOutput(self, name, value=value)
