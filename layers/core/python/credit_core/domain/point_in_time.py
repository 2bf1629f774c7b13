"""The point-in-time join: for each labelled application, what was known when it was made.

One SQL text, for Athena (Trino) and DuckDB alike. It applies the rules of materialization and of
scoring, so that training sees what scoring would have seen: per view, of the rows that the store
accepts, the newest whose event and whose arrival lie at or before the application. A row is stale
when its age is above the ttl, and missing above twice the ttl; the view's declared defaults stand
for it then, or null where such an application is referred.

Time has a resolution of milliseconds: Athena reads Parquet so, and the text makes DuckDB round
alike.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from credit_core.domain.product import NAME, RETENTION_TTLS, Defaults, DType
from credit_core.errors import InvalidProductError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from credit_core.domain.product import (
        CreditProduct,
        Feature,
        FeatureView,
        Refer,
        Value,
    )

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
    """Return the query for the product's training set, one row per application with an outcome.

    Columns are those of ``training_set_columns``, rows in order of time. The event timestamp of
    a view is null when no row was found (missing), and older than the ttl when the row is stale.
    Where an application was delivered twice, the one created last counts; of two feature rows of
    the same times, the one that the online store would keep.

    An outcome counts when the label's horizon has passed by the lake's own clock, the newest
    delivery of an application: of younger applications only the early defaults are known.

    Raises:
        InvalidProductError: A name cannot be an identifier, or two output columns share one.
    """
    _check_names(product)
    label = product.label.name
    kept = [*product.entity_key_names, *(feature.name for feature in product.request_features)]
    request = [feature.name for feature in product.request_features]
    outputs = [_of("a", name) for name in ("application_id", "event_timestamp", *request)]
    for view in product.feature_views:
        outputs += [_served(view, feature) for feature in view.features]
    outputs.append(_of("a", label))
    outputs += [
        f"{_of(f'_{view.name}', '_event')} AS {_quoted(view_event_column(view))}"
        for view in product.feature_views
    ]
    applications = f"""\
"_delivered" AS (
  SELECT "application_id",
    {_milliseconds("event_timestamp")} AS "event_timestamp",
    {_milliseconds("created_timestamp")} AS "created_timestamp",
    {_listed(map(_quoted, [*kept, label]))}
  FROM {_quoted(product.applications_table)}
),
"_newest" AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY "application_id"
    ORDER BY "created_timestamp" DESC, "event_timestamp" DESC) AS "_recency"
  FROM "_delivered"
),
"_labelled" AS (
  SELECT * FROM "_newest"
  WHERE "_recency" = 1 AND {_quoted(label)} IS NOT NULL
    AND "event_timestamp" <= (SELECT MAX("created_timestamp") FROM "_delivered")
      - {_interval(int(product.label.horizon.total_seconds()))}
)"""  # noqa: S608 (names are checked, see _check_names)
    subqueries = [applications, *(_found_rows(product, view) for view in product.feature_views)]
    joins = [
        f"""\
LEFT JOIN {_quoted(f"_{view.name}")}
  ON {_of(f"_{view.name}", "_application_id")} = "a"."application_id"
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
    """Return the subqueries with a view's valid rows, ranked per application, the newest first.

    Names that begin with an underscore are this query's own: ``NAME`` allows no such table or
    feature.
    """
    names = [feature.name for feature in view.features]
    same_entity = "\n    AND ".join(
        f"{_of('v', key)} = {_of('a', key)}" for key in view.entity.key_names
    )
    valid = "\n    AND ".join(filter(None, map(_valid, view.features))) or "TRUE"
    known = _listed(f"{_known(feature)} AS {_quoted(feature.name)}" for feature in view.features)
    newest = ("_event", "_created", *names)
    seconds = int(view.ttl_seconds)
    return f"""\
{_quoted(f"_{view.name}_rows")} AS (
  SELECT {_listed(map(_quoted, view.entity.key_names))},
    {_milliseconds("event_timestamp")} AS "_event",
    {_milliseconds("created_timestamp")} AS "_created",
    {known}
  FROM {_quoted(product.view_table(view))}
  WHERE {valid}
),
{_quoted(f"_{view.name}")} AS (
  SELECT "a"."application_id" AS "_application_id",
    {_listed(_of("v", name) for name in ("_event", *names))},
    "v"."_event" >= "a"."event_timestamp" - {_interval(seconds)} AS "_is_fresh",
    ROW_NUMBER() OVER (PARTITION BY "a"."application_id"
      ORDER BY {_listed((f"{_of('v', name)} DESC NULLS LAST" for name in newest), indent=8)}
    ) AS "_recency"
  FROM "_labelled" AS "a"
  JOIN {_quoted(f"_{view.name}_rows")} AS "v"
    ON {same_entity}
    AND "v"."_event" <= "a"."event_timestamp"
    AND "v"."_created" <= "a"."event_timestamp"
    AND "v"."_event" >= "a"."event_timestamp" - {_interval(RETENTION_TTLS * seconds)}
)"""  # noqa: S608 (names are checked, see _check_names)


def _served(view: FeatureView, feature: Feature) -> str:
    """Return the expression of what a model is served for a feature of a view."""
    found = f"_{view.name}"
    missing, stale = (
        _literal(_default(rule, feature)) for rule in (view.when_missing, view.when_stale)
    )
    branches = [f"WHEN {_of(found, '_is_fresh')} THEN {_of(found, feature.name)}"]
    if missing != stale:
        branches.append(f"WHEN {_of(found, '_event')} IS NULL THEN {missing}")
    return f"CASE {' '.join(branches)} ELSE {stale} END AS {_quoted(feature.name)}"


def _default(rule: Refer | Defaults, feature: Feature) -> Value:
    return rule.values.get(feature.name) if isinstance(rule, Defaults) else None


def _valid(feature: Feature) -> str:
    """Return the condition under which materialization accepts a feature's value, if any."""
    column = _quoted(feature.name)
    if feature.dtype is DType.CATEGORY:
        if feature.unknown_category is not None:
            return ""
        condition = f"{column} IN ({', '.join(map(_literal, feature.categories))})"
    else:
        # NaN lies in no range, nor does an infinity.
        condition = f"{column} BETWEEN {_literal(feature.minimum)} AND {_literal(feature.maximum)}"
    return f"({condition} OR {column} IS NULL)" if feature.nullable else condition


def _known(feature: Feature) -> str:
    """Return the expression of a feature's value, undeclared categories made known."""
    column = _quoted(feature.name)
    if feature.unknown_category is None:
        return column
    declared = ", ".join(map(_literal, feature.categories))
    unknown = _literal(feature.unknown_category)
    return f"CASE WHEN {column} IN ({declared}) THEN {column} ELSE {unknown} END"


def _milliseconds(column: str) -> str:
    return f"CAST({_quoted(column)} AS TIMESTAMP(3))"


def _literal(value: Value) -> str:
    """Return a value as an SQL literal.

    >>> _literal(None), _literal(3), _literal(0.5), _literal("it's")
    ('NULL', '3', "DOUBLE '0.5'", "'it''s'")
    """
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value) if isinstance(value, int) else f"DOUBLE '{value!r}'"


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
    names = [*columns, *product.entity_key_names, product.applications_table]
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
