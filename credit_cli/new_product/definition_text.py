"""A product definition as the text of its file, each guess with its reason beside it."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from credit_cli.new_product.description import IN_APPLICATION
from credit_cli.new_product.guess import key_of
from credit_cli.new_product.names import LABEL, human, sentence
from credit_core.domain.definitions import LARGEST_EXACT_INTEGER, DType, KeyType

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from credit_cli.new_product.description import FeatureGuess
    from credit_cli.new_product.guess import Guess

WIDTH = 96
LONGEST_TEXT, LONGEST_REASON = 80, 200
HORIZON_DAYS = 365
VIEW_DAYS = 45
LEAST, MOST = 0.01, 0.40
"""Between them lies the approve cut-off that is proposed."""


def definition_text(name: str, title: str, source: str, guess: Guess) -> str:
    """Return the text of ``products/NAME.py``.

    Args:
        name: The product's.
        title: What people call it.
        source: Name of the lender's file.
        guess: What was made of it.
    """
    lines = [*_head(title, source, guess), *_entity(guess), *_features(guess), *_views(guess)]
    text = "\n".join([*lines, *_product(name, title, source, guess)]) + "\n"
    text = formatted(text)
    waived = []
    if any(len(line) > WIDTH + 4 for line in text.splitlines()):
        waived.append("E501")
    if waived:
        text = text.replace(
            "\n\nfrom datetime", f"\n\n# ruff: noqa: {', '.join(waived)}\n\nfrom datetime", 1
        )
    return text


def formatted(text: str) -> str:
    """Return a module's text as ruff would have it, or as it is where there is no ruff."""
    beside = Path(sys.executable).parent / "ruff"
    ruff = str(beside) if beside.exists() else shutil.which("ruff")
    if ruff is None:
        return text
    command = [
        ruff,
        "format",
        "--isolated",
        "--line-length",
        "100",
        "--stdin-filename",
        "a.py",
        "-",
    ]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return text if done.returncode else done.stdout


def cutoffs(default_rate: float) -> tuple[float, float]:
    """Return probabilities to approve up to and to decline from, for a lender to start with.

    Up to four fifths of the usual risk is approved; three times the odds of that are declined.

    >>> cutoffs(0.3), cutoffs(0.05), cutoffs(0.004)
    ((0.24, 0.49), (0.04, 0.11), (0.01, 0.03))
    """
    approve = min(MOST, max(LEAST, 0.8 * default_rate))
    odds = 3 * approve / (1 - approve)
    digits = 2
    return round(approve, digits), round(min(0.9, odds / (1 + odds)), digits)


def _head(title: str, source: str, guess: Guess) -> Iterator[str]:
    yield f'"""{_safe(title)}: a first definition, made of a file by `credit products new`.'
    yield ""
    words = (
        f"{guess.rows:,} rows of {_safe(source)}: {guess.labelled:,} have an outcome,"
        f" {guess.defaults:,} of these defaulted ({guess.default_rate:.1%}). What a comment calls"
        " guessed, a person has to confirm before anybody is judged by it; ranges and cut-offs too."
        " `credit products check` says what follows from this file."
    )
    yield from textwrap.wrap(words, WIDTH, break_on_hyphens=False)
    yield '"""'
    yield ""
    yield "from datetime import timedelta"
    yield ""
    yield "from credit_core.domain import product as p"
    yield ""


def _entity(guess: Guess) -> Iterator[str]:
    if not guess.keys:
        yield from _comment(
            f"Entities: {guess.key_why}, so each application counts as another applicant. With a"
            " key an applicant who comes again stays with one model, and can be erased."
        )
        yield ""
        return
    given = ", ".join(it.given for it in guess.keys)
    yield from _comment(f"Guessed: {_safe(given)} tells applicants apart; {guess.key_why}.")
    keys = []
    for profile in guess.keys:
        key = key_of(profile)
        integer = key is not None and key.dtype is KeyType.INTEGER
        kind = ", dtype=p.KeyType.INTEGER" if integer else ""
        keys.append(f"p.EntityKey({_text(profile.name)}{kind})")
    yield "APPLICANT = p.Entity("
    yield '    name="applicant",'
    yield '    description="Who applies",'
    yield f"    keys=({', '.join(keys)},),"
    yield ")"
    yield ""


def _features(guess: Guess) -> Iterator[str]:
    in_views = {name for names in guess.views.values() for name in names}
    sent = [it for it in guess.features if it.name not in in_views]
    yield from _comment(
        "What an application says. Guessed are: what is a number and what a category, from the"
        " texts of the file; units, from names and signs; ranges, from 0 to a round number with"
        " room above the largest that was there; the reasons stated to an applicant, from names."
        " A request outside its range or categories is refused: widen them if they are too narrow."
    )
    yield "REQUEST_FEATURES = ("
    for feature in sent:
        yield from _indented(_feature(feature))
    yield ")" if sent else "()"
    yield ""


def _views(guess: Guess) -> Iterator[str]:
    found = {it.name: it for it in guess.features}
    for view, names in guess.views.items():
        yield from _comment(
            f"Not sent, but looked up by the applicant's key. Guessed: a row older than"
            f" {VIEW_DAYS} days supports no decision, and a person decides."
        )
        yield f"{view.upper()} = p.FeatureView("
        yield f"    name={_text(view)},"
        yield f"    description={_text(human(view).capitalize())},"
        yield "    entity=APPLICANT,"
        yield f"    ttl=timedelta(days={VIEW_DAYS}),"
        yield "    when_missing=p.REFER,"
        yield "    when_stale=p.REFER,"
        yield "    features=("
        for name in names:
            yield from _indented(_indented(_feature(_looked_up(found[name]))))
        yield "    ),"
        yield ")"
        yield ""


def _looked_up(feature: FeatureGuess) -> FeatureGuess:
    """Return an input that no application states, with words that say so."""
    reason = feature.reason.replace(IN_APPLICATION, "on your record")
    return replace(feature, reason=reason, step=None, is_stated=False)


def _feature(feature: FeatureGuess) -> Iterator[str]:
    profile = feature.profile
    for comment in feature.comments:
        yield from _comment(comment, width=WIDTH - 8)
    yield "p.Feature("
    yield f"    name={_text(feature.name)},"
    yield f"    description={_text(_described(profile.given, feature.name))},"
    dtype = feature.dtype
    if (
        dtype is DType.INTEGER
        and max(abs(feature.minimum), abs(feature.maximum)) > LARGEST_EXACT_INTEGER
    ):
        dtype = DType.FLOAT
    yield f"    dtype=p.DType.{dtype.name},"
    if dtype is DType.CATEGORY:
        yield f"    categories=({', '.join(map(_text, feature.categories))}),"
    else:
        yield f"    unit={_text(feature.unit)},"
        yield f"    minimum={_number(feature.minimum)},"
        yield f"    maximum={_number(feature.maximum)},"
    if feature.nullable:
        yield "    nullable=True,"
    if feature.risk:
        yield f"    risk=p.RiskDirection.{feature.risk.name},"
    if feature.step:
        step = _number(feature.step)
        yield f"    influence=p.Influence(change=p.Change.LOWER, step={step}),"
    yield "    adverse_action=p.AdverseActionReason("
    yield f"        code={_text(_code(feature.name))},"
    yield f"        text={_text(feature.reason)},"
    if feature.nullable:
        yield f"        text_if_unknown={_text(_if_unknown(feature))},"
    yield "    ),"
    yield "),"


def _product(name: str, title: str, source: str, guess: Guess) -> Iterator[str]:
    approve, decline = cutoffs(guess.default_rate)
    yield "PRODUCT = p.CreditProduct("
    yield f"    name={_text(name)},"
    yield f"    title={_text(title)},"
    yield f"    description={_text(f'Loans as in {_safe(source)}')},"
    yield f"    entities={'(APPLICANT,)' if guess.keys else '()'},"
    views = "".join(f"{view.upper()}, " for view in guess.views)
    yield f"    feature_views=({views}),"
    yield "    request_features=REQUEST_FEATURES,"
    yield "    derived_features=(),"
    outcome = guess.outcome
    yield from _indented(
        _comment(
            f"{outcome.profile.given}: {outcome.words}. Why: {outcome.why}. Guessed: after"
            f" {HORIZON_DAYS} days it is final.",
            width=WIDTH - 4,
        )
    )
    yield "    label=p.Label("
    yield f'        name="{LABEL}",'
    description = f"Whether the loan defaulted, by the column {_safe(outcome.profile.given)}"
    yield f"        description={_text(description)},"
    yield f"        horizon=timedelta(days={HORIZON_DAYS}),"
    yield "    ),"
    prohibited = [it for it in guess.left_out if it.is_prohibited]
    if prohibited:
        yield "    prohibited=("
        for out in prohibited:
            name_, why = _text(out.profile.name), _text(_safe(out.why, LONGEST_REASON))
            yield f"        p.ProhibitedInput(name={name_}, reason={why}),"
        yield "    ),"
    others = [it for it in guess.left_out if not it.is_prohibited]
    for out in others:
        yield from _indented(
            _comment(f"Left out, {out.profile.given}: {sentence(out.why)}", width=WIDTH - 4)
        )
    if guess.groups:
        yield from _indented(
            _comment(
                "No model sees these columns; approval rates are compared by them. With least_ratio"
                " at 0.8, the four-fifths rule, a model that falls below it is kept out.",
                width=WIDTH - 4,
            )
        )
        yield "    monitored_groups=("
        for group in guess.groups:
            values = ", ".join(map(_text, group.categories))
            described = _text(_described(group.profile.given, group.profile.name))
            yield "        p.MonitoredGroup("
            yield f"            name={_text(group.profile.name)},"
            yield f"            description={described},"
            yield f"            values=({values}),"
            yield "        ),"
        yield "    ),"
    yield from _indented(
        _comment(
            f"A start, not a policy: {guess.default_rate:.1%} defaulted. Probabilities up to"
            f" {approve:.0%}, less than usual, are approved, those from {decline:.0%} on declined,"
            " a person decides in between. The model report shows what other cut-offs would do.",
            width=WIDTH - 4,
        )
    )
    yield "    policy=p.Policy("
    yield '        version="1",'
    ends = [("A", approve / 2), ("B", approve), ("C", decline), ("D", 1)]
    bands = ", ".join(f"p.Band({_text(band)}, {_number(round(end, 4))})" for band, end in ends)
    yield f"        bands=({bands}),"
    yield f"        approve_up_to={approve},"
    yield f"        decline_from={decline},"
    yield "        base_points=600,"
    yield "        base_odds=20,"
    yield "        points_to_double_odds=40,"
    yield "    ),"
    yield ")"


def _described(given: str, name: str) -> str:
    """Return words for a column, with the name that it has in the file where that is another."""
    words = human(name.removesuffix("_value")).capitalize()
    clean = _safe(given)
    same = clean.lower().replace("_", " ") == words.lower()
    return words if same or not clean else f"{words} ({clean})"


def _if_unknown(feature: FeatureGuess) -> str:
    words = human(feature.name.removesuffix("_value"))
    start = "Your application does not state" if feature.is_stated else "We have no record of"
    return f"{start}: {words}"


def _code(name: str) -> str:
    code = name.upper()
    # CODE_UNKNOWN is what the reason CODE becomes where its value is unknown.
    return f"{code}_VALUE" if code.endswith("_UNKNOWN") else code


def _number(value: float) -> str:
    if value == math.floor(value):
        whole = int(value)
        return f"{whole:_}" if abs(whole) >= 10_000 else str(whole)  # noqa: PLR2004 (as a person writes)
    return repr(value)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _safe(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return a text that can stand in a docstring or comment."""
    line = " ".join("".join(it if it.isprintable() else " " for it in text).split())
    return line.replace("\\", "/").replace('"""', "'''")[:longest]


def _comment(text: str, *, width: int = WIDTH) -> Iterator[str]:
    for line in textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False):
        yield f"# {line}"


def _indented(lines: Iterator[str] | Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield f"    {line}" if line else line
