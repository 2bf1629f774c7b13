"""The function that tries new versions before anybody reaches them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from cdk_app.components.api_routes import BATCH, RECORDS, SCORER
from cdk_app.components.service_function import (
    ServiceFunction,
    acknowledge_versions,
    function_arn,
)
from credit_core.domain.places import rollout_partition
from credit_core.settings import RehearsalSettings

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_

    from cdk_app.components.layers import Layers
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct

REHEARSAL = "rehearsal"


class Rehearsal(Construct):
    """It may call the functions that answer clients, and read what describes the champion.

    All three new versions are tried whichever of them is about to answer: they are one release.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        product: CreditProduct,
        storage: Storage,
        layers: Layers,
        scorer: lambda_.Function,
        batch: lambda_.Function,
        records: lambda_.Function,
    ) -> None:
        super().__init__(scope, id_)
        models, registry = storage.buckets.models, storage.tables.registry
        rehearsal = ServiceFunction(
            self,
            "Rehearsal",
            name=REHEARSAL,
            description="Sends made-up applications to new versions and judges the answers",
            stage=stage,
            size=stage.rehearsal,
            settings=RehearsalSettings(
                product=product.name,
                scorer=scorer.current_version.function_arn,
                batch=batch.current_version.function_arn,
                records=records.current_version.function_arn,
                registry_table=registry.table_name,
                models_bucket=models.bucket_name,
                signing_key=storage.signing_key.key_arn,
                deadline_ms=stage.scorer_deadline_ms,
            ),
            layers=layers,
            key=storage.key,
        )
        may = self.role = rehearsal.role
        for name in (SCORER, BATCH, RECORDS):
            # A version that is named here would be allowed seconds before it is called, and IAM
            # takes longer than that to know of it.
            versions = f"{function_arn(self, prefix=stage.prefix, name=name)}:*"
            may.allow("lambda:InvokeFunction", on=[versions])
            acknowledge_versions(may, prefix=stage.prefix, name=name)
        may.allow_items(
            "dynamodb:GetItem", table=registry, partition=rollout_partition(product.name)
        )
        may.allow_objects("s3:GetObject", bucket=models, prefix=f"{product.name}/")
        may.allow("kms:Verify", on=[storage.signing_key.key_arn])
        may.allow_key(storage.key, through=("dynamodb", "s3"))
        self.function = rehearsal.function
