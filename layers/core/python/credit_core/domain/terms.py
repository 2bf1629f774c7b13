"""The terms of a decision: all that decides beside the model, as each receipt keeps it.

A product's definition changes with time, and derived features are code. A receipt has to be
recomputed without either, so it holds the model's input as numbers, and these terms.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from credit_core.domain.definitions import AdverseActionReason, DerivedFeature
from credit_core.domain.policy_definition import Policy  # noqa: TC001 (pydantic reads it)
from credit_core.errors import DamagedReceiptError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from credit_core.domain.product import CreditProduct

LARGEST_TERMS_BYTES = 4_000_000
"""Unpacked; those of a product with 1,000 features take a tenth of it."""


@dataclass(frozen=True)
class ModelInput:
    """One of the G inputs of the model; ``derived_from`` names what a derived one is made of."""

    name: str
    description: str
    unit: str | None
    categories: tuple[str, ...]
    adverse_action: AdverseActionReason
    derived_from: tuple[str, ...] = ()

    @cached_property
    def codes(self) -> Mapping[str, float]:
        """Code of each category in the model's input."""
        return {category: float(code) for code, category in enumerate(self.categories)}


@dataclass(frozen=True)
class Terms:
    """The model's inputs in their order, with their reasons, and the policy."""

    product: str
    inputs: tuple[ModelInput, ...]
    policy: Policy

    @classmethod
    def of(cls, product: CreditProduct) -> Terms:
        """Return the terms of a product as it is defined now."""
        return cls(
            product.name,
            tuple(
                ModelInput(
                    feature.name,
                    feature.description,
                    feature.unit,
                    feature.categories,
                    feature.adverse_action,
                    feature.inputs if isinstance(feature, DerivedFeature) else (),
                )
                for feature in product.model_features
            ),
            product.policy,
        )

    @classmethod
    def unpack(cls, packed: bytes) -> Terms:
        """Read what ``pack`` returned.

        Raises:
            DamagedReceiptError: These are no terms.
        """
        try:
            text = zlib.decompressobj().decompress(packed, LARGEST_TERMS_BYTES)
            return TypeAdapter(cls).validate_json(text)
        except (zlib.error, ValidationError) as error:
            raise DamagedReceiptError(
                f"its terms cannot be read ({type(error).__name__})"
            ) from None

    def pack(self) -> bytes:
        """Return the terms as a receipt keeps them: compact JSON, compressed."""
        text = json.dumps(asdict(self), separators=(",", ":"), sort_keys=True)
        return zlib.compress(text.encode(), 9)
