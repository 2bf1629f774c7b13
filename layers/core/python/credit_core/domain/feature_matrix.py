"""From values, as sent or stored, to the float32 matrix that the model sees.

Training and scoring both call ``feature_matrix``; there is no second way to build model input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from credit_core.domain.product import CreditProduct, Feature

UNKNOWN_CATEGORY = -1.0
"""Code of a missing category: the encoder gives it no column at all."""


def encode(feature: Feature, values: Sequence[object]) -> Sequence[object]:
    """Return the n values of one feature as numpy takes them for numbers.

    A category becomes its position in ``feature.categories``; a missing or undeclared one
    becomes ``UNKNOWN_CATEGORY``. A missing number is None, which becomes NaN.
    """
    if not feature.categories:
        return values
    codes = feature.codes
    return [codes.get(value, UNKNOWN_CATEGORY) for value in values]


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
    encoded = [encode(feature, columns[feature.name]) for feature in product.base_features]
    base = np.array(encoded, np.float64)
    return with_derived(product, base.T)


def with_derived(product: CreditProduct, base: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return encoded base features with the derived ones, (n, B) to (n, G)."""
    positions = product.base_positions
    count = len(positions)
    matrix = np.empty((len(base), count + len(product.derived_features)))
    matrix[:, :count] = base
    for index, feature in enumerate(product.derived_features, count):
        inputs = (matrix[:, positions[name]] for name in feature.inputs)
        matrix[:, index] = feature.function(*inputs)
    return matrix
