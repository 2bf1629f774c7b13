"""The table that `credit train` reads, and an application to try: what is written beside it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from credit_cli.new_product.guess import key_of
from credit_cli.new_product.names import LABEL
from credit_cli.new_product.profile import CLEANED
from credit_cli.new_product.values import Kind
from credit_core.domain.definitions import DType, KeyType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from credit_cli.new_product.description import FeatureGuess
    from credit_cli.new_product.guess import Guess
    from credit_cli.new_product.lender_file import LenderFile
    from credit_cli.new_product.profile import Profile

EXAMPLE_KEY, EXAMPLE_NUMBER = "example-applicant", 1
"""Nobody's: of typical values, and for an applicant who is made up."""


def write_table(file: LenderFile, guess: Guess, target: Path) -> None:
    """Write the loans as Parquet: cleaned names and values, the label as 0 and 1, nothing else.

    Raises:
        CliError: It cannot be written.
    """
    columns: dict[str, str] = {}
    if guess.application_id:
        columns["application_id"] = guess.application_id.column
    for profile in guess.keys:
        key = key_of(profile)
        integer = key is not None and key.dtype is KeyType.INTEGER
        columns[profile.name] = f"CAST({profile.sql} AS BIGINT)" if integer else profile.column
    if guess.time:
        columns["event_timestamp"] = guess.time.sql
    for feature in guess.features:
        columns[feature.name] = _value(feature)
    for group in guess.groups:
        columns[group.profile.name] = _category(group.profile, group.categories)
    columns[LABEL] = f"CAST({guess.outcome.sql} AS INTEGER)"
    listed = ", ".join(f'{sql} AS "{name}"' for name, sql in columns.items())
    partial = target.with_name(f".{target.name}.partial")
    quoted = "'" + str(partial).replace("'", "''") + "'"
    file.query(f"COPY (SELECT {listed} FROM {CLEANED}) TO {quoted} (FORMAT parquet)")  # noqa: S608 (made of positions and clean names)
    partial.replace(target)


def example_application(guess: Guess) -> dict[str, Any]:
    """Return an application of typical values, which is nobody's.

    Its id follows from the values: with others it is another application.
    """
    in_views = {name for names in guess.views.values() for name in names}
    values = {
        **_example_keys(guess),
        **{it.name: it.example for it in guess.features if it.name not in in_views},
    }
    mark = hashlib.sha256(json.dumps(values).encode()).hexdigest()[:8]
    return {"application_id": f"example-{mark}", **values}


def example_rows(guess: Guess, *, as_of: datetime) -> list[dict[str, Any]]:
    """Return a row of typical values for each view, as `credit push` sends them."""
    found = {it.name: it for it in guess.features}
    instant = as_of.isoformat(timespec="seconds").replace("+00:00", "Z")
    return [
        {
            "view": view,
            "keys": _example_keys(guess),
            "event_timestamp": instant,
            "created_timestamp": instant,
            "features": {name: found[name].example for name in names},
        }
        for view, names in guess.views.items()
    ]


def written_json(document: Mapping[str, Any] | list[dict[str, Any]]) -> str:
    """Return a document as a person reads it, a list as one object a line."""
    if isinstance(document, list):
        return "".join(json.dumps(it, ensure_ascii=False) + "\n" for it in document)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _example_keys(guess: Guess) -> dict[str, Any]:
    keys = {}
    for profile in guess.keys:
        key = key_of(profile)
        integer = key is not None and key.dtype is KeyType.INTEGER
        keys[profile.name] = EXAMPLE_NUMBER if integer else EXAMPLE_KEY
    return keys


def _value(feature: FeatureGuess) -> str:
    profile = feature.profile
    if feature.dtype is DType.CATEGORY:
        return _category(profile, feature.categories)
    kind = "BIGINT" if feature.dtype is DType.INTEGER else "DOUBLE"
    return f"CAST({profile.sql} AS {kind})"


def _category(profile: Profile, categories: Mapping[str, tuple[str, ...]]) -> str:
    arms = " ".join(
        f"WHEN {_quoted(text)} THEN {_quoted(category)}"
        for category, texts in categories.items()
        for text in texts
    )
    return f"CASE {profile.column} {arms} END" if profile.form.kind is not Kind.EMPTY else "NULL"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
