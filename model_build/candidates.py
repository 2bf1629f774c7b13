"""The models that compete, each a scikit-learn pipeline from one float32 matrix to probabilities.

Every pipeline ends in one sigmoid calibration (Platt), fitted on predictions for rows that the
classifier had not seen. One sigmoid changes log-odds linearly, so a model that is pairwise before
it is pairwise after it; the average of several would not be.

Interactions and directions are declared per feature but the classifier sees encoded columns, the
numbers first and then a column per category. A pair of columns belongs to at most two features,
so pairwise over columns is pairwise over features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder

from credit_core.domain.product import RiskDirection

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from credit_core.domain.product import CreditProduct

CALIBRATION_FOLDS = 3
WINSORIZED_SHARE = 0.01
DIRECTIONS = {RiskDirection.INCREASING: 1, RiskDirection.DECREASING: -1, None: 0}


@dataclass(frozen=True)
class Candidate:
    """A way to train a model.

    ``fit`` takes the product, the matrix (n, G), outcomes (n,) and a seed. ``pairwise`` states
    that the model has no interaction of three features, so its reasons are exact; only such a
    model may become champion.
    """

    name: str
    pairwise: bool
    fit: Callable[[CreditProduct, NDArray[np.float32], NDArray[np.int64], int], Pipeline]


class WinsorizingScaler(MinMaxScaler):  # type: ignore[misc]  # scikit-learn is untyped
    """Cuts each column at its 1st and 99th percentile and maps what remains to 0 up to 1.

    A linear model on raw incomes would let one extreme applicant outweigh everything else.
    """

    def __init__(self) -> None:
        super().__init__(clip=True)

    def fit(self, X: NDArray[np.float32], y: object = None) -> Self:  # noqa: N803 (its base's names)
        """Take the percentiles as the ends of each column's range."""
        ends = np.quantile(X, [WINSORIZED_SHARE, 1 - WINSORIZED_SHARE], axis=0).astype(X.dtype)
        super().fit(ends, y)
        return self


def fit_logistic(
    product: CreditProduct, matrix: NDArray[np.float32], defaulted: NDArray[np.int64], seed: int
) -> Pipeline:
    """Fit a logistic regression in which no declared direction of risk is contradicted.

    Correlated features can push a coefficient to the wrong side of zero, and a reason drawn from
    it would be absurd ("too few inquiries"). Such features are left out, and the rest is fitted
    again.
    """
    numeric, category = _positions(product, matrix)
    while True:
        encoder = _encoder(
            product,
            numeric,
            category,
            Pipeline(
                [("impute", SimpleImputer(strategy="median")), ("scale", WinsorizingScaler())]
            ),
        )
        model = LogisticRegression(C=0.3, max_iter=2_000)
        model.fit(encoder.fit_transform(matrix), defaulted)
        directions = _directions(product, numeric)
        contradicted = model.coef_[0][: len(numeric)] * directions < 0
        if not contradicted.any():
            return _calibrated(encoder, model, seed).fit(matrix, defaulted)
        numeric = [
            position for position, drop in zip(numeric, contradicted, strict=True) if not drop
        ]


def fit_additive(
    product: CreditProduct, matrix: NDArray[np.float32], defaulted: NDArray[np.int64], seed: int
) -> Pipeline:
    """Fit boosted trees in which each tree sees one feature."""
    return _fit_boosting(product, matrix, defaulted, seed, interactions="no_interactions")


def fit_pairwise(
    product: CreditProduct, matrix: NDArray[np.float32], defaulted: NDArray[np.int64], seed: int
) -> Pipeline:
    """Fit boosted trees in which each tree sees at most two features."""
    return _fit_boosting(product, matrix, defaulted, seed, interactions="pairwise")


def fit_unrestricted(
    product: CreditProduct, matrix: NDArray[np.float32], defaulted: NDArray[np.int64], seed: int
) -> Pipeline:
    """Fit boosted trees with interactions of any order."""
    return _fit_boosting(product, matrix, defaulted, seed, interactions=None)


CANDIDATES: tuple[Candidate, ...] = (
    Candidate("logistic", pairwise=True, fit=fit_logistic),
    Candidate("additive", pairwise=True, fit=fit_additive),
    Candidate("pairwise", pairwise=True, fit=fit_pairwise),
    Candidate("unrestricted", pairwise=False, fit=fit_unrestricted),
)
"""From the simplest to the ceiling that shows what the limit to pairs costs."""


def _fit_boosting(
    product: CreditProduct,
    matrix: NDArray[np.float32],
    defaulted: NDArray[np.int64],
    seed: int,
    *,
    interactions: str | None,
) -> Pipeline:
    numeric, category = _positions(product, matrix)
    encoder = _encoder(product, numeric, category, "passthrough")
    columns = encoder.fit_transform(matrix[:1]).shape[1]
    directions = np.zeros(columns, dtype=int)
    directions[: len(numeric)] = _directions(product, numeric)
    # Strong regularization: a few hundred defaults support no finer structure.
    model = HistGradientBoostingClassifier(
        learning_rate=0.03,
        max_iter=120,
        max_leaf_nodes=8,
        min_samples_leaf=100,
        l2_regularization=10.0,
        interaction_cst=interactions,
        monotonic_cst=directions,
        early_stopping=False,
        random_state=seed,
    )
    return _calibrated(encoder, model, seed).fit(matrix, defaulted)


def _positions(product: CreditProduct, matrix: NDArray[np.float32]) -> tuple[list[int], list[int]]:
    """Return the matrix columns of numbers and of categories.

    A number that is never known is left out: there is nothing to impute it with or to split at.
    """
    features = product.model_features
    known = ~np.isnan(matrix).all(axis=0)
    numeric = [
        position
        for position, feature in enumerate(features)
        if not feature.categories and known[position]
    ]
    category = [position for position, feature in enumerate(features) if feature.categories]
    return numeric, category


def _directions(product: CreditProduct, positions: Sequence[int]) -> NDArray[np.int64]:
    features = product.model_features
    return np.array([DIRECTIONS[features[position].risk] for position in positions], dtype=int)


def _encoder(
    product: CreditProduct,
    numeric: Sequence[int],
    category: Sequence[int],
    numeric_step: Any,
) -> ColumnTransformer:
    """Return the step from codes to columns: numbers first, then one column per category.

    Categories are the product's, not those that happen to be in the data; an unknown one
    (``UNKNOWN_CATEGORY``) gets no column.
    """
    steps: list[tuple[str, Any, list[int]]] = []
    if numeric:
        steps.append(("numbers", numeric_step, list(numeric)))
    if category:
        codes = [
            np.arange(len(product.model_features[position].categories), dtype=np.float32)
            for position in category
        ]
        one_hot = OneHotEncoder(
            categories=codes, handle_unknown="ignore", sparse_output=False, dtype=np.float32
        )
        steps.append(("categories", one_hot, list(category)))
    return ColumnTransformer(steps, sparse_threshold=0)


def _calibrated(encoder: ColumnTransformer, model: Any, seed: int) -> Pipeline:
    folds = StratifiedKFold(CALIBRATION_FOLDS, shuffle=True, random_state=seed)
    calibrated = CalibratedClassifierCV(model, method="sigmoid", cv=folds, ensemble=False)
    return Pipeline([("encode", encoder), ("classify", calibrated)])
