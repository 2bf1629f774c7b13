"""What each column of a lender's file is taken for: input, key, time, or nothing; and why."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from credit_cli.errors import UsageError
from credit_cli.new_product import lexicon
from credit_cli.new_product.description import (
    LONELY_AUC,
    REQUESTED,
    Descriptions,
    reason_of,
)
from credit_cli.new_product.evidence import evidence_of
from credit_cli.new_product.lexicon import matches
from credit_cli.new_product.names import typed, words_of
from credit_cli.new_product.profile import CLEANED, spellings
from credit_cli.new_product.refusal import SSN, LeftOut, Refusals, lint_error
from credit_cli.new_product.values import Kind
from credit_core.domain.product import EntityKey, KeyType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from credit_cli.new_product.description import FeatureGuess
    from credit_cli.new_product.evidence import Evidence
    from credit_cli.new_product.lender_file import LenderFile
    from credit_cli.new_product.outcome import Outcome
    from credit_cli.new_product.profile import Profile

MOSTLY = 0.5
MOST_GROUPS = 12
FROM_OPEN = 0.25
"""Share of loans that go on from which the others are no fair sample."""
FEWEST_LOANS, FEWEST_DEFAULTS, FEWEST_TESTED, FEWEST_TRIED = 500, 150, 50, 20
"""What the gate enough_data and the training itself ask for, see docs/gates.md."""


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
        self.refusals = Refusals(self.notes, has_key=bool(choices.key))
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
        descriptions = Descriptions(
            self.notes,
            self.dangers,
            coded=frozenset(self._named(it, "--category").name for it in self.choices.category),
            currency=self.choices.currency,
        )
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
                features.append(descriptions.of(fit, of_it))
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
            and len(spellings(profile)) == 1
        ):
            return LeftOut(profile, "one value only")
        if profile.form.kind is Kind.NUMBER and profile.low == profile.high:
            return LeftOut(profile, "one value only")
        out = self.refusals.of(profile, evidence)
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

    def _groups(self) -> tuple[Group, ...]:
        found = []
        for out in self.left_out:
            profile = out.profile
            texts_by_category = spellings(profile)
            counts = dict(profile.values)
            large = {
                it: texts
                for it, texts in texts_by_category.items()
                if sum(counts[text] for text in texts) >= max(30, self.rows / 100)
            }
            bases = (*lexicon.PROHIBITED, "prohibited by")
            by_law = out.is_prohibited and out.why.startswith(bases)
            few = len(texts_by_category) <= MOST_GROUPS
            if by_law and few and len(large) >= 2:  # noqa: PLR2004 (one is no group)
                found.append(Group(profile, large))
        return tuple(found)


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
