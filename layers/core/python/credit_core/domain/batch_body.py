"""A batch of applications as a client sends it, taken apart without reading the applications.

Each application's very text is handed on, so that it is read exactly as if it had come alone, and
what is wrong with one harms no other. A body that is no JSON at all is refused as a whole.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NoReturn

from credit_core.domain.strict_json import (
    MAXIMUM_BODY_BYTES,
    NO_JSON,
    TOO_DEEP,
    body_text,
    refuse_body,
    repeatable_name,
)
from credit_core.errors import Fault, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

APPLICATIONS = "applications"
LARGEST_BATCH = 100
MAXIMUM_BATCH_BYTES = LARGEST_BATCH * MAXIMUM_BODY_BYTES
"""What as many single applications may have together."""

SPACE = re.compile(r"[ \t\n\r]*")


def applications_in(body: str | bytes | None) -> tuple[str, ...]:
    """Return the text of each application of a batch, in order.

    Raises:
        BodyTooLargeError: It has more than ``MAXIMUM_BATCH_BYTES``.
        InvalidRequestError: It is no batch; with every fault of the body, none of which is
            of one application.

    >>> applications_in('{"applications": [{"term_months": 36}, 7]}')
    ('{"term_months": 36}', '7')
    """
    try:
        return _Reading(body_text(body, most_bytes=MAXIMUM_BATCH_BYTES)).batch()
    except RecursionError:
        refuse_body(TOO_DEEP)
    except json.JSONDecodeError:
        refuse_body(NO_JSON)


class _Reading:
    """A text, and how far it was read."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        # Numbers stay text: one that is too long is the fault of its application.
        self._decode = json.JSONDecoder(
            parse_int=str, parse_float=str, parse_constant=_constant
        ).raw_decode

    def batch(self) -> tuple[str, ...]:
        if self._next() != "{":
            self._value()
            refuse_body("a JSON object is expected")
        applications: list[tuple[str, ...]] = []
        faults = []
        for _ in self._members("}"):
            name = self._name()
            if name != APPLICATIONS:
                faults.append(Fault(repeatable_name(name), "is not a field of a batch"))
                self._value()
            elif applications:
                faults.append(Fault(name, "is given more than once"))
                self._value()
            else:
                applications.append(self._list())
        if self._next():
            raise json.JSONDecodeError("more follows", self._text, self._at)
        found = applications[0] if applications else ()
        if not applications:
            faults.append(Fault(APPLICATIONS, "is required"))
        elif not 1 <= len(found) <= LARGEST_BATCH:
            faults.append(Fault(APPLICATIONS, f"must list from 1 to {LARGEST_BATCH} applications"))
        if faults:
            raise InvalidRequestError(faults)
        return found

    def _list(self) -> tuple[str, ...]:
        """Return the text of each item; of what is no list, nothing."""
        if self._next() != "[":
            self._value()
            return ()
        return tuple(self._value() for _ in self._members("]"))

    def _members(self, end: str) -> Iterator[None]:
        """Step from one member to the next, until the bracket that ends them."""
        self._at += 1
        if self._next() == end:
            self._at += 1
            return
        while True:
            yield
            follows = self._next()
            self._at += 1
            if follows == end:
                return
            if follows != ",":
                raise json.JSONDecodeError("a comma is missing", self._text, self._at)

    def _name(self) -> str:
        if self._next() != '"':
            raise json.JSONDecodeError("a name is missing", self._text, self._at)
        name = str(json.loads(self._value()))
        if self._next() != ":":
            raise json.JSONDecodeError("a colon is missing", self._text, self._at)
        self._at += 1
        return name

    def _value(self) -> str:
        """Return the text of the value that comes next, and step behind it."""
        self._next()
        start = self._at
        _, self._at = self._decode(self._text, start)
        return self._text[start : self._at]

    def _next(self) -> str:
        """Skip space and return the character behind it, empty at the end."""
        space = SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._text[self._at : self._at + 1]


def _constant(_name: str) -> NoReturn:
    refuse_body(NO_JSON)
