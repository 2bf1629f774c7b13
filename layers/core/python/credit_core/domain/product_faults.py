"""What contradicts itself in a credit product as a whole: names, references, limits."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Protocol

from credit_core.domain.definition_faults import ANY_TEXT, TEXT, Check, a, repeated, same
from credit_core.domain.definitions import (
    AdverseActionReason,
    Defaults,
    DerivedFeature,
    DType,
    Entity,
    EntityKey,
    Feature,
    FeatureView,
    Label,
    MonitoredGroup,
    ProhibitedInput,
    check_name,
    stored_faults,
)
from credit_core.domain.policy_definition import Condition, Policy, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from credit_core.domain.product import CreditProduct


class Named(Protocol):
    """A part of a definition that has a name."""

    @property
    def name(self) -> str:
        """Whatever the lender wrote."""
        ...


class Part(Named, Protocol):
    """A part that knows what is wrong with itself."""

    def faults(self, place: str) -> list[str]:
        """Return its faults, each with its place."""
        ...


REASON, ENTITY = a(AdverseActionReason), a(Entity)
type Members[T] = Sequence[tuple[str, T]]
"""Parts of a definition, each with its place."""

TABLE_COLUMNS = ("application_id", "event_timestamp", "created_timestamp", "file_row_number")
"""Columns that every product has; no feature, key or label can have such a name."""
REQUEST_RESERVED = re.compile(
    r"(construct|copy|dict|from_orm|json|parse_(file|obj|raw)|schema(_json)?|update_forward_refs"
    r"|validate|model_(computed_fields|config|construct|copy|dump(_json)?|extra|fields(_set)?"
    r"|json_schema|parametrized_name|post_init|rebuild|validate(_json|_strings)?))\Z"
)
"""Names of pydantic's BaseModel, which the schema of a request derives from."""
LONGEST_PRODUCT_NAME = 32
"""It is part of names of resources, of which Cognito's domain may have 63 characters."""
MAXIMUM_BATCH_KEYS = 100
"""Keys in one BatchGetItem (AWS limit); a score reads one per view plus decision and pointer."""


def product_faults(product: CreditProduct) -> list[str]:
    """Return all that is wrong with a definition, each fault with its place."""
    check = Check(
        product,
        "",
        {
            "name": ANY_TEXT,
            "title": TEXT,
            "description": ANY_TEXT,
            "label": a(Label),
            "policy": a(Policy),
        },
    )
    check_name(check, product.name)
    if check.sound("name") and len(product.name) > LONGEST_PRODUCT_NAME:
        check.add("name", f"names of its resources allow {LONGEST_PRODUCT_NAME} characters")
    entities = check.members("entities", Entity, of="entities")
    views = check.members("feature_views", FeatureView, of="feature_views")
    requested = check.members("request_features", Feature, of="request_features")
    derived = check.members("derived_features", DerivedFeature, of="derived_features")
    prohibited = check.members("prohibited", ProhibitedInput, of="prohibited")
    groups = check.members("monitored_groups", MonitoredGroup, of="monitored_groups")
    found = check.found
    parts: list[tuple[str, Part]] = [*entities, *views, *derived, *prohibited, *groups]
    for place, part in parts:
        found += part.faults(place)
    for place, feature in requested:
        found += stored_faults(place, feature)
    for members in (entities, views, prohibited, groups):
        found += repeated(members)
    if check.sound("policy"):
        found += product.policy.faults("policy")
    if check.sound("label"):
        found += product.label.faults("label")

    columns = [
        *requested,
        *(
            pair
            for place, view in views
            for pair in Check(view, place, {}).members("features", Feature)
        ),
    ]
    keys = [
        pair
        for place, entity in entities
        for pair in Check(entity, place, {}).members("keys", EntityKey)
    ]
    if not columns:
        found.append("request_features: neither they nor a view hold a feature")
    features = [*columns, *derived]
    names = [*_names(keys), *_names(features)]
    label = product.label if check.sound("label") else None
    found += _name_faults(keys, views, _names([*features, *groups]), label)
    found += _prohibited_faults(prohibited, names)
    found += _reason_faults(features)
    found += _input_faults(columns, derived)
    found += _assumption_faults(views, derived)
    found += _influence_faults([*columns[len(requested) :], *derived])
    if check.sound("policy"):
        found += _rule_faults(product.policy, features)
    found += _entity_faults(entities, keys, views)
    found += [
        f"{place}.name: {name!r} has a meaning of its own in the schema of a request"
        for place, name in [*_names(keys), *_names(requested)]
        if REQUEST_RESERVED.match(name)
    ]
    if len(views) + 2 > MAXIMUM_BATCH_KEYS:
        found.append(
            f"feature_views: {len(views)} do not fit one BatchGetItem, which reads"
            f" {MAXIMUM_BATCH_KEYS} keys, two of them the receipt's and the rollout pointer's"
        )
    return found


def _names(members: Iterable[tuple[str, Named]]) -> list[tuple[str, str]]:
    """Return the names that are text, each with its place."""
    return [(place, member.name) for place, member in members if ANY_TEXT.holds(member.name)]


def _name_faults(
    keys: Members[EntityKey],
    views: Members[FeatureView],
    columns: Sequence[tuple[str, str]],
    label: Label | None,
) -> Iterator[str]:
    """Yield a fault for each name that means two things in one table or in the training set."""
    taken = dict.fromkeys(TABLE_COLUMNS, "every table")
    for place, view in _names(views):
        taken.setdefault(f"{view}_event_timestamp", f"{place}, for its event timestamp")
    own = set(taken)
    labels = [("label", label)] if label else []
    for place, name in _names(keys):  # entities may share a key
        if name in own:
            yield f"{place}.name: {name!r} is taken by {taken[name]}"
        taken.setdefault(name, place)
    for place, name in [*columns, *_names(labels)]:
        if name in taken:
            yield f"{place}.name: {name!r} is taken by {taken[name]}"
        taken.setdefault(name, place)


def _prohibited_faults(
    prohibited: Members[ProhibitedInput], names: Sequence[tuple[str, str]]
) -> Iterator[str]:
    places = {name: place for place, name in names}
    for place, unwanted in prohibited:
        name = str(unwanted.name).strip().lower()
        if name in places:
            yield f"{place}: prohibited ({unwanted.reason}), and an input at {places[name]}"


def _reason_faults(features: Members[Feature]) -> Iterator[str]:
    """Yield the faults of the reasons, each once however many features share it."""
    by_code: dict[str, tuple[str, AdverseActionReason]] = {}
    checked: set[int] = set()
    for place, feature in features:
        reason = feature.adverse_action
        if not REASON.holds(reason):
            continue
        if id(reason) not in checked:
            checked.add(id(reason))
            yield from reason.faults(f"{place}.adverse_action")
        if TEXT.holds(reason.code):
            other, first = by_code.setdefault(reason.code, (place, reason))
            if first is not reason and _contradict(first, reason):
                yield (
                    f"{place}.adverse_action: code {reason.code!r} has another text at"
                    f" {other}.adverse_action"
                )
    for code, (place, _) in by_code.items():
        unknown = f"{code}_UNKNOWN"
        if unknown in by_code:
            yield (
                f"{by_code[unknown][0]}.adverse_action.code: {unknown!r} is what {code!r} of"
                f" {place} becomes where its value is unknown"
            )


def _contradict(one: AdverseActionReason, other: AdverseActionReason) -> bool:
    """Whether two reasons of one code differ in a text that both state."""
    unknown = one.text_if_unknown, other.text_if_unknown
    return not same(one.text, other.text) or (None not in unknown and not same(*unknown))


def _input_faults(columns: Members[Feature], derived: Members[DerivedFeature]) -> Iterator[str]:
    known = {feature.name: feature for _, feature in columns if ANY_TEXT.holds(feature.name)}
    others = {name for _, name in _names(derived)}
    for place, feature in derived:
        inputs = Check(feature, "", {}).members("inputs", str)
        for name, count in Counter(name for _, name in inputs).items():
            if count > 1:
                yield f"{place}.inputs: {name!r} is listed {count} times"
            if same(name, feature.name):
                yield f"{place}.inputs: {name!r} is this feature itself"
            elif name in others:
                yield f"{place}.inputs: {name!r} is derived; name what is sent or stored"
            elif name not in known:
                yield f"{place}.inputs: {name!r} is not a feature"
            elif known[name].dtype is DType.CATEGORY:
                yield f"{place}.inputs: {name!r} is a category; a function takes numbers"


def _assumption_faults(
    views: Members[FeatureView], derived: Members[DerivedFeature]
) -> Iterator[str]:
    """Yield a fault for each reason that would state what is derived from a default as a fact."""
    assumed = {
        name
        for place, view in views
        if isinstance(view.when_missing, Defaults) or isinstance(view.when_stale, Defaults)
        for _, name in _names(Check(view, place, {}).members("features", Feature))
    }
    for place, feature in derived:
        inputs = [name for _, name in Check(feature, "", {}).members("inputs", str)]
        reason = feature.adverse_action
        if REASON.holds(reason) and reason.text_if_unknown is None and assumed.intersection(inputs):
            yield (
                f"{place}.adverse_action.text_if_unknown: state it, an input may be a default that"
                " was assumed"
            )


def _influence_faults(others: Members[Feature]) -> Iterator[str]:
    """Yield a fault for each feature that an application can't change, and says it can."""
    for place, feature in others:
        if feature.influence is not None:
            yield f"{place}.influence: only what an application holds can be changed in one"


def _rule_faults(policy: Policy, features: Members[Feature]) -> Iterator[str]:
    """Yield the faults of what hard rules name."""
    known = {feature.name: feature for _, feature in features if ANY_TEXT.holds(feature.name)}
    codes = {
        feature.adverse_action.code: place
        for place, feature in features
        if REASON.holds(feature.adverse_action) and TEXT.holds(feature.adverse_action.code)
    }
    for place, rule in Check(policy, "policy", {}).members("rules", Rule, of="rules"):
        if TEXT.holds(rule.code) and rule.code in codes:
            yield f"{place}.code: {rule.code!r} is the reason of {codes[rule.code]}"
        for where, condition in Check(rule, place, {}).members("when", Condition):
            if condition.faults(where):
                continue
            feature = known.get(condition.feature)
            if feature is None:
                yield f"{where}.feature: {condition.feature!r} is not a feature"
            elif isinstance(condition.value, tuple):
                for category in condition.value:
                    if category not in feature.categories:
                        yield f"{where}.value: {category!r} is no category of {feature.name}"
            elif feature.dtype is DType.CATEGORY:
                yield f"{where}.comparison: {feature.name} is a category; use Comparison.ONE_OF"


def _entity_faults(
    entities: Members[Entity], keys: Members[EntityKey], views: Members[FeatureView]
) -> Iterator[str]:
    defined: dict[str, tuple[str, EntityKey]] = {}
    for place, key in keys:
        if ANY_TEXT.holds(key.name):
            other, first = defined.setdefault(key.name, (place, key))
            if not same(first, key):
                yield f"{place}: differs from the key of that name at {other}"
    known = [entity for _, entity in entities]
    for place, view in views:
        if not ENTITY.holds(view.entity) or any(same(view.entity, entity) for entity in known):
            continue
        if any(same(view.entity.name, entity.name) for entity in known):
            yield f"{place}.entity: differs from the {view.entity.name!r} of entities"
        else:
            yield f"{place}.entity: {view.entity.name!r} is not in entities"
