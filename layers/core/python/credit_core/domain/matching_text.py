"""The plainest text that a regular expression matches, for keys of somebody who does not exist."""

from __future__ import annotations

import importlib
import re
from typing import Any

PLAIN = "0Aa-_.:/@ #"
"""Characters that are tried, in this order, where a pattern leaves a choice."""

CATEGORIES = {
    "CATEGORY_DIGIT": str.isdecimal,
    "CATEGORY_WORD": lambda text: text.isalnum() or text == "_",
    "CATEGORY_SPACE": str.isspace,
}


def matching_text(pattern: str) -> str | None:
    """Return a short text that the pattern matches in full, the same each time, or None.

    None is returned for what needs more than a walk along the pattern: conditions, references and
    looking around.

    >>> matching_text("[0-9]{8}_[0-9]{4}"), matching_text("(?:CA|NY)-[^0-9]+")
    ('00000000_0000', 'CA-A')
    >>> matching_text("(?!00)[0-9]{2}") is None
    True
    """
    # Python's own reading of the pattern, which has no public name; the version is pinned.
    parsed = importlib.import_module("re._parser").parse(pattern)
    try:
        text = _text(list(parsed))
    except _UnreadableError:
        return None
    return text if re.fullmatch(pattern, text) else None


class _UnreadableError(Exception):
    """A part of a pattern that is not walked along."""


def _text(parts: list[tuple[Any, Any]]) -> str:
    return "".join(_part(str(kind), value) for kind, value in parts)


def _part(kind: str, value: Any) -> str:
    """Return the text of one part.

    Raises:
        _UnreadableError: It is of a kind that is not walked along.
    """
    match kind, value:
        case "LITERAL", code:
            text = chr(code)
        case "NOT_LITERAL", code:
            text = next(character for character in PLAIN if ord(character) != code)
        case "ANY", _:
            text = PLAIN[0]
        case "IN", choices:
            text = _one_of(choices)
        case (("MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT"), (least, _, repeated)):
            text = _text(list(repeated)) * least
        case "SUBPATTERN", (*_, inner):
            text = _text(list(inner))
        case "BRANCH", (_, branches):
            text = _text(list(branches[0]))
        case "AT", _:
            text = ""
        case _:
            raise _UnreadableError
    return text


def _one_of(choices: list[tuple[Any, Any]]) -> str:
    """Return a character of a class: a plain one where it has one, else its first."""
    negated = bool(choices) and str(choices[0][0]) == "NEGATE"
    for character in PLAIN:
        if any(_holds(str(kind), value, character) for kind, value in choices) is not negated:
            return character
    for kind, value in choices:
        if str(kind) in {"LITERAL", "RANGE"} and not negated:
            return chr(value if str(kind) == "LITERAL" else value[0])
    raise _UnreadableError


def _holds(kind: str, value: Any, character: str) -> bool:
    match kind:
        case "LITERAL":
            return bool(ord(character) == value)
        case "RANGE":
            return bool(value[0] <= ord(character) <= value[1])
        case "CATEGORY":
            name = str(value)
            of_kind = CATEGORIES[name.replace("_NOT_", "_")](character)
            return of_kind is not ("_NOT_" in name)
    return False
