"""What each column of a lender's file is taken for: input, key, time, or nothing; and why."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from credit_cli.errors import UsageError
from credit_cli.new_product import lexicon
from credit_cli.new_product.evidence import evidence_of
from credit_cli.new_product.lexicon import has_word, matches, subject_of
from credit_cli.new_product.names import LABEL, human, typed, words_of
from credit_cli.new_product.profile import CLEANED
from credit_cli.new_product.values import Kind, is_plain_number
from credit_core.domain.credit_lint import MANY_CATEGORIES, VAGUE
from credit_core.domain.definitions import LONGEST_CATEGORY
from credit_core.domain.findings import Severity
from credit_core.domain.product import (
    AdverseActionReason,
    CreditProduct,
    DType,
    EntityKey,
    Feature,
    KeyType,
    Label,
    Policy,
    RiskDirection,
)
from credit_core.domain.suspect_words import suspect_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credit_cli.new_product.evidence import Evidence
    from credit_cli.new_product.lender_file import LenderFile
    from credit_cli.new_product.outcome import Outcome
    from credit_cli.new_product.profile import Profile
    from credit_core.domain.findings import Finding

LEAKING_AUC, LONELY_AUC = 0.90, 0.85
"""As the leakage gate: from the first on a column stays out, from the second on it is told of."""
MOSTLY = 0.5
NEARLY_ALL = 0.98
LONG_TEXT = 40
LIKE_CODES = 0.9
LEAST_TELEPHONE = 100_000_000
FROM_OPEN = 0.25
"""Share of loans that go on from which the others are no fair sample."""
ODD_CODES = frozenset(
    (-9, -8, -7, -3, -2, -1, 77, 88, 96, 97, 98, 99, 777, 888, 996, 997, 998, 999, 9999)
)
FAR_ABOVE = 3
"""A code for unknown is so many times the largest other number, or below 0 where none else is."""
DENSE = 1.5
"""Different whole numbers that span less than so many times their count follow each other."""
MOST_GROUPS = 12
FEWEST_LOANS, FEWEST_DEFAULTS, FEWEST_TESTED, FEWEST_TRIED = 500, 150, 50, 20
"""What the gate enough_data and the training itself ask for, see docs/gates.md."""
REQUESTED = "The amount requested"
IN_APPLICATION = "in your application"
FEWEST_STEPPED = 100
SURELY = 3.0
"""Standard errors from which on a trend is none of chance."""
CENTURY = (1950, 2100)
EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[a-zA-Z]{2,}")
SSN = re.compile(r"\d{3}-\d{2}-\d{4}")
IBAN = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9 ]{10,34}")
PHONE = re.compile(r"\+?[\d(][\d ()./-]{7,18}\d")
UUID = re.compile(r"[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-fA-F]{24,64}")
PERSONAL_TEXTS = ((EMAIL, "email addresses"), (SSN, "social security numbers"), (IBAN, "IBANs"))


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person said; each names columns as the file does, or as they were cleaned."""

    key: tuple[str, ...] = ()
    time: str | None = None
    no_time: bool = False
    views: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prohibit: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    category: tuple[str, ...] = ()
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A column that is no input, and why; ``is_prohibited`` puts it among the prohibited ones."""

    profile: Profile
    why: str
    is_prohibited: bool = False
    is_danger: bool = False


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


@dataclass(frozen=True, slots=True)
class Group:
    """A prohibited column with few values: outcomes are compared by it."""

    profile: Profile
    categories: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Guess:
    """All that was made of a file."""

    outcome: Outcome
    rows: int
    labelled: int
    defaults: int
    features: tuple[FeatureGuess, ...]
    views: Mapping[str, tuple[str, ...]]
    keys: tuple[Profile, ...]
    key_why: str
    time: Profile | None
    time_why: str
    application_id: Profile | None
    left_out: tuple[LeftOut, ...]
    groups: tuple[Group, ...]
    dangers: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def default_rate(self) -> float:
        """Share of the loans with an outcome that defaulted."""
        return self.defaults / max(1, self.labelled)


def named(profiles: Sequence[Profile], wanted: str, option: str) -> Profile:
    """Return the column that a person named.

    Raises:
        UsageError: There is none of that name.
    """
    for test in (
        lambda it: it.given.strip() == wanted.strip(),
        lambda it: it.given.strip().lower() == wanted.strip().lower(),
        lambda it: it.name == wanted,
        lambda it: words_of(it.given) == words_of(wanted) != (),
    ):
        found = [it for it in profiles if test(it)]
        if found:
            return found[0]
    from difflib import get_close_matches  # noqa: PLC0415 (only here)

    near = get_close_matches(wanted.lower(), [it.given.lower() for it in profiles], n=1)
    meant = next((it.given for it in profiles if near and it.given.lower() == near[0]), None)
    listed = ", ".join(it.given for it in profiles[:10])
    hint = f"did you mean {meant}?" if meant else f"there are {listed}"
    raise UsageError(f"{option} {wanted}: the file has no such column", hint=hint)


def guess(
    file: LenderFile, profiles: Sequence[Profile], outcome: Outcome, choices: Choices
) -> Guess:
    """Return what each column is taken for.

    Raises:
        UsageError: A column that was named is not there or can't be that, or no input is left.
    """
    return _Guesser(file, profiles, outcome, choices).guess()


class _Guesser:
    def __init__(
        self, file: LenderFile, profiles: Sequence[Profile], outcome: Outcome, choices: Choices
    ) -> None:
        self.file, self.outcome, self.choices = file, outcome, choices
        self.profiles = [it for it in profiles if it is not outcome.profile]
        self.left_out: list[LeftOut] = []
        self.dangers: list[str] = []
        self.notes: list[str] = []
        ((self.rows, self.labelled, self.defaults),) = file.query(
            f"SELECT count(*), count({outcome.sql}), coalesce(sum({outcome.sql}), 0) FROM {CLEANED}"  # noqa: S608 (our own)
        )
        self.defaults = int(self.defaults)
        self.kept = {self._named(it, "--keep").name for it in choices.keep}
        self.ignored = {self._named(it, "--ignore").name for it in choices.ignore}
        self.prohibited = {self._named(it, "--prohibit").name for it in choices.prohibit}
        self.of_views = {
            view: tuple(self._named(it, "--view") for it in columns)
            for view, columns in choices.views.items()
        }

    def _named(self, wanted: str, option: str) -> Profile:
        return named(self.profiles, wanted, option)

    def guess(self) -> Guess:
        self._of_the_outcome()
        keys, key_why = self._keys()
        time, time_why = self._time()
        application_id = self._application_id(keys)
        used = {it.name for it in (*keys, time, application_id) if it}
        evidence = evidence_of(self.file, self.profiles, self.outcome)
        features = []
        seen: dict[tuple[object, ...], Profile] = {}
        for profile in self.profiles:
            if profile.name in used:
                continue
            out = self._out(profile, evidence.get(profile.name), seen)
            of_it = evidence.get(profile.name)
            fit = self._named_well(profile, of_it) if out is None else out
            if isinstance(fit, LeftOut):
                self.left_out.append(fit)
            else:
                features.append(self._feature(fit, of_it))
        if not features:
            raise UsageError(
                f"no column of {self.file.path} can be an input: all are keys, dates, constants,"
                " texts or prohibited",
                hint="--keep COLUMN keeps one all the same; a file needs many loans",
            )
        names = {it.name for it in features}
        views = {
            view: tuple(it.name for it in columns if it.name in names)
            for view, columns in self.of_views.items()
        }
        for view, columns in self.of_views.items():
            gone = [it.given for it in columns if it.name not in names]
            if gone:
                raise UsageError(
                    f"--view {view}: {', '.join(gone)} is no input",
                    hint="take it out of the view, or say --keep for it",
                )
        if views and not keys:
            raise UsageError(
                "--view needs a key: by what are the applicant's features found?",
                hint="name it: --key COLUMN",
            )
        return Guess(
            self.outcome, self.rows, int(self.labelled), self.defaults, tuple(features), views,
            keys, key_why, time, time_why, application_id, tuple(self.left_out), self._groups(),
            tuple(self.dangers), tuple(self.notes),
        )  # fmt: skip

    def _of_the_outcome(self) -> None:
        if {value.lower() for value, _ in self.outcome.profile.values} & lexicon.DECISIONS:
            self.dangers.append(
                f"{self.outcome.profile.given} holds what a lender decided, not what became of the"
                " loan: a model of it repeats those decisions, with all that was wrong in them"
            )
        if self.outcome.unclear:
            self.dangers.append(
                f"{self.outcome.profile.given} {self.outcome.unclear}: nobody told what that means,"
                " and these loans are left out; if they defaulted or were repaid, say so for all"
                " values: --bad VALUE --good VALUE"
            )
        without = self.rows - int(self.labelled)
        if without > FROM_OPEN * self.rows:
            self.dangers.append(
                f"{without:,} of {self.rows:,} loans have no outcome and are left out, but not"
                " those that defaulted early: defaults look more frequent than they are. Take loans"
                " old enough to be over, or name what counts as repaid: --good VALUE, for each"
            )
        others = int(self.labelled) - self.defaults
        rate = self.defaults / max(1, self.labelled)
        if self.defaults < FEWEST_TRIED or others < FEWEST_TRIED:
            self.dangers.append(
                f"{self.defaults:,} defaults and {others:,} others: `credit train` needs"
                f" {FEWEST_TRIED} of each on each side of its split, and will refuse this file"
            )
        elif self.labelled < FEWEST_LOANS or self.defaults < FEWEST_DEFAULTS:
            self.dangers.append(
                f"{self.labelled:,} loans with {self.defaults:,} defaults: a model can be trained,"
                f" but below about {FEWEST_LOANS} loans and {FEWEST_DEFAULTS} defaults the gate"
                " enough_data keeps it from answering"
            )
        if rate > MOSTLY:
            self.dangers.append(
                f"{rate:.0%} of the loans defaulted: is the label the right way round? If not:"
                " --bad VALUE"
            )

    def _keys(self) -> tuple[tuple[Profile, ...], str]:
        if self.choices.key:
            found = tuple(self._named(it, "--key") for it in self.choices.key)
            for it in found:
                if key_of(it) is None:
                    raise UsageError(
                        f"--key {it.given}: its values are no keys",
                        hint="whole numbers, or up to 64 letters, digits and the signs _ . : -",
                    )
            return found, "named by --key"
        for it in self.profiles:
            fits = matches(lexicon.PERSON_KEY, it.name) and key_of(it) is not None
            # A social security number is personal; as a key it would be in every request.
            personal = any(SSN.fullmatch(text) for text in it.samples[:5])
            if fits and not personal and it.distinct > MOSTLY / 5 * it.known and self._free(it):
                return (it,), "its name is that of a person's key"
        return (), "no column is named like a person's key"

    def _free(self, profile: Profile) -> bool:
        return profile.name not in self.kept | self.ignored | self.prohibited

    def _time(self) -> tuple[Profile | None, str]:
        if self.choices.no_time:
            return None, "left out by --no-time"
        if self.choices.time:
            found = self._named(self.choices.time, "--time")
            if found.form.kind is not Kind.DATE:
                hint = "write dates as 2024-01-31; Jan-2024, 31.01.2024 and others are known too"
                raise UsageError(f"--time {found.given}: it holds no dates", hint=hint)
            if found.form.is_ambiguous:
                raise UsageError(
                    f"--time {found.given}: is 03/04 the 3rd of April or the 4th of March? No"
                    " date of the file shows it",
                    hint="say it: --dates dmy or --dates mdy",
                )
            late = self._late_defaults(found)
            if late < FEWEST_TRIED <= self.defaults:
                self.dangers.append(
                    f"the latest quarter of the loans by {found.given} has {late} defaults: `credit"
                    f" train` needs {FEWEST_TRIED} there, and will refuse this file; --no-time"
                    " cross-validates"
                )
            return found, "named by --time"
        dates = [it for it in self.profiles if it.form.kind is Kind.DATE and self._free(it)]
        whole = [it for it in dates if it.unknown == 0]
        likely = [it for it in whole if matches(lexicon.TIME, it.name)]
        likely = [it for it in likely if not re.search(lexicon.NOT_WHEN_APPLIED, it.name)]
        if len(likely) > 1:
            likely.sort(key=lambda it: not it.name.startswith(("appl", "event", "orig", "issue")))
            self.notes.append(
                f"{', '.join(it.given for it in likely)} could each be when the application was"
                f" made: {likely[0].given} is taken; --time COLUMN takes another"
            )
        if likely and likely[0].form.is_ambiguous:
            raise UsageError(
                f"{likely[0].given} seems to be when the application was made, but is 03/04 the"
                " 3rd of April or the 4th of March? No date of the file shows it",
                hint="say it: --dates dmy or --dates mdy; --no-time does without it",
            )
        if likely and self._tells_enough(likely[0]):
            return likely[0], "its name is that of when an application is made"
        if likely:
            return None, f"{likely[0].given} is not used, see the notes"
        return None, self._without_time(dates)

    def _without_time(self, dates: Sequence[Profile]) -> str:
        """Note which dates there are all the same; return why none is taken."""
        perhaps = [it for it in dates if not re.search(lexicon.NOT_WHEN_APPLIED, it.name)]
        for it in perhaps:
            if it.unknown and matches(lexicon.TIME, it.name):
                self.notes.append(
                    f"{it.given} seems to be when the application was made, but is empty in"
                    f" {it.unknown:,} rows; in a file without them models are tested out of time"
                )
                return f"{it.given} is not used, see the notes"
        if perhaps:
            self.notes.append(
                f"none of the dates ({', '.join(it.given for it in perhaps)}) is surely when the"
                " application was made; if one is: --time COLUMN"
            )
        return "no column says when the application was made"

    def _tells_enough(self, time: Profile) -> bool:
        """Whether the latest quarter has the defaults that a test out of time needs."""
        late = self._late_defaults(time)
        # With few defaults in all no model answers; that it can be trained at all is enough.
        needed = FEWEST_TESTED if self.defaults >= FEWEST_DEFAULTS else FEWEST_TRIED
        if late >= needed or self.defaults < FEWEST_TRIED:
            return True
        self.notes.append(
            f"{time.given} seems to be when the application was made, but the latest quarter of the"
            f" loans has {late} defaults, and a test out of time needs {needed}: models"
            f" are cross-validated; --time {typed(time.given)} tests out of time all the same"
        )
        return False

    def _late_defaults(self, time: Profile) -> int:
        outcome = self.outcome.sql
        ((late,),) = self.file.query(
            f"SELECT coalesce(sum(y), 0) FROM (SELECT {outcome} AS y, percent_rank() OVER"  # noqa: S608 (our own)
            f" (ORDER BY {time.sql}) AS p FROM {CLEANED} WHERE ({outcome}) IS NOT NULL)"
            " WHERE p > 0.75"
        )
        return int(late)

    def _application_id(self, keys: Sequence[Profile]) -> Profile | None:
        for it in self.profiles:
            named_so = matches(lexicon.LOAN_ID, it.name) and it.name not in self.kept
            # CloudWatch and DynamoDB take these characters in an id, and no others.
            whole = it.is_unique and it.known == it.rows
            if named_so and whole and it not in keys and key_of(it) is not None:
                return it
        return None

    def _out(  # noqa: PLR0911 (one question after the other)
        self,
        profile: Profile,
        evidence: Evidence | None,
        seen: dict[tuple[object, ...], Profile],
    ) -> LeftOut | None:
        """Return why a column is no input, None where it is one."""
        name = profile.name
        if name in self.ignored:
            return LeftOut(profile, "left out by --ignore")
        if name in self.prohibited:
            return LeftOut(profile, "prohibited by --prohibit", is_prohibited=True)
        if not profile.known:
            return LeftOut(profile, "empty")
        if (
            profile.form.kind is not Kind.NUMBER
            and len(profile.values) == profile.distinct
            and len(_spellings(profile)) == 1
        ):
            return LeftOut(profile, "one value only")
        if profile.form.kind is Kind.NUMBER and profile.low == profile.high:
            return LeftOut(profile, "one value only")
        for reason in (self._personal, self._by_law, self._by_time, self._leak, self._by_values):
            out = reason(profile, evidence)
            if out and (name not in self.kept or out.why.startswith("no number")):
                return out
            if out:
                self.dangers.append(f"{profile.given} is kept by --keep, although: {out.why}")
                return None
        print_ = (profile.distinct, profile.unknown, profile.low, profile.high, profile.values[:20])
        if profile.values and print_ in seen and self._same(profile, seen[print_]):
            return LeftOut(profile, f"the same as {seen[print_].given}")
        seen[print_] = profile
        return None

    def _named_well(self, profile: Profile, evidence: Evidence | None) -> Profile | LeftOut:
        """Return a column under a name that the credit lint finds no error in, else why it is out.

        With such an error no model would pass its gates.
        """
        finding = lint_error(profile.name)
        if finding is None:
            return profile
        taken = {it.name for it in self.profiles}
        name = f"prior_{profile.name}"
        if reason_of(profile.name) == REQUESTED and "loan_amount" not in taken:
            name = "loan_amount"
        elif (
            name in taken
            or lint_error(name)
            or (profile.name not in self.kept and (not evidence or evidence.auc >= LONELY_AUC))
        ):
            return LeftOut(profile, f"{finding.what}; if it is none: --keep", is_danger=True)
        else:
            self.dangers.append(
                f"{profile.given} is taken for what happened to earlier loans, and called {name}:"
                " it does not tell the outcome. If it is this loan's: --ignore"
            )
            return replace(profile, name=name)
        self.notes.append(f"{profile.given} is called {name}: its name looks like something else")
        return replace(profile, name=name)

    def _same(self, one: Profile, other: Profile) -> bool:
        ((unlike,),) = self.file.query(
            f"SELECT count(*) FROM {CLEANED} WHERE {one.column} IS DISTINCT FROM {other.column}"  # noqa: S608 (made of positions)
        )
        return not unlike

    def _by_law(self, profile: Profile, _: Evidence | None) -> LeftOut | None:
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

    def _personal(self, profile: Profile, _: Evidence | None) -> LeftOut | None:
        return self._named_person(profile) or self._person_by_values(profile)

    def _named_person(self, profile: Profile) -> LeftOut | None:
        many = profile.distinct > max(MANY_CATEGORIES, profile.known / 10)
        is_number = matches(lexicon.NATIONAL_ID, profile.name) and many
        part = re.search(r"last_?(4|four|digits)", profile.name)
        if (
            is_number
            and not part
            and profile.distinct < NEARLY_ALL * profile.known
            and not self.choices.key
        ):
            self.notes.append(
                f"{profile.given} comes again: some applicants have several loans here. Put a"
                " number of your own in its place and name that by --key, else a model is tested on"
                " people whom it was trained on"
            )
        text = profile.form.kind is Kind.TEXT
        if is_number or (matches(lexicon.PERSONAL, profile.name) and (many or text)):
            return LeftOut(profile, "it identifies a person", is_danger=True)
        return None

    def _person_by_values(self, profile: Profile) -> LeftOut | None:
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
        identifies = matches(lexicon.LOAN_ID, profile.name) or matches(
            lexicon.PERSON_KEY, profile.name
        )
        texts, numbers = profile.form.kind is Kind.TEXT, profile.is_whole
        unique = profile.distinct > NEARLY_ALL * profile.known and profile.known > MANY_CATEGORIES
        # Amounts differ from loan to loan as well; numbers that follow each other count rows.
        span = (profile.high or 0) - (profile.low or 0)
        in_a_row = numbers and unique and span < DENSE * profile.known
        if (identifies and many and (texts or numbers)) or (texts and unique) or in_a_row:
            return LeftOut(profile, "an identifier: it tells loans apart and explains nothing")
        return None

    def _by_time(self, profile: Profile, _: Evidence | None) -> LeftOut | None:
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

    def _leak(  # noqa: PLR0911 (as above)
        self, profile: Profile, evidence: Evidence | None
    ) -> LeftOut | None:
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

    def _by_values(self, profile: Profile, _: Evidence | None) -> LeftOut | None:
        if profile.form.kind is not Kind.TEXT:
            return None
        spellings = _spellings(profile)
        if profile.distinct > len(profile.values) or len(spellings) > MANY_CATEGORIES:
            if _of_one_shape(profile.samples):
                why = f"codes, {profile.distinct:,} different ones: they name something or somebody"
                return LeftOut(profile, why)
            long = any(len(it) > LONG_TEXT for it in profile.samples)
            what = "free text" if long else f"{profile.distinct:,} different texts"
            return LeftOut(profile, f"no number, and {what}: group them into a few categories")
        if any(len(it) > LONGEST_CATEGORY for it in spellings):
            return LeftOut(profile, "no number, and texts too long for categories")
        return None

    def _feature(self, profile: Profile, evidence: Evidence | None) -> FeatureGuess:
        if evidence and evidence.auc >= LONELY_AUC:
            self.dangers.append(
                f"{profile.given} tells much by itself (AUC {evidence.auc:.2f}): is it known when"
                " somebody applies? The leakage gate may stop it; if not: --ignore"
            )
        wanted = {self._named(it, "--category").name for it in self.choices.category}
        if profile.form.kind is Kind.TEXT or profile.name in wanted:
            return self._category(profile)
        return self._number(profile, evidence)

    def _category(self, profile: Profile) -> FeatureGuess:
        spellings = _spellings(profile)
        counts = Counter(
            {it: sum(dict(profile.values)[t] for t in texts) for it, texts in spellings.items()}
        )
        comments = []
        merged = sum(len(texts) > 1 for texts in spellings.values())
        if merged:
            comments.append(
                "Spellings that differ in case, blanks, hyphens only count as one category."
            )
        rare = sum(count < max(5, self.rows / 1_000) for count in counts.values())
        if rare:
            comments.append(f"{rare} of its categories are rare: group them by what they mean.")
        unknown = profile.unknown > 0
        typical = counts.most_common(1)[0][0]
        return FeatureGuess(
            profile,
            DType.CATEGORY,
            None if profile.unknown > MOSTLY * profile.rows else typical,
            reason_of(profile.name),
            categories=spellings,
            nullable=unknown,
            comments=tuple(comments + self._missing(profile)),
        )

    def _missing(self, profile: Profile) -> list[str]:
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
        few = whole and not flag and profile.distinct <= MOST_GROUPS
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
            comments=tuple(comments + self._missing(profile)),
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
            self.notes.append(
                f"{profile.given} holds {listed}, and else {low:.0f} to {high:.0f}: if that stands"
                f" for unknown: {options}"
            )

    def _unit(self, profile: Profile) -> str:
        if profile.form.unit:
            return profile.form.unit
        return self._unit_of_time_or_share(profile) or self._unit_of_amount(profile)

    @staticmethod
    def _unit_of_time_or_share(profile: Profile) -> str | None:  # noqa: PLR0911 (as above)
        name = profile.name
        # A share is rarely above one, an amount in percent rarely below: outliers don't decide.
        usual = profile.median or 0
        if has_word(lexicon.SCORES, name) and (profile.high or 0) > 100:  # noqa: PLR2004 (a grade has fewer)
            return "points"
        if profile.is_whole and has_word(lexicon.TIMES, name):
            return "count"
        if has_word(
            r"months?|mths?|term|duration|tenor|laufzeit|mob|meses|mois|mesi|plazo|prazo", name
        ):
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

    def _unit_of_amount(self, profile: Profile) -> str:
        name = profile.name
        if has_word(lexicon.COUNTS, name):
            return "count"
        if has_word(lexicon.MONEY, name) and (profile.high or 0) > 100:  # noqa: PLR2004 (no code)
            return self.choices.currency or "currency units"
        if profile.is_whole:
            return "count" if profile.distinct > MOST_GROUPS else "class"
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
            self.dangers.append(
                f"{profile.given}: its name says that the risk {way}"
                " with it, and these loans say the opposite: is the label the right way round?"
            )
        return None, None

    def _groups(self) -> tuple[Group, ...]:
        found = []
        for out in self.left_out:
            profile = out.profile
            spellings = _spellings(profile)
            counts = dict(profile.values)
            large = {
                it: texts
                for it, texts in spellings.items()
                if sum(counts[text] for text in texts) >= max(30, self.rows / 100)
            }
            bases = (*lexicon.PROHIBITED, "prohibited by")
            by_law = out.is_prohibited and out.why.startswith(bases)
            if by_law and 2 <= len(large) <= MOST_GROUPS and len(spellings) <= MOST_GROUPS:  # noqa: PLR2004 (one is no group)
                found.append(Group(profile, large))
        return tuple(found)


def lint_error(name: str) -> Finding | None:
    """Return what the credit lint would refuse in an input of that name.

    >>> lint_error("duration"), lint_error("recoveries").what
    (None, 'recoveries looks like the outcome that the model is to predict')
    """
    reason = AdverseActionReason(code="REASON", text="What the application says")
    feature = Feature(
        name=name, description="", dtype=DType.FLOAT, unit="1", minimum=0, maximum=1,
        adverse_action=reason,
    )  # fmt: skip
    product = CreditProduct(
        name="probe",
        title="Probe",
        description="",
        entities=(),
        feature_views=(),
        request_features=(feature,),
        derived_features=(),
        label=Label(name=LABEL, description="", horizon=timedelta(days=1)),
        policy=Policy(
            version="1",
            approve_up_to=0.1,
            decline_from=0.2,
            base_points=1,
            base_odds=1,
            points_to_double_odds=1,
        ),
    )
    errors = (it for it in suspect_inputs(product) if it.severity is Severity.ERROR)
    return next(errors, None)


def key_of(profile: Profile) -> EntityKey | None:
    """Return the key that a column's values are, None where they are none."""
    if profile.form.kind is Kind.NUMBER:
        whole = profile.is_whole and (profile.low or 0) >= 0 and not profile.form.told
        if whole and (profile.high or 0) < 2**53:
            return EntityKey(profile.name, dtype=KeyType.INTEGER)
        return None
    key = EntityKey(profile.name)
    fits = profile.form.kind is Kind.TEXT and not any(map(key.value_fault, profile.samples))
    return key if fits and profile.samples else None


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


def _spellings(profile: Profile) -> dict[str, tuple[str, ...]]:
    """Return the texts of a column by the category that they mean, the most frequent first."""
    found: dict[str, list[str]] = {}
    meant: dict[str, str] = {}
    for text, _ in profile.values:
        shown = " ".join("".join(it if it.isprintable() else " " for it in text).split())
        if profile.form.kind is Kind.NUMBER:
            shown = re.sub(r"\.0+\Z", "", shown)
        same = re.sub(r"(?<=[^\W\d])[-_ ]+(?=[^\W\d])", " ", shown.lower())
        category = meant.setdefault(same, shown)
        found.setdefault(category, []).append(text)
    return {category: tuple(texts) for category, texts in found.items() if category}
