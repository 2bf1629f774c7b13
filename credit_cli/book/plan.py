"""What book to write, and whether it can be."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import numpy as np

from credit_cli.book.deliveries import DAY_MS, MONTH_MS, Period, Shares
from credit_cli.errors import UsageError

if TYPE_CHECKING:
    from credit_core.domain.product import CreditProduct

MOST_APPLICANTS = 100_000_000
MOST_MONTHS = 600
MOST_DRIFT = 10.0


@dataclass(frozen=True, kw_only=True)
class BookPlan:
    """What book to write. The same plan gives the same bytes.

    Args:
        product: Whose tables to fill.
        applicants: How many people have histories.
        months: How many months of applications; histories begin two months before.
        seed: Names the book's chance.
        end: The last day of histories and applications, UTC.
        applications: How many applications; as many as applicants if None.
        observed_until: The day, UTC, on which the lake is looked at: what arrives later, such as
            the labels of young applications, is not in it. The last day if None.
        drift: By how many standard deviations half of the numbers get worse at ``drift_from``.
        concept_drift: By which share the weights of the true model change then.
        drift_from: The day from which it drifts; the middle of the book if None.
        base_rate: Mean true probability of default without drift.
        shares: What goes wrong with feature rows.
        applicant_entity: Whose keys identify an applicant; the entity with most features if None.
    """

    product: CreditProduct
    applicants: int
    months: int
    seed: int
    end: date
    applications: int | None = None
    observed_until: date | None = None
    drift: float = 0.0
    concept_drift: float = 0.0
    drift_from: date | None = None
    base_rate: float = 0.08
    shares: Shares = field(default_factory=Shares)
    applicant_entity: str | None = None

    def check(self) -> None:
        """Look for what can't be.

        Raises:
            UsageError: An argument is out of its range.
        """
        for name, value, least, most in (
            ("applicants", self.applicants, 1, MOST_APPLICANTS),
            ("months", self.months, 1, MOST_MONTHS),
            ("applications", self.application_count, 1, MOST_APPLICANTS),
            ("seed", self.seed, 0, 2**63 - 1),
            ("drift", self.drift, -MOST_DRIFT, MOST_DRIFT),
            ("concept-drift", self.concept_drift, 0, 1),
            ("base-rate", self.base_rate, 0.001, 0.9),
            ("late-share", self.shares.late, 0, 1),
            ("corrected-share", self.shares.corrected, 0, 1),
            ("missing-share", self.shares.missing, 0, 1),
            ("duplicated-share", self.shares.duplicated, 0, 1),
            ("rejected-share", self.shares.rejected, 0, 1),
        ):
            if not least <= value <= most:
                raise UsageError(f"--{name} is {value:,}; it must be from {least:,} to {most:,}")
        if self.observed_until is not None and self.observed_until < self.end:
            raise UsageError(
                f"--observed-until is {self.observed_until}, before the end of {self.end}"
            )
        try:
            self.end - timedelta(days=31 * (self.months + 2))
            (self.observed_until or self.end) + self.product.label.horizon + timedelta(days=400)
        except OverflowError:
            raise UsageError("the book reaches beyond the years 1 to 9999") from None

    @property
    def application_count(self) -> int:
        """How many applications."""
        return self.applicants if self.applications is None else self.applications

    def period(self) -> Period:
        """When the book plays."""
        end = _day_ms(self.end) + DAY_MS
        observed = _day_ms(self.observed_until or self.end) + DAY_MS
        start = end - self.months * MONTH_MS
        drift_from = (start + end) // 2 if self.drift_from is None else _day_ms(self.drift_from)
        return Period(
            start=start,
            end=end - 1,
            observed=observed - 1,
            months=self.months,
            drift_from=drift_from,
        )

    def rng(self, *names: str | int) -> np.random.Generator:
        """Return a stream of chance of this name."""
        words = tuple(zlib.crc32(str(name).encode()) for name in names)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=words))


def _day_ms(day: date) -> int:
    midnight = datetime.combine(day, time(), UTC)
    return (midnight - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
