"""A credit product: one declarative definition from which everything else follows.

The request schema, the Glue tables, the point-in-time SQL, the training columns and their order,
the ONNX input, the online item layout and the reason texts are all derived from it.
"""

from __future__ import annotations

import importlib
import math
import re
from collections import Counter
from collections.abc import (  # noqa: TC003 (dataclass field types are read at run time)
    Callable,
    Iterable,
    Mapping,
)
from dataclasses import dataclass, field
from datetime import timedelta  # noqa: TC003 (see above)
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from credit_core.errors import InvalidProductError

type Column = NDArray[np.float64]
"""Values of one feature, shape (n,), NaN where unknown."""

type Value = float | int | str | None
"""A feature's value as sent or stored; None is unknown."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
LARGEST_EXACT_INTEGER = 2**53
"""Beyond it neither JSON nor a double tells two integers apart. The model sees float32."""
RETENTION_TTLS = 2
"""A row is kept, online, for this many times its ttl: stale up to then, missing afterwards."""
MAXIMUM_BATCH_KEYS = 100
"""Keys in one BatchGetItem (AWS limit); a score reads one per view plus decision and pointer."""


class DType(StrEnum):
    """How a feature is stored and sent."""

    FLOAT = "float"
    INTEGER = "integer"
    CATEGORY = "category"


class RiskDirection(StrEnum):
    """How the probability of default may move when the feature rises."""

    INCREASING = "increasing"
    DECREASING = "decreasing"


class KeyType(StrEnum):
    """How a key of an entity is sent and stored."""

    TEXT = "text"
    INTEGER = "integer"


@dataclass(frozen=True)
class Refer:
    """When a view's features are missing or stale, a person decides."""


REFER = Refer()


@dataclass(frozen=True)
class Defaults:
    """When a view's features are missing or stale, these values stand for them.

    Training applies them as scoring does. A feature that is not named is unknown.
    """

    values: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AdverseActionReason:
    """A reason a lender can state to an applicant. Features may share one.

    ``text_if_unknown`` is what can be said where the value was not known and that raised the
    risk; a nullable feature needs it.
    """

    code: str
    text: str
    text_if_unknown: str | None = None


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One input of the model, as sent in a request or stored in a feature view.

    ``minimum`` and ``maximum`` are inclusive and in ``unit``. A ``nullable`` feature may be
    unknown; the model sees NaN, or no category at all. ``risk`` is the direction of the whole
    effect on the probability of default, what derived features make of the value included.
    ``unknown_category`` is the category that an undeclared or null value of the lake counts as;
    a request has to name a declared one.
    """

    name: str
    description: str
    dtype: DType
    adverse_action: AdverseActionReason
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()
    nullable: bool = False
    risk: RiskDirection | None = None
    unknown_category: str | None = None

    def known(self, value: Value) -> Value:
        """Return a value of the lake, or the unknown category where it is none of the declared."""
        if self.unknown_category is None or value in self.categories:
            return value
        return self.unknown_category

    def value_fault(self, value: object) -> str | None:
        """Return what is wrong with a value, or None; the message never repeats the value."""
        if value is None:
            return None if self.nullable else "is null"
        if self.dtype is DType.CATEGORY:
            return None if value in self.categories else "is none of its categories"
        # An int is finite, and may be too long for isfinite.
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or (isinstance(value, float) and not math.isfinite(value))
        ):
            return "is not a finite number"
        if self.dtype is DType.INTEGER and not isinstance(value, int):
            return "is not an integer"
        low, high = self.minimum, self.maximum
        if low is not None and high is not None and not low <= value <= high:
            return f"is not from {low:g} to {high:g}"
        return None

    def faults(self) -> list[str]:
        """Return what is wrong with this definition, each with its place."""
        found = []
        if not NAME.match(self.name):
            found.append("names are lower case letters, digits and underscores")
        if self.nullable and self.adverse_action.text_if_unknown is None:
            found.append("nullable, so its reason needs a text_if_unknown")
        if self.dtype is DType.CATEGORY:
            if len(self.categories) < 2:  # noqa: PLR2004 (one category carries no information)
                found.append("a category needs at least two categories")
            if len(set(self.categories)) != len(self.categories):
                found.append("a category is listed twice")
            if self.minimum is not None or self.maximum is not None:
                found.append("a category has no range")
            if self.risk is not None:
                found.append("a category has no direction of risk")
            if self.unknown_category not in (None, *self.categories):
                found.append(f"unknown_category {self.unknown_category!r} is not in categories")
        else:
            found += self._range_faults()
        return found

    def _range_faults(self) -> list[str]:
        found = []
        if self.categories or self.unknown_category is not None:
            found.append("only a category has categories")
        if self.unit is None:
            found.append("state its unit")
        if self.minimum is None or self.maximum is None:
            found.append("state minimum and maximum")
        elif not (math.isfinite(self.minimum) and math.isfinite(self.maximum)):
            found.append("minimum and maximum must be finite")
        elif self.minimum > self.maximum:
            found.append(f"minimum {self.minimum} is above maximum {self.maximum}")
        elif self.dtype is DType.INTEGER and (
            max(abs(self.minimum), abs(self.maximum)) > LARGEST_EXACT_INTEGER
        ):
            found.append("integers beyond 2**53 are not exact in JSON; use float")
        return found


@dataclass(frozen=True, kw_only=True)
class DerivedFeature(Feature):
    """A feature computed from others, the same way in training and in a request.

    ``function`` takes one array per name in ``inputs``, each of shape (n,) and float64 with NaN
    for unknown, and returns shape (n,). It must work elementwise and be pure.
    """

    inputs: tuple[str, ...]
    function: Callable[..., Column]

    def faults(self) -> list[str]:
        """Return what is wrong with this definition, each with its place."""
        found = super().faults()
        if self.dtype is not DType.FLOAT:
            found.append("a derived feature is a float")
        if not self.inputs:
            found.append("a derived feature needs inputs")
        return found


@dataclass(frozen=True)
class EntityKey:
    """A field of the application that identifies an entity.

    ``pattern`` is the regular expression that a text key must match in full; an integer key is a
    whole number from 0 to 2**53 - 1.
    """

    name: str
    dtype: KeyType = KeyType.TEXT
    pattern: str = r"[A-Za-z0-9_.:-]{1,64}"

    def value_fault(self, value: object) -> str | None:
        """Return what is wrong with a key, or None; the message never repeats the key."""
        if value is None:
            return "is null"
        if self.dtype is KeyType.INTEGER:
            if isinstance(value, bool) or not isinstance(value, int):
                return "is not an integer"
            if not 0 <= value < LARGEST_EXACT_INTEGER:
                return "is not from 0 to 2**53 - 1"
        elif not isinstance(value, str):
            return "is not text"
        elif not re.fullmatch(self.pattern, value):
            return f"does not match {self.pattern}"
        return None

    def faults(self) -> list[str]:
        """Return what is wrong with this definition."""
        found = []
        if not NAME.match(self.name):
            found.append("names are lower case letters, digits and underscores")
        try:
            re.compile(self.pattern)
        except re.error as error:
            found.append(f"pattern {self.pattern!r} is no regular expression: {error}")
        return found


@dataclass(frozen=True, kw_only=True)
class Entity:
    """Whom or what a feature view describes; ``keys`` are fields of the application."""

    name: str
    description: str
    keys: tuple[EntityKey, ...]

    @property
    def key_names(self) -> tuple[str, ...]:
        """Names of the keys, in order of definition."""
        return tuple(key.name for key in self.keys)


@dataclass(frozen=True, kw_only=True)
class FeatureView:
    """Features of one entity that arrive and age together.

    ``ttl`` is the age of the event above which a row no longer supports a decision, online and
    in training alike. ``when_missing`` and ``when_stale`` say what stands for such a row.
    """

    name: str
    description: str
    entity: Entity
    ttl: timedelta
    features: tuple[Feature, ...]
    when_missing: Refer | Defaults = REFER
    when_stale: Refer | Defaults = REFER

    @property
    def ttl_seconds(self) -> float:
        """The time to live in seconds."""
        return self.ttl.total_seconds()

    def substitutes(self, rule: Refer | Defaults) -> dict[str, Value] | None:
        """Return the values that stand for the features under a rule, None if a person decides."""
        if isinstance(rule, Refer):
            return None
        return {feature.name: rule.values.get(feature.name) for feature in self.features}


@dataclass(frozen=True, kw_only=True)
class Label:
    """What the model learns to predict: 1 for a default within ``horizon``, else 0.

    Only applications whose horizon has passed are trained on: of younger ones no more than the
    early defaults can be known.
    """

    name: str
    description: str
    horizon: timedelta

    def faults(self) -> list[str]:
        """Return what is wrong with this definition."""
        if self.horizon.total_seconds() < 0 or self.horizon.microseconds:
            return ["horizon must be whole seconds, not negative"]
        return []


@dataclass(frozen=True, kw_only=True)
class ProhibitedInput:
    """A column the lender holds and the model must never see, and why."""

    name: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How a probability becomes an outcome and points.

    A probability of default up to ``approve_up_to`` approves, from ``decline_from`` on declines,
    between them a person decides. ``base_points`` are given at odds (good to bad) of
    ``base_odds``; each ``points_to_double_odds`` more double the odds.
    """

    version: str
    approve_up_to: float
    decline_from: float
    base_points: float
    base_odds: float
    points_to_double_odds: float
    maximum_reasons: int = 4

    def faults(self) -> list[str]:
        """Return what is wrong with this policy, each with its place."""
        found = []
        if not 0 < self.approve_up_to < self.decline_from < 1:
            found.append("policy: 0 < approve_up_to < decline_from < 1 must hold")
        if self.base_odds <= 0 or self.points_to_double_odds <= 0:
            found.append("policy: base_odds and points_to_double_odds must be positive")
        if not 1 <= self.maximum_reasons <= 4:  # noqa: PLR2004 (Regulation B, comment 9(b)(2)-1)
            found.append("policy: maximum_reasons must be from 1 to 4")
        return found


@dataclass(frozen=True, kw_only=True)
class CreditProduct:
    """Everything the service has to know about one credit product.

    Raises:
        InvalidProductError: The definition contradicts itself; all faults are listed.
    """

    name: str
    title: str
    description: str
    entities: tuple[Entity, ...]
    feature_views: tuple[FeatureView, ...]
    request_features: tuple[Feature, ...]
    derived_features: tuple[DerivedFeature, ...]
    label: Label
    policy: Policy
    prohibited: tuple[ProhibitedInput, ...] = field(default=())

    def __post_init__(self) -> None:
        """Check the whole definition at once."""
        faults = self._faults()
        if faults:
            raise InvalidProductError(self.name, faults)

    @cached_property
    def entity_keys(self) -> tuple[EntityKey, ...]:
        """Application fields that identify entities, each once, in order of definition."""
        return tuple({key.name: key for entity in self.entities for key in entity.keys}.values())

    @cached_property
    def entity_key_names(self) -> tuple[str, ...]:
        """Names of ``entity_keys``."""
        return tuple(key.name for key in self.entity_keys)

    @cached_property
    def base_features(self) -> tuple[Feature, ...]:
        """Features that are sent or stored, in model order."""
        return self.request_features + tuple(
            feature for view in self.feature_views for feature in view.features
        )

    @cached_property
    def model_features(self) -> tuple[Feature, ...]:
        """The G inputs of the model, in the order of its matrix: sent, stored, derived."""
        return self.base_features + self.derived_features

    @cached_property
    def applications_table(self) -> str:
        """Name of the Glue table of applications and their labels."""
        return f"{self.name}_applications"

    @property
    def applications_prefix(self) -> str:
        """Key prefix of the applications' Parquet files in the lake."""
        return f"{self.name}/applications/"

    def view_table(self, view: FeatureView) -> str:
        """Name of the Glue table of a view's history."""
        return f"{self.name}_{view.name}"

    def view_prefix(self, view: FeatureView) -> str:
        """Key prefix of a view's Parquet files in the lake."""
        return f"{self.name}/features/{view.name}/"

    def view(self, name: str) -> FeatureView:
        """Return the view of that name.

        Raises:
            KeyError: The product has no such view.
        """
        for view in self.feature_views:
            if view.name == name:
                return view
        raise KeyError(name)

    def _faults(self) -> list[str]:
        found = [] if NAME.match(self.name) else [f"name: {self.name!r} is not a valid name"]
        found += self.policy.faults()
        for group, features in (
            ("request_features", self.request_features),
            ("derived_features", self.derived_features),
        ):
            for feature in features:
                found += _placed(f"{group}.{feature.name}", feature.faults())
        columns = Counter(
            [feature.name for feature in self.model_features]
            + list(self.entity_key_names)
            + ["application_id", "event_timestamp", "created_timestamp", self.label.name]
        )
        found += [f"{name}: defined {count} times" for name, count in columns.items() if count > 1]
        found += [
            f"prohibited.{unwanted.name}: it is an input, and prohibited as one ({unwanted.reason})"
            for unwanted in self.prohibited
            if unwanted.name in columns
        ]
        found += _placed(f"label.{self.label.name}", self.label.faults())
        found += self._entity_faults() + self._view_faults()
        available = {feature.name: feature for feature in self.base_features}
        for derived in self.derived_features:
            place = f"derived_features.{derived.name}.inputs"
            for name in derived.inputs:
                if name not in available:
                    found.append(f"{place}: {name!r} is not a feature")
                elif available[name].dtype is DType.CATEGORY:
                    found.append(f"{place}: {name!r} is a category")
        return found

    def _entity_faults(self) -> list[str]:
        found = []
        defined: dict[str, EntityKey] = {}
        for entity in self.entities:
            place = f"entities.{entity.name}"
            if not entity.keys:
                found.append(f"{place}: has no keys")
            for key in entity.keys:
                found += _placed(f"{place}.{key.name}", key.faults())
                if defined.setdefault(key.name, key) != key:
                    found.append(f"{place}.{key.name}: another entity defines it differently")
        names = Counter(entity.name for entity in self.entities)
        found += [f"entities.{name}: defined twice" for name, count in names.items() if count > 1]
        return found

    def _view_faults(self) -> list[str]:
        found = []
        for view in self.feature_views:
            place = f"feature_views.{view.name}"
            if not NAME.match(view.name) or view.name == "applications":
                found.append(f"{place}: not a valid view name")
            if view.entity not in self.entities:
                found.append(f"{place}.entity: {view.entity.name} is not in entities")
            if view.ttl_seconds < 1 or view.ttl.microseconds:
                found.append(f"{place}.ttl: must be whole seconds, at least one")
            if not view.features:
                found.append(f"{place}: has no features")
            for feature in view.features:
                found += _placed(f"{place}.{feature.name}", feature.faults())
            found += _substitute_faults(view, "when_missing", view.when_missing)
            found += _substitute_faults(view, "when_stale", view.when_stale)
        names = Counter(view.name for view in self.feature_views)
        found += [
            f"feature_views.{name}: defined {count} times"
            for name, count in names.items()
            if count > 1
        ]
        if len(self.feature_views) + 2 > MAXIMUM_BATCH_KEYS:
            found.append(
                f"feature_views: {len(self.feature_views)} do not fit one BatchGetItem, which reads"
                f" {MAXIMUM_BATCH_KEYS} keys, two of them the receipt's and the rollout pointer's"
            )
        return found


def _placed(place: str, faults: Iterable[str]) -> list[str]:
    return [f"{place}: {fault}" for fault in faults]


def _substitute_faults(view: FeatureView, name: str, rule: Refer | Defaults) -> list[str]:
    place = f"feature_views.{view.name}.{name}"
    substitutes = view.substitutes(rule)
    if substitutes is None or isinstance(rule, Refer):
        return []
    found = [f"{place}: {other!r} is not a feature" for other in rule.values.keys() - substitutes]
    for feature in view.features:
        fault = feature.value_fault(substitutes[feature.name])
        if fault:
            found.append(f"{place}.{feature.name}: the default {fault}")
    return found


def safe_ratio(numerator: Column, denominator: Column) -> Column:
    """Return ``numerator / denominator``, NaN where the denominator is not positive.

    Args:
        numerator: Shape (n,), any unit.
        denominator: Shape (n,), any unit.

    >>> safe_ratio(np.array([10.0, 1.0]), np.array([4.0, 0.0]))
    array([2.5, nan])
    """
    positive = denominator > 0
    return np.where(positive, numerator / np.where(positive, denominator, 1.0), np.nan)


def load_product(name: str) -> CreditProduct:
    """Return the ``PRODUCT`` of the module ``products.<name>``.

    Raises:
        InvalidProductError: There is no such module, or it defines no PRODUCT.
    """
    if not NAME.match(name):
        raise InvalidProductError(name, ["not a valid product name"])
    try:
        module = importlib.import_module(f"products.{name}")
    except ModuleNotFoundError as error:
        if error.name not in {f"products.{name}", "products"}:
            raise
        raise InvalidProductError(name, [f"there is no file products/{name}.py"]) from None
    product = getattr(module, "PRODUCT", None)
    if not isinstance(product, CreditProduct):
        raise InvalidProductError(name, [f"products/{name}.py defines no PRODUCT"])
    return product
