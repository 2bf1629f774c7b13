"""The parts of a credit product: entities, features, views and label.

They are what a lender writes; ``domain.product`` puts them together and offers their names too.
Each part lists what is wrong with itself, ``domain.product_faults`` what is wrong between them.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from credit_core.domain.definition_faults import (
    ANY_TEXT,
    FLAG,
    FUNCTION,
    NUMBER,
    TEXT,
    WHOLE_NUMBER,
    Check,
    Kind,
    a,
    is_line,
    is_number,
    repeated,
    same,
    shown,
    whole_seconds,
)

type Column = NDArray[np.float64]
"""Values of one feature, shape (n,), NaN where unknown."""

type Value = float | int | str | None
"""A feature's value as sent or stored; None is unknown."""

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
"""Of products, views and columns. Two of them and an ending stay below Glue's 255 characters."""
NAME_RULE = "a name is 1 to 63 lower case letters, digits and underscores, a letter first"
LARGEST_EXACT_INTEGER = 2**53
"""Beyond it neither JSON nor a double tells two integers apart. The model sees float32."""
RETENTION_TTLS = 2
"""A row is kept, online, for this many times its ttl: stale up to then, missing afterwards."""
MAXIMUM_CATEGORIES = 2**16 - 2
"""A category's place takes two bytes of a row's recency, and one value stands for null."""
LONGEST_CATEGORY = 128
LONGEST_DURATION = timedelta(days=36_500)
"""Of a ttl or a horizon: longer ones leave the calendar when they are taken from a date."""
LATEST_VERSION = 9_999
"""Of a view; four digits of a row's recency."""


class DType(StrEnum):
    """How a feature is stored and sent."""

    FLOAT = "float"
    INTEGER = "integer"
    CATEGORY = "category"


class RiskDirection(StrEnum):
    """How the probability of default may move when the feature rises."""

    INCREASING = "increasing"
    DECREASING = "decreasing"


class Change(StrEnum):
    """Which way an applicant can move a value."""

    LOWER = "lower"
    HIGHER = "higher"
    EITHER = "either"


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

    def faults(self, place: str) -> list[str]:
        """Return what is wrong with this definition, each with its place."""
        return Check(self, place, REASON_KINDS).found


@dataclass(frozen=True, kw_only=True)
class Influence:
    """How an applicant can change what an application says, for an explanation to propose it.

    A number moves by whole multiples of ``step``, in the feature's unit; a category to any other.
    """

    change: Change = Change.EITHER
    step: float | None = None


REASON_KINDS = {"code": TEXT, "text": TEXT, "text_if_unknown": TEXT.or_none()}
INFLUENCE_KINDS = {"change": a(Change), "step": NUMBER.or_none()}
FEATURE_KINDS = {
    "name": ANY_TEXT,
    "description": ANY_TEXT,
    "dtype": a(DType),
    "adverse_action": a(AdverseActionReason),
    "unit": TEXT.or_none(),
    "minimum": NUMBER.or_none(),
    "maximum": NUMBER.or_none(),
    "nullable": FLAG,
    "risk": a(RiskDirection).or_none(),
    "unknown_category": ANY_TEXT.or_none(),
    "influence": a(Influence).or_none(),
}


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One input of the model, as sent in a request or stored in a feature view.

    ``minimum`` and ``maximum`` are inclusive and in ``unit``. A ``nullable`` feature may be
    unknown; the model sees NaN, or no category at all. ``risk`` is the direction of the whole
    effect on the probability of default, what derived features make of the value included.
    ``unknown_category`` is the category that an undeclared or null value of the lake counts as;
    a request has to name a declared one. ``influence`` says how an applicant can change the value.
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
    influence: Influence | None = None

    @cached_property
    def codes(self) -> Mapping[object, float]:
        """Code of each category in the model's input: its position."""
        return {category: float(code) for code, category in enumerate(self.categories)}

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

    def faults(self, place: str) -> list[str]:
        """Return what is wrong with this definition, each with its place."""
        return self._check(place).found

    def _check(self, place: str) -> Check:
        check = Check(self, place, FEATURE_KINDS)
        check_name(check, self.name)
        if (
            check.sound("nullable", "adverse_action")
            and self.nullable
            and self.adverse_action.text_if_unknown is None
        ):
            check.add("adverse_action.text_if_unknown", "a nullable feature's reason needs one")
        if check.sound("dtype"):
            if self.dtype is DType.CATEGORY:
                self._check_categories(check)
            else:
                self._check_range(check)
        if self.influence is not None and check.sound("influence", "dtype"):
            self._check_influence(check, self.influence)
        return check

    def _check_influence(self, check: Check, influence: Influence) -> None:
        check.found += Check(influence, check.at("influence"), INFLUENCE_KINDS).found
        step = influence.step
        if self.dtype is DType.CATEGORY:
            if step is not None or influence.change is not Change.EITHER:
                check.add("influence", "a category has neither direction nor step")
        elif step is None or not is_number(step) or step <= 0:
            check.add("influence.step", "state a positive step, in the feature's unit")
        elif self.dtype is DType.INTEGER and step != int(step):
            check.add("influence.step", f"{step} is not whole, and dtype is integer")

    def _check_categories(self, check: Check) -> None:
        if self.minimum is not None:
            check.add("minimum", "a category has no range")
        if self.maximum is not None:
            check.add("maximum", "a category has no range")
        if self.risk is not None:
            check.add("risk", "a category has no direction of risk")
        categories = [category for _, category in check.members("categories", str)]
        count = len(categories)
        told = any(fault.startswith(check.at("categories")) for fault in check.found)
        if not told and not 2 <= count <= MAXIMUM_CATEGORIES:  # noqa: PLR2004 (one says nothing)
            check.add("categories", f"state from 2 to {MAXIMUM_CATEGORIES:,}, not {count:,}")
        for category, times in Counter(categories).items():
            if times > 1:
                check.add("categories", f"{shown(category)} is listed {times} times")
            if len(category) > LONGEST_CATEGORY or not is_line(category):
                check.add(
                    "categories",
                    f"{shown(category)} is not 1 to {LONGEST_CATEGORY} printable characters",
                )
        if check.sound("unknown_category") and self.unknown_category not in (None, *categories):
            check.add("unknown_category", f"{shown(self.unknown_category)} is not in categories")

    def _check_range(self, check: Check) -> None:
        if not check.empty("categories"):
            check.members("categories", str)
            check.add("categories", f"only a category has them, not dtype {self.dtype}")
        if self.unknown_category is not None:
            check.add("unknown_category", f"only a category has one, not dtype {self.dtype}")
        if self.unit is None:
            check.add("unit", 'state it; "count" and "ratio" are units too')
        for name, bound in (("minimum", self.minimum), ("maximum", self.maximum)):
            if bound is None:
                check.add(name, "state it, inclusive and in unit")
            elif check.sound(name) and self.dtype is DType.INTEGER:
                if bound != int(bound):
                    check.add(name, f"{bound} is not whole, and dtype is integer")
                elif abs(bound) > LARGEST_EXACT_INTEGER:
                    check.add(name, "integers beyond 2**53 are not exact in JSON; use float")
        if (
            self.minimum is not None
            and self.maximum is not None
            and check.sound("minimum", "maximum")
            and self.minimum > self.maximum
        ):
            check.add("minimum", f"{self.minimum} is above the maximum {self.maximum}")


@dataclass(frozen=True, kw_only=True)
class DerivedFeature(Feature):
    """A feature computed from others, the same way in training and in a request.

    ``function`` takes one array per name in ``inputs``, each of shape (n,) and float64 with NaN
    for unknown, and returns shape (n,). It must work elementwise and be pure.
    """

    inputs: tuple[str, ...]
    function: Callable[..., Column]

    def _check(self, place: str) -> Check:
        check = super()._check(place)
        if check.sound("dtype") and self.dtype is not DType.FLOAT:
            check.add("dtype", "a derived feature is a float")
        if not FUNCTION.holds(self.function):
            check.add("function", f"expected {FUNCTION.words}, not {shown(self.function)}")
        check.members("inputs", str)
        if check.empty("inputs"):
            check.add("inputs", "a derived feature needs one at least")
        return check


NOT_PORTABLE = re.compile(r"\(\?(?:[=!]|<[=!]|P=|\()|\\[1-9]")
"""What Python's regular expressions have and those of a request's schema (Rust) lack."""


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

    def faults(self, place: str) -> list[str]:
        """Return what is wrong with this definition, each with its place."""
        check = Check(self, place, {"name": ANY_TEXT, "dtype": a(KeyType), "pattern": TEXT})
        check_name(check, self.name)
        if check.sound("pattern"):
            try:
                pattern = re.compile(self.pattern)
            except (re.error, OverflowError, RecursionError) as error:
                check.add("pattern", f"{self.pattern!r} is no regular expression: {error}")
            else:
                if pattern.fullmatch(""):
                    check.add("pattern", f"{self.pattern!r} matches a key of no characters")
                if NOT_PORTABLE.search(self.pattern):
                    check.add(
                        "pattern",
                        "look-around and back references: the schema of a request can't have them",
                    )
        return check.found


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

    def faults(self, place: str) -> list[str]:
        """Return what is wrong with this definition, each with its place."""
        check = Check(self, place, {"name": ANY_TEXT, "description": ANY_TEXT})
        check_name(check, self.name)
        keys = check.members("keys", EntityKey)
        if check.empty("keys"):
            check.add("keys", "an entity needs one at least")
        for key_place, key in keys:
            check.found += key.faults(key_place)
        check.found += repeated(keys)
        return check.found


RULE = a(Refer, Defaults)
DURATION = a(timedelta)
VALUES = Kind("a dict of values by feature", lambda value: isinstance(value, Mapping))


@dataclass(frozen=True, kw_only=True)
class FeatureView:
    """Features of one entity that arrive and age together.

    ``ttl`` is the age of the event above which a row no longer supports a decision, online and
    in training alike. ``when_missing`` and ``when_stale`` say what stands for such a row.
    ``version`` goes up when features are added, removed or changed, so that a backfill replaces
    the stored rows of the same instants.
    """

    name: str
    description: str
    entity: Entity
    ttl: timedelta
    features: tuple[Feature, ...]
    when_missing: Refer | Defaults = REFER
    when_stale: Refer | Defaults = REFER
    version: int = 1

    @property
    def ttl_seconds(self) -> float:
        """The time to live in seconds."""
        return self.ttl.total_seconds()

    def substitutes(self, rule: Refer | Defaults) -> dict[str, Value] | None:
        """Return the values that stand for the features under a rule, None if a person decides."""
        if isinstance(rule, Refer):
            return None
        return {feature.name: rule.values.get(feature.name) for feature in self.features}

    def faults(self, place: str) -> list[str]:
        """Return what is wrong with this definition, each with its place."""
        check = Check(
            self,
            place,
            {
                "name": ANY_TEXT,
                "description": ANY_TEXT,
                "entity": a(Entity),
                "ttl": DURATION,
                "when_missing": RULE,
                "when_stale": RULE,
                "version": WHOLE_NUMBER,
            },
        )
        check_name(check, self.name)
        if same(self.name, "applications") or same(self.name, "pushed"):
            check.add("name", f"the lake has a folder of its own named {self.name!r}")
        if check.sound("ttl"):
            fault = whole_seconds(self.ttl, least=1, most=LONGEST_DURATION)
            if fault:
                check.add("ttl", fault)
        if check.sound("version") and not 1 <= self.version <= LATEST_VERSION:
            check.add("version", f"must be from 1 to {LATEST_VERSION:,}")
        features = check.members("features", Feature)
        if check.empty("features"):
            check.add("features", "a view needs one at least")
        sound = []
        for feature_place, feature in features:
            faults = stored_faults(feature_place, feature)
            check.found += faults
            if not faults:
                sound.append(feature)
        for name in ("when_missing", "when_stale"):
            if check.sound(name):
                self._check_rule(check, name, sound)
        return check.found

    def _check_rule(self, check: Check, name: str, sound: list[Feature]) -> None:
        rule: Refer | Defaults = getattr(self, name)
        if isinstance(rule, Refer):
            return
        if not VALUES.holds(rule.values):
            check.add(name, f"expected Defaults of {VALUES.words}, not of {shown(rule.values)}")
            return
        defined = [feature.name for _, feature in Check(self, "", {}).members("features", Feature)]
        for given in rule.values:
            if given not in defined:
                check.add(name, f"{shown(given)} is no feature of this view")
        for feature in sound:
            if feature.adverse_action.text_if_unknown is None:
                # An assumed value must not be stated to an applicant as a fact.
                check.add(f"{name}.{feature.name}", "a default's reason needs a text_if_unknown")
            fault = feature.value_fault(rule.values.get(feature.name))
            if fault and feature.name in rule.values:
                check.add(f"{name}.{feature.name}", f"the default {fault}")
            elif fault:
                check.add(
                    f"{name}.{feature.name}",
                    "state a default: unknown is not allowed, not nullable",
                )


@dataclass(frozen=True, kw_only=True)
class Label:
    """What the model learns to predict: 1 for a default within ``horizon``, else 0.

    Only applications whose horizon has passed are trained on: of younger ones no more than the
    early defaults can be known.
    """

    name: str
    description: str
    horizon: timedelta

    def faults(self, place: str) -> list[str]:
        """Return what is wrong with this definition, each with its place."""
        check = Check(self, place, {"name": ANY_TEXT, "description": ANY_TEXT, "horizon": DURATION})
        check_name(check, self.name)
        if check.sound("horizon"):
            fault = whole_seconds(self.horizon, least=0, most=LONGEST_DURATION)
            if fault:
                check.add("horizon", fault)
        return check.found


@dataclass(frozen=True, kw_only=True)
class ProhibitedInput:
    """A column the lender holds and the model must never see, and why."""

    name: str
    reason: str

    def faults(self, place: str) -> list[str]:
        """Return what is wrong with this definition, each with its place."""
        return Check(self, place, {"name": TEXT, "reason": TEXT}).found


@dataclass(frozen=True, kw_only=True)
class MonitoredGroup:
    """A column of past applications by which outcomes are compared, and that no model sees.

    ``values`` are the groups; what a row holds beside them counts as not stated. A group's approval
    rate is compared with that of ``reference``, or of the group with the highest where it is None.
    A ratio surely below ``least_ratio`` keeps a model out; None only reports it.

    Source: 29 CFR 1607.4(D), the four-fifths rule.
    """

    name: str
    description: str
    values: tuple[str, ...]
    reference: str | None = None
    least_ratio: float | None = None

    def faults(self, place: str) -> list[str]:
        """Return what is wrong with this definition, each with its place."""
        check = Check(
            self,
            place,
            {
                "name": ANY_TEXT,
                "description": ANY_TEXT,
                "reference": TEXT.or_none(),
                "least_ratio": NUMBER.or_none(),
            },
        )
        check_name(check, self.name)
        values = [value for _, value in check.members("values", str)]
        if len(values) < 2 or len(set(values)) < len(values):  # noqa: PLR2004 (nothing to compare)
            check.add("values", "at least two groups, each once")
        elif check.sound("reference") and self.reference not in {None, *values}:
            check.add("reference", f"{shown(self.reference)} is none of the values")
        if (
            check.sound("least_ratio")
            and self.least_ratio is not None
            and not 0 < self.least_ratio <= 1
        ):
            check.add("least_ratio", "must be above 0 and at most 1")
        return check.found


def check_name(check: Check, name: str) -> None:
    """Note it where a name is text, but none that a column or a table can have."""
    if check.sound("name") and not NAME.match(name):
        check.add("name", f"{shown(name)} is no name: {NAME_RULE}")


def stored_faults(place: str, feature: Feature) -> list[str]:
    """Return what is wrong with a feature that is sent or stored."""
    if isinstance(feature, DerivedFeature):
        return [f"{place}: it is derived; list it in derived_features"]
    return feature.faults(place)
