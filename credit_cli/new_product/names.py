"""A lender's column names, as names that a definition can have."""

from __future__ import annotations

import re
import shlex
import unicodedata
from typing import TYPE_CHECKING

from credit_core.domain.product_faults import REQUEST_RESERVED, TABLE_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LABEL = "defaulted"
"""What the label is called in every definition that is written here."""
LONGEST = 48
"""Below the 63 characters of a name: an ending may follow."""
SIGNS = {"%": " percent ", "#": " number ", "&": " and ", "+": " plus ", "€": " eur ", "$": " usd "}
UMLAUTS = {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "ø": "o"}


def words_of(given: str) -> tuple[str, ...]:
    """Return the words of a column's name, in lower case and plain letters.

    >>> words_of("Straße (Größe)"), words_of("LoanAmount"), words_of("PAY_AMT1")
    (('strasse', 'groesse'), ('loan', 'amount'), ('pay', 'amt1'))
    >>> words_of("antigüedad")
    ('antiguedad',)
    """
    # In Spanish the two dots say only that the u is heard: antigüedad is no antigueedad.
    given = re.sub(r"(?<=[gG])[üÜ](?=[eéiíEÉIÍ])", "u", given)
    text = "".join({**SIGNS, **UMLAUTS}.get(letter, letter) for letter in given)
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text)
    return tuple(re.findall(r"[a-z0-9]+", text.lower()))


def clean_names(given: Sequence[str]) -> tuple[str, ...]:
    """Return a name for each column, all different, none with a meaning of its own elsewhere.

    >>> clean_names(["Höhe des Kredits", "2yr late", "", "Copy", "copy", "年齢"])
    ('hoehe_des_kredits', 'n_2yr_late', 'column_3', 'copy_value', 'copy_value_2', 'column_6')
    """
    found: list[str] = []
    for place, name in enumerate(given, start=1):
        clean = "_".join(words_of(name))[:LONGEST].strip("_")
        if clean and clean[0].isdigit():
            clean = f"n_{clean}"
        clean = clean or f"column_{place}"
        if is_taken(clean):
            clean = f"{clean}_value"
        found.append(_another(clean, found))
    return tuple(found)


def is_taken(name: str) -> bool:
    """Whether every product, or the schema of a request, has a meaning of its own for a name."""
    return (
        name in {*TABLE_COLUMNS, LABEL}
        or bool(REQUEST_RESERVED.match(name))
        or name.endswith("_event_timestamp")
    )


def human(name: str) -> str:
    """Return a clean name as words.

    >>> human("months_since_last_delinquency")
    'months since last delinquency'
    """
    return name.replace("_", " ")


def sentence(text: str) -> str:
    """Return words with the sign that ends them."""
    return text if text.endswith("?") else f"{text}."


def typed(text: str) -> str:
    """Return a text as it is typed in a shell."""
    return shlex.quote(text)


def _another(name: str, taken: Iterable[str]) -> str:
    others, number, candidate = set(taken), 1, name
    while candidate in others:
        number += 1
        candidate = f"{name}_{number}"
    return candidate
