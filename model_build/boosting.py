"""Gradient-boosted trees by scikit-learn, of one feature each, of two, or of any number.

Interactions and directions are declared per feature but a tree sees columns: the numbers first,
then one per category. A pair of columns belongs to at most two features, so pairwise over columns
is pairwise over features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from credit_core.domain.product import RiskDirection
from model_build.learning import CreditModel
from model_build.onnx_export import AT_MOST, EQUAL, LEAF, Node, add_trees, round_down_to_float32

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from skl2onnx.common._container import ModelComponentContainer
    from skl2onnx.common._topology import Operator, Scope

    from credit_core.domain.product import Feature
    from model_build.learning import Parameters

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
    def of(cls, features: Sequence[Feature], matrix: NDArray[np.float32]) -> Columns:
        """Return the columns of a product's features, without numbers that are never known.

        Categories are the product's, not those that happen to be in the data; an unknown one has
        no column.
        """
        known = ~np.isnan(matrix).all(axis=0)
        places: list[tuple[int, int | None]] = [
            (position, None)
            for position, feature in enumerate(features)
            if not feature.categories and known[position]
        ]
        places += [
            (position, code)
            for position, feature in enumerate(features)
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


@dataclass(kw_only=True, eq=False, repr=False)
class BoostedTrees(CreditModel):
    """Trees that are each grown on what those before it left over, a stage each.

    Arguments beside those of every model:

    Args:
        interactions: Which columns one tree may have: None for any, else "pairwise" or
            "no_interactions".
        leaves: Most of a tree.
        learning_rate: What a tree counts.
        fewest_loans_per_leaf: In what it learned from.
    """

    interactions: str | None
    leaves: int
    learning_rate: float
    fewest_loans_per_leaf: int
    stages: int = MOST_TREES

    def learn(self, matrix: NDArray[np.float32], defaulted: NDArray[np.int64]) -> None:
        """Grow the trees by scikit-learn."""
        self.columns_ = Columns.of(self.features, matrix)
        self.classifier_ = HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.stages,
            max_leaf_nodes=self.leaves,
            min_samples_leaf=self.fewest_loans_per_leaf,
            l2_regularization=10.0,
            max_features=FEATURES_SHARE,
            interaction_cst=self.interactions,
            monotonic_cst=directions(self.features, self.columns_),
            early_stopping=False,
            random_state=self.random_state,
        ).fit(self.columns_(matrix), defaulted)

    def staged_scores(self, matrix: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
        """Yield the trees' sum in log-odds after each, (n, G) to (n,)."""
        for scores in self.classifier_.staged_decision_function(self.columns_(matrix)):
            yield scores.ravel()

    def scores(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the sum of all trees, (n, G) to (n,)."""
        found: NDArray[np.float64] = self.classifier_.decision_function(self.columns_(matrix))
        return found

    @property
    def found(self) -> Parameters:
        """How many trees there are."""
        return {"trees": self.stages}

    def add_log_odds(
        self, scope: Scope, operator: Operator, container: ModelComponentContainer
    ) -> str:
        """Add the trees as they are."""
        # There is no public way to either.
        base = float(self.classifier_._baseline_prediction.item())  # noqa: SLF001
        grown = self.classifier_._predictors  # noqa: SLF001
        trees = [self._tree(predictor.nodes) for (predictor,) in grown]
        return add_trees(scope, operator, container, base, trees)

    def _tree(self, nodes: NDArray[np.void]) -> list[Node]:
        thresholds = round_down_to_float32(nodes["num_threshold"])
        tree = []
        for place, node in enumerate(nodes):
            left, right, column = int(node["left"]), int(node["right"]), int(node["feature_idx"])
            if node["is_leaf"]:
                tree.append(Node(LEAF, value=float(node["value"])))
                continue
            position, code = self.columns_.positions[column], self.columns_.codes[column]
            if code is None:
                # Unknown goes where it went in training.
                unknown_is_true = bool(node["missing_go_to_left"])
                threshold = float(thresholds[place])
                tree.append(Node(AT_MOST, 0.0, position, threshold, left, right, unknown_is_true))
            else:
                # To the right are those that have the category.
                tree.append(Node(EQUAL, 0.0, position, float(code), right, left))
        return tree


def directions(features: Sequence[Feature], columns: Columns) -> list[int]:
    """Return for each column 1 where the risk must not fall with it, -1 not rise, 0 either."""
    return [
        DIRECTIONS[features[position].risk] if code is None else 0
        for position, code in zip(columns.positions, columns.codes, strict=True)
    ]
