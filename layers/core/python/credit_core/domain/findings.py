"""What the credit lint says about a product definition that is sound, and may still be unwise."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from credit_core.domain.product import CreditProduct, Feature


class Severity(StrEnum):
    """How much a finding matters: an error must go, a warning needs a reason, a note a look."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to reconsider: where, what, why it matters and what to do about it."""

    severity: Severity
    place: str
    what: str
    why: str
    remedy: str


def placed_features(product: CreditProduct) -> Iterator[tuple[str, Feature]]:
    """Yield each model feature with its place, in model order."""
    for feature in product.request_features:
        yield f"request_features.{feature.name}", feature
    for view in product.feature_views:
        for feature in view.features:
            yield f"feature_views.{view.name}.{feature.name}", feature
    for feature in product.derived_features:
        yield f"derived_features.{feature.name}", feature
