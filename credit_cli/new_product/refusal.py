"""Which columns of a lender's file are no inputs, and why: by law, by name, by what they tell."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from credit_cli.new_product import lexicon
from credit_cli.new_product.lexicon import has_word, matches, subject_of
from credit_cli.new_product.names import LABEL
from credit_cli.new_product.profile import spellings
from credit_cli.new_product.values import Kind
from credit_core.domain.credit_lint import MANY_CATEGORIES
from credit_core.domain.definitions import LONGEST_CATEGORY
from credit_core.domain.findings import Severity
from credit_core.domain.suspect_words import suspect_input

if TYPE_CHECKING:
    from collections.abc import Sequence

    from credit_cli.new_product.evidence import Evidence
    from credit_cli.new_product.profile import Profile
    from credit_core.domain.findings import Finding

LEAKING_AUC = 0.90
"""As the leakage gate: from it on a column stays out."""
MOSTLY = 0.5
NEARLY_ALL = 0.98
LONG_TEXT = 40
LIKE_CODES = 0.9
LEAST_TELEPHONE = 100_000_000
DENSE = 1.5
"""Different whole numbers that span less than so many times their count follow each other."""
CENTURY = (1950, 2100)
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[a-zA-Z]{2,}")
SSN = re.compile(r"\d{3}-\d{2}-\d{4}")
IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9 ]{10,34}")
PHONE = re.compile(r"\+?[\d(][\d ()./-]{7,18}\d")
UUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-fA-F]{24,64}")
PERSONAL_TEXTS = ((EMAIL, "email addresses"), (SSN, "social security numbers"), (IBAN, "IBANs"))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A column that is no input, and why; ``is_prohibited`` puts it among the prohibited ones."""

    profile: Profile
    why: str
    is_prohibited: bool = False
    is_danger: bool = False


class Refusals:
    """Looks at columns one by one for a reason to leave them out.

    Args:
        notes: What a person should know besides is added to them.
        has_key: Whether a person named what tells applicants apart.
    """

    def __init__(self, notes: list[str], *, has_key: bool) -> None:
        self._notes, self._has_key = notes, has_key

    def of(self, profile: Profile, evidence: Evidence | None) -> LeftOut | None:
        """Return the first reason why a column is no input, None where there is none.

        Args:
            profile: The column.
            evidence: What it tells of the outcome, None where that was not measured.
        """
        return (
            self._named_person(profile)
            or person_by_values(profile)
            or by_law(profile)
            or by_time(profile)
            or leak(profile, evidence)
            or by_values(profile)
        )

    def _named_person(self, profile: Profile) -> LeftOut | None:
        many = profile.distinct > max(MANY_CATEGORIES, profile.known / 10)
        is_number = matches(lexicon.NATIONAL_ID, profile.name) and many
        part = re.search(r"last_?(4|four|digits)", profile.name)
        if (
            is_number
            and not part
            and profile.distinct < NEARLY_ALL * profile.known
            and not self._has_key
        ):
            self._notes.append(
                f"{profile.given} comes again: some applicants have several loans here. Put a"
                " number of your own in its place and name that by --key, else a model is tested on"
                " people whom it was trained on"
            )
        text = profile.form.kind is Kind.TEXT
        if is_number or (matches(lexicon.PERSONAL, profile.name) and (many or text)):
            return LeftOut(profile, "it identifies a person", is_danger=True)
        return None


def person_by_values(profile: Profile) -> LeftOut | None:
    """Return a column of values that identify people or loans as left out."""
    sample = profile.samples[:200]
    for pattern, what in PERSONAL_TEXTS:
        if sum(bool(pattern.fullmatch(it)) for it in sample) > MOSTLY * len(sample):
            return LeftOut(profile, f"{what}: they identify a person", is_danger=True)
    if profile.distinct > MANY_CATEGORIES and profile.form.kind is Kind.TEXT:
        if sum(bool(PHONE.fullmatch(it)) for it in sample) > NEARLY_ALL * len(sample):
            return LeftOut(profile, "telephone numbers, or the like", is_danger=True)
        if sum(bool(UUID.fullmatch(it)) for it in sample) > NEARLY_ALL * len(sample):
            return LeftOut(profile, "an identifier: it tells loans apart and explains nothing")
    many = profile.distinct > max(MANY_CATEGORIES, profile.known / 10)
    if profile.is_whole and profile.distinct > MANY_CATEGORIES and _of_many_digits(profile):
        why = "whole numbers of as many digits as telephones and accounts have"
        return LeftOut(profile, why, is_danger=True)
    identifies = matches(lexicon.LOAN_ID, profile.name) or matches(lexicon.PERSON_KEY, profile.name)
    texts, numbers = profile.form.kind is Kind.TEXT, profile.is_whole
    unique = profile.distinct > NEARLY_ALL * profile.known and profile.known > MANY_CATEGORIES
    # Amounts differ from loan to loan as well; numbers that follow each other count rows.
    span = (profile.high or 0) - (profile.low or 0)
    in_a_row = numbers and unique and span < DENSE * profile.known
    if (identifies and many and (texts or numbers)) or (texts and unique) or in_a_row:
        return LeftOut(profile, "an identifier: it tells loans apart and explains nothing")
    return None


def by_law(profile: Profile) -> LeftOut | None:
    """Return a column that is prohibited, limited, or a proxy as left out."""
    name = profile.name
    subject = subject_of(lexicon.PROHIBITED, name, whole=True) or (
        None
        if re.search(r"credit|loan|account|file|line|trade|oldest|newest|card|car|house", name)
        else subject_of(lexicon.PROHIBITED, name)
    )
    subject = subject or prohibited_by_values(profile)
    if subject:
        why = f"{subject}: a prohibited basis (12 CFR 1002.6(b))"
        return LeftOut(profile, why, is_prohibited=True, is_danger=True)
    subject = subject_of(lexicon.LIMITED, name)
    if subject:
        why = f"{subject}: its use is limited (12 CFR 1002.6(b)); ask counsel"
        return LeftOut(profile, why, is_prohibited=True, is_danger=True)
    subject = subject_of(lexicon.PROXIES, name, whole=True)
    if subject:
        why = f"{subject}: a proxy for prohibited bases (Regulation B, comment 6(a)-2)"
        return LeftOut(profile, why, is_prohibited=True, is_danger=True)
    return None


def by_time(profile: Profile) -> LeftOut | None:
    """Return a column of dates or calendar years as left out."""
    if profile.form.kind is Kind.DATE:
        return LeftOut(profile, "a date; as an input, state the time since then as a number")
    year = (
        profile.form.kind is Kind.NUMBER
        and profile.is_whole
        and has_word(r"year|yr|jahr|vintage|fy|approvalfy", profile.name)
        and profile.low is not None
        and profile.high is not None
        and CENTURY[0] <= profile.low <= profile.high <= CENTURY[1]
    )
    if year:
        return LeftOut(profile, "a calendar year: applicants to come all have another one")
    return None


def leak(  # noqa: PLR0911 (as above)
    profile: Profile, evidence: Evidence | None
) -> LeftOut | None:
    """Return a column that knows the outcome as left out: by its name, or by these loans."""
    if matches(lexicon.AFTERWARDS, profile.name):
        why = "its name is of what is known only after the loan was made"
        return LeftOut(profile, why, is_prohibited=True, is_danger=True)
    if matches(lexicon.VERDICTS, profile.name):
        why = "an earlier verdict on the loan, a price or a grade, which no application has"
        return LeftOut(profile, why, is_prohibited=True, is_danger=True)
    if evidence is None:
        return None
    if evidence.auc_of_unknown >= LEAKING_AUC:
        why = f"whether it is empty tells the outcome (AUC {evidence.auc_of_unknown:.2f})"
        return LeftOut(profile, f"{why}: filled in afterwards?", is_danger=True)
    if evidence.auc >= LEAKING_AUC:
        why = f"by itself it tells the outcome (AUC {evidence.auc:.2f}): known only afterwards?"
        return LeftOut(profile, why, is_danger=True)
    if evidence.is_pure:
        why = "nearly all loans with some of its values defaulted: known only afterwards?"
        return LeftOut(profile, why, is_danger=True)
    return None


def by_values(profile: Profile) -> LeftOut | None:
    """Return a column of texts that are no few categories as left out."""
    if profile.form.kind is not Kind.TEXT:
        return None
    categories = spellings(profile)
    if profile.distinct > len(profile.values) or len(categories) > MANY_CATEGORIES:
        if _of_one_shape(profile.samples):
            why = f"codes, {profile.distinct:,} different ones: they name something or somebody"
            return LeftOut(profile, why)
        long = any(len(it) > LONG_TEXT for it in profile.samples)
        what = "free text" if long else f"{profile.distinct:,} different texts"
        return LeftOut(profile, f"no number, and {what}: group them into a few categories")
    if any(len(it) > LONGEST_CATEGORY for it in categories):
        return LeftOut(profile, "no number, and texts too long for categories")
    return None


def lint_error(name: str) -> Finding | None:
    """Return what the credit lint would refuse in an input of that name.

    >>> lint_error("duration"), lint_error("recoveries").what
    (None, 'recoveries looks like the outcome that the model is to predict')
    """
    found = suspect_input(f"request_features.{name}", name, label=LABEL)
    return next((it for it in found if it.severity is Severity.ERROR), None)


def prohibited_by_values(profile: Profile) -> str | None:
    """Return the prohibited basis that a column's answers are of, whatever its name says."""
    answers = {text.lower() for text, _ in profile.values}
    if answers in lexicon.SEXES:
        return "sex"
    for subject, words in lexicon.PROHIBITED_VALUES.items():
        if len(answers & words) > 1:
            return subject
    return None


def _of_many_digits(profile: Profile) -> bool:
    low, high = profile.low or 0, profile.high or 0
    return low >= LEAST_TELEPHONE and len(f"{low:.0f}") == len(f"{high:.0f}")


def _of_one_shape(texts: Sequence[str]) -> bool:
    """Whether nearly all texts have digits and letters in the same places, as codes have."""
    shapes = Counter(re.sub(r"[^\W\d]", "A", re.sub(r"\d", "9", it)) for it in texts)
    shape, count = shapes.most_common(1)[0]
    return "9" in shape and count > LIKE_CODES * len(texts)
