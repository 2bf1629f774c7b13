"""Entity keys of invented people and places, valid by the product's definition."""

from __future__ import annotations

import importlib
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from credit_cli.errors import UsageError
from credit_core.domain.product import KeyType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from credit_core.domain.product import CreditProduct, Entity, EntityKey

type Numbers = NDArray[np.int64]

FIRST_INTEGER_KEY = 5_000_000_000
"""Beyond 32 bits, so that whoever reads keys as such fails."""
LONGEST_KEY = 64
SPARE = 36**4
"""Text keys are this many times longer than they have to be, if their pattern allows."""
RADIX = 10
"""In an entity of several keys the others take this many values: no key is unique alone."""

PREFERRED = string.digits + string.ascii_uppercase
LETTERS = PREFERRED + string.ascii_lowercase + string.punctuation
CATEGORIES = {
    "CATEGORY_DIGIT": string.digits,
    "CATEGORY_WORD": string.digits + string.ascii_letters + "_",
}


@dataclass(frozen=True)
class KeyMaker:
    """Turns numbers from 0 to ``capacity`` - 1 into distinct keys; ``alphabets`` of a text's."""

    key: EntityKey
    alphabets: tuple[str, ...]

    @classmethod
    def for_key(cls, key: EntityKey) -> KeyMaker:
        """Read the key's pattern.

        Raises:
            UsageError: No text can be made for the pattern.
        """
        if key.dtype is KeyType.INTEGER:
            return cls(key, ())
        best: tuple[str, ...] = ()
        for extra in range(LONGEST_KEY):
            alphabets = _alphabets(key, extra)
            if len(alphabets) > LONGEST_KEY or (extra and alphabets == best):
                break
            best = alphabets
            if _capacity(best) >= SPARE * SPARE:
                break
        maker = cls(key, best)
        ends = maker(np.array([0, maker.capacity - 1], dtype=np.int64))
        if any(key.value_fault(text) for text in ends):
            raise _too_complicated(key)
        return maker

    @property
    def capacity(self) -> int:
        """How many distinct keys there are, at most 2**52."""
        return min(2**52, _capacity(self.alphabets)) if self.alphabets else 2**52

    def __call__(self, numbers: Numbers) -> NDArray[Any]:
        """Return the keys of numbers, shape (n,): int64, or object where they are text."""
        if self.key.dtype is KeyType.INTEGER:
            return FIRST_INTEGER_KEY + numbers
        rest, columns = numbers, []
        for alphabet in reversed(self.alphabets):
            codes = np.array([ord(letter) for letter in alphabet], dtype=np.uint32)
            columns.append(codes[rest % len(alphabet)])
            rest = rest // len(alphabet)
        letters = np.ascontiguousarray(np.column_stack(columns[::-1]), dtype=np.uint32)
        return letters.view(f"<U{len(columns)}").ravel().astype(object)


@dataclass(frozen=True)
class KeySpace:
    """Which keys and entities are an applicant's own, and which many applicants share.

    The entity of the applicant is the one with the most features, unless another is named.
    Entities with all its keys belong to one applicant as well; all others are places that many
    share, such as a region. ``place_numbers`` holds the number of each shared key per place, and
    ``radices`` what an applicant's number is divided and taken modulo by for each own key.
    """

    makers: Mapping[str, KeyMaker]
    places: int
    place_numbers: Mapping[str, Numbers]
    radices: Mapping[str, tuple[int, int]]

    @classmethod
    def of(
        cls, product: CreditProduct, applicants: int, *, applicant_entity: str | None = None
    ) -> KeySpace:
        """Lay out the keys for so many applicants.

        Raises:
            UsageError: The product has no such entity, or a pattern allows too few keys.
        """
        applicant = _applicant_entity(product, applicant_entity)
        own = applicant.key_names if applicant else ()
        # Those of several keys come first: of a country and a district, countries are fewer.
        shared = sorted(
            (entity for entity in product.entities if not set(own) <= set(entity.key_names)),
            key=lambda entity: -len(entity.keys),
        )
        shared_names = {name for entity in shared for name in entity.key_names}
        if own and set(own) <= shared_names:
            shared_names.discard(own[-1])
        makers = {key.name: KeyMaker.for_key(key) for key in product.entity_keys}
        places = max(1, min(1_000, applicants // 100))
        for entity in shared:
            names = [name for name in entity.key_names if name in shared_names]
            places = min(places, _most(names, makers)) if names else places
        numbers: dict[str, Numbers] = {}
        for entity in shared:
            names = [name for name in entity.key_names if name in shared_names - numbers.keys()]
            for name, (divisor, modulus) in _radices(names, makers).items():
                numbers[name] = np.arange(places) // divisor % modulus
        radices = _radices([name for name in own if name not in shared_names], makers)
        for name, maker in makers.items():
            if name not in shared_names and name not in radices:
                radices[name] = (1, maker.capacity)
        room = _most([name for name in own if name in radices], makers)
        if own and room < applicants:
            raise UsageError(
                f"the keys of {applicant.name if applicant else ''} allow {room:,} applicants, "
                f"not {applicants:,}",
                hint="ask for fewer, or name who applies: --applicant-entity",
            )
        return cls(makers, places, numbers, radices)

    def is_shared(self, entity: Entity) -> bool:
        """Tell whether many applicants share an instance of the entity."""
        return all(name in self.place_numbers for name in entity.key_names)

    def instances(self, entity: Entity) -> tuple[Numbers, Numbers]:
        """Return a shared entity's instances.

        Returns:
            A place that each instance lies in, and the instance of each place.
        """
        stacked = np.column_stack([self.place_numbers[name] for name in entity.key_names])
        _, first, inverse = np.unique(stacked, axis=0, return_index=True, return_inverse=True)
        return first.astype(np.int64), inverse.ravel().astype(np.int64)

    def keys(
        self, names: Iterable[str], *, applicants: Numbers | None, places: Numbers
    ) -> dict[str, NDArray[Any]]:
        """Return keys by name, shape (n,), of applicants by their number and their place."""
        found = {}
        for name in names:
            if name in self.place_numbers:
                numbers = self.place_numbers[name][places]
            else:
                assert applicants is not None, name  # noqa: S101 (only shared entities lack them)
                divisor, modulus = self.radices[name]
                numbers = applicants // divisor % modulus
            found[name] = self.makers[name](numbers)
        return found


def _applicant_entity(product: CreditProduct, name: str | None) -> Entity | None:
    if name is not None:
        for entity in product.entities:
            if entity.name == name:
                return entity
        names = ", ".join(entity.name for entity in product.entities)
        raise UsageError(f"{product.name} has no entity {name}; it has: {names}")

    def features(entity: Entity) -> int:
        return sum(len(view.features) for view in product.feature_views if view.entity == entity)

    return max(product.entities, key=features, default=None)


def _radices(names: Sequence[str], makers: Mapping[str, KeyMaker]) -> dict[str, tuple[int, int]]:
    """Return what to divide by and take modulo for each key, so that together they are unique."""
    if not names:
        return {}
    widest = max(names, key=lambda name: makers[name].capacity)
    divisor, found = 1, {}
    for name in names:
        if name != widest:
            modulus = min(RADIX, makers[name].capacity)
            found[name] = (divisor, modulus)
            divisor *= modulus
    return found | {widest: (divisor, makers[widest].capacity)}


def _most(names: Sequence[str], makers: Mapping[str, KeyMaker]) -> int:
    """Return how many instances the keys tell apart."""
    return max(
        (divisor * modulus for divisor, modulus in _radices(names, makers).values()), default=2**52
    )


def _capacity(alphabets: Iterable[str]) -> int:
    product = 1
    for alphabet in alphabets:
        product *= len(alphabet)
    return product


def _alphabets(key: EntityKey, extra: int) -> tuple[str, ...]:
    """Return the letters allowed at each place of a text, repeats ``extra`` longer than least."""
    # The standard library's own reading of a pattern; it has no public name since Python 3.11.
    parser: Any = importlib.import_module("re._parser")
    return tuple(_of_sequence(key, parser.parse(key.pattern), extra))


def _of_sequence(key: EntityKey, sequence: Any, extra: int) -> list[str]:
    found: list[str] = []
    for operation, argument in sequence:
        match str(operation):
            case "LITERAL":
                found.append(chr(argument))
            case "IN":
                found.append(_letters(key, argument))
            case "ANY":
                found.append(PREFERRED)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, repeated = argument
                count = min(int(most), int(least) + extra, LONGEST_KEY)
                found += _of_sequence(key, repeated, extra) * count
            case "SUBPATTERN":
                found += _of_sequence(key, argument[3], extra)
            case "BRANCH":
                found += _of_sequence(key, argument[1][0], extra)
            case "AT":
                pass
            case _:
                raise _too_complicated(key)
    return found


def _letters(key: EntityKey, members: Any) -> str:
    allowed: set[str] = set()
    negated = False
    for operation, argument in members:
        match str(operation):
            case "NEGATE":
                negated = True
            case "LITERAL":
                allowed.add(chr(argument))
            case "RANGE":
                allowed.update(map(chr, range(argument[0], argument[1] + 1)))
            case "CATEGORY" if str(argument) in CATEGORIES:
                allowed.update(CATEGORIES[str(argument)])
            case _:
                raise _too_complicated(key)
    if negated:
        allowed = set(LETTERS) - allowed
    preferred = "".join(letter for letter in PREFERRED if letter in allowed)
    found = preferred or "".join(sorted(allowed))
    if not found:
        raise _too_complicated(key)
    return found


def _too_complicated(key: EntityKey) -> UsageError:
    return UsageError(
        f"no keys can be made up for {key.name}: its pattern {key.pattern} is too complicated",
        hint="use letters, classes such as [A-Z], and repeats such as {2,8}",
    )
