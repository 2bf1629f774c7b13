"""A credit product: one declarative definition from which everything else follows.

The request schema, the Glue tables, the point-in-time SQL, the training columns and their order,
the ONNX input, the online item layout and the reason texts are all derived from it.
"""

from __future__ import annotations

import importlib
import math
import re
from collections import Counter
from collections.abc import Callable  # noqa: TC003 (dataclass field types are read at run time)
from dataclasses import dataclass, field
from datetime import timedelta  # noqa: TC003 (see above)
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from credit_core.errors import InvalidProductError

type Column = NDArray[np.float64]
"""Values of one feature, shape (n,), NaN where unknown."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
LARGEST_EXACT_FLOAT32_INTEGER = 2**24
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


class Unavailable(StrEnum):
    """What a decision does when a view's features are missing or stale."""

    REFER = "refer"
    NULLS = "nulls"


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

    def faults(self) -> list[str]:
        """Return what is wrong with this definition, each with its place."""
        found = []
        if not NAME.match(self.name):
            found.append(f"{self.name!r}: names are lower case letters, digits and underscores")
        if self.nullable and self.adverse_action.text_if_unknown is None:
            found.append(f"{self.name}: nullable, so its reason needs a text_if_unknown")
        if self.dtype is DType.CATEGORY:
            if len(self.categories) < 2:  # noqa: PLR2004 (one category carries no information)
                found.append(f"{self.name}: a category needs at least two categories")
            if len(set(self.categories)) != len(self.categories):
                found.append(f"{self.name}: a category is listed twice")
            if self.minimum is not None or self.maximum is not None:
                found.append(f"{self.name}: a category has no range")
            if self.risk is not None:
                found.append(f"{self.name}: a category has no direction of risk")
        else:
            found += self._range_faults()
        return found

    def _range_faults(self) -> list[str]:
        found = []
        if self.categories:
            found.append(f"{self.name}: only a category has categories")
        if self.unit is None:
            found.append(f"{self.name}: state its unit")
        if self.minimum is None or self.maximum is None:
            found.append(f"{self.name}: state minimum and maximum")
        elif not (math.isfinite(self.minimum) and math.isfinite(self.maximum)):
            found.append(f"{self.name}: minimum and maximum must be finite")
        elif self.minimum > self.maximum:
            found.append(f"{self.name}: minimum {self.minimum} is above maximum {self.maximum}")
        elif self.dtype is DType.INTEGER and (
            max(abs(self.minimum), abs(self.maximum)) > LARGEST_EXACT_FLOAT32_INTEGER
        ):
            found.append(f"{self.name}: integers beyond 2**24 are not exact in float32; use float")
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
            found.append(f"{self.name}: a derived feature is a float")
        if not self.inputs:
            found.append(f"{self.name}: a derived feature needs inputs")
        return found


@dataclass(frozen=True, kw_only=True)
class Entity:
    """Whom or what a feature view describes; ``keys`` are fields of the application.

    ``pattern`` is the regular expression that each key must match in full.
    """

    name: str
    description: str
    keys: tuple[str, ...]
    pattern: str = r"[A-Za-z0-9_.:-]{1,64}"


@dataclass(frozen=True, kw_only=True)
class FeatureView:
    """Features of one entity that arrive and age together.

    ``ttl`` is the age of the event above which a row no longer supports a decision, online and
    in training alike.
    """

    name: str
    description: str
    entity: Entity
    ttl: timedelta
    features: tuple[Feature, ...]
    when_missing: Unavailable = Unavailable.REFER
    when_stale: Unavailable = Unavailable.REFER

    @property
    def ttl_seconds(self) -> float:
        """The time to live in seconds."""
        return self.ttl.total_seconds()


@dataclass(frozen=True, kw_only=True)
class Label:
    """What the model learns to predict: 1 for a default within ``horizon``, else 0."""

    name: str
    description: str
    horizon: timedelta


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
    def entity_keys(self) -> tuple[str, ...]:
        """Names of the application fields that identify entities, in order of definition."""
        return tuple(dict.fromkeys(key for entity in self.entities for key in entity.keys))

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
        found = [] if NAME.match(self.name) else [f"{self.name!r}: not a valid product name"]
        found += self.policy.faults()
        for feature in self.model_features:
            found += feature.faults()
        columns = Counter(
            [feature.name for feature in self.model_features]
            + list(self.entity_keys)
            + ["application_id", "event_timestamp", "created_timestamp", self.label.name]
        )
        found += [f"{name}: defined {count} times" for name, count in columns.items() if count > 1]
        found += [
            f"{unwanted.name}: prohibited as an input ({unwanted.reason})"
            for unwanted in self.prohibited
            if unwanted.name in columns
        ]
        found += self._view_faults()
        available = {feature.name: feature for feature in self.base_features}
        for derived in self.derived_features:
            for name in derived.inputs:
                if name not in available:
                    found.append(f"{derived.name}: its input {name!r} is not a feature")
                elif available[name].dtype is DType.CATEGORY:
                    found.append(f"{derived.name}: its input {name!r} is a category")
        return found

    def _view_faults(self) -> list[str]:
        found = []
        for view in self.feature_views:
            if not NAME.match(view.name) or view.name == "applications":
                found.append(f"{view.name!r}: not a valid view name")
            if view.entity not in self.entities:
                found.append(f"{view.name}: its entity {view.entity.name} is not in entities")
            if view.ttl_seconds <= 0:
                found.append(f"{view.name}: ttl must be positive")
            if not view.features:
                found.append(f"{view.name}: has no features")
        names = Counter(view.name for view in self.feature_views)
        found += [f"{name}: view defined twice" for name, count in names.items() if count > 1]
        if len(self.feature_views) + 2 > MAXIMUM_BATCH_KEYS:
            found.append(f"{len(self.feature_views)} views do not fit one BatchGetItem")
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
