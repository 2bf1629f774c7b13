"""The product's history as tables: one of applications, one per view, with their columns' types.

The Glue catalog is made of them, and `credit products check` shows them. What the model must never
see may lie in the lake's files all the same, but is in no table: its type is not stated anywhere,
and Athena fails on a column of another type than its file.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from credit_core.domain.product import DType, KeyType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from credit_core.domain.product import CreditProduct, EntityKey, Feature, FeatureView


class ColumnType(StrEnum):
    """Types of columns, as Glue and Athena name them."""

    TEXT = "string"
    INTEGER = "bigint"
    FLOAT = "double"
    INSTANT = "timestamp"


ROW_NUMBER = "file_row_number"
"""A column that DuckDB adds to a file for whoever asks where a row lies; no file may have one."""

FEATURE_TYPES = {
    DType.FLOAT: ColumnType.FLOAT,
    DType.INTEGER: ColumnType.INTEGER,
    DType.CATEGORY: ColumnType.TEXT,
}
KEY_TYPES = {KeyType.TEXT: ColumnType.TEXT, KeyType.INTEGER: ColumnType.INTEGER}
INSTANTS = {"event_timestamp": ColumnType.INSTANT, "created_timestamp": ColumnType.INSTANT}


@dataclass(frozen=True)
class LakeTable:
    """A table over the Parquet files below a key prefix of the lake.

    ``view`` is the feature view whose history it is, None for the applications. Files may lack the
    ``optional`` columns; these are null then.
    """

    name: str
    prefix: str
    columns: Mapping[str, ColumnType]
    view: FeatureView | None
    optional: frozenset[str] = frozenset()


def lake_tables(product: CreditProduct) -> tuple[LakeTable, ...]:
    """Return the tables of a product: the applications, then its views in order of definition."""
    applications = LakeTable(
        product.applications_table,
        product.applications_prefix,
        {
            "application_id": ColumnType.TEXT,
            **_keys(product.entity_keys),
            **INSTANTS,
            **_features(product.request_features),
            product.label.name: ColumnType.INTEGER,
            **{group.name: ColumnType.TEXT for group in product.monitored_groups},
        },
        None,
        frozenset(group.name for group in product.monitored_groups),
    )
    return (applications, *(_view_table(product, view) for view in product.feature_views))


def _view_table(product: CreditProduct, view: FeatureView) -> LakeTable:
    name, prefix = product.view_table(view), product.view_prefix(view)
    return LakeTable(name, prefix, view_columns(view), view)


def view_columns(view: FeatureView) -> dict[str, ColumnType]:
    """Return the columns of a view's files, in order of definition."""
    return {**_keys(view.entity.keys), **INSTANTS, **_features(view.features)}


def _features(features: Iterable[Feature]) -> dict[str, ColumnType]:
    return {feature.name: FEATURE_TYPES[feature.dtype] for feature in features}


def _keys(keys: Iterable[EntityKey]) -> dict[str, ColumnType]:
    return {key.name: KEY_TYPES[key.dtype] for key in keys}
