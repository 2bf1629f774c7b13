"""Bodies of a fixed form: strict JSON in, a typed value or every fault with its path out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from credit_core.domain.strict_json import (
    WHOLE_BODY,
    no_more_faults,
    repeatable_name,
    strict_json_object,
)
from credit_core.errors import Fault, InvalidRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic_core import ErrorDetails

MESSAGES = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request",
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
    "list_type": "must be a list",
    "string_too_short": "must have at least {min_length} character(s)",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must list at most {max_length}",
    "value_error": "must be a date of the calendar, YYYY-MM-DD",
}
"""Our words for pydantic's error types; they take limits from the definition, never a value."""


NOT_BLANK = r"\S"
"""Pattern of a text that says something."""
WHOLE_TEXT = re.compile(r"\A\^(?:\(\?:(.*)\)|(.*))\$\Z")


def shown_pattern(pattern: str) -> str:
    """Return a pattern as people are shown it: it is of the whole text anyway.

    >>> shown_pattern("^(?:a|b)$"), shown_pattern("^[0-9]{4}$")
    ('a|b', '[0-9]{4}')
    """
    return WHOLE_TEXT.sub(r"\1\2", pattern)


def message_of(detail: ErrorDetails, words: Mapping[str, str] = MESSAGES) -> str:
    """Return what is expected where pydantic found a fault, never what was sent."""
    limits = dict(detail.get("ctx", {}))
    if "pattern" in limits:
        if limits["pattern"] == NOT_BLANK:
            return "must not be blank"
        limits["pattern"] = shown_pattern(limits["pattern"])
    return words.get(detail["type"], "is not valid").format(**limits)


class StrictBody(BaseModel):
    """A body whose fields are stated, of their very type, and no others."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


def read_body[M: StrictBody](
    model: type[M],
    body: str | bytes | None,
    *,
    between: Callable[[Mapping[str, object]], list[Fault]] = no_more_faults,
) -> M:
    """Return a request body as its model.

    Args:
        model: What is expected.
        body: The request body, JSON.
        between: Returns the faults that only several fields together make.

    Raises:
        BodyTooLargeError: It is longer than any request.
        InvalidRequestError: With every fault of the body, each with its path.
    """

    def faults_of(document: Mapping[str, object]) -> list[Fault]:
        found = between(document)
        try:
            model.model_validate(document)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
            found = [_fault(detail) for detail in details] + found
        return found

    document = strict_json_object(body, also=faults_of)
    faults = faults_of(document)
    if faults:
        raise InvalidRequestError(faults)
    return model.model_validate(document)


def _fault(detail: ErrorDetails) -> Fault:
    path = ".".join(
        str(part) if isinstance(part, int) else repeatable_name(part) for part in detail["loc"]
    )
    return Fault(path or WHOLE_BODY, message_of(detail))
