"""A product definition in words for a person, and as a document for a machine."""

from __future__ import annotations

import json
import math
import textwrap
from collections import Counter, defaultdict
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from credit_cli.product_sections import Section
from credit_core.domain.application import APPLICATION_ID_PATTERN, ApplicationReader
from credit_core.domain.findings import Severity
from credit_core.domain.lake_tables import lake_tables
from credit_core.domain.point_in_time import training_set_columns, training_set_sql
from credit_core.domain.policy import points
from credit_core.domain.product import (
    RETENTION_TTLS,
    Change,
    DerivedFeature,
    DType,
    KeyType,
    Refer,
    load_product,
    product_names,
)
from credit_core.errors import InvalidProductError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta

    from credit_core.domain.findings import Finding
    from credit_core.domain.product import (
        Band,
        CreditProduct,
        Defaults,
        EntityKey,
        Feature,
        FeatureView,
        Policy,
    )

WIDTH = 100
LABEL = 10
LONGEST_LIST = 48
CHANGES = {Change.LOWER: "lower", Change.HIGHER: "higher", Change.EITHER: "either way"}


def listed_products() -> list[dict[str, Any]]:
    """Return the products under ``products/``, the broken ones with their faults."""
    listed: list[dict[str, Any]] = []
    owners: dict[str, list[str]] = defaultdict(list)
    for name in product_names():
        try:
            product = load_product(name)
        except InvalidProductError as error:
            listed.append({"name": name, "sound": False, "faults": list(error.faults)})
            continue
        for table in lake_tables(product):
            owners[table.name].append(name)
        views = [view.name for view in product.feature_views]
        listed.append({"name": name, "sound": True, "title": product.title, "views": views})
    for table_name, names in owners.items():
        for entry in listed:
            if len(names) > 1 and entry["name"] in names:
                others = ", ".join(other for other in names if other != entry["name"])
                entry.setdefault("clashes", []).append(f"{table_name} is a table of {others} too")
    return listed


def product_list_lines(listed: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield a line per product, and one below it per clash of its tables with another's."""
    width = max((len(entry["name"]) for entry in listed), default=0) + 2
    for entry in listed:
        if entry["sound"]:
            views = ", ".join(entry["views"]) or "none"
            yield f"{entry['name']:<{width}}sound   {entry['title']}; views: {views}"
        else:
            count = len(entry["faults"])
            yield (
                f"{entry['name']:<{width}}broken  {count} fault{'s' if count != 1 else ''}; see:"
                f" credit products check {entry['name']}"
            )
        for clash in entry.get("clashes", ()):
            yield f"{'':<{width}}        {clash}: deploy them to stages of their own"


def check_document(product: CreditProduct, findings: Sequence[Finding]) -> dict[str, Any]:
    """Return what a definition implies as a JSON object; its keys are the sections' names."""
    return {
        "name": product.name,
        "sound": True,
        "definition": {
            "title": product.title,
            "description": product.description,
            "entities": {
                entity.name: [asdict(key) for key in entity.keys] for entity in product.entities
            },
            "feature_views": {view.name: _view_document(view) for view in product.feature_views},
            "request_features": [_feature_document(it) for it in product.request_features],
            "derived_features": [_feature_document(it) for it in product.derived_features],
            "label": {
                "name": product.label.name,
                "horizon_seconds": product.label.horizon.total_seconds(),
            },
            "prohibited": {unwanted.name: unwanted.reason for unwanted in product.prohibited},
            "monitored_groups": {it.name: list(it.values) for it in product.monitored_groups},
        },
        "schema": ApplicationReader(product).schema.model_json_schema(),
        "tables": [
            {"name": table.name, "prefix": table.prefix, "columns": dict(table.columns)}
            for table in lake_tables(product)
        ],
        "sql": training_set_sql(product),
        "inputs": [feature.name for feature in product.model_features],
        "policy": asdict(product.policy),
        "lint": [asdict(finding) for finding in findings],
    }


def _view_document(view: FeatureView) -> dict[str, Any]:
    return {
        "entity": view.entity.name,
        "version": view.version,
        "ttl_seconds": view.ttl_seconds,
        "when_missing": view.substitutes(view.when_missing) or "refer",
        "when_stale": view.substitutes(view.when_stale) or "refer",
        "features": [_feature_document(feature) for feature in view.features],
    }


def _feature_document(feature: Feature) -> dict[str, Any]:
    """Return a feature's fields; a derived one's function has no JSON."""
    return {
        each.name: getattr(feature, each.name)
        for each in fields(feature)
        if each.name not in {"function", "adverse_action"}
    } | {
        "adverse_action": asdict(feature.adverse_action),
        "influence": asdict(feature.influence) if feature.influence else None,
    }


def check_lines(
    product: CreditProduct, findings: Sequence[Finding], show: Sequence[Section] | None
) -> Iterator[str]:
    """Yield what a definition implies as lines of text.

    Args:
        product: The sound definition.
        findings: What the lint found in it.
        show: The sections to print; without, all of them, the schema and the SQL as one line each.
    """
    full = {
        Section.DEFINITION: lambda: _definition(product),
        Section.SCHEMA: lambda: _schema(product),
        Section.TABLES: lambda: _tables(product),
        Section.SQL: lambda: iter([training_set_sql(product).rstrip()]),
        Section.INPUTS: lambda: _inputs(product),
        Section.POLICY: lambda: _policy(product),
        Section.LINT: lambda: _lint(findings),
    }
    short = {
        Section.SCHEMA: lambda: _schema_in_short(product),
        Section.SQL: lambda: _sql_in_short(product),
    }
    for number, section in enumerate(show or Section):
        if number:
            yield ""
        yield from (full if show else full | short)[section]()


def _definition(product: CreditProduct) -> Iterator[str]:
    yield f"{product.title} ({product.name})"
    yield from _wrapped(product.description, indent=0)
    for entity in product.entities:
        yield ""
        yield from _wrapped(f"Entity {entity.name}: {entity.description}", indent=0)
        yield from _columns([(key.name, _key_rule(key)) for key in entity.keys])
    yield ""
    yield "Sent in a request"
    yield from _features(product.request_features)
    for view in product.feature_views:
        yield ""
        heading = f"Feature view {view.name}, version {view.version}: {view.description}"
        yield from _wrapped(heading, indent=0)
        yield (
            f"  of {view.entity.name} ({', '.join(view.entity.key_names)});"
            f" fresh up to {_length(view.ttl)}, then stale, missing after"
            f" {_length(RETENTION_TTLS * view.ttl)}"
        )
        for what, rule in (("missing", view.when_missing), ("stale", view.when_stale)):
            yield from _wrapped(f"when {what}: {_rule(view, rule)}", indent=2)
        yield from _features(view.features)
    if product.derived_features:
        yield ""
        yield "Derived, in training as in a request"
        yield from _features(product.derived_features)
    yield ""
    yield "Reasons an applicant can be told"
    reasons = {it.adverse_action.code: it.adverse_action for it in product.model_features}
    width = max(map(len, reasons)) + 4
    for reason in reasons.values():
        yield from _hanging(reason.code, reason.text, width)
        if reason.text_if_unknown:
            yield from _hanging("", f"if unknown: {reason.text_if_unknown}", width)
    yield ""
    label = product.label
    yield from _wrapped(
        f"Label {label.name}, known after {_length(label.horizon)}: {label.description}", indent=0
    )
    if product.prohibited:
        yield ""
        yield "Prohibited inputs"
        yield from _columns([(it.name, it.reason) for it in product.prohibited])
    if product.monitored_groups:
        yield ""
        yield "Groups whose outcomes are compared, and that no model sees"
        yield from _columns(
            [
                (
                    it.name,
                    ", ".join(it.values),
                    f"ratio to {it.reference or 'the group approved most'}",
                    f"at least {it.least_ratio:g}" if it.least_ratio else "reported only",
                )
                for it in product.monitored_groups
            ]
        )


def _features(features: Sequence[Feature]) -> Iterator[str]:
    """Yield a line per feature, and below a derived one its inputs."""
    rows = [("", "type", "values", "risk", "reason")]
    rows += [
        (
            feature.name,
            str(feature.dtype),
            _values(feature),
            str(feature.risk or "-"),
            feature.adverse_action.code,
        )
        for feature in features
    ]
    lines = list(_columns(rows))
    yield lines[0]
    for feature, line in zip(features, lines[1:], strict=True):
        yield line
        if isinstance(feature, DerivedFeature):
            yield from _wrapped(f"of {', '.join(feature.inputs)}", indent=6)


def _values(feature: Feature) -> str:
    if feature.dtype is DType.CATEGORY:
        words = f"{len(feature.categories)} categories"
        listed = ", ".join(feature.categories)
        if len(listed) <= LONGEST_LIST:
            words = listed
        if feature.unknown_category:
            words += f"; unknown is {feature.unknown_category}"
    else:
        words = f"{feature.minimum:,} to {feature.maximum:,} {feature.unit}"
    return f"{words}, or null" if feature.nullable else words


def _key_rule(key: EntityKey) -> str:
    return "0 to 2**53 - 1" if key.dtype is KeyType.INTEGER else f"text matching {key.pattern}"


def _rule(view: FeatureView, rule: Refer | Defaults) -> str:
    if isinstance(rule, Refer):
        return "a person decides"
    substitutes = view.substitutes(rule) or {}
    return "counts as " + ", ".join(
        f"{name} {'unknown' if value is None else value}" for name, value in substitutes.items()
    )


def _schema_in_short(product: CreditProduct) -> Iterator[str]:
    count = len(ApplicationReader(product).schema.model_fields)
    yield f"Request: a JSON object of {count} fields, all required, no others; --show schema"
    rows = [("application_id", f"text matching {APPLICATION_ID_PATTERN}")]
    rows += [(key.name, _key_rule(key)) for key in product.entity_keys]
    rows += [(feature.name, _values(feature)) for feature in product.request_features]
    yield from _columns(rows)


def _schema(product: CreditProduct) -> Iterator[str]:
    yield json.dumps(ApplicationReader(product).schema.model_json_schema(), indent=2)


def _tables(product: CreditProduct) -> Iterator[str]:
    for number, table in enumerate(lake_tables(product)):
        if number:
            yield ""
        yield f"Table {table.name}: Parquet below {table.prefix}"
        columns = ", ".join(
            f"{name}\N{NO-BREAK SPACE}{type_}" for name, type_ in table.columns.items()
        )
        for line in _wrapped(columns, indent=2):
            yield line.replace("\N{NO-BREAK SPACE}", " ")  # a column stays on the line of its type


def _sql_in_short(product: CreditProduct) -> Iterator[str]:
    sql = training_set_sql(product)
    yield (
        f"Training set: {len(training_set_columns(product))} columns, by a query of"
        f" {len(sql.splitlines())} lines, {len(sql.encode()):,} bytes; --show sql"
    )


def _inputs(product: CreditProduct) -> Iterator[str]:
    sources = Counter(
        {
            "sent": len(product.request_features),
            "stored": len(product.base_features) - len(product.request_features),
            "derived": len(product.derived_features),
        }
    )
    counts = ", ".join(f"{count} {source}" for source, count in sources.items() if count)
    yield f"Model inputs, in this order: {len(product.model_features)} ({counts})"
    yield from _wrapped(", ".join(feature.name for feature in product.model_features), indent=2)


def _policy(product: CreditProduct) -> Iterator[str]:
    policy = product.policy
    approved, declined = (
        points(policy, _log_odds(probability))
        for probability in (policy.approve_up_to, policy.decline_from)
    )
    yield f"Policy {policy.version}"
    if policy.rules:
        yield "First the rules: the first that declines decides, if none does the first that refers"
        width = max(len(rule.code) for rule in policy.rules) + 2
        for rule in policy.rules:
            conditions = " and ".join(map(str, rule.when))
            unknown = "" if rule.unknown_passes else "; unknown: a person decides"
            yield from _hanging(
                rule.code, f"{rule.kind}: {rule.outcome} where {conditions}{unknown}", width
            )
            yield from _hanging("", rule.text, width)
        yield "Then the cut-offs"
    yield from _columns(
        [
            (
                "approve",
                f"probability of default up to {policy.approve_up_to:.2%}",
                f"{approved:.0f} points or more",
            ),
            ("refer", "between them", ""),
            (
                "decline",
                f"probability of default from {policy.decline_from:.2%}",
                f"{declined:.0f} points or less",
            ),
        ]
    )
    yield (
        f"  {policy.base_points:g} points at odds of {policy.base_odds:g} to 1;"
        f" {policy.points_to_double_odds:g} more double the odds; at most"
        f" {policy.maximum_reasons} reasons"
    )
    if policy.bands:
        yield "Risk bands"
        yield from _columns([_band(policy, band) for band in policy.bands])
    influenced = [it for it in product.request_features if it.influence is not None]
    if influenced:
        yield "What an applicant can change, as an explanation may propose"
        yield from _columns([(it.name, _influence(it)) for it in influenced])


def _band(policy: Policy, band: Band) -> tuple[str, str, str]:
    if band.up_to >= 1:
        return band.name, "the others", ""
    least = points(policy, _log_odds(band.up_to))
    return band.name, f"up to {band.up_to:.2%}", f"{least:.0f} points or more"


def _influence(feature: Feature) -> str:
    """Say how an applicant can change a feature; it has an influence."""
    influence = feature.influence
    if influence is None or influence.step is None:
        return "another category"
    return f"{CHANGES[influence.change]} by steps of {influence.step:,g} {feature.unit}"


def _log_odds(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _lint(findings: Sequence[Finding]) -> Iterator[str]:
    counts = Counter(finding.severity for finding in findings)
    words = ", ".join(
        f"{counts[severity]} {severity}{'' if counts[severity] == 1 else 's'}"
        for severity in Severity
    )
    yield f"Lint: {words}"
    for finding in findings:
        yield from _hanging(finding.severity, finding.place, LABEL)
        for text in (finding.what, finding.why, finding.remedy):
            yield from _wrapped(text, indent=LABEL + 2)


def _length(length: timedelta) -> str:
    """Return a duration in its largest whole unit.

    >>> from datetime import timedelta
    >>> _length(timedelta(days=30)), _length(timedelta(hours=36)), _length(timedelta(days=1))
    ('30 days', '36 hours', '1 day')
    """
    seconds = int(length.total_seconds())
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds and seconds % size == 0:
            count = seconds // size
            return f"{count:,} {unit}{'s' if count != 1 else ''}"
    return f"{seconds:,} seconds"


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield rows as indented columns, each as wide as its longest cell but the last."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(cells)}".rstrip()


def _hanging(label: str, text: str, width: int) -> Iterator[str]:
    lines = textwrap.wrap(text, WIDTH - width - 2, break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        yield f"  {'' if number else label:<{width}}{line}"


def _wrapped(text: str, *, indent: int) -> Iterator[str]:
    yield from textwrap.wrap(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
