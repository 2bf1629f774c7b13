"""The point-in-time join: for each labelled application, what was known when it was made.

One SQL text, for Athena (Trino) and DuckDB alike. It applies the rules of materialization and of
scoring, so that training sees what scoring would have seen: per view, of the rows that the store
accepts, the newest whose event and whose arrival lie at or before the application. A row is stale
when its age is above the ttl, and missing above twice the ttl; the view's declared defaults stand
for it then, or null where such an application is referred.

Time has a resolution of milliseconds: Athena reads Parquet so, and the text makes DuckDB round
alike. DuckDB has to work in UTC as Athena does: ``SET TimeZone = 'UTC'``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from credit_core.domain.online_store import CLOCK_SKEW
from credit_core.domain.product import (
    LARGEST_EXACT_INTEGER,
    RETENTION_TTLS,
    Defaults,
    DType,
    KeyType,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from credit_core.domain.product import (
        CreditProduct,
        EntityKey,
        Feature,
        FeatureView,
        Refer,
        Value,
    )

SECONDS_A_DAY = 86_400
NOW = "CAST(CURRENT_TIMESTAMP AT TIME ZONE 'UTC' AS TIMESTAMP(3))"
"""A delivery of the future is none: it would let the horizon of every application pass."""
FOREVER = "TIMESTAMP '9999-12-31 23:59:59.999'"


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
        *(group.name for group in product.monitored_groups),
        *(view_event_column(view) for view in product.feature_views),
    )


def training_set_sql(product: CreditProduct) -> str:
    """Return the query for the product's training set, one row per application with an outcome.

    Columns are those of ``training_set_columns``, rows in order of time. The event timestamp of
    a view is null when no row was found (missing), and older than the ttl when the row is stale.
    Where an application was delivered twice, the one created last counts; of two feature rows of
    the same times, the one that the online store would keep.

    An application whose keys a request could not carry is left out. An outcome counts when the
    label's horizon has passed by the lake's own clock, the newest delivery of an application: of
    younger applications only the early defaults are known.
    """
    label = product.label.name
    groups = [group.name for group in product.monitored_groups]
    kept = [*product.entity_key_names, *(feature.name for feature in product.request_features)]
    request = [feature.name for feature in product.request_features]
    latest = ("created_timestamp", "event_timestamp", *kept, label, *groups)
    outputs = [_of("a", name) for name in ("application_id", "event_timestamp", *request)]
    for view in product.feature_views:
        outputs += [_served(view, feature) for feature in view.features]
    outputs += [_of("a", name) for name in (label, *groups)]
    outputs += [
        f"{_of(f'_{view.name}', '_event')} AS {_quoted(view_event_column(view))}"
        for view in product.feature_views
    ]
    applications = f"""\
"delivered" AS (
  SELECT "application_id",
    {_milliseconds("event_timestamp")} AS "event_timestamp",
    {_milliseconds("created_timestamp")} AS "created_timestamp",
    {_listed(map(_quoted, [*kept, label, *groups]))}
  FROM {_quoted(product.applications_table)}
  WHERE "created_timestamp" <= {NOW}
),
"newest" AS (
  SELECT *, ROW_NUMBER() OVER (PARTITION BY "application_id"
    ORDER BY {_listed((f"{_quoted(name)} DESC NULLS LAST" for name in latest), indent=6)}
  ) AS "_recency"
  FROM "delivered"
),
"labelled" AS (
  SELECT * FROM "newest"
  WHERE "_recency" = 1 AND {_quoted(label)} IS NOT NULL
    AND {"\n    AND ".join(map(_valid_key, product.entity_keys)) or "TRUE"}
    AND "event_timestamp" <= (SELECT MAX("created_timestamp") FROM "delivered")
      - {_interval(int(product.label.horizon.total_seconds()))}
)"""  # noqa: S608 (a product's names are checked when it is defined)
    subqueries = [applications, *(_intervals(product, view) for view in product.feature_views)]
    joins = map(_join, product.feature_views)
    return f"""\
WITH {",\n".join(subqueries)}
SELECT {_listed(outputs, indent=2)}
FROM "labelled" AS "a"
{"".join(joins)}ORDER BY "a"."event_timestamp", "a"."application_id"
"""  # noqa: S608 (a product's names are checked when it is defined)


def _intervals(product: CreditProduct, view: FeatureView) -> str:
    """Return the subqueries with a view's valid rows, each with the interval in which it counts.

    A row counts from the moment at which it is known, the later of its two times, until a newer
    row of the entity is known. These intervals do not overlap, so an application meets one row at
    most, and nothing has to be ranked per application: however many rows an entity has, what is
    sorted is the view itself, and of it only what some application of the entity can reach.

    Names that begin with an underscore, hold a space or are a single word are this query's own:
    no view, feature or table of a product has such a name.
    """
    keys = view.entity.key_names
    names = [feature.name for feature in view.features]
    valid = "\n    AND ".join(filter(None, map(_valid, view.features))) or "TRUE"
    skew = _interval(int(CLOCK_SKEW.total_seconds()))
    known = _listed(f"{_known(feature)} AS {_quoted(feature.name)}" for feature in view.features)
    newest = ("_event", "_created", *names)
    retention = _interval(RETENTION_TTLS * int(view.ttl_seconds))
    return f"""\
{_quoted(f"_{view.name} rows")} AS (
  SELECT {_listed(map(_quoted, keys))},
    {_milliseconds("event_timestamp")} AS "_event",
    {_milliseconds("created_timestamp")} AS "_created",
    {known}
  FROM {_quoted(product.view_table(view))}
  WHERE {valid}
    AND {_milliseconds("event_timestamp")} <= {_milliseconds("created_timestamp")} + {skew}
),
{_quoted(f"_{view.name} wanted")} AS (
  SELECT {_listed(map(_quoted, keys))},
    MIN("event_timestamp") - {retention} AS "_first",
    MAX("event_timestamp") AS "_last"
  FROM "labelled"
  GROUP BY {_listed(map(_quoted, keys))}
),
{_quoted(f"_{view.name} reached")} AS (
  SELECT "v".*, GREATEST("v"."_event", "v"."_created") AS "_known"
  FROM {_quoted(f"_{view.name} rows")} AS "v"
  JOIN {_quoted(f"_{view.name} wanted")} AS "w"
    ON {_equal("v", "w", keys)}
    AND "v"."_event" BETWEEN "w"."_first" AND "w"."_last"
    AND "v"."_created" <= "w"."_last"
),
{_quoted(f"_{view.name}")} AS (
  SELECT *,
    COALESCE(
      MIN("_known") OVER (PARTITION BY {_listed(map(_quoted, keys), indent=8)}
        ORDER BY {_listed((f"{_quoted(name)} DESC NULLS LAST" for name in newest), indent=10)}
        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
      {FOREVER}
    ) AS "_superseded"
  FROM {_quoted(f"_{view.name} reached")}
)"""  # noqa: S608 (a product's names are checked when it is defined)


def _join(view: FeatureView) -> str:
    """Return the join of each application with the row that counts at its instant, if any."""
    found = f"_{view.name}"
    retention = _interval(RETENTION_TTLS * int(view.ttl_seconds))
    return f"""\
LEFT JOIN {_quoted(found)}
  ON {_equal(found, "a", view.entity.key_names, indent=2)}
  AND {_of(found, "_known")} <= "a"."event_timestamp"
  AND {_of(found, "_superseded")} > "a"."event_timestamp"
  AND {_of(found, "_event")} >= "a"."event_timestamp" - {retention}
"""


def _served(view: FeatureView, feature: Feature) -> str:
    """Return the expression of what a model is served for a feature of a view."""
    found = f"_{view.name}"
    missing, stale = (
        _literal(_default(rule, feature)) for rule in (view.when_missing, view.when_stale)
    )
    oldest = f'"a"."event_timestamp" - {_interval(int(view.ttl_seconds))}'
    branches = [f"WHEN {_of(found, '_event')} >= {oldest} THEN {_of(found, feature.name)}"]
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


def _valid_key(key: EntityKey) -> str:
    """Return the condition under which a request's key is accepted.

    Trino and DuckDB have no matching function of one name, but both replace; replacing what
    matches the whole pattern leaves nothing.
    """
    column = _quoted(key.name)
    if key.dtype is KeyType.INTEGER:
        return f"{column} BETWEEN 0 AND {LARGEST_EXACT_INTEGER - 1}"
    pattern = _literal(rf"^(?:{key.pattern})\z")
    return f"{column} <> '' AND REGEXP_REPLACE({column}, {pattern}, '') = ''"


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


def _equal(one: str, other: str, columns: Iterable[str], *, indent: int = 4) -> str:
    pairs = (f"{_of(one, column)} = {_of(other, column)}" for column in columns)
    return f"\n{' ' * indent}AND ".join(pairs)


def _listed(expressions: Iterable[str], *, indent: int = 4) -> str:
    return f",\n{' ' * indent}".join(expressions)
