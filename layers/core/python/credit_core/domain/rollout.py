"""Champion and challenger: who answers an applicant, and what is kept of the one who does not.

The applicant decides, not the call: whoever applies again meets the same model as long as the
share stands, and a greater share only adds applicants. Each challenger draws anew, so that it is
not always the same people who are tried on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from credit_core.domain.application_records import compact_json
from credit_core.domain.model_manifest import Role
from credit_core.domain.online_store import keyed_hash
from credit_core.domain.policy_definition import Outcome
from credit_core.errors import DamagedReceiptError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credit_core.domain.application import Application
    from credit_core.domain.product import CreditProduct

DRAW_DIGITS = 13
"""Hexadecimal digits of the hash that make a draw: 52 bits, all of which a double holds."""
DRAWS = 1 << 4 * DRAW_DIGITS


def applicant_draw(
    product: CreditProduct, application: Application, *, challenger: str, secret: bytes
) -> float:
    """Return the applicant's number, uniform in [0, 1): below the share the challenger answers.

    The applicant is the product's first entity, by all of its keys; where a product has none, each
    application is an applicant of its own.

    Args:
        product: What is applied for.
        application: The application.
        challenger: The version of the model that is tried.
        secret: The HMAC key of entity keys; without it nobody can choose an id that is tried on.
    """
    if product.entities:
        entity = product.entities[0]
        applicant = [entity.name, *(str(application.entity_keys[key]) for key in entity.key_names)]
    else:
        applicant = [application.application_id]
    digits = keyed_hash(secret, "rollout", product.name, challenger, *applicant)[:DRAW_DIGITS]
    return int(digits, 16) / DRAWS


@dataclass(frozen=True, slots=True)
class Shadow:
    """What a model said of an applicant that it did not answer.

    ``outcome`` is what rules and cut-offs would have made of it. Where ``fault`` says why it said
    nothing, probability, points and outcome are None.
    """

    role: Role
    version: str
    sha256: str
    manifest_sha256: str
    probability_of_default: float | None = None
    points: float | None = None
    outcome: Outcome | None = None
    fault: str | None = None

    def as_document(self) -> dict[str, object]:
        """Return the shadow as JSON has it."""
        return {
            "role": self.role,
            "version": self.version,
            "sha256": self.sha256,
            "manifest_sha256": self.manifest_sha256,
            "probability_of_default": self.probability_of_default,
            "points": None if self.points is None else round(self.points, 2),
            "outcome": self.outcome,
            "fault": self.fault,
        }

    def as_receipt(self) -> str:
        """Return the text that a receipt keeps."""
        return compact_json(self.as_document())

    @classmethod
    def from_receipt(cls, text: str) -> Shadow:
        """Read what ``as_receipt`` returned.

        Raises:
            DamagedReceiptError: It is no shadow.
        """
        try:
            document: dict[str, Any] = json.loads(text)
            outcome = document["outcome"]
            shadow = cls(
                **document
                | {
                    "role": Role(document["role"]),
                    "outcome": None if outcome is None else Outcome(outcome),
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            message = f"its shadow cannot be read ({type(error).__name__})"
            raise DamagedReceiptError(message) from None
        if not _is_whole(document):
            raise DamagedReceiptError("its shadow cannot be read (a value of another type)")
        return shadow


def _is_whole(document: Mapping[str, Any]) -> bool:
    """Whether each value is of its type; a fault stands for an answer, and beside none."""
    names = ("version", "sha256", "manifest_sha256")
    answer = [document[name] for name in ("probability_of_default", "points", "outcome")]
    if not all(isinstance(document[name], str) for name in names):
        return False
    if document["fault"] is not None:
        return isinstance(document["fault"], str) and answer == [None] * len(answer)
    return [type(value) for value in answer] == [float, float, str]
