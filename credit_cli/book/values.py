"""Values that look like a lender's: plausible, within their declared ranges, slow to change.

A number is a standard normal on a scale of its feature's own; a category is its position. Unknown
is NaN. ``UNDECLARED`` is a category that the product does not know.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from credit_core.domain.product import DType, RiskDirection

if TYPE_CHECKING:
    from credit_core.domain.product import Feature

type Floats = NDArray[np.float64]

NULL_SHARE = 0.05
"""Of the values that may be unknown."""
UNDECLARED_SHARE = 0.01
"""Of the categories with an unknown one: values that the product has not heard of."""
OF_ENTITY = 0.7
"""Share of a number's variance that lies between entities; the rest comes and goes."""
MEMORY = 0.8
"""Correlation of what comes and goes from one month to the next."""
STICKY = 0.92
"""Chance that a category stays what it was a month ago, before it is drawn anew."""
WIDE = 100.0
"""Ranges from zero that are wider than this hold mostly small numbers."""
LARGEST_COUNT = 10_000
"""Whole numbers up to this count something, and most counts are small; beyond it they are money."""
LARGEST_STANDARD = 3.0


@dataclass(frozen=True)
class Scale:
    """Turns a standard normal number into a feature's value, and back.

    A range from above zero is covered evenly on a logarithmic scale; one from zero on holds mostly
    small numbers if it is wide; any other is covered from its middle.
    """

    low: float
    high: float
    whole: bool

    @classmethod
    def of(cls, feature: Feature) -> Scale:
        """Return the scale of a number."""
        low, high = feature.minimum, feature.maximum
        assert low is not None  # noqa: S101 (a checked definition)
        assert high is not None  # noqa: S101
        if feature.dtype is DType.INTEGER:
            return cls(float(math.ceil(low)), float(math.floor(high)), whole=True)
        return cls(low, high, whole=False)

    @property
    def _logarithmic(self) -> tuple[float, float] | None:
        """Median and standard deviation of the logarithm, or None."""
        if self.low > 0 and self.high > self.low:
            return math.sqrt(self.low * self.high), math.log(self.high / self.low) / 6
        if self.low == 0 and self.high > WIDE:
            return self.high ** (0.2 if self.whole and self.high <= LARGEST_COUNT else 0.65), 0.8
        return None

    @property
    def _digits(self) -> int:
        return 0 if self.whole else 2 if self.high - self.low > WIDE / 10 else 4

    def value(self, standard: Floats) -> Floats:
        """Return values of the range, rounded as a lender would; shape as given."""
        if self._logarithmic:
            median, spread = self._logarithmic
            found = median * np.exp(spread * standard)
        else:
            found = self.low + (self.high - self.low) / (1 + np.exp(-1.2 * standard))
        found = np.floor(found) if self.whole else np.round(found, self._digits)
        return np.asarray(np.clip(found, self.low, self.high), dtype=np.float64)

    def standard(self, values: Floats) -> Floats:
        """Return about the normal number that a value came from, from -3 to 3; NaN stays."""
        middle = values + (0.5 if self.whole else 0.5 * 10.0**-self._digits)
        if self._logarithmic:
            median, spread = self._logarithmic
            found = np.log(np.maximum(middle, 1e-9) / median) / spread
        elif self.high > self.low:
            share = np.clip((middle - self.low) / (self.high - self.low), 1e-6, 1 - 1e-6)
            found = np.log(share / (1 - share)) / 1.2
        else:
            found = 0.0 * values
        return np.clip(found, -LARGEST_STANDARD, LARGEST_STANDARD)


def direction(feature: Feature) -> int:
    """Return 1 or -1: where the feature goes when times get worse."""
    return -1 if feature.risk is RiskDirection.DECREASING else 1


def popularity(feature: Feature) -> Floats:
    """Return the chance of each category: the first is the commonest."""
    weights = 1.0 / np.arange(1.0, len(feature.categories) + 1)
    return np.asarray(weights / weights.sum())


def undeclared(feature: Feature) -> str:
    """Return a text that is none of the categories."""
    text = "UNHEARD_OF"
    while text in feature.categories:
        text += "_OF"
    return text


def draw_categories(rng: np.random.Generator, feature: Feature, shape: tuple[int, ...]) -> Floats:
    """Return positions of categories by their popularity."""
    borders = np.cumsum(popularity(feature))[:-1]
    return np.searchsorted(borders, rng.random(shape), side="right").astype(np.float64)


def draw_history(
    rng: np.random.Generator, feature: Feature, *, months: int, entities: int, shift: Floats
) -> Floats:
    """Return a feature's values month by month.

    Args:
        rng: Source of chance.
        feature: Whose values.
        months: How many.
        entities: How many.
        shift: What is added to the standard normal numbers, shape (months, entities) or one that
            broadcasts to it.

    Returns:
        Shape (months, entities); a number reverts to a mean of its entity's own, a category
        mostly stays.
    """
    if feature.dtype is DType.CATEGORY:
        values = draw_categories(rng, feature, (months, entities))
        stays = rng.random((months, entities), dtype=np.float32) < STICKY
        for month in range(1, months):
            values[month] = np.where(stays[month], values[month - 1], values[month])
    else:
        level = math.sqrt(OF_ENTITY) * rng.standard_normal(entities)
        passing = math.sqrt(1 - OF_ENTITY) * rng.standard_normal((months, entities))
        for month in range(1, months):
            passing[month] *= math.sqrt(1 - MEMORY**2)
            passing[month] += MEMORY * passing[month - 1]
        values = Scale.of(feature).value(level + passing + shift)
    return hide_some(rng, feature, values)


def draw_requests(
    rng: np.random.Generator, feature: Feature, applicants: NDArray[np.int64], shift: Floats
) -> Floats:
    """Return what applicants state, shape (n,): somebody who applies twice states alike."""
    people = int(applicants.max(initial=-1)) + 1
    if feature.dtype is DType.CATEGORY:
        habit = draw_categories(rng, feature, (people,))[applicants]
        anew = draw_categories(rng, feature, applicants.shape)
        values = np.where(rng.random(applicants.shape) < STICKY, habit, anew)
    else:
        level = rng.standard_normal(people)[applicants]
        passing = rng.standard_normal(applicants.shape)
        standard = math.sqrt(OF_ENTITY) * level + math.sqrt(1 - OF_ENTITY) * passing + shift
        values = Scale.of(feature).value(standard)
    if feature.nullable:
        values[rng.random(values.shape) < NULL_SHARE] = np.nan
    return values


def hide_some(rng: np.random.Generator, feature: Feature, values: Floats) -> Floats:
    """Return values of the lake with some unknown, and some that the product has not heard of."""
    if feature.nullable or feature.unknown_category is not None:
        chance = rng.random(values.shape, dtype=np.float32)
        values[chance < NULL_SHARE] = np.nan
        if feature.unknown_category is not None:
            values[chance > 1 - UNDECLARED_SHARE] = len(feature.categories)
    return values


def correct(rng: np.random.Generator, feature: Feature, values: Floats) -> Floats:
    """Return other values in place of wrong ones, shape (n,)."""
    if feature.dtype is DType.CATEGORY:
        anew = draw_categories(rng, feature, values.shape)
        return np.where(rng.random(values.shape) < 1 / 2, anew, values)
    scale = Scale.of(feature)
    noise = 0.6 * rng.standard_normal(values.shape)
    return np.where(np.isnan(values), values, scale.value(scale.standard(values) + noise))


def known(feature: Feature, values: Floats) -> Floats:
    """Return values with the unknown category in place of null and of undeclared ones."""
    if feature.unknown_category is None:
        return values
    unknown = feature.categories.index(feature.unknown_category)
    return np.where(np.isnan(values) | (values >= len(feature.categories)), unknown, values)


def as_number(feature: Feature, value: float | str | None) -> float:
    """Return a declared default as this module holds values."""
    if value is None:
        return math.nan
    if feature.dtype is DType.CATEGORY:
        return float(feature.categories.index(str(value)))
    return float(value)
