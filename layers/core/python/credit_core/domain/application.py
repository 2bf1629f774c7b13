"""An application as a client sends it: strict JSON in, a typed value or a list of faults out."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
)

from credit_core.domain.product import LARGEST_EXACT_INTEGER, DType, KeyType
from credit_core.errors import BodyTooLargeError, Fault, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic_core import ErrorDetails

    from credit_core.domain.product import CreditProduct, EntityKey, Feature, Value

MAXIMUM_BODY_BYTES = 16_384
"""A body is a few hundred bytes; anything beyond this is not an application."""

APPLICATION_ID_PATTERN = r"[A-Za-z0-9_.:-]{1,64}"
APPLICATION_ID_MEANING = "The client's own id of the application, a new one for each"
WHOLE_BODY = "$"
LONGEST_NAME_REPEATED = 64

MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this product",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "less_than": "must be less than {lt}",
    "int_type": "must be an integer",
    "int_from_float": "must be an integer",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be a string",
    "string_unicode": "must be text",
    "literal_error": "must be one of {expected}",
    "string_pattern_mismatch": "must match {pattern}",
}
"""Our words for pydantic's error types; they take limits from the definition, never a value."""


@dataclass(frozen=True, slots=True)
class Application:
    """An application whose every field is present, of its type and in its range.

    ``canonical`` is the same for two bodies exactly when they mean the same.
    """

    application_id: str
    entity_keys: Mapping[str, str | int]
    features: Mapping[str, Value]
    canonical: str


_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


class ApplicationReader:
    """Reads applications for one product; the schema is made once."""

    def __init__(self, product: CreditProduct) -> None:
        self._entity_keys = product.entity_key_names
        self._features = tuple(feature.name for feature in product.request_features)
        self._nullable = {feature.name for feature in product.request_features if feature.nullable}
        self.schema = _request_schema(product)

    def __call__(self, body: str | bytes | None) -> Application:
        """Return the application in a request body.

        Raises:
            InvalidRequestError: With every fault of the body, each with its path.
        """
        return self.read(strict_json_object(body, also=self.faults))

    def read(self, document: Mapping[str, object]) -> Application:
        """Return the application in a JSON object that was parsed strictly.

        Raises:
            InvalidRequestError: With every fault of the object, each with its path.
        """
        try:
            given = self.schema.model_validate(document).__dict__
        except ValidationError as error:
            raise InvalidRequestError(self._faults(error)) from None
        # -0.0 is 0.0; written out, they would be two different bodies.
        values: dict[str, Any] = {
            name: value + 0.0 if isinstance(value, float) else value
            for name, value in given.items()
        }
        return Application(
            values["application_id"],
            {name: values[name] for name in self._entity_keys},
            {name: values[name] for name in self._features},
            _canonical(values),
        )

    def faults(self, document: Mapping[str, object]) -> list[Fault]:
        """Return the faults of a JSON object, none if it is an application."""
        try:
            self.schema.model_validate(document)
        except ValidationError as error:
            return self._faults(error)
        return []

    def _faults(self, error: ValidationError) -> list[Fault]:
        details = error.errors(include_url=False, include_input=False)
        return [self._fault(detail) for detail in details]

    def _fault(self, detail: ErrorDetails) -> Fault:
        name = str(detail["loc"][0]) if detail["loc"] else WHOLE_BODY
        message = MESSAGES.get(detail["type"], "is not valid").format(**detail.get("ctx", {}))
        if detail["type"] == "missing" and name in self._nullable:
            message += "; send null if it is unknown"
        return Fault(repeatable_name(name), message)


def no_more_faults(_document: Mapping[str, object]) -> list[Fault]:
    """Return the faults of a document of which nothing more is asked."""
    return []


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
    if not body:
        _refuse("a JSON object is expected; the body is empty")
    members = _Members()
    try:
        encoded = body.encode() if isinstance(body, str) else body
        if len(encoded) > most_bytes:
            raise BodyTooLargeError(
                [Fault(WHOLE_BODY, f"the body is larger than {most_bytes} bytes")]
            )
        text = encoded.decode()
        document = json.loads(text, object_pairs_hook=members, parse_constant=_constant)
    except UnicodeError:
        _refuse("the body is not UTF-8")
    except RecursionError:
        _refuse("the body is nested too deeply")
    except json.JSONDecodeError as error:
        _refuse(f"the body is not JSON (line {error.lineno}, column {error.colno})")
    except ValueError:  # an integer of more digits than Python converts
        _refuse("the body holds a number that is too long")
    if not isinstance(document, dict):
        _refuse("a JSON object is expected")
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
    _refuse(f"{name} is not JSON")


def _refuse(message: str) -> NoReturn:
    raise InvalidRequestError([Fault(WHOLE_BODY, message)])


def repeatable_name(name: str) -> str:
    """Return a field's name for an error message; one that is no identifier might hold a value."""
    if len(name) <= LONGEST_NAME_REPEATED and name.isascii() and name.isidentifier():
        return name
    return "(unusual name)"


def _request_schema(product: CreditProduct) -> type[BaseModel]:
    """Return the pydantic model of a request body: every field required, no other allowed."""
    # create_model takes field definitions as keyword arguments that no static type can know.
    fields: dict[str, Any] = {
        "application_id": _described(_identifier(APPLICATION_ID_PATTERN), APPLICATION_ID_MEANING)
    }
    fields |= {
        key.name: _described(_key(key), entity.description)
        for entity in product.entities
        for key in entity.keys
    }
    fields |= {feature.name: _field(feature) for feature in product.request_features}
    return create_model(
        f"{product.name}_application",
        __config__=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False),
        **fields,
    )


def _whole(value: object) -> object:
    """Return 36.0 as 36: to JSON, and to its schemas, they are the same number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE_NUMBER = BeforeValidator(_whole)


def _described(field: Any, description: str) -> Any:
    return Annotated[field, Field(description=description)]


def _key(key: EntityKey) -> Any:
    if key.dtype is KeyType.INTEGER:
        return Annotated[int, Field(ge=0, lt=LARGEST_EXACT_INTEGER), WHOLE_NUMBER]
    return _identifier(key.pattern)


def _identifier(pattern: str) -> Any:
    return Annotated[str, Field(pattern=rf"^(?:{pattern})$")]


def _field(feature: Feature) -> Any:
    base: Any
    if feature.dtype is DType.CATEGORY:
        base = Literal[feature.categories]
    else:
        limits = Field(ge=feature.minimum, le=feature.maximum)
        whole = feature.dtype is DType.INTEGER
        base = Annotated[int, limits, WHOLE_NUMBER] if whole else Annotated[float, limits]
    description = feature.description + (f" ({feature.unit})" if feature.unit else "")
    return _described(base | None if feature.nullable else base, description)
