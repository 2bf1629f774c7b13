"""From the newest event of each view, and from the models, to metrics of their ages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from constructs import Construct

from cdk_app.components.schedule import FunctionSchedule
from cdk_app.components.service_function import ServiceFunction
from credit_core.domain.online_store import newest_row_key
from credit_core.settings import FreshnessSettings

if TYPE_CHECKING:
    from cdk_app.components.layers import Layers
    from cdk_app.components.storage import Storage
    from cdk_app.stages import Stage
    from credit_core.domain.product import CreditProduct


class FreshnessMeter(Construct):
    """A function that publishes ages, and the schedule that invokes it."""

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
        table, registry = storage.tables.online_store, storage.tables.registry
        meter = ServiceFunction(
            self,
            "Meter",
            name="freshness",
            description="Publishes the ages of each feature view's newest event and of models",
            stage=stage,
            size=stage.freshness_meter,
            settings=FreshnessSettings(
                stage=stage.name,
                product=product.name,
                online_store_table=table.table_name,
                registry_table=registry.table_name,
            ),
            layers=layers,
            key=storage.key,
        )
        # The notes of the newest events, and nobody's features.
        notes = [newest_row_key(product, view) for view in product.feature_views]
        if notes:
            meter.role.allow(
                "dynamodb:BatchGetItem",
                on=[table.table_arn],
                conditions={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": notes}},
            )
        meter.role.allow_items("dynamodb:Query", table=registry, partition=product.name)
        meter.role.allow_key(storage.key, through=("dynamodb",))
        meter.role.allow_metrics()
        minutes = stage.freshness.every_minutes
        FunctionSchedule(
            self,
            "Schedule",
            description=f"Measures how old the features and models of {stage.prefix} are",
            expression=f"rate({minutes} minute{'s'[: minutes > 1]})",
            tries_seconds=60 * minutes,
            asked={},
            function=meter.function,
        )
