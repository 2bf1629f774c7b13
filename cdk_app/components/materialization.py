"""From feature files in the lake to rows in the online store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from cdk_app.components.erasure import allow_covering
from cdk_app.components.materialization_definition import (
    MAP_LABEL,
    MaterializationFunctions,
    materialization_definition,
)
from cdk_app.components.service_function import ServiceFunction
from cdk_app.components.workflow import Workflow
from cdk_app.components.workflow_triggers import WorkflowTriggers
from credit_core.domain.places import (
    APPLICATIONS_FOLDER,
    MAP_RESULTS,
    PUSHED_FOLDER,
    REJECTED,
    RUNS,
    watermark_partition,
)
from credit_core.settings import MaterializerSettings, PlannerSettings, ReconcilerSettings

if TYPE_CHECKING:
    from cdk_app.components.layers import Layers
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct

NOT_FROM_HERE = [f"*/{APPLICATIONS_FOLDER}/*", f"*/{PUSHED_FOLDER}/*"]
"""Uploads that start nothing: loans are for training, and pushed rows are in the store already.

A pattern can't ask for one prefix and against another, but features are all else that the lake has.
"""


class FeatureMaterialization(Construct):
    """Functions that plan, materialize a part and reconcile, their state machine, its triggers."""

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
        self._features = product.features_prefix
        # An item of the registry of its own: whoever moves it can't move the rollout pointer.
        self._watermark = watermark_partition(product.name)
        functions = MaterializationFunctions(
            planner=self._planner().function.function_arn,
            materializer=self._materializer().function.function_arn,
            reconciler=self._reconciler().function.function_arn,
        )
        self.workflow = Workflow(
            self,
            "Workflow",
            name="materialization",
            definition=materialization_definition(functions=functions, stage=stage),
            stage=stage,
            key=storage.key,
        )
        may = self.workflow.role
        may.allow(
            "lambda:InvokeFunction",
            on=[functions.planner, functions.materializer, functions.reconciler],
        )
        may.allow_objects("s3:GetObject", bucket=storage.buckets.results, prefix=RUNS)
        # What AWS asks of a Map that writes its results.
        may.allow_objects(
            "s3:AbortMultipartUpload",
            "s3:GetObject",
            "s3:ListMultipartUploadParts",
            "s3:PutObject",
            bucket=storage.buckets.results,
            prefix=f"{MAP_RESULTS}/",
        )
        may.allow_key(storage.key, through=("s3",))
        self.workflow.allow_children(MAP_LABEL)
        self.triggers = self._triggers()

    def _triggers(self) -> WorkflowTriggers:
        """On-call is told of an event that started no run; the next sweep takes its file anyway."""
        triggers = WorkflowTriggers(self, "Triggers", workflow=self.workflow)
        triggers.on_upload(
            "Uploads",
            description="Features that come into the lake go on into the online store",
            bucket=self._storage.buckets.lake,
            keys=[{"anything-but": {"wildcard": NOT_FROM_HERE}}],
            input_template='{"prefix": <key>}',
        )
        triggers.on_schedule(
            "Sweeps",
            description="Materializes what no event announced, or what failed since",
            expression=self._stage.materialization.sweep_schedule,
            asked={"sweep": True},
        )
        return triggers

    def _planner(self) -> ServiceFunction:
        buckets, registry = self._storage.buckets, self._storage.tables.registry
        limits = self._stage.materialization
        planner = ServiceFunction(
            self,
            "Planner",
            name="planner",
            description="Lists the files of a run and cuts large ones into parts",
            stage=self._stage,
            size=self._stage.planner,
            settings=PlannerSettings(
                product=self._product.name,
                lake_bucket=buckets.lake.bucket_name,
                results_bucket=buckets.results.bucket_name,
                registry_table=registry.table_name,
                split_bytes=limits.split_bytes,
                split_rows=limits.split_rows,
                sweep_overlap_hours=limits.sweep_overlap_hours,
            ),
            layers=self._layers,
            key=self._storage.key,
        )
        may = planner.role
        may.allow_listing(buckets.lake, self._features, tells_what_is_missing=True)
        may.allow_objects("s3:GetObject", bucket=buckets.lake, prefix=self._features)
        may.allow_objects("s3:PutObject", bucket=buckets.results, prefix=RUNS)
        may.allow_items("dynamodb:GetItem", table=registry, partition=self._watermark)
        may.allow_key(self._storage.key, through=("dynamodb", "s3"))
        return planner

    def _materializer(self) -> ServiceFunction:
        buckets, secret = self._storage.buckets, self._storage.entity_key.secret
        table = self._storage.tables.online_store
        materializer = ServiceFunction(
            self,
            "Materializer",
            name="materializer",
            description="Writes one part of the features to the online store",
            stage=self._stage,
            size=self._stage.materializer,
            settings=MaterializerSettings(
                product=self._product.name,
                lake_bucket=buckets.lake.bucket_name,
                results_bucket=buckets.results.bucket_name,
                online_store_table=table.table_name,
                registry_table=self._storage.tables.registry.table_name,
                entity_key_secret=secret.secret_arn,
            ),
            layers=self._layers,
            key=self._storage.key,
        )
        may = materializer.role
        may.allow_objects("s3:GetObject", bucket=buckets.lake, prefix=self._features)
        may.allow_listing(buckets.lake, self._features, tells_what_is_missing=True)
        # PartiQL is what lets many conditional writes share a request.
        may.allow("dynamodb:PartiQLInsert", "dynamodb:PartiQLUpdate", on=[table.table_arn])
        allow_covering(may, product=self._product, storage=self._storage)
        may.allow_objects("s3:PutObject", bucket=buckets.results, prefix=REJECTED)
        may.allow_objects("s3:PutObject", bucket=buckets.results, prefix=RUNS)
        may.allow("secretsmanager:GetSecretValue", on=[secret.secret_arn])
        may.allow_key(self._storage.key, through=("dynamodb", "s3", "secretsmanager"))
        return materializer

    def _reconciler(self) -> ServiceFunction:
        results, registry = self._storage.buckets.results, self._storage.tables.registry
        limits = self._stage.materialization
        reconciler = ServiceFunction(
            self,
            "Reconciler",
            name="reconciler",
            description="Adds up and judges a run of the materialization",
            stage=self._stage,
            size=self._stage.reconciler,
            settings=ReconcilerSettings(
                stage=self._stage.name,
                product=self._product.name,
                results_bucket=results.bucket_name,
                registry_table=registry.table_name,
                rejected_rows_share=limits.rejected_rows_share,
                failed_files_share=limits.failed_files_share,
            ),
            layers=self._layers,
            key=self._storage.key,
        )
        may = reconciler.role
        may.allow_listing(results, RUNS)
        may.allow_objects("s3:GetObject", "s3:PutObject", bucket=results, prefix=RUNS)
        may.allow_items("dynamodb:UpdateItem", table=registry, partition=self._watermark)
        may.allow_key(self._storage.key, through=("dynamodb", "s3"))
        may.allow_metrics()
        return reconciler
