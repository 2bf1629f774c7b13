"""Models that lenders bring, measured beside the candidates: XGBoost and a small neural network.

They have interactions of any order, so neither can become champion.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import TensorProto, numpy_helper

from credit_core.errors import ConfigurationError
from model_build.boosting import MOST_TREES, Columns, directions
from model_build.learning import Candidate, CreditModel
from model_build.onnx_export import BELOW, EQUAL, LEAF, Node, add_trees

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from skl2onnx.common._container import ModelComponentContainer
    from skl2onnx.common._topology import Operator, Scope

    from model_build.learning import Parameters

EXTRA = "challengers"
"""The optional extra that installs what they need."""

CUT_SHARE = 0.01
MOST_ROUNDS = 100


@dataclass(kw_only=True, eq=False, repr=False)
class XGBoost(CreditModel):
    """XGBoost's trees, a stage each, in the declared directions.

    Arguments beside those of every model:

    Args:
        depth: Most of a tree.
        learning_rate: What a tree counts.
    """

    depth: int
    learning_rate: float
    stages: int = MOST_TREES

    def learn(self, matrix: NDArray[np.float32], defaulted: NDArray[np.int64]) -> None:
        """Grow the trees."""
        import xgboost  # noqa: PLC0415 (an optional extra)

        self.columns_ = Columns.of(self.features, matrix)
        rate = float(defaulted.mean())
        self.booster_ = xgboost.train(
            {
                "objective": "binary:logistic",
                "base_score": rate,
                "tree_method": "hist",
                "max_depth": self.depth,
                "eta": self.learning_rate,
                "monotone_constraints": tuple(directions(self.features, self.columns_)),
                "seed": self.random_state,
                "nthread": 1,
            },
            xgboost.DMatrix(self.columns_(matrix), label=defaulted),
            num_boost_round=self.stages,
        )
        # In the float32 in which XGBoost keeps it.
        rate = float(np.float32(rate))
        self.base_ = float(np.log(rate / (1 - rate)))

    def staged_scores(self, matrix: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
        """Yield the trees' sum in log-odds after each, (n, G) to (n,)."""
        columns = self.columns_(matrix)
        score = np.full(len(matrix), self.base_)
        for tree in range(self.stages):
            score = score + self._margin(columns, tree, tree + 1) - self.base_
            yield score

    def scores(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the sum of all trees, (n, G) to (n,)."""
        return self._margin(self.columns_(matrix), 0, self.stages)

    @property
    def found(self) -> Parameters:
        """How many trees there are."""
        return {"trees": self.stages}

    def add_log_odds(
        self, scope: Scope, operator: Operator, container: ModelComponentContainer
    ) -> str:
        """Add the trees as XGBoost stores them."""
        stored = json.loads(bytes(self.booster_.save_raw("json")))
        trees = stored["learner"]["gradient_booster"]["model"]["trees"]
        return add_trees(scope, operator, container, self.base_, [self._tree(it) for it in trees])

    def _margin(self, columns: NDArray[np.float32], first: int, end: int) -> NDArray[np.float64]:
        margin: NDArray[np.float32] = self.booster_.inplace_predict(
            columns, iteration_range=(first, end), predict_type="margin"
        )
        return margin.astype(np.float64)

    def _tree(self, tree: dict[str, Any]) -> list[Node]:
        nodes = []
        for left, right, column, condition, unknown_left in zip(
            tree["left_children"],
            tree["right_children"],
            tree["split_indices"],
            tree["split_conditions"],
            tree["default_left"],
            strict=True,
        ):
            if left < 0:
                nodes.append(Node(LEAF, value=condition))
                continue
            position, code = self.columns_.positions[column], self.columns_.codes[column]
            if code is None:
                nodes.append(Node(BELOW, 0.0, position, condition, left, right, bool(unknown_left)))
            else:
                nodes.append(Node(EQUAL, 0.0, position, float(code), right, left))
        return nodes


@dataclass(frozen=True, slots=True)
class Scaling:
    """Cuts each column at its ends, and brings it to mean 0 and deviation 1; unknown becomes 0.

    Beside it stands, for each column of ``gaps``, whether it is unknown. Arrays have shape
    (columns,).
    """

    columns: Columns
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    gaps: tuple[int, ...]

    @classmethod
    def of(cls, columns: Columns, matrix: NDArray[np.float32]) -> Scaling:
        """Return the scaling of a matrix, shape (n, G)."""
        encoded = columns(matrix)
        low, high = np.nanquantile(encoded, [CUT_SHARE, 1 - CUT_SHARE], axis=0)
        # A rare category is as much a category.
        coded = np.array([code is not None for code in columns.codes])
        low, high = np.where(coded, 0.0, low), np.where(coded, 1.0, high)
        cut = np.clip(encoded, low, high)
        deviation = np.nanstd(cut, axis=0)
        return cls(
            columns,
            low.astype(np.float32),
            high.astype(np.float32),
            np.nanmean(cut, axis=0).astype(np.float32),
            np.where(deviation > 0, deviation, 1).astype(np.float32),
            tuple(np.flatnonzero(np.isnan(encoded).any(axis=0)).tolist()),
        )

    def __call__(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return what the network sees, (n, G) to (n, columns + gaps)."""
        encoded = self.columns(matrix).astype(np.float64)
        unknown = np.isnan(encoded)
        scaled = (np.clip(encoded, self.low, self.high) - self.mean) / self.deviation
        return np.hstack([np.where(unknown, 0, scaled), unknown[:, self.gaps]])

    def add_to(self, container: ModelComponentContainer, matrix: str, seen: str) -> None:
        """Add the same as ONNX, from the name of the matrix to that of what the network sees."""
        codes = np.array(
            [np.nan if code is None else code for code in self.columns.codes], dtype=np.float32
        )
        constants: dict[str, NDArray[Any]] = {
            "positions": np.array(self.columns.positions, dtype=np.int64),
            "codes": np.nan_to_num(codes),
            "is_coded": ~np.isnan(codes),
            "gaps": np.array(self.gaps, dtype=np.int64),
            "mean": self.mean,
            "low": self.low,
            "high": self.high,
            "deviation": self.deviation,
            "zero": np.zeros(1, dtype=np.float32),
        }
        for name, value in constants.items():
            container.add_initializer(name, None, None, numpy_helper.from_array(value, name))
        as_float = {"to": TensorProto.FLOAT}
        for kind, taken, left, attributes in (
            ("Gather", [matrix, "positions"], "gathered", {"axis": 1}),
            ("Equal", ["gathered", "codes"], "has_code", {}),
            ("Cast", ["has_code"], "coded", as_float),
            ("Where", ["is_coded", "coded", "gathered"], "encoded", {}),
            ("IsNaN", ["encoded"], "unknown", {}),
            ("Where", ["unknown", "mean", "encoded"], "filled", {}),
            ("Max", ["filled", "low"], "not_low", {}),
            ("Min", ["not_low", "high"], "cut", {}),
            ("Sub", ["cut", "mean"], "centred", {}),
            ("Div", ["centred", "deviation"], "scaled", {}),
            ("Where", ["unknown", "zero", "scaled"], "values", {}),
            ("Gather", ["unknown", "gaps"], "gap", {"axis": 1}),
            ("Cast", ["gap"], "gap_number", as_float),
            ("Concat", ["values", "gap_number"], seen, {"axis": 1}),
        ):
            container.add_node(kind, taken, left, name=left, **attributes)


@dataclass(kw_only=True, eq=False, repr=False)
class NeuralNetwork(CreditModel):
    """scikit-learn's perceptron, learned in one stage.

    Arguments beside those of every model:

    Args:
        neurons: Of its one hidden layer.
        penalty: On half the squared weights, against the mean loss.
    """

    neurons: int
    penalty: float
    stages: int = 1

    def learn(self, matrix: NDArray[np.float32], defaulted: NDArray[np.int64]) -> None:
        """Train the perceptron on scaled columns."""
        from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 (seldom needed)
        from sklearn.neural_network import MLPClassifier  # noqa: PLC0415 (seldom needed)

        self.scaling_ = Scaling.of(Columns.of(self.features, matrix), matrix)
        self.network_ = MLPClassifier(
            hidden_layer_sizes=(self.neurons,),
            # scikit-learn divides it by the number of loans.
            alpha=self.penalty * len(matrix),
            solver="lbfgs",
            max_iter=MOST_ROUNDS,
            random_state=self.random_state,
        )
        with warnings.catch_warnings():
            # The most rounds are as good an end as any.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.network_.fit(self.scaling_(matrix), defaulted)
        # Without its sigmoid it leaves log-odds, which keep their precision.
        self.network_.out_activation_ = "identity"

    def staged_scores(self, matrix: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
        """Yield its scores, of one stage."""
        yield self.scores(matrix)

    def scores(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the log-odds before calibration, (n, G) to (n,)."""
        # There is no public way: the regressor's is this.
        left = self.network_._forward_pass_fast(self.scaling_(matrix))  # noqa: SLF001
        score: NDArray[np.float64] = left[:, 0]
        return score

    @property
    def found(self) -> Parameters:
        """How many rounds it learned for."""
        return {"rounds": int(self.network_.n_iter_)}

    def add_log_odds(
        self, scope: Scope, operator: Operator, container: ModelComponentContainer
    ) -> str:
        """Add the scaling, and the network as skl2onnx itself writes one that has no sigmoid."""
        from skl2onnx.common.data_types import FloatTensorType  # noqa: PLC0415 (only to export)

        calibrated = copy.copy(self.network_)
        *first, last = self.network_.coefs_
        calibrated.coefs_ = [*first, self.slope * last]
        *first, last = self.network_.intercepts_
        calibrated.intercepts_ = [*first, self.slope * last + self.intercept]
        seen = scope.declare_local_variable(
            "seen", FloatTensorType([None, len(calibrated.coefs_[0])])
        )
        log_odds = scope.declare_local_variable("log_odds", FloatTensorType([None, 1]))
        self.scaling_.add_to(container, operator.inputs[0].full_name, seen.full_name)
        layers = scope.declare_local_operator("SklearnMLPRegressor", calibrated)
        layers.inputs.append(seen)
        layers.outputs.append(log_odds)
        name: str = log_odds.full_name
        return name


XGBOOST = Candidate(
    "xgboost",
    pairwise=False,
    searched=(
        {"depth": 3, "learning_rate": 0.1},
        {"depth": 6, "learning_rate": 0.05},
    ),
    estimator=XGBoost,
    packages=("xgboost",),
)

NEURAL_NETWORK = Candidate(
    "neural_network",
    pairwise=False,
    searched=({"neurons": 16, "penalty": 0.03}, {"neurons": 16, "penalty": 0.001}),
    estimator=NeuralNetwork,
)


def require_packages(candidate: Candidate) -> None:
    """Check that what a candidate needs is installed.

    Raises:
        ConfigurationError: A package is not.
    """
    missing = [name for name in candidate.packages if importlib.util.find_spec(name) is None]
    if missing:
        message = (
            f"{candidate.name} needs the package {missing[0]}: install the optional extra {EXTRA}"
        )
        raise ConfigurationError(message)
