"""An application as a client sends it: strict JSON in, a typed value or a list of faults out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
)

from credit_core.domain.product import LARGEST_EXACT_INTEGER, DType, KeyType
from credit_core.domain.strict_body import MESSAGES, message_of
from credit_core.domain.strict_json import WHOLE_BODY, repeatable_name, strict_json_object
from credit_core.errors import Fault, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

    from credit_core.domain.product import CreditProduct, EntityKey, Feature, Value

APPLICATION_ID_PATTERN = r"[A-Za-z0-9_:-][A-Za-z0-9_.:-]{0,63}"
"""It is part of paths, where a name of dots alone means another place."""
APPLICATION_ID_MEANING = "The client's own id of the application, a new one for each"
WORDS = MESSAGES | {"extra_forbidden": "is not a field of this product"}


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
        document = strict_json_object(body, also=self.faults)
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
        message = message_of(detail, WORDS)
        if detail["type"] == "missing" and name in self._nullable:
            message += "; send null if it is unknown"
        return Fault(repeatable_name(name), message)


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
