"""From a probability of default to points, a risk band and an outcome; and the hard rules."""

from __future__ import annotations

import math
from functools import reduce
from operator import ge, gt, le, lt, or_
from typing import TYPE_CHECKING, Any

from credit_core.domain.feature_matrix import UNKNOWN_CATEGORY
from credit_core.domain.policy_definition import Comparison, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from credit_core.domain.policy_definition import Condition, Policy, Rule
    from credit_core.domain.terms import ModelInput

HOLDS: Mapping[Comparison, Callable[[Any, float], Any]] = {
    Comparison.BELOW: lt,
    Comparison.AT_MOST: le,
    Comparison.ABOVE: gt,
    Comparison.AT_LEAST: ge,
}


def points_per_log_odds(policy: Policy) -> float:
    """Return the points lost per unit of log-odds of default.

    Source: Siddiqi, Credit Risk Scorecards (Wiley, 2006), "factor" of the scaling.
    """
    return policy.points_to_double_odds / math.log(2)


def points(policy: Policy, log_odds_of_default: float) -> float:
    """Return the points of an applicant: ``base_points`` at ``base_odds`` good to bad.

    Args:
        policy: The scaling.
        log_odds_of_default: Natural logarithm of bad to good.
    """
    above_base = -log_odds_of_default - math.log(policy.base_odds)
    return policy.base_points + points_per_log_odds(policy) * above_base


def probability(log_odds: float) -> float:
    """Return the probability of that log-odds, without overflow.

    >>> probability(0.0)
    0.5
    >>> probability(-1000.0)
    0.0
    """
    if log_odds >= 0:
        return 1.0 / (1.0 + math.exp(-log_odds))
    odds = math.exp(log_odds)
    return odds / (1.0 + odds)


def outcome_of(policy: Policy, probability_of_default: float) -> Outcome:
    """Return the outcome for a probability of default.

    Anything that is not a number between 0 and 1 is referred, never approved.
    """
    if 0.0 <= probability_of_default <= policy.approve_up_to:
        return Outcome.APPROVE
    if policy.decline_from <= probability_of_default <= 1.0:
        return Outcome.DECLINE
    return Outcome.REFER


def band_of(policy: Policy, probability_of_default: float) -> str | None:
    """Return the name of the risk band of a probability of default, None if there are no bands."""
    for band in policy.bands:
        if probability_of_default <= band.up_to:
            return band.name
    return None


type Truth = bool | NDArray[np.bool]
"""Of one applicant, or of n, shape (n,)."""


class RuleBook:
    """The hard rules of a policy, ready to be asked of one applicant's model input or of many."""

    def __init__(self, rules: Sequence[Rule], inputs: Sequence[ModelInput]) -> None:
        self._positions = {given.name: index for index, given in enumerate(inputs)}
        self._codes = {given.name: given.codes for given in inputs}
        self.rules = tuple(rules)

    def applies(
        self, rule: Rule, columns: Sequence[Any], known: Sequence[bool]
    ) -> tuple[Truth, Truth]:
        """Return where a rule applies, and where it can't be checked.

        A condition that is known not to hold settles it, whatever else is unknown.

        Args:
            rule: One of ``rules``.
            columns: The G model inputs before their cast to float32: a float each, which is the
                quickest for one applicant, or arrays of shape (n,).
            known: Which inputs hold what was found, not an assumed default; G of them.
        """
        # XOR negates a bool and an array of them alike.
        holds: Any = True
        unknown: Any = False
        for condition in rule.when:
            position = self._positions[condition.feature]
            column = columns[position]
            absent = self._absent(condition, column) | (not known[position])
            holds = holds & (absent | self._holds(condition, column))
            unknown = unknown | absent
        return holds & (unknown ^ True), holds & unknown

    def _absent(self, condition: Condition, column: Any) -> Any:
        if self._codes[condition.feature]:
            return column == UNKNOWN_CATEGORY
        return column != column  # noqa: PLR0124 (NaN)

    def _holds(self, condition: Condition, column: Any) -> Any:
        if isinstance(condition.value, tuple):
            codes = self._codes[condition.feature]
            return reduce(or_, [column == codes[category] for category in condition.value])
        return HOLDS[condition.comparison](column, condition.value)
