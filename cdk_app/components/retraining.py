"""From the lake to a champion: training set, model, gates, promotion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from cdk_app.components.retraining_definition import retraining_definition
from cdk_app.components.service_function import ServiceFunction
from cdk_app.components.training_query import RESULTS_PREFIX, TrainingQuery
from cdk_app.components.workflow import Workflow
from credit_core.domain.point_in_time import training_set_sql
from credit_core.settings import PromoterSettings, TrainerSettings

if TYPE_CHECKING:
    from cdk_app.components.layers import Layers
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


class Retraining(Construct):
    """A query, a function that trains, one that promotes, and the state machine over them."""

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
        self._stage, self._product = stage, product
        self._storage, self._layers = storage, layers
        query = TrainingQuery(self, "Query", stage=stage, product=product, storage=storage)
        trainer, promoter = self._trainer(), self._promoter()
        self.workflow = Workflow(
            self,
            "Workflow",
            name="retraining",
            definition=retraining_definition(
                stage=stage,
                sql=training_set_sql(product),
                database=storage.catalog.database_name,
                workgroup=query.workgroup,
                trainer_arn=trainer.function.function_arn,
                promoter_arn=promoter.function.function_arn,
            ),
            stage=stage,
            key=storage.key,
        )
        query.allow(self.workflow)
        self.workflow.role.allow(
            "lambda:InvokeFunction",
            on=[trainer.function.function_arn, promoter.function.function_arn],
        )

    def _trainer(self) -> ServiceFunction:
        buckets, registry = self._storage.buckets, self._storage.tables.registry
        trainer = ServiceFunction(
            self,
            "Trainer",
            name="trainer",
            description="Trains, judges and registers a model",
            stage=self._stage,
            size=self._stage.trainer,
            settings=TrainerSettings(
                product=self._product.name,
                results_bucket=buckets.results.bucket_name,
                models_bucket=buckets.models.bucket_name,
                registry_table=registry.table_name,
            ),
            layers=self._layers,
            key=self._storage.key,
        )
        may = trainer.role
        may.allow("s3:ListBucket", on=[buckets.results.bucket_arn])
        may.allow_objects("s3:GetObject", bucket=buckets.results, prefix=RESULTS_PREFIX)
        may.allow_objects(
            "s3:GetObject", "s3:PutObject", bucket=buckets.models, prefix=f"{self._product.name}/"
        )
        may.allow("dynamodb:GetItem", "dynamodb:PutItem", on=[registry.table_arn])
        may.allow_key(self._storage.key, through=("dynamodb", "s3"))
        return trainer

    def _promoter(self) -> ServiceFunction:
        models, registry = self._storage.buckets.models, self._storage.tables.registry
        promoter = ServiceFunction(
            self,
            "Promoter",
            name="promoter",
            description="Makes a registered model the champion",
            stage=self._stage,
            size=self._stage.promoter,
            settings=PromoterSettings(
                product=self._product.name,
                models_bucket=models.bucket_name,
                registry_table=registry.table_name,
            ),
            layers=self._layers,
            key=self._storage.key,
        )
        may = promoter.role
        may.allow_objects("s3:GetObject", bucket=models, prefix=f"{self._product.name}/")
        may.allow(
            "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", on=[registry.table_arn]
        )
        may.allow_key(self._storage.key, through=("dynamodb", "s3"))
        return promoter
