"""From a probability of default to points and an outcome."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from credit_core.domain.product import Policy


class Outcome(StrEnum):
    """What the applicant is told."""

    APPROVE = "approve"
    DECLINE = "decline"
    REFER = "refer"


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
