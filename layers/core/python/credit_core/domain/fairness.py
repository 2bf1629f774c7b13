"""Whether a cut-off approves some groups of applicants less often than others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.model_manifest import Estimate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from credit_core.domain.product import MonitoredGroup

RESAMPLES = 20_000
TOO_LOW_BY_CHANCE = 0.025
"""How often chance may call one of the groups too low, whichever and however many there are."""
NONE = 1e-9
"""Stands for no refusals at all, of which a beta distribution has no parameter."""
FEWEST_OF_A_GROUP = 30
"""Of fewer applicants an approval rate says next to nothing; the group is reported, not compared.

With 30, a rate of one half has a standard error of 0.09.
"""


@dataclass(frozen=True, slots=True)
class GroupOutcome:
    """One group at the cut-off.

    ``ratio`` compares its approval rate with the reference's, with a 95 % interval; it is None for
    a group too small to compare, or where the reference approves nobody. ``highest`` is what the
    ratio surely does not exceed, however many groups were compared. ``default_rate`` is that
    observed, ``expected_rate`` the mean probability of default: a group whose defaults are
    expected rightly is not approved less often than its risk warrants.
    """

    group: str
    loans: int
    approved: int
    default_rate: float
    expected_rate: float
    ratio: Estimate | None
    highest: float | None

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
        """Groups whose ratio is surely below the least."""
        limit = self.least_ratio
        if limit is None:
            return ()
        return tuple(
            group for group in self.groups if group.highest is not None and group.highest < limit
        )


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

    Approved is who is at or below the cut-off; who is referred is not. Each group's rate is drawn
    from its Jeffreys posterior: a resample of a group of which nobody was approved would show
    nobody again, as if that were certain. The reference is, where none is declared, the group
    whose rate surely reaches highest (2.5 % quantile): the highest rate as such is often that of
    a small group that was lucky, against which nothing is sure. ``highest`` allows for each pair of
    groups that might have been compared (Bonferroni): the lowest of many lies far below by chance.

    Args:
        monitored: The groups to compare.
        stated: The group of each loan, shape (n,); anything but a group's name is not stated.
        defaulted: 1 for a default, else 0, shape (n,).
        probability_of_default: Shape (n,).
        cutoff: The policy's ``approve_up_to``.
        seed: Of the resamples.

    Source: 29 CFR 1607.4(D), the four-fifths rule; Morris and Lobsenz, Personnel Psychology 53
    (2000), on its uncertainty; Brown, Cai and DasGupta, Statistical Science 16 (2001), on Jeffreys
    intervals of a rate.
    """
    approved = probability_of_default <= cutoff
    members = {value: stated == value for value in monitored.values}
    counts = {value: (int(of.sum()), int(approved[of].sum())) for value, of in members.items()}
    large = {
        value: found / loans
        for value, (loans, found) in counts.items()
        if loans >= FEWEST_OF_A_GROUP
    }
    random = np.random.default_rng(seed)
    drawn = {
        value: random.beta(found + 0.5, loans - found + 0.5, RESAMPLES)
        for value, (loans, found) in counts.items()
        if value in large
    }
    surely = {value: float(np.quantile(rates, 0.025)) for value, rates in drawn.items()}
    reference = monitored.reference or max(surely, key=surely.__getitem__, default=None)
    if reference not in large or not large[reference]:
        reference = None
    others = len(large) - 1
    # Of each pair either may turn out the reference, unless one is declared.
    pairs = max(others if monitored.reference else (others + 1) * others, 1)
    groups = []
    for value, of in members.items():
        loans, found = counts[value]
        if not loans:
            continue
        ratio = highest = None
        if reference is not None and value in large:
            same = value == reference
            ratio = _ratio(
                large[value] / large[reference], drawn[value], drawn[reference], same=same
            )
            # Clopper and Pearson's bounds, one of each: of a handful of approvals Jeffreys' lie
            # too near.
            most = random.beta(found + 1, max(loans - found, NONE), RESAMPLES)
            of_all, approved_of_all = counts[reference]
            least = random.beta(approved_of_all, of_all - approved_of_all + 1, RESAMPLES)
            highest = (
                1.0 if same else float(np.quantile(most / least, 1 - TOO_LOW_BY_CHANCE / pairs))
            )
        groups.append(
            GroupOutcome(
                group=value,
                loans=loans,
                approved=found,
                default_rate=float(defaulted[of].mean()),
                expected_rate=float(probability_of_default[of].mean()),
                ratio=ratio,
                highest=highest,
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
    low, high = np.quantile(one / other, [0.025, 0.975])
    # Where nobody was approved, the value is the lowest there can be.
    return Estimate(value=value, low=min(float(low), value), high=float(high))
