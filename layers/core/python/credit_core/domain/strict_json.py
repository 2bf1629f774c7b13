"""JSON bodies as RFC 8259 has them: text in, one object out, or every fault with its path."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, NoReturn

from credit_core.errors import BodyTooLargeError, Fault, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MAXIMUM_BODY_BYTES = 16_384
"""A body is a few hundred bytes; anything beyond this is not an application."""

WHOLE_BODY = "$"
"""Path of what is wrong with a body as a whole."""
LONGEST_NAME_REPEATED = 64
NO_JSON, TOO_DEEP = "the body is not JSON", "the body is nested too deeply"


def no_more_faults(_document: Mapping[str, object]) -> list[Fault]:
    """Return the faults of a document of which nothing more is asked."""
    return []


def body_text(body: str | bytes | None, *, most_bytes: int) -> str:
    """Return the text of a body.

    Raises:
        BodyTooLargeError: It has more than ``most_bytes`` in UTF-8.
        InvalidRequestError: It is empty, or not UTF-8.
    """
    if not body:
        refuse_body("a JSON object is expected; the body is empty")
    try:
        encoded = body.encode() if isinstance(body, str) else body
        if len(encoded) > most_bytes:
            raise BodyTooLargeError(
                [Fault(WHOLE_BODY, f"the body is larger than {most_bytes} bytes")]
            )
        return encoded.decode()
    except UnicodeError:
        refuse_body("the body is not UTF-8")


def strict_json_object(
    body: str | bytes | None,
    *,
    most_bytes: int = MAXIMUM_BODY_BYTES,
    also: Callable[[Mapping[str, object]], Sequence[Fault]] = no_more_faults,
) -> dict[str, object]:
    """Parse a JSON object as RFC 8259 has it, without Python's extras.

    NaN, Infinity, duplicate names, bodies that are not UTF-8 and endless nesting are refused.

    Args:
        body: The text.
        most_bytes: How long it may be, in UTF-8.
        also: Returns what else is wrong with an object of which some names are given more than
            once or are no text, so that all is told together.

    Raises:
        BodyTooLargeError: It has more than ``most_bytes``.
        InvalidRequestError: With the faults of the body; no value is repeated.
    """
    text = body_text(body, most_bytes=most_bytes)
    members = _Members()
    try:
        document = json.loads(text, object_pairs_hook=members, parse_constant=_constant)
    except RecursionError:
        refuse_body(TOO_DEEP)
    except json.JSONDecodeError as error:
        refuse_body(f"{NO_JSON} (line {error.lineno}, column {error.colno})")
    except ValueError:  # an integer of more digits than Python converts
        refuse_body("the body holds a number that is too long")
    if not isinstance(document, dict):
        refuse_body("a JSON object is expected")
    if members.faults:
        others = [fault for fault in also(document) if fault.path not in members.faults]
        raise InvalidRequestError([*members.faults.values(), *others])
    return document


class _Members:
    """Makes dicts of the members of objects and keeps the faults of their names, by path."""

    def __init__(self) -> None:
        self.faults: dict[str, Fault] = {}

    def __call__(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        document = dict(pairs)
        if len(document) != len(pairs):
            for name, times in Counter(name for name, _ in pairs).items():
                if times > 1:
                    self._note(name, "is given more than once")
        for name in [name for name in document if not (name.isascii() or _is_unicode(name))]:
            # pydantic would say so too, and of the other members nothing.
            del document[name]
            self._note(name, "must be text")
        return document

    def _note(self, name: str, message: str) -> None:
        path = repeatable_name(name)
        self.faults[path] = Fault(path, message)


def _is_unicode(text: str) -> bool:
    """Whether it is free of lone surrogates, which JSON can spell and UTF-8 can't."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _constant(name: str) -> NoReturn:
    refuse_body(f"{name} is not JSON")


def refuse_body(message: str) -> NoReturn:
    """Refuse a body as a whole.

    Raises:
        InvalidRequestError: With that message.
    """
    raise InvalidRequestError([Fault(WHOLE_BODY, message)])


def repeatable_name(name: str) -> str:
    """Return a field's name for an error message; one that is no identifier might hold a value."""
    if len(name) <= LONGEST_NAME_REPEATED and name.isascii() and name.isidentifier():
        return name
    return "(unusual name)"
