"""Checks of a definition: every fault with its place, whatever a field holds.

A product module is Python that a lender writes by hand, so any field may hold anything. ``Check``
looks at the types first; a rule then asks whether the fields it reads are ``sound``, so that one
wrong type neither hides the other faults nor ends in an AttributeError.
"""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

LARGEST_FLOAT32 = 3.4e38
"""What the model sees are float32 values; above it they would be infinite."""
LONGEST_SHOWN = 40
LONGEST_PLACE = 64
UNSHOWN = frozenset({"Cc", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Unicode's categories of control characters, surrogates and line ends, and of no character."""


@dataclass(frozen=True)
class Kind:
    """What a field may hold, in words and as a test."""

    words: str
    holds: Callable[[object], bool]

    def or_none(self) -> Kind:
        """Return this kind with None allowed."""
        return Kind(f"{self.words} or None", lambda value: value is None or self.holds(value))


def with_article(name: str) -> str:
    """Return a class's name with its indefinite article.

    >>> with_article("Entity"), with_article("list")
    ('an Entity', 'a list')
    """
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def a(*classes: type) -> Kind:
    """Return the kind of instances of these classes; an enumeration's members are named."""
    words = []
    for class_ in classes:
        if issubclass(class_, Enum):
            words += [f"{class_.__name__}.{member.name}" for member in class_]
        else:
            words.append(with_article(class_.__name__))
    return Kind(" or ".join(words), lambda value: isinstance(value, classes))


def is_number(value: object) -> bool:
    """Whether a value is a finite number that float32 can hold.

    >>> is_number(3), is_number(True), is_number(float("nan")), is_number(10**400)
    (True, False, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= LARGEST_FLOAT32  # false for NaN, and no conversion of a long integer


def is_whole_number(value: object) -> bool:
    """Whether a value is an integer, and no bool."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_line(value: object) -> bool:
    r"""Whether a value is text of one line, without what no terminal or JSON can show.

    >>> is_line("5\u00a0%"), is_line(" "), is_line("a\nb"), is_line("\ud800")
    (True, False, False, False)
    """
    if not isinstance(value, str) or not value.strip():
        return False
    return value.isprintable() or not any(
        unicodedata.category(character) in UNSHOWN for character in value
    )


TEXT = Kind("a line of text", is_line)
ANY_TEXT = Kind("text", lambda value: isinstance(value, str))
NUMBER = Kind("a finite number", is_number)
WHOLE_NUMBER = Kind("an integer", is_whole_number)
FLAG = a(bool)
FUNCTION = Kind("a function", callable)


class Check:
    """Collects what is wrong with one definition."""

    def __init__(self, definition: object, place: str, kinds: Mapping[str, Kind]) -> None:
        """Check the types of the fields.

        Args:
            definition: The dataclass instance to check.
            place: Where it stands, "" for the product itself.
            kinds: What each of its fields may hold.
        """
        self.definition = definition
        self.place = place
        self.found: list[str] = []
        self._wrong: set[str] = set()
        for name, kind in kinds.items():
            value = getattr(definition, name)
            if not kind.holds(value):
                self._wrong.add(name)
                self.add(name, f"expected {kind.words}, not {shown(value)}")

    def at(self, field: str) -> str:
        """Return the place of a field."""
        return ".".join(filter(None, (self.place, field)))

    def add(self, field: str, fault: str) -> None:
        """Note a fault of a field, or of the definition as a whole where the field is ""."""
        self.found.append(f"{self.at(field)}: {fault}")

    def sound(self, *fields: str) -> bool:
        """Whether all these fields are of their types."""
        return self._wrong.isdisjoint(fields)

    def empty(self, field: str) -> bool:
        """Whether a field holds an empty tuple."""
        value = getattr(self.definition, field)
        return isinstance(value, tuple) and not value

    def members[T](self, field: str, class_: type[T], *, of: str = "") -> list[tuple[str, T]]:
        """Return the members of a tuple that are of their class, each with its place.

        A list or a single member in place of the tuple is a fault, but its members are returned
        all the same, so that their faults show too.

        Args:
            field: The field with the tuple.
            class_: What its members have to be.
            of: The part of the place that stands for the field, if members have one.
        """
        value = getattr(self.definition, field)
        wanted = class_.__name__
        if not isinstance(value, tuple):
            hint = ": write (x,), with a comma" if isinstance(value, class_) else ""
            self.add(field, f"expected a tuple of {wanted}, not {shown(value)}{hint}")
            value = [value] if isinstance(value, class_) else value
        if not isinstance(value, tuple | list):
            return []
        sound = []
        for number, member in enumerate(value):
            if isinstance(member, class_):
                name = getattr(member, "name", None)
                if is_line(name) and len(str(name)) <= LONGEST_PLACE:
                    place = ".".join(filter(None, (of, str(name))))
                else:
                    place = f"{field}[{number}]"
                sound.append((self.at(place), member))
            else:
                self.add(f"{field}[{number}]", f"expected {a(class_).words}, not {shown(member)}")
        return sound


def repeated(members: Sequence[tuple[str, object]]) -> Iterator[str]:
    """Yield a fault for each place that occurs again."""
    seen: set[str] = set()
    for place, _ in members:
        if place in seen:
            yield f"{place}: defined twice"
        seen.add(place)


def same(one: object, other: object) -> bool:
    """Whether two parts of a definition are equal, false where they can't be compared."""
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 (an array among the fields: its own check says so)
        return False


def whole_seconds(length: timedelta, *, least: int, most: timedelta) -> str | None:
    """Return what is wrong with a duration, or None."""
    if length.microseconds or not timedelta(seconds=least) <= length <= most:
        return f"must be whole seconds, from {least} up to {most.days:,} days, not {length}"
    return None


def shown(value: object) -> str:
    """Return a value as a message shows it: short ones with their type, others by type alone.

    >>> shown("30 days"), shown([1, 2]), shown(None), shown(int), shown(3)
    ("'30 days' (str)", 'a list', 'None', 'the class int', '3 (int)')
    """
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, str | float | bool) or (isinstance(value, int) and _is_short(value)):
        text = repr(value)
        cut = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
        return f"{cut} ({type(value).__name__})"
    return with_article(type(value).__name__)


def _is_short(value: int) -> bool:
    return math.log10(abs(value) + 1) < LONGEST_SHOWN
