"""A lender's policy as data: hard rules, cut-offs, points and risk bands, under one version.

``domain.policy`` computes with it. Each part lists what is wrong with itself;
``domain.product_faults`` looks up the features that rules name.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from credit_core.domain.definition_faults import (
    FLAG,
    NUMBER,
    TEXT,
    WHOLE_NUMBER,
    Check,
    Kind,
    a,
    is_line,
    is_number,
    repeated,
)

MAXIMUM_REASONS = 4
"""More than four are not likely to be helpful (Regulation B, comment 9(b)(2)-1)."""


class Outcome(StrEnum):
    """What the applicant is told."""

    APPROVE = "approve"
    DECLINE = "decline"
    REFER = "refer"


class RuleKind(StrEnum):
    """What a hard rule is there for."""

    ELIGIBILITY = "eligibility"
    AFFORDABILITY = "affordability"
    LIMIT = "limit"


class Comparison(StrEnum):
    """How a condition compares a feature with its value."""

    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="
    ONE_OF = "in"


def _is_categories(value: object) -> bool:
    return isinstance(value, tuple) and bool(value) and all(is_line(item) for item in value)


LIMIT = Kind(
    "a finite number or a tuple of categories",
    lambda value: is_number(value) or _is_categories(value),
)


@dataclass(frozen=True)
class Condition:
    """A feature compared with a number, or looked up among categories (``Comparison.ONE_OF``)."""

    feature: str
    comparison: Comparison
    value: float | tuple[str, ...]

    def faults(self, place: str) -> list[str]:
        """Return what is wrong with this condition, each with its place."""
        kinds = {"feature": TEXT, "comparison": a(Comparison), "value": LIMIT}
        check = Check(self, place, kinds)
        if check.sound("comparison", "value") and (
            (self.comparison is Comparison.ONE_OF) != isinstance(self.value, tuple)
        ):
            check.add(
                "value", "ONE_OF takes a tuple of categories, every other comparison a number"
            )
        return check.found

    def __str__(self) -> str:
        """Return the condition as a person writes it."""
        value = ", ".join(self.value) if isinstance(self.value, tuple) else f"{self.value:,.10g}"
        return f"{self.feature} {self.comparison} {value}"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A hard rule: where all conditions of ``when`` hold, the outcome is settled.

    ``text`` is its reason for the applicant. Where a feature that it needs is not known, or stands
    for a declared default, a person decides, unless ``unknown_passes``.
    """

    code: str
    kind: RuleKind
    when: tuple[Condition, ...]
    outcome: Outcome
    text: str
    unknown_passes: bool = False

    @property
    def name(self) -> str:
        """The code, under which faults find it."""
        return self.code

    def faults(self, place: str) -> list[str]:
        """Return what is wrong with this rule, each with its place."""
        kinds = {
            "code": TEXT,
            "kind": a(RuleKind),
            "outcome": a(Outcome),
            "text": TEXT,
            "unknown_passes": FLAG,
        }
        check = Check(self, place, kinds)
        if check.sound("outcome") and self.outcome is Outcome.APPROVE:
            check.add("outcome", "a rule declines or refers; only the cut-off approves")
        conditions = check.members("when", Condition)
        if check.empty("when"):
            check.add("when", "a rule needs one condition at least")
        for condition_place, condition in conditions:
            check.found += condition.faults(condition_place)
        return check.found


@dataclass(frozen=True)
class Band:
    """A risk band: probabilities of default above the band before it, up to ``up_to``."""

    name: str
    up_to: float

    def faults(self, place: str) -> list[str]:
        """Return what is wrong with this band, each with its place."""
        return Check(self, place, {"name": TEXT, "up_to": NUMBER}).found


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How an applicant's features and probability of default become an outcome and points.

    ``rules`` come first, in their order. Then a probability of default up to ``approve_up_to``
    approves, from ``decline_from`` on declines, and between them a person decides. ``base_points``
    are given at odds (good to bad) of ``base_odds``; each ``points_to_double_odds`` more double
    the odds. ``bands`` are in order of risk, and the last one ends at 1.
    """

    version: str
    approve_up_to: float
    decline_from: float
    base_points: float
    base_odds: float
    points_to_double_odds: float
    maximum_reasons: int = MAXIMUM_REASONS
    rules: tuple[Rule, ...] = ()
    bands: tuple[Band, ...] = ()

    def faults(self, place: str) -> list[str]:
        """Return what is wrong with this policy, each with its place."""
        check = Check(
            self,
            place,
            {
                "version": TEXT,
                "approve_up_to": NUMBER,
                "decline_from": NUMBER,
                "base_points": NUMBER,
                "base_odds": NUMBER,
                "points_to_double_odds": NUMBER,
                "maximum_reasons": WHOLE_NUMBER,
            },
        )
        for name in ("approve_up_to", "decline_from"):
            if check.sound(name) and not 0 < getattr(self, name) < 1:
                check.add(name, f"{getattr(self, name)} is no probability between 0 and 1")
        if (
            check.sound("approve_up_to", "decline_from")
            and not self.approve_up_to < self.decline_from
        ):
            check.add(
                "approve_up_to",
                f"{self.approve_up_to} is not below decline_from, {self.decline_from}",
            )
        for name in ("base_odds", "points_to_double_odds"):
            if check.sound(name) and getattr(self, name) <= 0:
                check.add(name, "must be positive")
        if check.sound("maximum_reasons") and not 1 <= self.maximum_reasons <= MAXIMUM_REASONS:
            check.add("maximum_reasons", f"must be from 1 to {MAXIMUM_REASONS}")
        rules = check.members("rules", Rule, of="rules")
        for rule_place, rule in rules:
            check.found += rule.faults(rule_place)
        check.found += repeated(rules)
        self._check_bands(check)
        return check.found

    def _check_bands(self, check: Check) -> None:
        bands = check.members("bands", Band, of="bands")
        check.found += repeated(bands)
        faults = [fault for place, band in bands for fault in band.faults(place)]
        check.found += faults
        if faults or not bands:
            return
        ends = [band.up_to for _, band in bands]
        if ends != sorted(set(ends)) or ends[0] <= 0:
            check.add("bands", "list them in order of risk, each up to a higher probability")
        if ends[-1] != 1:
            check.add("bands", "the last one is up to 1, so that each applicant has a band")
