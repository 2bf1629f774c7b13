"""Writes models as ONNX: one float32 matrix in, the probabilities of good and bad out.

Trees are written on the features themselves: a scorecard's bins are trees of one feature each, and
a category is asked for by its code. So nothing is encoded when a model is served, and every
candidate but a network is one operator and a softmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from credit_core.adapters.onnx_model import INPUT_NAME, OUTPUT_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from onnx import NodeProto

    from model_build.learning import Calibration

OPSETS = (helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3))
IR_VERSION = 10
"""Fixed, so that a newer library writes the same operators."""

AT_MOST = "BRANCH_LEQ"
BELOW = "BRANCH_LT"
EQUAL = "BRANCH_EQ"
LEAF = "LEAF"


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a tree.

    A branch asks whether an input compares with ``threshold`` as ``mode`` says, and goes on at
    ``if_true`` or ``if_false``, places within the tree. What is unknown is NaN and goes on at
    ``if_true`` where ``unknown_is_true``. A leaf adds ``value``.
    """

    mode: str
    value: float = 0.0
    position: int = 0
    threshold: float = 0.0
    if_true: int = 0
    if_false: int = 0
    unknown_is_true: bool = False


type Tree = Sequence[Node]


def trees_to_onnx(
    base: float, trees: Sequence[Tree], calibration: Calibration, *, input_count: int
) -> bytes:
    """Return as ONNX the model whose score is ``base`` and a leaf of each tree.

    Args:
        base: Score without trees.
        trees: Nodes of each tree, the root first. Thresholds must be float32 numbers.
        calibration: From score to log-odds.
        input_count: Number of model features G.
    """
    # An ensemble needs a tree, be it one that adds nothing.
    trees = trees or [[Node(LEAF)]]
    nodes = [
        (number, place, node)
        for number, tree in enumerate(trees)
        for place, node in enumerate(tree)
    ]
    leaves = [(number, place, node.value) for number, place, node in nodes if node.mode == LEAF]
    ensemble = helper.make_node(
        "TreeEnsembleRegressor",
        [INPUT_NAME],
        ["log_odds"],
        domain="ai.onnx.ml",
        n_targets=1,
        base_values=[calibration.slope * base + calibration.intercept],
        nodes_treeids=[number for number, _, _ in nodes],
        nodes_nodeids=[place for _, place, _ in nodes],
        nodes_modes=[node.mode for _, _, node in nodes],
        nodes_featureids=[node.position for _, _, node in nodes],
        nodes_values=[node.threshold for _, _, node in nodes],
        nodes_truenodeids=[node.if_true for _, _, node in nodes],
        nodes_falsenodeids=[node.if_false for _, _, node in nodes],
        nodes_missing_value_tracks_true=[int(node.unknown_is_true) for _, _, node in nodes],
        target_treeids=[number for number, _, _ in leaves],
        target_nodeids=[place for _, place, _ in leaves],
        target_ids=[0] * len(leaves),
        target_weights=[calibration.slope * value for _, _, value in leaves],
    )
    return with_probabilities([ensemble], {}, input_count=input_count)


def with_probabilities(
    nodes: Sequence[NodeProto],
    constants: dict[str, NDArray[np.float32]],
    *,
    input_count: int,
) -> bytes:
    """Return the ONNX model of nodes that leave ``log_odds``, float32 of shape (n, 1).

    A softmax of minus and plus half the log-odds keeps the precision of both probabilities; the
    sigmoid of ONNX Runtime loses it where one is small.
    """
    halves = np.array([[-0.5, 0.5]], dtype=np.float32)
    graph = helper.make_graph(
        [
            *nodes,
            helper.make_node("Mul", ["log_odds", "halves"], ["logits"]),
            helper.make_node("Softmax", ["logits"], [OUTPUT_NAME], axis=1),
        ],
        "credit_model",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, [None, input_count])],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, [None, 2])],
        [
            numpy_helper.from_array(value, name)
            for name, value in {**constants, "halves": halves}.items()
        ],
    )
    model = helper.make_model(
        graph, opset_imports=OPSETS, ir_version=IR_VERSION, producer_name="model_build"
    )
    checker.check_model(model)
    body: bytes = model.SerializeToString(deterministic=True)
    return body


def round_down_to_float32(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest float32 that is not above each value, as float64, shape as given.

    A float32 x is at or below a threshold exactly when it is at or below this. Rounding to the
    nearest can lift a threshold onto the next value and send it the other way
    (onnx/sklearn-onnx issue 1192).
    """
    nearest = values.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest > values, below, nearest).astype(np.float64)
