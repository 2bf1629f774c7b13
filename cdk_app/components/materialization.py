"""From feature files in the lake to rows in the online store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from cdk_app.components.materialization_definition import (
    MAP_LABEL,
    materialization_definition,
)
from cdk_app.components.service_function import ServiceFunction
from cdk_app.components.workflow import Workflow
from credit_core.settings import MaterializerSettings

if TYPE_CHECKING:
    from cdk_app.components.layers import Layers
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


class FeatureMaterialization(Construct):
    """A state machine that lists the files, and a function that materializes one of them."""

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
        lake, results = storage.buckets.lake, storage.buckets.results
        table, secret = storage.tables.online_store, storage.entity_key.secret
        function = ServiceFunction(
            self,
            "Materializer",
            name="materializer",
            description="Writes one file of features to the online store",
            stage=stage,
            size=stage.materializer,
            settings=MaterializerSettings(
                product=product.name,
                lake_bucket=lake.bucket_name,
                results_bucket=results.bucket_name,
                online_store_table=table.table_name,
                entity_key_secret=secret.secret_arn,
            ),
            layers=layers,
            key=storage.key,
        )
        may = function.role
        may.allow_objects("s3:GetObject", bucket=lake, prefix=f"{product.name}/features/")
        # Who may not list is told "access denied" of a file that is not there.
        may.allow("s3:ListBucket", on=[lake.bucket_arn])
        # PartiQL is what lets many conditional writes share a request.
        may.allow("dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate", on=[table.table_arn])
        may.allow_objects("s3:PutObject", bucket=results, prefix="rejected/")
        may.allow("secretsmanager:GetSecretValue", on=[secret.secret_arn])
        may.allow_key(storage.key, through=("dynamodb", "s3", "secretsmanager"))
        self.workflow = Workflow(
            self,
            "Workflow",
            name="materialization",
            definition=materialization_definition(
                function_arn=function.function.function_arn,
                bucket=lake.bucket_name,
                timeout_seconds=stage.materializer.timeout_seconds,
                limits=stage.materialization,
            ),
            stage=stage,
            key=storage.key,
        )
        may = self.workflow.role
        may.allow("lambda:InvokeFunction", on=[function.function.function_arn])
        may.allow("s3:ListBucket", on=[lake.bucket_arn])
        self.workflow.allow_children(MAP_LABEL)
