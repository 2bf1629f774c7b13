"""The point-in-time join: for each labelled application, what was known when it was made.

One SQL text, for Athena (Trino) and DuckDB alike. It applies the rule that the online store
follows, so that training sees the nulls that scoring sees: per view the newest row whose event
and whose arrival lie at or before the application; older than the ttl it is stale, and its
features are null. An event is stale when its age is above the ttl, fresh when equal to it.

Athena compares timestamps to the millisecond, DuckDB to the microsecond.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from credit_core.domain.product import NAME, RETENTION_TTLS
from credit_core.errors import InvalidProductError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from credit_core.domain.product import CreditProduct, FeatureView

SECONDS_A_DAY = 86_400


def view_event_column(view: FeatureView) -> str:
    """Name of the training set's column with the event timestamp of the row that was found."""
    return f"{view.name}_event_timestamp"


def training_set_columns(product: CreditProduct) -> tuple[str, ...]:
    """Return the columns of the training set in order; no entity key is among them."""
    return (
        "application_id",
        "event_timestamp",
        *(feature.name for feature in product.base_features),
        product.label.name,
        *(view_event_column(view) for view in product.feature_views),
    )


def training_set_sql(product: CreditProduct) -> str:
    """Return the query for the product's training set, one row per labelled application.

    Columns are those of ``training_set_columns``, rows in order of time. The event timestamp of
    a view is null when no row was found (missing), and older than the ttl when the row is stale.
    Where an application or a feature row was delivered twice, the one created last counts.

    Raises:
        InvalidProductError: A name cannot be an identifier, or two output columns share one.
    """
    _check_names(product)
    request = [feature.name for feature in product.request_features]
    label = product.label.name
    delivered = ["application_id", "event_timestamp", *product.entity_keys, *request, label]
    outputs = [_of("a", name) for name in ("application_id", "event_timestamp", *request)]
    for view in product.feature_views:
        found = f"_{view.name}"
        outputs += [
            f"CASE WHEN {_of(found, '_is_fresh')} THEN {_of(found, feature.name)} END"
            f" AS {_quoted(feature.name)}"
            for feature in view.features
        ]
    outputs.append(_of("a", label))
    outputs += [
        f"{_of(f'_{view.name}', '_event_timestamp')} AS {_quoted(view_event_column(view))}"
        for view in product.feature_views
    ]
    applications = f"""\
"_delivered" AS (
  SELECT {_listed(map(_quoted, delivered))},
    ROW_NUMBER() OVER (PARTITION BY "application_id"
      ORDER BY "created_timestamp" DESC, "event_timestamp" DESC) AS "_recency"
  FROM {_quoted(product.applications_table)}
),
"_labelled" AS (
  SELECT * FROM "_delivered" WHERE "_recency" = 1 AND {_quoted(label)} IS NOT NULL
)"""  # noqa: S608 (names are checked, see _check_names)
    subqueries = [applications, *(_found_rows(product, view) for view in product.feature_views)]
    joins = [
        f"""\
LEFT JOIN {_quoted(f"_{view.name}")}
  ON {_of(f"_{view.name}", "application_id")} = "a"."application_id"
  AND {_of(f"_{view.name}", "_recency")} = 1
"""
        for view in product.feature_views
    ]
    return f"""\
WITH {",\n".join(subqueries)}
SELECT {_listed(outputs, indent=2)}
FROM "_labelled" AS "a"
{"".join(joins)}ORDER BY "a"."event_timestamp", "a"."application_id"
"""  # noqa: S608 (names are checked, see _check_names)


def _found_rows(product: CreditProduct, view: FeatureView) -> str:
    """Return the subquery that ranks a view's rows per application, the newest first.

    Names that begin with an underscore are this query's own: ``NAME`` allows no such table or
    feature.
    """
    features = _listed(_of("v", feature.name) for feature in view.features)
    same_entity = "\n    AND ".join(
        f"{_of('v', key)} = {_of('a', key)}" for key in view.entity.keys
    )
    seconds = int(view.ttl_seconds)
    return f"""\
{_quoted(f"_{view.name}")} AS (
  SELECT "a"."application_id",
    {features},
    "v"."event_timestamp" AS "_event_timestamp",
    "v"."event_timestamp" >= "a"."event_timestamp" - {_interval(seconds)} AS "_is_fresh",
    ROW_NUMBER() OVER (PARTITION BY "a"."application_id"
      ORDER BY "v"."event_timestamp" DESC, "v"."created_timestamp" DESC) AS "_recency"
  FROM "_labelled" AS "a"
  JOIN {_quoted(product.view_table(view))} AS "v"
    ON {same_entity}
    AND "v"."event_timestamp" <= "a"."event_timestamp"
    AND "v"."created_timestamp" <= "a"."event_timestamp"
    AND "v"."event_timestamp" >= "a"."event_timestamp" - {_interval(RETENTION_TTLS * seconds)}
)"""  # noqa: S608 (names are checked, see _check_names)


def _interval(seconds: int) -> str:
    if seconds % SECONDS_A_DAY == 0:
        return f"INTERVAL '{seconds // SECONDS_A_DAY}' DAY"
    return f"INTERVAL '{seconds}' SECOND"


def _quoted(name: str) -> str:
    return f'"{name}"'


def _of(table: str, column: str) -> str:
    return f'"{table}"."{column}"'


def _listed(expressions: Iterable[str], *, indent: int = 4) -> str:
    return f",\n{' ' * indent}".join(expressions)


def _check_names(product: CreditProduct) -> None:
    columns = training_set_columns(product)
    names = [*columns, *product.entity_keys, product.applications_table]
    names += [product.view_table(view) for view in product.feature_views]
    faults = [
        f"{name!r}: not a valid name of a column or table" for name in names if not NAME.match(name)
    ]
    faults += [
        f"{name}: {count} columns of the training set have this name"
        for name, count in Counter(columns).items()
        if count > 1
    ]
    if faults:
        raise InvalidProductError(product.name, faults)
