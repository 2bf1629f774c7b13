"""How measured values are distributed: percentiles, and a histogram in bands of equal ratio."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def percentile(ascending: Sequence[float], share: float) -> float:
    """Return the smallest value that at least that share of the values does not exceed.

    Nearest rank: a measured value, never one between two.

    Args:
        ascending: The values in ascending order, at least one.
        share: Above 0, at most 1.

    >>> percentile([1.0, 2.0, 3.0, 40.0], 0.5), percentile([1.0, 2.0, 3.0, 40.0], 0.99)
    (2.0, 40.0)
    """
    return ascending[math.ceil(share * len(ascending)) - 1]


PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "max": 1.0}


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return p50, p90, p95, p99 and the maximum, three decimals; empty without values.

    >>> percentiles([3.0, 1.0, 2.0])
    {'p50': 2.0, 'p90': 3.0, 'p95': 3.0, 'p99': 3.0, 'max': 3.0}
    """
    ascending = sorted(values)
    if not ascending:
        return {}
    return {name: round(percentile(ascending, share), 3) for name, share in PERCENTILES.items()}


@dataclass(frozen=True)
class Band:
    """Values from ``low`` up to but without ``high``."""

    low: float
    high: float
    count: int


STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
"""Bounds of the bands in each power of ten: each about 1.5 times the last."""


def histogram(values: Sequence[float]) -> list[Band]:
    """Return counts in bands of about equal ratio, from the lowest value's to the highest's.

    Args:
        values: Above 0, at least one.

    >>> [(band.low, band.high, band.count) for band in histogram([1.2, 1.4, 2.9])]
    [(1.0, 1.5, 2), (1.5, 2.0, 0), (2.0, 3.0, 1)]
    """
    low, high = min(values), max(values)
    bounds = [
        step * 10.0**power
        # One further on each side: a logarithm may be rounded past a power of ten.
        for power in range(math.floor(math.log10(low)) - 1, math.floor(math.log10(high)) + 2)
        for step in STEPS
    ]
    first = max(index for index, bound in enumerate(bounds) if bound <= low)
    last = min(index for index, bound in enumerate(bounds) if bound > high)
    return [
        Band(left, right, sum(left <= value < right for value in values))
        for left, right in zip(bounds[first:last], bounds[first + 1 : last + 1], strict=True)
    ]
