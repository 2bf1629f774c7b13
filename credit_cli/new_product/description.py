"""How an input is described: its type, unit, range, categories, direction and stated reason."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from credit_cli.new_product import lexicon
from credit_cli.new_product.lexicon import has_word, matches
from credit_cli.new_product.names import human, typed
from credit_cli.new_product.profile import spellings
from credit_cli.new_product.values import Kind, is_plain_number
from credit_core.domain.credit_lint import VAGUE
from credit_core.domain.product import DType, RiskDirection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credit_cli.new_product.evidence import Evidence
    from credit_cli.new_product.profile import Profile

LONELY_AUC = 0.85
"""As the leakage gate: from it on a column is told of."""
MOSTLY = 0.5
ODD_CODES = frozenset(
    (-9, -8, -7, -3, -2, -1, 77, 88, 96, 97, 98, 99, 777, 888, 996, 997, 998, 999, 9999)
)
FAR_ABOVE = 3
"""A code for unknown is so many times the largest other number, or below 0 where none else is."""
MOST_CLASSES = 12
"""Whole numbers of so many different values may be codes."""
REQUESTED = "The amount requested"
IN_APPLICATION = "in your application"
FEWEST_STEPPED = 100
SURELY = 3.0
"""Standard errors from which on a trend is none of chance."""


@dataclass(frozen=True, slots=True)
class FeatureGuess:
    """An input as it will be defined.

    ``categories`` has the texts of the file by the category they mean. ``example`` is a typical
    value. ``comments`` say why, and what to check; ``is_stated`` whether an application has it.
    """

    profile: Profile
    dtype: DType
    example: float | int | str | None
    reason: str
    unit: str = ""
    minimum: float = 0
    maximum: float = 0
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nullable: bool = False
    risk: RiskDirection | None = None
    step: float | None = None
    comments: tuple[str, ...] = ()
    is_stated: bool = True

    @property
    def name(self) -> str:
        """Its name in the definition."""
        return self.profile.name


class Descriptions:
    """Describes columns one by one as inputs.

    Args:
        notes: What a person should know besides is added to them.
        dangers: What a person has to look at is added to them.
        coded: Names of columns whose numbers are codes, as a person said.
        currency: Of the amounts, as a person said; None where nobody did.
    """

    def __init__(
        self, notes: list[str], dangers: list[str], *, coded: frozenset[str], currency: str | None
    ) -> None:
        self._notes, self._dangers = notes, dangers
        self._coded, self._currency = coded, currency

    def of(self, profile: Profile, evidence: Evidence | None) -> FeatureGuess:
        """Return a column as the input that it will be.

        Args:
            profile: The column, under the name that the input gets.
            evidence: What it tells of the outcome, None where that was not measured.
        """
        if evidence and evidence.auc >= LONELY_AUC:
            self._dangers.append(
                f"{profile.given} tells much by itself (AUC {evidence.auc:.2f}): is it known when"
                " somebody applies? The leakage gate may stop it; if not: --ignore"
            )
        if profile.form.kind is Kind.TEXT or profile.name in self._coded:
            return described_category(profile)
        return self._number(profile, evidence)

    def _number(self, profile: Profile, evidence: Evidence | None) -> FeatureGuess:
        low, high = float(profile.low or 0), float(profile.high or 0)
        whole = profile.is_whole
        flag = whole and (low, high) == (0, 1)
        unit = "0 or 1" if flag else self._unit(profile)
        comments = []
        if flag:
            minimum, maximum = 0.0, 1.0
        else:
            minimum = 0.0 if low >= 0 else -roomy(-low)
            maximum = 0.0 if high <= 0 else roomy(high)
            if unit == "percent" and high <= 100:  # noqa: PLR2004 (percent)
                maximum = 100.0
        self._odd_codes(profile)
        few = whole and not flag and profile.distinct <= MOST_CLASSES
        if few and not has_word(lexicon.COUNTS, profile.name):
            comments.append("Are these numbers codes? Then: --category, for one has no order.")
        if profile.form.told:
            comments.append(f"In the file {profile.form.told}.")
        risk, remark = self._risk(profile, evidence)
        if remark:
            comments.append(remark)
        typical = profile.median
        example: float | int | None = None
        if typical is not None and profile.unknown <= MOSTLY * profile.rows:
            example = int(typical) if whole else float(f"{typical:.6g}")
        requested = reason_of(profile.name) == REQUESTED
        step = step_of(profile.median or 0) if requested else None
        return FeatureGuess(
            profile,
            DType.INTEGER if whole else DType.FLOAT,
            example,
            reason_of(profile.name),
            unit=unit,
            minimum=minimum,
            maximum=maximum,
            nullable=profile.unknown > 0,
            risk=risk,
            step=step,
            comments=tuple(comments + _unknown_comments(profile)),
        )

    def _odd_codes(self, profile: Profile) -> None:
        """Note numbers that are far from the others and look like a code for unknown, as 98."""
        if not profile.is_whole or not profile.values:
            return
        read = Counter[float]()
        for text, count in profile.values:
            if is_plain_number(text):
                read[float(text)] += count
        others = [it for it in read if it not in ODD_CODES]
        if not others or len(read) == len(others):
            return
        low, high = min(others), max(others)
        odd = sorted(
            it
            for it in set(read) - set(others)
            if read[it] > 1 and (it < 0 <= low or it > FAR_ABOVE * max(high, 1))
        )
        if odd and not set(odd) & set(profile.sentinels):
            listed = " and ".join(f"{it:.0f} ({read[it]:,} rows)" for it in odd)
            options = " ".join(f"--missing {typed(f'{profile.given}={it:.0f}')}" for it in odd)
            self._notes.append(
                f"{profile.given} holds {listed}, and else {low:.0f} to {high:.0f}: if that stands"
                f" for unknown: {options}"
            )

    def _unit(self, profile: Profile) -> str:
        if profile.form.unit:
            return profile.form.unit
        return _unit_of_time_or_share(profile) or self._unit_of_amount(profile)

    def _unit_of_amount(self, profile: Profile) -> str:
        name = profile.name
        if has_word(lexicon.COUNTS, name):
            return "count"
        if has_word(lexicon.MONEY, name) and (profile.high or 0) > 100:  # noqa: PLR2004 (no code)
            return self._currency or "currency units"
        if profile.is_whole:
            return "count" if profile.distinct > MOST_CLASSES else "class"
        within = (profile.low or 0) >= 0 and (profile.high or 0) <= 1
        return "ratio" if within else "units"

    def _risk(
        self, profile: Profile, evidence: Evidence | None
    ) -> tuple[RiskDirection | None, str | None]:
        known = None
        if has_word(lexicon.KNOWN_UP, profile.name):
            known = RiskDirection.INCREASING
        elif has_word(lexicon.KNOWN_DOWN, profile.name):
            known = RiskDirection.DECREASING
        trend = evidence.trend if evidence else None
        if known is None or trend is None or re.search(r"since|mths|months_since", profile.name):
            return None, None
        agrees = (trend > 0) == (known is RiskDirection.INCREASING)
        if agrees:
            way = "rises" if trend > 0 else "falls"
            return known, f"The risk {way} with it: its name says so, and these loans do too."
        if evidence and abs(trend) > SURELY / math.sqrt(evidence.rows):
            way = "falls" if trend > 0 else "rises"
            self._dangers.append(
                f"{profile.given}: its name says that the risk {way}"
                " with it, and these loans say the opposite: is the label the right way round?"
            )
        return None, None


def described_category(profile: Profile) -> FeatureGuess:
    """Return a column as an input of categories."""
    texts_by_category = spellings(profile)
    counts = Counter(
        {it: sum(dict(profile.values)[t] for t in texts) for it, texts in texts_by_category.items()}
    )
    comments = []
    merged = sum(len(texts) > 1 for texts in texts_by_category.values())
    if merged:
        comments.append(
            "Spellings that differ in case, blanks, hyphens only count as one category."
        )
    rare = sum(count < max(5, profile.rows / 1_000) for count in counts.values())
    if rare:
        comments.append(f"{rare} of its categories are rare: group them by what they mean.")
    unknown = profile.unknown > 0
    typical = counts.most_common(1)[0][0]
    return FeatureGuess(
        profile,
        DType.CATEGORY,
        None if profile.unknown > MOSTLY * profile.rows else typical,
        reason_of(profile.name),
        categories=texts_by_category,
        nullable=unknown,
        comments=tuple(comments + _unknown_comments(profile)),
    )


def roomy(value: float) -> float:
    """Return a round number that leaves room above a value.

    >>> roomy(72), roomy(18_424), roomy(0.93), roomy(3)
    (200.0, 50000.0, 2.0, 5.0)
    """
    if value <= 0:
        return 1.0
    scale = 10.0 ** math.floor(math.log10(value))
    return next(step * scale for step in (1, 2, 5, 10, 20) if step * scale >= 1.5 * value)


def step_of(median: float) -> float | None:
    """Return a round step, a tenth of a usual amount or less, None where that is too small.

    >>> step_of(2_319), step_of(15_000), step_of(8)
    (100.0, 1000.0, None)
    """
    return 10.0 ** math.floor(math.log10(median / 10)) if median >= FEWEST_STEPPED else None


def reason_of(name: str) -> str:
    """Return what can be stated to an applicant of an input that raised the risk.

    >>> reason_of("loan_amount"), reason_of("other_plans")
    ('The amount requested', 'The other plans in your application')
    """
    for text, pattern in lexicon.REASONS.items():
        if matches(pattern, name):
            return text
    words = human(name.removesuffix("_value"))
    if any(vague in words for vague in VAGUE):
        words = f"entry {words.split(maxsplit=1)[0]}"
    return f"The {words} {IN_APPLICATION}"


def _unknown_comments(profile: Profile) -> list[str]:
    if not profile.unknown:
        return []
    share = profile.unknown / profile.rows
    often = f"{share:.1%} of the rows" if share >= 0.001 else f"{profile.unknown:,} of the rows"  # noqa: PLR2004 (what a percent sign can tell)
    words = [f"Unknown in {often}, so a request may send null."]
    if profile.sentinels:
        listed = ", ".join(f"{it:.0f}" for it in profile.sentinels)
        words.append(f"{listed} is taken for unknown: far from all others, again and again.")
    if profile.strange:
        words.append(f"{', '.join(profile.strange)} counts as unknown.")
    elif profile.unread:
        words.append(f"{profile.unread:,} texts are none of its numbers, and count as unknown.")
    return words


def _unit_of_time_or_share(profile: Profile) -> str | None:  # noqa: PLR0911 (as above)
    name = profile.name
    # A share is rarely above one, an amount in percent rarely below: outliers don't decide.
    usual = profile.median or 0
    if has_word(lexicon.SCORES, name) and (profile.high or 0) > 100:  # noqa: PLR2004 (a grade has fewer)
        return "points"
    if profile.is_whole and has_word(lexicon.TIMES, name):
        return "count"
    if has_word(lexicon.IN_MONTHS, name):
        return "months"
    if has_word(r"years?|yrs?|jahre|yoj", name):
        return "years"
    if has_word(r"days?|dpd|tage", name):
        return "days"
    if has_word(r"percent|pct|util|utili[sz]ation|rate", name):
        whole = profile.is_whole and (profile.high or 0) > 1
        return "percent" if whole or usual > 1.5 else "ratio"  # noqa: PLR2004 (a share has 1)
    if has_word(r"ratio|share|dti|debtinc|debt_to_income", name):
        return "ratio" if usual <= 1.5 else "percent"  # noqa: PLR2004 (as above)
    return None
