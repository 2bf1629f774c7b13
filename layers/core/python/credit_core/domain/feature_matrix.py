"""From values, as sent or stored, to the float32 matrix that the model sees.

Training and scoring both call ``feature_matrix``; there is no second way to build model input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.product import DType

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from credit_core.domain.product import CreditProduct, Feature

UNKNOWN_CATEGORY = -1.0
"""Code of a missing category: the encoder gives it no column at all."""


def encode(feature: Feature, values: Sequence[object]) -> NDArray[np.float64]:
    """Return the values of one feature as numbers, shape (n,).

    A category becomes its position in ``feature.categories``; a missing or undeclared one
    becomes ``UNKNOWN_CATEGORY``. A missing number becomes NaN.
    """
    if feature.dtype is DType.CATEGORY:
        codes = {category: float(code) for code, category in enumerate(feature.categories)}
        return np.array([codes.get(value, UNKNOWN_CATEGORY) for value in values])  # type: ignore[call-overload]
    return np.array(values, dtype=np.float64)


def feature_matrix(
    product: CreditProduct, columns: Mapping[str, Sequence[object]]
) -> NDArray[np.float32]:
    """Return the model input, shape (n, G), columns in the order of ``model_features``."""
    return exact_matrix(product, columns).astype(np.float32)


def exact_matrix(
    product: CreditProduct, columns: Mapping[str, Sequence[object]]
) -> NDArray[np.float64]:
    """Return the model input before its cast, on which a policy's rules are checked; (n, G).

    Args:
        product: The product whose features these are.
        columns: For each of ``product.base_features``, n values; None is unknown.

    Raises:
        KeyError: A base feature has no column.
    """
    base = np.column_stack(
        [encode(feature, columns[feature.name]) for feature in product.base_features]
    )
    return with_derived(product, base)


def with_derived(product: CreditProduct, base: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return encoded base features with the derived ones, (n, B) to (n, G)."""
    positions = {feature.name: index for index, feature in enumerate(product.base_features)}
    wide = base.astype(np.float64)
    derived = [
        feature.function(*(wide[:, positions[name]] for name in feature.inputs))
        for feature in product.derived_features
    ]
    return np.column_stack([wide, *derived])
