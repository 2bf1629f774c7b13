"""Whether a cut-off approves some groups of applicants less often than others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.model_manifest import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from credit_core.domain.product import MonitoredGroup

RESAMPLES = 2_000
FEWEST_OF_A_GROUP = 30
"""Of fewer applicants an approval rate says next to nothing; the group is reported, not compared.

With 30, a rate of one half has a standard error of 0.09.
"""


@dataclass(frozen=True, slots=True)
class GroupOutcome:
    """One group at the cut-off.

    ``ratio`` compares its approval rate with the reference's, with a 95 % interval; it is None for
    a group too small to compare, or where the reference approves nobody. ``default_rate`` is that
    observed, ``expected_rate`` the mean probability of default: a group whose defaults are
    expected rightly is not approved less often than its risk warrants.
    """

    group: str
    loans: int
    approved: int
    default_rate: float
    expected_rate: float
    ratio: Estimate | None

    @property
    def approval_rate(self) -> float:
        """Share of its loans that would be approved."""
        return self.approved / self.loans


@dataclass(frozen=True, slots=True)
class AdverseImpact:
    """The groups that one column tells apart, in order of definition, and whom they face.

    ``not_stated`` counts loans of none of the groups. ``reference`` is None where no group is large
    enough, or none is approved.
    """

    name: str
    reference: str | None
    groups: tuple[GroupOutcome, ...]
    not_stated: int
    least_ratio: float | None

    @property
    def worst(self) -> GroupOutcome | None:
        """The group with the lowest ratio, None if none can be compared."""
        compared = [group for group in self.groups if group.ratio and group.group != self.reference]
        return min(compared, key=lambda group: group.ratio.value, default=None)  # type: ignore[union-attr]

    @property
    def too_low(self) -> tuple[GroupOutcome, ...]:
        """Groups whose ratio is surely below the least: the whole interval is."""
        limit = self.least_ratio
        if limit is None:
            return ()
        return tuple(group for group in self.groups if group.ratio and group.ratio.high < limit)


def adverse_impact(
    monitored: MonitoredGroup,
    stated: NDArray[np.str_],
    defaulted: NDArray[np.int64],
    probability_of_default: NDArray[np.float64],
    *,
    cutoff: float,
    seed: int,
) -> AdverseImpact:
    """Compare approval rates at a cut-off: the adverse impact ratio of each group.

    Approved is who is at or below the cut-off; who is referred is not. Intervals are percentile
    bootstraps within each group.

    Args:
        monitored: The groups to compare.
        stated: The group of each loan, shape (n,); anything but a group's name is not stated.
        defaulted: 1 for a default, else 0, shape (n,).
        probability_of_default: Shape (n,).
        cutoff: The policy's ``approve_up_to``.
        seed: Of the resamples.

    Source: 29 CFR 1607.4(D), the four-fifths rule; Morris and Lobsenz, Personnel Psychology 53
    (2000), on its uncertainty.
    """
    approved = probability_of_default <= cutoff
    members = {value: stated == value for value in monitored.values}
    counts = {value: (int(of.sum()), int(approved[of].sum())) for value, of in members.items()}
    large = {
        value: found / loans
        for value, (loans, found) in counts.items()
        if loans >= FEWEST_OF_A_GROUP
    }
    reference = monitored.reference or max(large, key=large.__getitem__, default=None)
    if reference not in large or not large[reference]:
        reference = None
    random = np.random.default_rng(seed)
    resampled = {
        value: random.binomial(counts[value][0], rate, RESAMPLES) / counts[value][0]
        for value, rate in large.items()
    }
    groups = []
    for value, of in members.items():
        loans, found = counts[value]
        if not loans:
            continue
        ratio = None
        if reference is not None and value in large:
            ratio = _ratio(
                large[value] / large[reference],
                resampled[value],
                resampled[reference],
                same=value == reference,
            )
        groups.append(
            GroupOutcome(
                group=value,
                loans=loans,
                approved=found,
                default_rate=float(defaulted[of].mean()),
                expected_rate=float(probability_of_default[of].mean()),
                ratio=ratio,
            )
        )
    return AdverseImpact(
        name=monitored.name,
        reference=reference,
        groups=tuple(groups),
        not_stated=len(stated) - sum(loans for loans, _ in counts.values()),
        least_ratio=monitored.least_ratio,
    )


def _ratio(
    value: float, one: NDArray[np.float64], other: NDArray[np.float64], *, same: bool
) -> Estimate:
    if same:
        return Estimate(value=1.0, low=1.0, high=1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = np.nanquantile(np.where(other > 0, one / other, np.nan), [0.025, 0.975])
    return Estimate(value=value, low=float(low), high=float(high))
