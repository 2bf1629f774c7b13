"""What later applicants and later models are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from credit_core.domain.feature_matrix import UNKNOWN_CATEGORY, with_derived
from credit_core.domain.measures import distribution_of
from credit_core.domain.model_manifest import GoldenVector
from credit_core.domain.policy import probability
from credit_core.errors import ModelOutputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from credit_core.adapters.onnx_model import OnnxClassifier
    from credit_core.domain.model_manifest import Distribution
    from credit_core.domain.product import CreditProduct
    from model_build.loans import LoanSet

MADE_UP = 2_000
SPREAD_VECTORS = 16
VECTORS_PER_CUTOFF = 2


def baselines_of(product: CreditProduct, loans: LoanSet) -> dict[str, Distribution]:
    """Return the distribution of each input over some loans, by name."""
    return {
        feature.name: distribution_of(loans.matrix[:, position], categories=len(feature.categories))
        for position, feature in enumerate(product.model_features)
    }


def reference_applicant(product: CreditProduct, loans: LoanSet) -> NDArray[np.float32]:
    """Return the typical good applicant, model input of shape (G,).

    The median of each number and the most frequent category over the loans that did not default.
    Reasons are measured against this applicant.

    Source: 12 CFR 1002, Supplement I, comment 9(b)(2)-5: how far each factor falls below the
    average of other applicants is an acceptable way to select reasons.
    """
    goods = loans.matrix[loans.defaulted == 0]
    reference = np.empty(goods.shape[1], dtype=np.float32)
    for position, feature in enumerate(product.model_features):
        column = goods[:, position]
        if feature.categories:
            known = column[column != UNKNOWN_CATEGORY].astype(int)
            reference[position] = np.bincount(known).argmax() if known.size else UNKNOWN_CATEGORY
        else:
            known_numbers = column[~np.isnan(column)]
            reference[position] = np.median(known_numbers) if known_numbers.size else np.nan
    return reference


def golden_vectors(
    product: CreditProduct, loans: LoanSet, model: OnnxClassifier, *, seed: int
) -> tuple[GoldenVector, ...]:
    """Return made-up applicants and the model's answers, by which a loaded copy is checked.

    They are nobody: each base feature is that of another loan drawn at random, what is derived
    follows. Chosen are those spread evenly over the answers, from the lowest to the highest, and
    the nearest to each cut-off. None are returned for a model that answers with no probability.
    """
    random = np.random.default_rng(seed)
    base_count = len(product.base_features)
    columns = [random.choice(loans.matrix[:, position], MADE_UP) for position in range(base_count)]
    matrix = with_derived(product, np.column_stack(columns)).astype(np.float32)
    try:
        log_odds = model.log_odds(matrix)
    except ModelOutputError:
        return ()
    order = np.argsort(log_odds, kind="stable")
    chosen = order[np.linspace(0, MADE_UP - 1, SPREAD_VECTORS).astype(int)].tolist()
    answers = np.array([probability(float(value)) for value in log_odds])
    for cutoff in (product.policy.approve_up_to, product.policy.decline_from):
        nearest = np.argsort(np.abs(answers - cutoff), kind="stable")
        chosen += nearest[:VECTORS_PER_CUTOFF].tolist()
    return tuple(
        GoldenVector(model_input=model_input(matrix[position]), log_odds=float(log_odds[position]))
        for position in dict.fromkeys(chosen)
    )


def model_input(row: NDArray[np.float32]) -> tuple[float | None, ...]:
    """Return a row of the matrix as JSON can hold it, shape (G,); unknown is None."""
    return tuple(None if np.isnan(value) else float(value) for value in row)
