"""Models that lenders bring, measured beside the candidates: XGBoost and a small neural network.

They have interactions of any order, so neither can become champion.
"""

from __future__ import annotations

import importlib.util
import json
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper

from credit_core.adapters.onnx_model import INPUT_NAME
from credit_core.errors import ConfigurationError
from model_build.boosting import MOST_TREES, Columns, directions
from model_build.learning import Candidate
from model_build.onnx_export import BELOW, EQUAL, LEAF, Node, trees_to_onnx, with_probabilities

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from onnx import NodeProto

    from credit_core.domain.product import CreditProduct
    from model_build.fitted import ScorecardBin
    from model_build.learning import Calibration, Parameters
    from model_build.loans import LoanSet

EXTRA = "challengers"
"""The optional extra that installs what they need."""

CUT_SHARE = 0.01
MOST_ROUNDS = 100


@dataclass(frozen=True, slots=True)
class XGBoostTrees:
    """XGBoost's trees in the order in which they were added; ``base`` is the score without any."""

    columns: Columns
    booster: Any
    base: float
    count: int

    @property
    def parameters(self) -> Parameters:
        """How many trees there are."""
        return {"trees": self.count}

    def scores(self, matrix: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
        """Yield the scores after each tree, (n, G) to (n,)."""
        columns = self.columns(matrix)
        score = np.full(len(matrix), self.base)
        for tree in range(self.count):
            score = score + self._margin(columns, tree, tree + 1) - self.base
            yield score

    def at(self, stage: int) -> XGBoostTrees:
        """Return the model after the tree of that place."""
        return XGBoostTrees(self.columns, self.booster, self.base, stage + 1)

    def score(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the trees' sum in log-odds, (n, G) to (n,)."""
        return self._margin(self.columns(matrix), 0, self.count)

    def to_onnx(self, calibration: Calibration, *, input_count: int) -> bytes:
        """Return the calibrated trees as ONNX."""
        stored = json.loads(bytes(self.booster.save_raw("json")))
        trees = stored["learner"]["gradient_booster"]["model"]["trees"][: self.count]
        return trees_to_onnx(
            self.base, [self._tree(tree) for tree in trees], calibration, input_count=input_count
        )

    def points_table(
        self, product: CreditProduct, loans: LoanSet, calibration: Calibration
    ) -> tuple[ScorecardBin, ...]:
        """Return nothing: trees have no points."""
        del product, loans, calibration
        return ()

    def _margin(self, columns: NDArray[np.float32], first: int, end: int) -> NDArray[np.float64]:
        margin: NDArray[np.float32] = self.booster.inplace_predict(
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
            position, code = self.columns.positions[column], self.columns.codes[column]
            if code is None:
                nodes.append(Node(BELOW, 0.0, position, condition, left, right, bool(unknown_left)))
            else:
                nodes.append(Node(EQUAL, 0.0, position, float(code), right, left))
        return nodes


def learn_xgboost(
    product: CreditProduct,
    matrix: NDArray[np.float32],
    defaulted: NDArray[np.int64],
    parameters: Parameters,
    seed: int,
) -> XGBoostTrees:
    """Grow XGBoost's trees, in the declared directions."""
    import xgboost  # noqa: PLC0415 (an optional extra)

    columns = Columns.of(product, matrix)
    rate = float(defaulted.mean())
    booster = xgboost.train(
        {
            "objective": "binary:logistic",
            "base_score": rate,
            "tree_method": "hist",
            "max_depth": parameters["depth"],
            "eta": parameters["learning_rate"],
            "monotone_constraints": tuple(directions(product, columns)),
            "seed": seed,
            "nthread": 1,
        },
        xgboost.DMatrix(columns(matrix), label=defaulted),
        num_boost_round=MOST_TREES,
    )
    # In the float32 in which XGBoost keeps it.
    rate = float(np.float32(rate))
    return XGBoostTrees(columns, booster, float(np.log(rate / (1 - rate))), MOST_TREES)


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

    def to_onnx(self) -> tuple[list[NodeProto], dict[str, NDArray[Any]]]:
        """Return the same as ONNX, leaving ``seen``."""
        codes = np.array(
            [np.nan if code is None else code for code in self.columns.codes], dtype=np.float32
        )
        nodes = [
            helper.make_node("Gather", [INPUT_NAME, "positions"], ["gathered"], axis=1),
            helper.make_node("Equal", ["gathered", "codes"], ["has_code"]),
            helper.make_node("Cast", ["has_code"], ["coded"], to=1),
            helper.make_node("Where", ["is_coded", "coded", "gathered"], ["encoded"]),
            helper.make_node("IsNaN", ["encoded"], ["unknown"]),
            helper.make_node("Where", ["unknown", "mean", "encoded"], ["filled"]),
            helper.make_node("Max", ["filled", "low"], ["not_low"]),
            helper.make_node("Min", ["not_low", "high"], ["cut"]),
            helper.make_node("Sub", ["cut", "mean"], ["centred"]),
            helper.make_node("Div", ["centred", "deviation"], ["scaled"]),
            helper.make_node("Where", ["unknown", "zero", "scaled"], ["values"]),
            helper.make_node("Gather", ["unknown", "gaps"], ["gap"], axis=1),
            helper.make_node("Cast", ["gap"], ["gap_number"], to=1),
            helper.make_node("Concat", ["values", "gap_number"], ["seen"], axis=1),
        ]
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
        return nodes, constants


@dataclass(frozen=True, slots=True)
class Network:
    """Layers of a network, each with weights (inputs, outputs) and shifts (outputs,)."""

    scaling: Scaling
    layers: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]
    rounds: int

    @property
    def parameters(self) -> Parameters:
        """How many rounds it learned for."""
        return {"rounds": self.rounds}

    def scores(self, matrix: NDArray[np.float32]) -> Iterator[NDArray[np.float64]]:
        """Yield its scores, of one stage."""
        yield self.score(matrix)

    def at(self, stage: int) -> Network:
        """Return it as it is."""
        del stage
        return self

    def score(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the log-odds before calibration, (n, G) to (n,)."""
        found = self.scaling(matrix)
        for place, (weights, shifts) in enumerate(self.layers):
            found = found @ weights + shifts
            if place < len(self.layers) - 1:
                found = np.maximum(found, 0)
        score: NDArray[np.float64] = found[:, 0]
        return score

    def to_onnx(self, calibration: Calibration, *, input_count: int) -> bytes:
        """Return the calibrated network as ONNX."""
        nodes, constants = self.scaling.to_onnx()
        before = "seen"
        for place, (weights, shifts) in enumerate(self.layers):
            last = place == len(self.layers) - 1
            if last:
                weights = calibration.slope * weights  # noqa: PLW2901 (the same, calibrated)
                shifts = calibration.slope * shifts + calibration.intercept  # noqa: PLW2901
            constants[f"weights_{place}"] = weights.astype(np.float32)
            constants[f"shifts_{place}"] = shifts.astype(np.float32)
            after = "log_odds" if last else f"sum_{place}"
            nodes.append(
                helper.make_node("Gemm", [before, f"weights_{place}", f"shifts_{place}"], [after])
            )
            if not last:
                before = f"layer_{place}"
                nodes.append(helper.make_node("Relu", [after], [before]))
        return with_probabilities(nodes, constants, input_count=input_count)

    def points_table(
        self, product: CreditProduct, loans: LoanSet, calibration: Calibration
    ) -> tuple[ScorecardBin, ...]:
        """Return nothing: a network has no points."""
        del product, loans, calibration
        return ()


def learn_network(
    product: CreditProduct,
    matrix: NDArray[np.float32],
    defaulted: NDArray[np.int64],
    parameters: Parameters,
    seed: int,
) -> Network:
    """Train scikit-learn's perceptron."""
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415 (seldom needed)
    from sklearn.neural_network import MLPClassifier  # noqa: PLC0415 (seldom needed)

    scaling = Scaling.of(Columns.of(product, matrix), matrix)
    network = MLPClassifier(
        hidden_layer_sizes=(int(parameters["neurons"]),),
        # scikit-learn divides it by the number of loans.
        alpha=float(parameters["penalty"]) * len(matrix),
        solver="lbfgs",
        max_iter=MOST_ROUNDS,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # The most rounds are as good an end as any.
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(scaling(matrix), defaulted)
    layers = tuple(zip(network.coefs_, network.intercepts_, strict=True))
    return Network(scaling, layers, int(network.n_iter_))


XGBOOST = Candidate(
    "xgboost",
    pairwise=False,
    searched=(
        {"depth": 3, "learning_rate": 0.1},
        {"depth": 6, "learning_rate": 0.05},
    ),
    learn=learn_xgboost,
    packages=("xgboost",),
)

NEURAL_NETWORK = Candidate(
    "neural_network",
    pairwise=False,
    searched=({"neurons": 16, "penalty": 0.03}, {"neurons": 16, "penalty": 0.001}),
    learn=learn_network,
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
