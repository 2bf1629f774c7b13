"""Gradient-boosted trees by scikit-learn, of one feature each, of two, or of any number.

Interactions and directions are declared per feature but a tree sees columns: the numbers first,
then one per category. A pair of columns belongs to at most two features, so pairwise over columns
is pairwise over features.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from credit_core.domain.product import RiskDirection
from model_build.onnx_export import (
    AT_MOST,
    EQUAL,
    LEAF,
    Node,
    round_down_to_float32,
    trees_to_onnx,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from credit_core.domain.product import CreditProduct
    from model_build.fitted import ScorecardBin
    from model_build.learning import Calibration, Learn, Parameters
    from model_build.loans import LoanSet

MOST_TREES = 300
DIRECTIONS = {RiskDirection.INCREASING: 1, RiskDirection.DECREASING: -1, None: 0}
FEATURES_SHARE = 0.3
"""Each split may choose among this share of the columns, drawn anew: it makes trees differ, which
was worth more on three data sets than averaging several models."""

SEARCHED: tuple[Parameters, ...] = (
    {"leaves": 4, "learning_rate": 0.1, "fewest_loans_per_leaf": 20},
    {"leaves": 4, "learning_rate": 0.05, "fewest_loans_per_leaf": 100},
    {"leaves": 8, "learning_rate": 0.05, "fewest_loans_per_leaf": 50},
)


@dataclass(frozen=True, slots=True)
class Columns:
    """What the trees see: each column is a number, or whether a category has a code.

    ``positions`` are those of the features in the matrix; ``codes`` is None for a number.
    """

    positions: tuple[int, ...]
    codes: tuple[int | None, ...]

    @classmethod
    def of(cls, product: CreditProduct, matrix: NDArray[np.float32]) -> Columns:
        """Return the columns of a product's features, without numbers that are never known.

        Categories are the product's, not those that happen to be in the data; an unknown one has
        no column.
        """
        features = list(enumerate(product.model_features))
        known = ~np.isnan(matrix).all(axis=0)
        places: list[tuple[int, int | None]] = [
            (position, None)
            for position, feature in features
            if not feature.categories and known[position]
        ]
        places += [
            (position, code)
            for position, feature in features
            for code in range(len(feature.categories))
        ]
        return cls(tuple(position for position, _ in places), tuple(code for _, code in places))

    def __call__(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the columns of a matrix, (n, G) to (n, columns)."""
        columns: NDArray[np.float32] = matrix[:, self.positions]
        for place, code in enumerate(self.codes):
            if code is not None:
                columns[:, place] = columns[:, place] == code
        return columns


@dataclass(frozen=True, slots=True)
class BoostedScorer:
    """Boosted trees up to some number of them."""

    columns: Columns
    classifier: HistGradientBoostingClassifier

    @property
    def parameters(self) -> Parameters:
        """How many trees there are."""
        return {"trees": len(self.classifier._predictors)}  # noqa: SLF001 (no public way)

    def score(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the trees' sum in log-odds, (n, G) to (n,)."""
        found: NDArray[np.float64] = self.classifier.decision_function(self.columns(matrix))
        return found

    def to_onnx(self, calibration: Calibration, *, input_count: int) -> bytes:
        """Return the calibrated trees as ONNX."""
        trees = [
            self._tree(predictor.nodes)
            for (predictor,) in self.classifier._predictors  # noqa: SLF001 (no public way)
        ]
        base = float(self.classifier._baseline_prediction.item())  # noqa: SLF001 (no public way)
        return trees_to_onnx(base, trees, calibration, input_count=input_count)

    def points_table(
        self, product: CreditProduct, loans: LoanSet, calibration: Calibration
    ) -> tuple[ScorecardBin, ...]:
        """Return nothing: trees have no points."""
        del product, loans, calibration
        return ()

    def _tree(self, nodes: NDArray[np.void]) -> list[Node]:
        thresholds = round_down_to_float32(nodes["num_threshold"])
        tree = []
        for place, node in enumerate(nodes):
            left, right, column = int(node["left"]), int(node["right"]), int(node["feature_idx"])
            if node["is_leaf"]:
                tree.append(Node(LEAF, value=float(node["value"])))
                continue
            position, code = self.columns.positions[column], self.columns.codes[column]
            if code is None:
                # Unknown goes where it went in training.
                unknown_is_true = bool(node["missing_go_to_left"])
                threshold = float(thresholds[place])
                tree.append(Node(AT_MOST, 0.0, position, threshold, left, right, unknown_is_true))
            else:
                # To the right are those that have the category.
                tree.append(Node(EQUAL, 0.0, position, float(code), right, left))
        return tree


@dataclass(frozen=True, slots=True)
class BoostedTrees:
    """Trees in the order in which they were added."""

    columns: Columns
    classifier: HistGradientBoostingClassifier

    def scores(self, matrix: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
        """Yield the scores after each tree, (n, G) to (n,)."""
        for scores in self.classifier.staged_decision_function(self.columns(matrix)):
            yield scores.ravel()

    def at(self, stage: int) -> BoostedScorer:
        """Return the model after the tree of that place."""
        first = copy.copy(self.classifier)
        first._predictors = first._predictors[: stage + 1]  # noqa: SLF001 (no public way)
        return BoostedScorer(self.columns, first)


def learn_boosting(
    product: CreditProduct,
    matrix: NDArray[np.float32],
    defaulted: NDArray[np.int64],
    parameters: Parameters,
    seed: int,
    *,
    interactions: str | None,
) -> BoostedTrees:
    """Grow trees one on what the others left over."""
    columns = Columns.of(product, matrix)
    classifier = HistGradientBoostingClassifier(
        learning_rate=float(parameters["learning_rate"]),
        max_iter=MOST_TREES,
        max_leaf_nodes=int(parameters["leaves"]),
        min_samples_leaf=int(parameters["fewest_loans_per_leaf"]),
        l2_regularization=10.0,
        max_features=FEATURES_SHARE,
        interaction_cst=interactions,
        monotonic_cst=directions(product, columns),
        early_stopping=False,
        random_state=seed,
    )
    return BoostedTrees(columns, classifier.fit(columns(matrix), defaulted))


def directions(product: CreditProduct, columns: Columns) -> list[int]:
    """Return for each column 1 where the risk must not fall with it, -1 not rise, 0 either."""
    features = product.model_features
    return [
        DIRECTIONS[features[position].risk] if code is None else 0
        for position, code in zip(columns.positions, columns.codes, strict=True)
    ]


learn_additive: Learn = partial(learn_boosting, interactions="no_interactions")
learn_pairwise: Learn = partial(learn_boosting, interactions="pairwise")
learn_unrestricted: Learn = partial(learn_boosting, interactions=None)
