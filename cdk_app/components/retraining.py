"""From a training set to a champion: the trainer, the state machine over it, its triggers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from cdk_app.components.retraining_definition import RetrainingParts, retraining_definition
from cdk_app.components.retraining_lock import allow_lock
from cdk_app.components.service_function import ServiceFunction
from cdk_app.components.training_query import RESULTS_PREFIX, TrainingQuery
from cdk_app.components.workflow import Workflow
from cdk_app.components.workflow_triggers import WorkflowTriggers
from credit_core.domain.places import (
    APPLICATIONS_FOLDER,
    ARRIVED,
    TRAINING_RUNS,
    retraining_partition,
    rollout_partition,
)
from credit_core.domain.point_in_time import training_set_sql
from credit_core.settings import TrainerSettings

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_

    from cdk_app.components.layers import Layers
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


class Retraining(Construct):
    """A query, a function for each step, a state machine, and what starts it by itself."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        product: CreditProduct,
        storage: Storage,
        layers: Layers,
        rollout: Workflow,
        served_set: lambda_.IFunction,
    ) -> None:
        super().__init__(scope, id_)
        self._stage, self._product = stage, product
        self._storage, self._layers = storage, layers
        # An item of the registry of its own: whoever holds the lock can't move the rollout pointer.
        self._lock = retraining_partition(product.name)
        query = TrainingQuery(self, "Query", stage=stage, product=product, storage=storage)
        trainer = self._trainer().function
        registry = storage.tables.registry
        self.workflow = Workflow(
            self,
            "Workflow",
            name="retraining",
            definition=retraining_definition(
                stage=stage,
                parts=RetrainingParts(
                    trainer=trainer.function_arn,
                    served_set=served_set.function_arn,
                    rollout=rollout.arn,
                    registry_table=registry.table_name,
                    lock_partition=self._lock,
                    database=storage.catalog.database_name,
                    workgroup=query.workgroup,
                    sql=training_set_sql(product),
                ),
            ),
            stage=stage,
            key=storage.key,
        )
        query.allow(self.workflow)
        allow_lock(self.workflow, table=registry, partition=self._lock)
        self.workflow.role.allow(
            "lambda:InvokeFunction", on=[trainer.function_arn, served_set.function_arn]
        )
        self.workflow.role.allow_key(storage.key, through=("dynamodb", "s3"))
        self.workflow.allow_to_follow(rollout)
        self.triggers = self._triggers()

    def _trainer(self) -> ServiceFunction:
        buckets, registry = self._storage.buckets, self._storage.tables.registry
        signing_key = self._storage.signing_key
        trainer = ServiceFunction(
            self,
            "Trainer",
            name="trainer",
            description="Checks a training set, fits, judges and registers models",
            stage=self._stage,
            size=self._stage.trainer,
            settings=TrainerSettings(
                product=self._product.name,
                results_bucket=buckets.results.bucket_name,
                models_bucket=buckets.models.bucket_name,
                registry_table=registry.table_name,
                signing_key=signing_key.key_arn,
            ),
            layers=self._layers,
            key=self._storage.key,
        )
        may, models = trainer.role, f"{self._product.name}/"
        may.allow_listing(buckets.results, RESULTS_PREFIX)
        may.allow_objects("s3:GetObject", bucket=buckets.results, prefix=RESULTS_PREFIX)
        may.allow_objects(
            "s3:GetObject", "s3:PutObject", bucket=buckets.results, prefix=TRAINING_RUNS
        )
        may.allow_objects("s3:GetObject", "s3:PutObject", bucket=buckets.models, prefix=models)
        rollout = rollout_partition(self._product.name)
        may.allow_items("dynamodb:GetItem", table=registry, partition=rollout)
        for partition in (self._product.name, self._lock):
            may.allow_items(
                "dynamodb:GetItem", "dynamodb:PutItem", table=registry, partition=partition
            )
        may.allow("kms:Sign", "kms:Verify", on=[signing_key.key_arn])
        may.allow_key(self._storage.key, through=("dynamodb", "s3"))
        return trainer

    def _triggers(self) -> WorkflowTriggers:
        triggers = WorkflowTriggers(self, "Triggers", workflow=self.workflow)
        applications = f"{self._product.name}/{APPLICATIONS_FOLDER}"
        triggers.on_upload(
            "Arrivals",
            description="A writer of loans says that all its files are there",
            bucket=self._storage.buckets.lake,
            keys=[{"wildcard": f"{applications}/{at}{ARRIVED}"} for at in ("", "*/")],
            input_template='{"trigger": <key>}',
        )
        triggers.on_schedule(
            "Schedule",
            description="Trains a model on what the lake has by now",
            expression=self._stage.retraining.schedule,
            asked={"trigger": "schedule"},
        )
        return triggers
