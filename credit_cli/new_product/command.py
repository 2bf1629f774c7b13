"""`credit products new`: reads, asks where a person is there, writes, and says what it did."""

from __future__ import annotations

import re
import sys
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 (Typer reads annotations at run time)
from typing import TYPE_CHECKING, Annotated, Any

import typer

from credit_cli.checkout import Checkout
from credit_cli.errors import CliError, UsageError
from credit_cli.new_product.as_written import NOTE, changed_since, note_written
from credit_cli.terminal import Json, print_json, progress_for, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from credit_cli.new_product.guess import Choices, Guess
    from credit_cli.new_product.lender_file import LenderFile
    from credit_cli.new_product.outcome import Outcome
    from credit_cli.new_product.profile import Profile

PRIVATE = "private"
"""Folder of this checkout for what holds people's data; git passes over it."""
COLUMN = "COLUMN"


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a new product, as paths of this checkout."""

    definition: Path
    table: Path
    application: Path
    rows: Path | None

    @classmethod
    def of(cls, checkout: Checkout, name: str) -> Written:
        """Return where the files of a product of that name lie."""
        folder = checkout.root / PRIVATE / name
        definition = checkout.root / "products" / f"{name}.py"
        return cls(definition, folder / "loans.parquet", folder / "application.json", None)

    @property
    def model(self) -> Path:
        """Where `credit train` is told to write to."""
        return self.table.parent / "model"

    @property
    def note(self) -> Path:
        """What the files held when they were written."""
        return self.table.parent / NOTE

    @property
    def looked_up(self) -> Path:
        """Where rows for the features of views go, if there are views."""
        return self.table.parent / "rows.jsonl"


def new(  # noqa: PLR0917 (Typer passes them by name)
    name: Annotated[
        str, typer.Argument(help="The product's: lower case letters, digits, underscores.")
    ],
    source: Annotated[
        Path,
        typer.Option(
            "--from", help="The loans: CSV, TSV or Parquet, zipped or not.", show_default=False
        ),
    ],
    label: Annotated[
        str | None,
        typer.Option(metavar=COLUMN, help="What became of the loan.", show_default=False),
    ] = None,
    bad: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VALUE",
            help="A value of the label that is a default; '>=90' and any work too. Repeatable.",
            show_default=False,
        ),
    ] = None,
    good: Annotated[
        list[str] | None,
        typer.Option(metavar="VALUE", help="A value that is none; repeatable.", show_default=False),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            metavar=COLUMN, help="What tells applicants apart; repeatable.", show_default=False
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--time", metavar=COLUMN, help="When the application was made.", show_default=False
        ),
    ] = None,
    view: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COLUMN,...",
            help="These are looked up by the key, not sent; repeatable.",
            show_default=False,
        ),
    ] = None,
    prohibit: Annotated[
        list[str] | None,
        typer.Option(metavar=COLUMN, help="Never an input; repeatable.", show_default=False),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar=COLUMN, help="Not an input; repeatable.", show_default=False),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar=COLUMN,
            help="An input, although a guess would leave it out; repeatable.",
            show_default=False,
        ),
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(metavar=COLUMN, help="Its numbers are codes; repeatable.", show_default=False),
    ] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[COLUMN=]VALUE",
            help="Stands for unknown, as -1; repeatable.",
            show_default=False,
        ),
    ] = None,
    dates: Annotated[
        str | None,
        typer.Option(metavar="dmy|mdy", help="What 03/04/2024 means.", show_default=False),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Of the text, as cp1252.", show_default=False)
    ] = None,
    currency: Annotated[
        str | None, typer.Option(help="Of its amounts, as EUR.", show_default=False)
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="What people call the product.", show_default=False)
    ] = None,
    *,
    no_time: Annotated[
        bool, typer.Option("--no-time", help="No column says when it was made.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace what was changed by hand, too.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing; take the guesses.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a product of a file of past loans: a definition, a table to train on, an example.

    It looks at every column, guesses what it is, says why, and says what is dangerous: columns
    that know the outcome, prohibited bases, identifiers. At a terminal it asks where it is not
    sure; elsewhere it stops and names the option. Nothing leaves this machine.

    Run again with other options, it replaces what it wrote; what a person changed since, only
    with --force.

    Examples:
        credit products new my_loans --from loans.csv
        credit products new my_loans --from loans.csv --label status --bad "Charged Off"
    """
    from credit_cli.new_product.guess import Choices  # noqa: PLC0415 (NumPy takes its time)
    from credit_cli.new_product.lender_file import opened  # noqa: PLC0415 (as above)
    from credit_cli.new_product.values import Kind  # noqa: PLC0415 (as above)

    checkout = Checkout()
    written = Written.of(checkout, name)
    require_free(name, written, checkout, force=force)
    if dates not in {None, "dmy", "mdy"}:
        raise UsageError(f"--dates {dates} is neither dmy nor mdy")
    if label is None and good and not bad:
        raise UsageError("--good needs --label or --bad")
    asks = sys.stdin.isatty() and not yes and not as_json
    choices = Choices(
        key=tuple(key or ()),
        time=at,
        no_time=no_time,
        views=views_of(view or []),
        prohibit=tuple(prohibit or ()),
        ignore=tuple(ignore or ()),
        keep=tuple(keep or ()),
        category=tuple(category or ()),
        currency=currency,
    )
    progress = progress_for(as_json=as_json)
    with ExitStack() as stack:
        with progress.step("File") as step:
            file = stack.enter_context(opened(source, encoding=encoding, progress=step.update))
            step.result = (
                f"{file.rows:,} {'rows' if file.rows > 1 else 'row'}, {len(file.names)} columns"
            )
        with progress.step("Columns") as step:
            profiles = _profiles(file, missing or [], dates, choices, step.update)
            step.result = f"{sum(it.form.kind is Kind.NUMBER for it in profiles)} of numbers"
        outcome = chosen_outcome(profiles, label, bad or [], good or [], asks=asks)
        if asks:
            choices = asked(profiles, outcome, choices)
        with progress.step("Guesses") as step:
            found = _guess(file, profiles, outcome, choices)
            step.result = f"{len(found.features)} inputs, {len(found.left_out)} columns left out"
        with progress.step("Files") as step:
            written = _write(file, found, written, name=name, title=title, source=source)
            note_files(checkout, written)
            step.result = checkout.relative(written.definition)
    if as_json:
        print_json(document(name, file.notes, found, written, checkout))
        return
    for line in told(name, file.notes, found, written, checkout):
        say(line)


def require_free(name: str, written: Written, checkout: Checkout, *, force: bool) -> None:
    """Check that a product of that name can be written.

    Raises:
        UsageError: It is no name, or there is one already that a person made or changed.
    """
    from credit_core.domain.definitions import NAME, NAME_RULE  # noqa: PLC0415 (NumPy takes its time)
    from credit_core.domain.product_faults import LONGEST_PRODUCT_NAME  # noqa: PLC0415 (as above)

    if not NAME.match(name) or len(name) > LONGEST_PRODUCT_NAME:
        fits = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:LONGEST_PRODUCT_NAME]
        hint = f"as {fits}" if NAME.match(fits) else NAME_RULE
        raise UsageError(f"{name!r} is no product's name", hint=f"{hint}; 32 characters at most")
    if force or not written.definition.exists():
        return
    files = (written.definition, written.application, written.looked_up, written.table)
    changed = changed_since(checkout.root, written.note, files)
    if changed:
        what = f"{checkout.relative(written.definition)} exists"
        if changed[0] != written.definition:
            what += f", and {checkout.relative(changed[0])} was changed since it was written"
        raise UsageError(what, hint="--force replaces it, with all that was changed in it")


def views_of(words: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the columns of each view that was named.

    Raises:
        UsageError: A word is not NAME=COLUMN,COLUMN.
    """
    from credit_core.domain.definitions import NAME  # noqa: PLC0415 (NumPy takes its time)

    found = {}
    for word in words:
        name, sign, columns = word.partition("=")
        listed = tuple(it.strip() for it in columns.split(",") if it.strip())
        if not sign or not listed or not NAME.match(name) or name in {"applications", "pushed"}:
            hint = "as --view bureau=open_accounts,inquiries"
            raise UsageError(f"--view {word} is not NAME=COLUMN,COLUMN", hint=hint)
        found[name] = listed
    return found


def _profiles(
    file: LenderFile,
    missing: list[str],
    dates: str | None,
    choices: Choices,
    progress: Callable[[str], None],
) -> tuple[Profile, ...]:
    from credit_cli.new_product.lexicon import CODES, matches  # noqa: PLC0415 (as above)
    from credit_cli.new_product.names import clean_names, words_of  # noqa: PLC0415 (as above)
    from credit_cli.new_product.profile import profiles_of  # noqa: PLC0415 (as above)
    from credit_cli.new_product.values import DayOrder  # noqa: PLC0415 (as above)

    wanted = {words_of(it) for it in choices.category}
    names = clean_names(file.names)
    texts = [
        clean
        for clean, it in zip(names, file.names, strict=True)
        if words_of(it) in wanted or matches(CODES, clean)
    ]
    order = DayOrder(dates) if dates else None
    return profiles_of(file, unknown=missing, order=order, texts=texts, progress=progress)


def _guess(
    file: LenderFile, profiles: tuple[Profile, ...], outcome: Outcome, choices: Choices
) -> Guess:
    from credit_cli.new_product.guess import guess  # noqa: PLC0415 (as above)

    return guess(file, profiles, outcome, choices)


def chosen_outcome(
    profiles: tuple[Profile, ...],
    label: str | None,
    bad: list[str],
    good: list[str],
    *,
    asks: bool,
) -> Outcome:
    """Return the label: as a person said, else as the file says, else as a person answers.

    Raises:
        UsageError: Nobody said and nobody can be asked, or what was said cannot be.
    """
    from credit_cli.new_product.guess import named  # noqa: PLC0415 (as above)
    from credit_cli.new_product.outcome import (  # noqa: PLC0415 (as above)
        UnsureOutcomeError,
        outcome_column,
        outcome_of,
    )

    if label is not None:
        column, why = named(profiles, label, "--label"), "named by --label"
    else:
        try:
            column, why = outcome_column(profiles)
        except UsageError as error:
            if not asks:
                raise
            say(f"{error.message}.")
            answer = typer.prompt("Which column says whether a loan defaulted?")
            column, why = named(profiles, answer, "column"), "as you said"
        else:
            if asks:
                answer = typer.prompt("What became of the loans is in the column", column.given)
                column = named(profiles, answer, "column")
    if bad or good:
        why += ", with the values that were named"
    try:
        return outcome_of(column, bad=bad, good=good, why=why)
    except UnsureOutcomeError as error:
        if not asks:
            raise
        say(f"{error.message}")
        answer = typer.prompt("Which value is a default", error.likely)
        return outcome_of(column, bad=[answer], good=good, why=f"{why}, {answer} as you said")


def asked(profiles: tuple[Profile, ...], outcome: Outcome, choices: Choices) -> Choices:
    """Have a person confirm what tells applicants apart, and when applications were made."""
    from credit_cli.new_product.values import Kind  # noqa: PLC0415 (as above)

    say(f"The label: {outcome.words}.")
    dates = [it.given for it in profiles if it.form.kind is Kind.DATE]
    if dates and choices.time is None and not choices.no_time:
        likely = _likely_time(profiles)
        say(f"Dates are in: {', '.join(dates)}")
        answer = typer.prompt("When the application was made (- for none)", likely or "-")
        none = answer == "-"
        choices = replace(choices, no_time=none, time=None if none else answer)
    if not choices.key:
        likely = _likely_key(profiles)
        answer = typer.prompt("What tells applicants apart (- for nothing)", likely or "-")
        if answer != "-":
            choices = replace(choices, key=(answer,))
    return choices


def _likely_time(profiles: tuple[Profile, ...]) -> str | None:
    from credit_cli.new_product import lexicon  # noqa: PLC0415 (as above)
    from credit_cli.new_product.values import Kind  # noqa: PLC0415 (as above)

    for it in profiles:
        is_date = it.form.kind is Kind.DATE and not it.unknown
        excluded = re.search(lexicon.NOT_WHEN_APPLIED, it.name)
        if is_date and lexicon.matches(lexicon.TIME, it.name) and not excluded:
            return it.given
    return None


def _likely_key(profiles: tuple[Profile, ...]) -> str | None:
    from credit_cli.new_product import lexicon  # noqa: PLC0415 (as above)
    from credit_cli.new_product.guess import key_of  # noqa: PLC0415 (as above)

    for it in profiles:
        if lexicon.matches(lexicon.PERSON_KEY, it.name) and key_of(it):
            return it.given
    return None


def _write(
    file: LenderFile, found: Guess, written: Written, *, name: str, title: str | None, source: Path
) -> Written:
    """Write all files once the definition is found sound; put that among the products last."""
    from credit_cli.new_product.definition_text import definition_text  # noqa: PLC0415 (as above)
    from credit_cli.new_product.prepared import (  # noqa: PLC0415 (as above)
        example_application,
        example_rows,
        write_table,
        written_json,
    )

    words = title or name.replace("_", " ").capitalize()
    text = definition_text(name, words, source.name, found)
    try:
        folder = written.table.parent
        folder.mkdir(parents=True, exist_ok=True)
        folder.parent.chmod(0o700)
        draft = folder / f"{name}.py"
        draft.write_text(text, encoding="utf-8")
        require_sound(draft, source)
        write_table(file, found, written.table)
        written.application.write_text(written_json(example_application(found)), encoding="utf-8")
        if found.views:
            written = replace(written, rows=written.looked_up)
            written.looked_up.write_text(
                written_json(example_rows(found, as_of=datetime.now(UTC))), encoding="utf-8"
            )
        else:
            written.looked_up.unlink(missing_ok=True)  # of an earlier run that had views
        draft.replace(written.definition)
    except OSError as error:
        raise CliError(f"{error.filename or folder} can't be written: {error.strerror}") from None
    return written


def note_files(checkout: Checkout, written: Written) -> None:
    """Note what was written, for a later run to replace unless a person changes it.

    Raises:
        CliError: It cannot be written.
    """
    files = (written.definition, written.application, written.rows, written.table)
    try:
        note_written(checkout.root, written.note, [it for it in files if it])
    except OSError as error:
        note = checkout.relative(written.note)
        raise CliError(f"{note} can't be written: {error.strerror}") from None


def require_sound(draft: Path, source: Path) -> None:
    """Check a definition before it is put among the products.

    Raises:
        CliError: It contradicts itself: what stands in the file was not foreseen.
    """
    from credit_core.domain.product import load_product_file  # noqa: PLC0415 (as above)
    from credit_core.errors import InvalidProductError  # noqa: PLC0415 (as above)

    try:
        load_product_file(draft)
    except InvalidProductError as error:
        raise CliError(
            f"no sound definition could be made of {source}: {error.faults[0]}",
            hint="leave the column out with --ignore, and please report this",
        ) from None


def next_commands(name: str, written: Written, checkout: Checkout) -> list[str]:
    """Return the commands that lead from here to a decided application."""
    table, model = checkout.relative(written.table), checkout.relative(written.model)
    commands = [
        f"credit products check {name}",
        f"credit train --product {name} --data {table} --out {model}",
        f"credit local up --product {name}",
        f"credit models register {model} --product {name}",
        f"credit models promote VERSION --product {name}",
    ]
    if written.rows:
        commands.append(f"credit push {checkout.relative(written.rows)} --product {name}")
    commands.append(f"credit score {checkout.relative(written.application)} --product {name}")
    return commands


def told(
    name: str, notes: tuple[str, ...], found: Guess, written: Written, checkout: Checkout
) -> list[str]:
    """Return what a person should know: guesses, dangers, files, and what to do next."""
    from credit_cli.new_product.names import sentence  # noqa: PLC0415 (as above)

    outcome = found.outcome
    lines = ["", *wrapped("Label       ", f"{outcome.profile.given}: {outcome.words}")]
    share = f"{found.defaults:,} of {found.labelled:,} loans defaulted ({found.default_rate:.1%})"
    lines += wrapped("            ", f"{share}; {outcome.why}")
    keys = ", ".join(it.given for it in found.keys) or "none"
    lines.append(f"Key         {keys}: {found.key_why}")
    time = found.time.given if found.time else "none"
    lines.append(f"Time        {time}: {found.time_why}")
    if found.application_id:
        lines.append(f"Loan id     {shown(found.application_id)}")
    kinds = Counter(str(it.dtype) for it in found.features)
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    lines.append(f"Inputs      {len(found.features)}: {counted}")
    lines += wrapped("            ", ", ".join(it.name for it in found.features))
    if found.groups:
        groups = ", ".join(it.profile.given for it in found.groups)
        lines += wrapped("Compared    ", f"approval rates by {groups}; no model sees them")
    if found.left_out:
        lines += ["", "Left out"]
        lines += [
            line
            for it in found.left_out
            for line in wrapped(f"  {shown(it.profile)}: ", it.why, hang=4)
        ]
    for heading, sentences in (("Look at this", found.dangers), ("Notes", (*notes, *found.notes))):
        if sentences:
            lines += ["", heading]
            lines += [line for it in sentences for line in wrapped("  ", sentence(it), hang=4)]
    said = (
        f"{checkout.relative(written.definition)}, the definition: read it, it says what was"
        " guessed. What was left out comes in with --keep, what should be out leaves with"
        " --ignore; --force once you changed a file. Data of people is in"
        f" {checkout.relative(written.table.parent)}/ only."
    )
    lines += ["", *wrapped("Written  ", said, hang=2)]
    lines += ["", "Next"]
    lines += [f"  {command}" for command in next_commands(name, written, checkout)]
    return lines


def shown(profile: Profile) -> str:
    """Return a column's name as the file has it, or the one it got where it has none."""
    return profile.given.strip() or profile.name


def wrapped(start: str, text: str, *, hang: int | None = None) -> list[str]:
    """Return a text in lines of at most 100 characters, the later ones indented."""
    import textwrap  # noqa: PLC0415 (only here)

    later = " " * (len(start) if hang is None else hang)
    return textwrap.wrap(start + text, 100, subsequent_indent=later, break_on_hyphens=False)


def document(
    name: str, notes: tuple[str, ...], found: Guess, written: Written, checkout: Checkout
) -> dict[str, Any]:
    """Return what `credit products new --json` prints."""
    outcome = found.outcome
    return {
        "product": name,
        "rows": found.rows,
        "label": {
            "column": outcome.profile.given,
            "meaning": outcome.words,
            "why": outcome.why,
            "labelled": found.labelled,
            "defaults": found.defaults,
        },
        "keys": [it.given for it in found.keys],
        "time": found.time.given if found.time else None,
        "application_id": found.application_id.given if found.application_id else None,
        "inputs": [
            {"name": it.name, "column": it.profile.given, "dtype": str(it.dtype), "unit": it.unit}
            for it in found.features
        ],
        "monitored_groups": [it.profile.given for it in found.groups],
        "left_out": [
            {"column": it.profile.given, "why": it.why, "prohibited": it.is_prohibited}
            for it in found.left_out
        ],
        "dangers": list(found.dangers),
        "notes": [*notes, *found.notes],
        "files": {
            "definition": checkout.relative(written.definition),
            "table": checkout.relative(written.table),
            "application": checkout.relative(written.application),
            "rows": checkout.relative(written.rows) if written.rows else None,
        },
        "next": next_commands(name, written, checkout),
    }
