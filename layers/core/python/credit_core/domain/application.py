"""An application as a client sends it: strict JSON in, a typed value or a list of faults out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from credit_core.domain.product import LARGEST_EXACT_INTEGER, DType, KeyType
from credit_core.errors import BodyTooLargeError, Fault, InvalidApplicationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

    from credit_core.domain.product import CreditProduct, EntityKey, Feature, Value

MAXIMUM_BODY_BYTES = 16_384
"""A body is a few hundred bytes; anything beyond this is not an application."""

APPLICATION_ID_PATTERN = r"[A-Za-z0-9_.:-]{1,64}"
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
            InvalidApplicationError: With every fault of the body, each with its path.
        """
        return self.read(strict_json_object(body))

    def read(self, document: Mapping[str, object]) -> Application:
        """Return the application in a JSON object that was parsed strictly.

        Raises:
            InvalidApplicationError: With every fault of the object, each with its path.
        """
        try:
            given = self.schema.model_validate(document).__dict__
        except ValidationError as error:
            raise InvalidApplicationError(
                [
                    self._fault(detail)
                    for detail in error.errors(include_url=False, include_input=False)
                ]
            ) from None
        # -0.0 is 0.0; written out, they would be two different bodies.
        values: dict[str, Any] = {
            name: value + 0.0 if isinstance(value, float) else value
            for name, value in given.items()
        }
        return Application(
            values["application_id"],
            {name: values[name] for name in self._entity_keys},
            {name: values[name] for name in self._features},
            json.dumps(values, sort_keys=True, separators=(",", ":")),
        )

    def _fault(self, detail: ErrorDetails) -> Fault:
        name = str(detail["loc"][0]) if detail["loc"] else WHOLE_BODY
        message = MESSAGES.get(detail["type"], "is not valid").format(**detail.get("ctx", {}))
        if detail["type"] == "missing" and name in self._nullable:
            message += "; send null if it is unknown"
        return Fault(repeatable_name(name), message)


def strict_json_object(
    body: str | bytes | None, *, most_bytes: int = MAXIMUM_BODY_BYTES
) -> dict[str, object]:
    """Parse a JSON object as RFC 8259 has it, without Python's extras.

    NaN, Infinity, duplicate names, bodies that are not UTF-8 and endless nesting are refused.

    Raises:
        BodyTooLargeError: It has more than ``most_bytes``.
        InvalidApplicationError: With one fault that says what is wrong; no value is repeated.
    """
    if not body:
        _refuse("a JSON object is expected; the body is empty")
    try:
        encoded = body.encode() if isinstance(body, str) else body
        if len(encoded) > most_bytes:
            raise BodyTooLargeError(
                [Fault(WHOLE_BODY, f"the body is larger than {most_bytes} bytes")]
            )
        text = encoded.decode()
        document = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
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
    return document


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidApplicationError([Fault(repeatable_name(twice), "is given more than once")])
    return document


def _constant(name: str) -> NoReturn:
    _refuse(f"{name} is not JSON")


def _refuse(message: str) -> NoReturn:
    raise InvalidApplicationError([Fault(WHOLE_BODY, message)])


def repeatable_name(name: str) -> str:
    """Return a field's name for an error message; one that is no identifier might hold a value."""
    if len(name) <= LONGEST_NAME_REPEATED and name.isascii() and name.isidentifier():
        return name
    return "(unusual name)"


def _request_schema(product: CreditProduct) -> type[BaseModel]:
    """Return the pydantic model of a request body: every field required, no other allowed."""
    # create_model takes field definitions as keyword arguments that no static type can know.
    fields: dict[str, Any] = {"application_id": _identifier(APPLICATION_ID_PATTERN)}
    fields |= {key.name: _key(key) for key in product.entity_keys}
    fields |= {feature.name: _field(feature) for feature in product.request_features}
    return create_model(
        f"{product.name}_application",
        __config__=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False),
        **fields,
    )


def _key(key: EntityKey) -> Any:
    if key.dtype is KeyType.INTEGER:
        return Annotated[int, Field(ge=0, lt=LARGEST_EXACT_INTEGER)]
    return _identifier(key.pattern)


def _identifier(pattern: str) -> Any:
    return Annotated[str, Field(pattern=rf"^(?:{pattern})$")]


def _field(feature: Feature) -> Any:
    base: Any
    if feature.dtype is DType.CATEGORY:
        base = Literal[feature.categories]
    else:
        number = int if feature.dtype is DType.INTEGER else float
        base = Annotated[number, Field(ge=feature.minimum, le=feature.maximum)]
    description = feature.description + (f" ({feature.unit})" if feature.unit else "")
    return Annotated[base | None if feature.nullable else base, Field(description=description)]
