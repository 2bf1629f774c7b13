"""The online path: from request to decision, and what is recorded of it afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import CfnOutput, Stack

from cdk_app.components.api_routes import BATCH, RECORDS, SCORER
from cdk_app.components.batch import Batch
from cdk_app.components.canary import CanaryDeployments
from cdk_app.components.client_access import DECIDE, ClientAccess, scope_name
from cdk_app.components.layers import Layers
from cdk_app.components.records import Records
from cdk_app.components.rehearsal import Rehearsal
from cdk_app.components.scorer import Scorer
from cdk_app.components.scoring_api import ScoringApi

if TYPE_CHECKING:
    from constructs import Construct

    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


CANARY_ALARMS = {
    SCORER: (
        *("ApiServerErrors", "FaultReferrals", "ModelLoadFailure"),
        *("ScorerErrors", "ScorerLatency", "ScorerThrottles"),
    ),
    RECORDS: ("ApiServerErrors", "RecordsErrors"),
    BATCH: ("ApiServerErrors", "BatchErrors", "FaultReferrals"),
}
"""What takes a new version of a function back while it has a share; names as the pager's."""


class ScoringStack(Stack):
    """The API, who may call it, and the functions that answer."""

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
        parts: dict[str, Any] = {
            "stage": stage,
            "product": product,
            "storage": storage,
            "layers": layers,
        }
        access = ClientAccess(self, "Access", stage=stage)
        self.scorer = Scorer(self, "Scorer", **parts)
        self.records = Records(self, "Records", token_url=access.token_url, **parts)
        self.batch = Batch(self, "Batch", **parts)
        self.rehearsal = Rehearsal(
            self,
            "Rehearsal",
            scorer=self.scorer.function,
            batch=self.batch.function,
            records=self.records.function,
            **parts,
        )
        aliases = {
            SCORER: self.scorer.live,
            RECORDS: self.records.live,
            BATCH: self.batch.live,
        }
        if stage.canary:
            CanaryDeployments(
                self,
                "Canary",
                prefix=stage.prefix,
                canary=stage.canary,
                aliases=aliases,
                alarms=CANARY_ALARMS,
                rehearsal=self.rehearsal,
            )
        self.api = ScoringApi(
            self,
            "Api",
            stage=stage,
            functions=aliases,
            access=access,
            key=storage.key,
        )
        for name, value in {
            "ApiUrl": self.api.url,
            "RestApiId": self.api.rest_api.rest_api_id,
            "RestApiStage": self.api.stage_name,
            "UserPoolId": access.user_pool.user_pool_id,
            **{f"{kind}ClientId": client_id for kind, client_id in access.client_ids.items()},
            "TokenUrl": access.token_url,
            "DecideScope": scope_name(DECIDE),
            "ScorerFunction": self.scorer.function.function_name,
            "RecordsFunction": self.records.function.function_name,
            "BatchFunction": self.batch.function.function_name,
            "RehearsalFunction": self.rehearsal.function.function_name,
        }.items():
            CfnOutput(self, name, value=value)
