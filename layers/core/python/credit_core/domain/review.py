"""A person's review of a decision: what they decided instead of the model, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, create_model

from credit_core.domain.application import APPLICATION_ID_PATTERN, WHOLE_NUMBER
from credit_core.domain.policy_definition import MAXIMUM_REASONS, Outcome
from credit_core.domain.strict_body import NOT_BLANK, StrictBody, read_body
from credit_core.errors import Fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credit_core.domain.product import CreditProduct

LONGEST_REVIEWER = 128
LONGEST_REASON = 2_000
CODES = "adverse_action_codes"


@dataclass(frozen=True, slots=True)
class Review:
    """What a person decided. ``adverse_action_codes`` are the reasons of a decline.

    ``revision`` is that of the decision which the person saw.
    """

    review_id: str
    revision: int
    outcome: Outcome
    reviewer: str
    reason: str
    adverse_action_codes: tuple[str, ...]

    def as_document(self) -> dict[str, object]:
        """Return the review as it was sent."""
        return {
            "review_id": self.review_id,
            "revision": self.revision,
            "outcome": self.outcome,
            "reviewer": self.reviewer,
            "reason": self.reason,
            CODES: list(self.adverse_action_codes),
        }


class ReviewBody(StrictBody):
    """The body of a review; its schema says what ``code_faults`` checks."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"outcome": {"const": Outcome.DECLINE.value}}},
            "then": {"properties": {CODES: {"minItems": 1}}, "required": [CODES]},
            "else": {"properties": {CODES: {"maxItems": 0}}},
        }
    )


class ReviewReader:
    """Reads reviews of one product's decisions; the schema is made once."""

    def __init__(self, product: CreditProduct) -> None:
        self.schema = _schema(adverse_action_codes(product))

    def __call__(self, body: str | bytes | None) -> Review:
        """Return the review in a request body.

        Raises:
            InvalidRequestError: With every fault of the body, each with its path.
        """
        given: dict[str, Any] = read_body(self.schema, body, between=code_faults).__dict__
        return Review(
            given["review_id"],
            given["revision"],
            Outcome(given["outcome"]),
            given["reviewer"],
            given["reason"],
            tuple(given[CODES]),
        )


def adverse_action_codes(product: CreditProduct) -> tuple[str, ...]:
    """Return the codes that a product defines for its features and rules, each once, sorted."""
    features = {feature.adverse_action.code for feature in product.model_features}
    return tuple(sorted(features.union(rule.code for rule in product.policy.rules)))


def code_faults(document: Mapping[str, object]) -> list[Fault]:
    """Return what is wrong with a review's codes in view of its outcome."""
    codes, outcome = document.get(CODES, []), document.get("outcome")
    if not isinstance(codes, list):
        return []
    if outcome == Outcome.DECLINE and not codes:
        return [Fault(CODES, f"must list from 1 to {MAXIMUM_REASONS} for a decline")]
    if outcome == Outcome.APPROVE and codes:
        return [Fault(CODES, "must be left out or empty unless the outcome is decline")]
    few = codes[:MAXIMUM_REASONS]
    if any(code in few[:place] for place, code in enumerate(few)):
        return [Fault(CODES, "must list each code once")]
    return []


def _schema(codes: tuple[str, ...]) -> type[StrictBody]:
    """Return the model of a review; the codes are data, which no static type can know."""
    text = Field(pattern=NOT_BLANK)
    code: Any
    code = Literal[codes]
    fields: dict[str, Any] = {
        "review_id": Annotated[str, Field(pattern=rf"^(?:{APPLICATION_ID_PATTERN})$")],
        "revision": Annotated[
            int,
            Field(ge=1, description="That of the decision which the person saw"),
            WHOLE_NUMBER,
        ],
        "outcome": Literal[Outcome.APPROVE.value, Outcome.DECLINE.value],
        "reviewer": Annotated[str, text, Field(max_length=LONGEST_REVIEWER)],
        "reason": Annotated[str, text, Field(max_length=LONGEST_REASON)],
        CODES: (
            list[code],
            Field(
                default_factory=list,
                max_length=MAXIMUM_REASONS,
                description="The reasons of a decline, each once",
                json_schema_extra={"uniqueItems": True},
            ),
        ),
    }
    return create_model("review", __base__=ReviewBody, **fields)
