"""Directions of risk that follow from declared ones.

Who declares that a higher income lowers the risk has said it of the ratio of debt to income as
well. A model that is free to learn otherwise from the ratio lets a higher income count against
somebody.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.product import RiskDirection

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from credit_core.domain.product import CreditProduct, DerivedFeature
    from model_build.loans import LoanSet

SAMPLED_LOANS = 500
GRID = np.linspace(0, 1, 21)
"""Quantiles between which an input is moved."""


def with_implied_directions(product: CreditProduct, loans: LoanSet) -> CreditProduct:
    """Return the product with a direction for each derived feature to which its inputs give one.

    A derived feature that has none is given the direction that all of its directed inputs imply:
    each of them is moved across its range for some loans, the others standing still. It stays
    without one where they contradict each other, or where it rises for some and falls for others.

    Args:
        product: Whose derived features they are.
        loans: Which values occur.
    """
    rows = loans.matrix[np.linspace(0, len(loans) - 1, SAMPLED_LOANS).astype(int)]
    derived = tuple(
        replace(feature, risk=_implied(product, feature, loans.matrix, rows))
        if feature.risk is None
        else feature
        for feature in product.derived_features
    )
    return replace(product, derived_features=derived)


def _implied(
    product: CreditProduct,
    feature: DerivedFeature,
    matrix: NDArray[np.float32],
    rows: NDArray[np.float32],
) -> RiskDirection | None:
    implied = set()
    for name in feature.inputs:
        position = product.base_positions[name]
        risk = product.base_features[position].risk
        column = matrix[:, position]
        known = column[~np.isnan(column)]
        if risk is None or not known.size:
            continue
        moved = np.repeat(rows, len(GRID), axis=0).astype(np.float64)
        moved[:, position] = np.tile(np.quantile(known, GRID), len(rows))
        inputs = (moved[:, product.base_positions[other]] for other in feature.inputs)
        with np.errstate(all="ignore"):
            derived = feature.function(*inputs)
            steps = np.diff(derived.reshape(len(rows), len(GRID)), axis=1)
        rises, falls = bool((steps > 0).any()), bool((steps < 0).any())
        if rises and falls:
            return None
        if rises or falls:
            implied.add((risk is RiskDirection.INCREASING) == rises)
    if len(implied) != 1:
        return None
    return RiskDirection.INCREASING if implied.pop() else RiskDirection.DECREASING
