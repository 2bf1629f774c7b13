"""Which column says what became of a loan, and which of its values is a default."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from credit_cli.errors import UsageError
from credit_cli.new_product.lexicon import (
    BAD_NAMES,
    BAD_VALUES,
    DAYS_LATE,
    DECISIONS,
    DEFAULT_DATE,
    GOOD_NAMES,
    GOOD_VALUES,
    LABEL_NAMES,
    NO,
    OPEN_VALUES,
    SURE_LABEL_NAMES,
    YES,
    has_word,
    matches,
)
from credit_cli.new_product.names import typed
from credit_cli.new_product.profile import MOST_VALUES
from credit_cli.new_product.values import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from credit_cli.new_product.profile import Profile

ANY = "any"
"""As the bad value: each that is there at all, of a column that is empty for good loans."""
FROM = re.compile(r"(>=?)\s*(-?[0-9.]+)\Z")
MOST_STATES = 30
"""Different values of an outcome: more are no states of a loan."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The label: from where, how it is read, and why so.

    ``sql`` gives 1 for a default, 0 for none and null where nobody knows yet. ``unclear`` lists
    values, with their counts, that have no known meaning and that nobody named: their loans are
    left out as if they went on.
    """

    profile: Profile
    sql: str
    words: str
    why: str
    unclear: str = ""


class UnsureOutcomeError(UsageError):
    """Which value is a default, nobody can tell from the file; ``likely`` is the rarer one."""

    def __init__(self, message: str, *, hint: str, likely: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.likely = likely


def outcome_column(profiles: Sequence[Profile]) -> tuple[Profile, str]:
    """Return the column that is most likely the outcome, and why.

    Raises:
        UsageError: There is none, or more than one that is as likely.
    """
    scored = sorted(
        ((_likelihood(it), -it.place, it) for it in profiles), key=lambda it: it[:2], reverse=True
    )
    best = [it for score, _, it in scored if score > 0 and score == scored[0][0]]
    if not best:
        # An outcome has few values: those columns are named, all where there is none.
        states = [it for it in profiles if 2 <= len(it.values) <= MOST_STATES] or profiles  # noqa: PLR2004 (as below)
        names = ", ".join(it.given.strip() for it in states[:20])
        more = f" and {len(states) - 20} more" if len(states) > 20 else ""  # noqa: PLR2004 (listed)
        late = [it for it in profiles if matches(DAYS_LATE, it.name)]
        if late and late[0].form.kind is Kind.NUMBER:
            raise UsageError(
                "no column looks like what became of the loans: defaulted or repaid",
                hint="if days past due tell it: --label"
                f" {typed(late[0].given)} --bad '>=90'; else --label COLUMN --bad VALUE",
            )
        raise UsageError(
            "no column looks like what became of the loans: defaulted or repaid",
            hint=f"name it: --label COLUMN --bad VALUE; columns with few values are {names}{more}",
        )
    if len(best) > 1:
        names = ", ".join(it.given for it in best)
        raise UsageError(
            f"{names} could each be what became of the loans",
            hint=f"name the one that is: --label {typed(best[0].given)}",
        )
    return best[0], "its name and its values are those of an outcome"


def _likelihood(profile: Profile) -> int:  # noqa: PLR0911 (one question after the other)
    """Return how much a column looks like an outcome, 0 for not at all."""
    if profile.form.kind is Kind.DATE:
        empty = profile.missing > profile.rows / 2 and profile.known
        return 2 if empty and has_word(DEFAULT_DATE, profile.name) else 0
    values = {value.lower() for value, _ in profile.values}
    if not 2 <= len(values) <= MOST_STATES:  # noqa: PLR2004 (one value is no outcome)
        return 0
    told = len(values & (BAD_VALUES | GOOD_VALUES | OPEN_VALUES))
    sure = bool(values & BAD_VALUES) and told >= min(2, len(values))
    two = len(values) == 2 and (told or values <= YES | NO | {"2"})  # noqa: PLR2004 (two states)
    if profile.form.kind is Kind.NUMBER and len(values) > 2:  # noqa: PLR2004 (as above)
        return 0
    if matches(SURE_LABEL_NAMES, profile.name) and (two or sure):
        return 5
    if has_word(LABEL_NAMES, profile.name) and sure:
        return 4
    if has_word(LABEL_NAMES, profile.name) and two:
        # A history of defaults is an input; the outcome mostly stands last or first.
        return 1 if re.search(r"hist|prev|past|prior|ever|file", profile.name) else 3
    return 2 if sure and len(values) == 2 else 0  # noqa: PLR2004 (as above)


def outcome_of(
    profile: Profile, *, bad: Collection[str], good: Collection[str], why: str
) -> Outcome:
    """Return how a column is read as the label.

    Args:
        profile: The column.
        bad: Values that are defaults, as a person named them; ``any`` or ``>=90`` too.
        good: Values that are none; by default all others whose meaning is known.
        why: Why this column.

    Raises:
        UnsureOutcomeError: Which of two values is the bad one cannot be told.
        UsageError: A value is not there, or too many have no known meaning.
    """
    if len(bad) == 1:
        (only,) = bad
        if only.lower() == ANY:
            words = f"a default where {profile.given} has a value, none where it is empty"
            return Outcome(
                profile, f"CASE WHEN {profile.column} IS NULL THEN 0 ELSE 1 END", words, why
            )
        found = FROM.match(only.strip())
        if found:
            if profile.form.kind is not Kind.NUMBER:
                raise UsageError(f"--bad {only}: {profile.given} holds no numbers")
            words = f"a default where {profile.given} is {only}"
            sql = f"CASE WHEN ({profile.sql}) {found[1]} {float(found[2])!r} THEN 1"
            return Outcome(
                profile, f"{sql} WHEN ({profile.sql}) IS NOT NULL THEN 0 END", words, why
            )
    if profile.form.kind is Kind.DATE and not bad:
        return outcome_of(
            profile, bad=[ANY], good=(), why="a date of a default, empty for most loans"
        )
    if not profile.values or len(profile.values) > MOST_STATES:
        count = profile.distinct if profile.distinct > MOST_VALUES else len(profile.values)
        raise UsageError(
            f"{profile.given} has {count:,} different values: which are defaults?",
            hint="name them: --bad VALUE, again for each; or --bad '>=90', or --bad any",
        )
    if len(profile.values) == 1 and not bad:
        raise UsageError(
            f"{profile.given} holds one value only: there is nothing to learn from it",
            hint="name another column: --label COLUMN; or --bad any where empty is no default",
        )
    return _of_values(profile, _named(profile, bad, "--bad"), _named(profile, good, "--good"), why)


def _named(profile: Profile, wanted: Collection[str], option: str) -> set[str]:
    """Return the file's spelling of values that a person named."""
    found = set()
    for want in wanted:
        same = [value for value, _ in profile.values if _same(value, want)]
        if not same:
            listed = ", ".join(value for value, _ in profile.values[:8])
            raise UsageError(
                f"{option} {want}: {profile.given} has no such value", hint=f"it has {listed}"
            )
        found.update(same)
    return found


def _same(value: str, wanted: str) -> bool:
    if value.strip().lower() == wanted.strip().lower():
        return True
    try:
        return float(value) == float(wanted)
    except ValueError:
        return False


def _of_values(profile: Profile, bad: set[str], good: set[str], why: str) -> Outcome:
    values = [value for value, _ in profile.values]
    said, all_said = bool(bad or good), bool(bad and good)
    if not bad and not good:
        bad, good, reason = _guessed(profile)
        why = f"{why}; {reason}" if reason else why
    open_ = [it for it in values if it not in bad | good and it.lower() in OPEN_VALUES]
    left = [it for it in values if it not in bad | good and it not in open_]
    if said and bad and not good:
        good = {it for it in left if it.lower() not in BAD_VALUES}
    elif said and good and not bad:
        bad = {it for it in left if it.lower() not in GOOD_VALUES}
    left = [it for it in left if it not in bad | good]
    counts = dict(profile.values)

    def listed(chosen: Collection[str]) -> str:
        return ", ".join(f"{it} ({counts[it]:,})" for it in values if it in chosen)

    if not bad or not good:
        rarer = min(values, key=lambda it: counts[it])
        raise UnsureOutcomeError(
            f"{profile.given} holds {listed(values)}: which is a default?",
            hint=f"say it: --label {typed(profile.given)} --bad {typed(rarer)}, if that is it",
            likely=rarer,
        )
    words = f"{listed(bad)} is a default, {listed(good)} is none"
    if open_:
        words += f", {listed(open_)} is not known yet"
    if left:
        words += f", {listed(left)} is left out"
    quoted = {it: "'" + it.replace("'", "''") + "'" for it in values}
    sql = (
        f"CASE WHEN {profile.column} IN ({', '.join(quoted[it] for it in sorted(bad))}) THEN 1"
        f" WHEN {profile.column} IN ({', '.join(quoted[it] for it in sorted(good))}) THEN 0 END"
    )
    return Outcome(profile, sql, words, why, "" if all_said else listed(left))


def _guessed(profile: Profile) -> tuple[set[str], set[str], str]:
    """Return bad and good values, none of both where nobody can tell, and why."""
    values = [value for value, _ in profile.values]
    lowered = {value: " ".join(value.lower().split()) for value in values}
    if set(lowered.values()) & DECISIONS:
        raise UsageError(
            f"{profile.given} holds what a lender decided, not what became of the loan",
            hint="name the outcome: --label COLUMN --bad VALUE; to repeat those decisions all the"
            f" same: --label {typed(profile.given)} --bad VALUE",
        )
    bad = {it for it in values if lowered[it] in BAD_VALUES}
    good = {it for it in values if lowered[it] in GOOD_VALUES}
    if len(values) == 2 and bool(bad) != bool(good):  # noqa: PLR2004 (then the other is the opposite)
        others = set(values) - bad - good
        bad, good = (bad, others) if bad else (others, good)
    if bad and good:
        return bad, good, "the words of its values say which is bad"
    if len(values) == 2:  # noqa: PLR2004 (as above)
        yes = {it for it in values if lowered[it] in YES}
        no = {it for it in values if lowered[it] in NO}
        name = profile.name
        if yes and no and not re.search(r"hist|prev", name):
            if has_word(BAD_NAMES, name):
                return yes, no, f"its name says that {next(iter(yes))} is the bad one"
            if has_word(GOOD_NAMES, name):
                return no, yes, f"its name says that {next(iter(yes))} is the good one"
    return set(), set(), ""
