"""A histogram of durations that any number of functions can add to, for its percentiles."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LEAST = 1e-3
"""What is smaller counts as this."""
RATIO = 1.02
"""From one bin to the next: a percentile is exact within one percent."""
LOG_RATIO = math.log(RATIO)


@dataclass(slots=True)
class LogHistogram:
    """Counts of positive values in bins whose widths grow as their values do.

    >>> found = LogHistogram()
    >>> for value in (1.0, 2.0, 100.0):
    ...     found.add(value)
    >>> round(found.quantile(0.5), 1), found.count
    (2.0, 3)
    """

    bins: Counter[int] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """How many values were added."""
        return self.bins.total()

    def add(self, value: float) -> None:
        """Add a value; one below ``LEAST`` counts as that.

        Raises:
            ValueError: It is no finite number.
        """
        if not math.isfinite(value):
            raise ValueError(f"{value} is no duration")
        self.bins[round(math.log(max(value, LEAST) / LEAST) / LOG_RATIO)] += 1

    def merge(self, other: LogHistogram) -> None:
        """Add all values of another one."""
        self.bins.update(other.bins)

    def quantile(self, share: float) -> float | None:
        """Return the value that this share of all is not above, None without any."""
        wanted, seen = math.ceil(share * self.count), 0
        for place in sorted(self.bins):
            seen += self.bins[place]
            if seen >= max(wanted, 1):
                return LEAST * math.exp(place * LOG_RATIO)
        return None

    def as_document(self) -> dict[str, int]:
        """Return the counts by bin as JSON has them."""
        return {str(place): self.bins[place] for place in sorted(self.bins)}

    @classmethod
    def of_document(cls, document: Mapping[str, int]) -> LogHistogram:
        """Read what ``as_document`` returned."""
        return cls(Counter({int(place): count for place, count in document.items()}))
