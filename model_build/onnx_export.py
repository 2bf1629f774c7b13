"""Writes models as ONNX by skl2onnx: one float32 matrix in, the probabilities of good and bad out.

skl2onnx has no converter for a classifier of ours, so one is registered for each. Trees are written
on the features themselves: a scorecard's bins are trees of one feature each, and a category is
asked for by its code. So nothing is encoded when a model is served, and every candidate but a
network is one operator and a softmax.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, checker, helper

from credit_core.adapters.onnx_model import INPUT_NAME, OUTPUT_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from skl2onnx.common._container import ModelComponentContainer
    from skl2onnx.common._topology import Operator, Scope, Variable
    from sklearn.base import BaseEstimator

    from model_build.learning import CreditModel

TREES_DOMAIN = "ai.onnx.ml"
OPSETS = {"": 21, TREES_DOMAIN: 3}
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


def to_onnx(model: CreditModel) -> bytes:
    """Return a fitted model as ONNX; the same model gives the same bytes."""
    # Takes a second, and only who exports needs it.
    from skl2onnx import convert_sklearn, update_registered_converter  # noqa: PLC0415
    from skl2onnx.common.data_types import FloatTensorType  # noqa: PLC0415

    update_registered_converter(
        type(model), f"Credit{type(model).__name__}", _check_shapes, _convert, parser=_parse
    )
    written = convert_sklearn(
        model,
        name="credit_model",
        initial_types=[(INPUT_NAME, FloatTensorType([None, model.n_features_in_]))],
        target_opset=OPSETS,
    )
    # skl2onnx lowers the versions to what the operators need, and lists them as a set comes.
    del written.opset_import[:]
    written.opset_import.extend(
        helper.make_opsetid(domain, version) for domain, version in OPSETS.items()
    )
    written.ir_version = IR_VERSION
    checker.check_model(written)
    body: bytes = written.SerializeToString(deterministic=True)
    return body


def add_trees(
    scope: Scope,
    operator: Operator,
    container: ModelComponentContainer,
    base: float,
    trees: Sequence[Tree],
) -> str:
    """Add the log-odds of a model whose score is ``base`` and a leaf of each tree.

    Args:
        scope: Gives names.
        operator: The model, with the matrix as input.
        container: What is added to.
        base: Score without trees.
        trees: Nodes of each tree, the root first. Thresholds must be float32 numbers.

    Returns:
        The name of what is added, float32 of shape (n, 1).
    """
    model: CreditModel = operator.raw_operator
    # An ensemble needs a tree, be it one that adds nothing.
    trees = trees or [[Node(LEAF)]]
    nodes = [
        (number, place, node)
        for number, tree in enumerate(trees)
        for place, node in enumerate(tree)
    ]
    leaves = [(number, place, node.value) for number, place, node in nodes if node.mode == LEAF]
    log_odds: str = scope.get_unique_variable_name("log_odds")
    container.add_node(
        "TreeEnsembleRegressor",
        operator.inputs[0].full_name,
        log_odds,
        op_domain=TREES_DOMAIN,
        name=scope.get_unique_operator_name("trees"),
        n_targets=1,
        base_values=[model.slope * base + model.intercept],
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
        target_weights=[model.slope * value for _, _, value in leaves],
    )
    return log_odds


def round_down_to_float32(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest float32 that is not above each value, as float64, shape as given.

    A float32 x is at or below a threshold exactly when it is at or below this. Rounding to the
    nearest can lift a threshold onto the next value and send it the other way
    (onnx/sklearn-onnx issue 1192).
    """
    nearest = values.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest > values, below, nearest).astype(np.float64)


def _parse(
    scope: Scope,
    model: BaseEstimator,
    inputs: list[Variable],
    custom_parsers: None = None,
) -> list[Variable]:
    """Declare the probabilities alone: nobody asks for the label that scikit-learn adds."""
    from skl2onnx import get_model_alias  # noqa: PLC0415 (as above)
    from skl2onnx.common.data_types import FloatTensorType  # noqa: PLC0415 (as above)

    del custom_parsers
    operator = scope.declare_local_operator(get_model_alias(type(model)), model)
    operator.inputs = inputs
    operator.outputs.append(scope.declare_local_variable(OUTPUT_NAME, FloatTensorType([None, 2])))
    outputs: list[Variable] = operator.outputs
    return outputs


def _check_shapes(operator: Operator) -> None:
    """Leave the shapes as they were declared."""


def _convert(scope: Scope, operator: Operator, container: ModelComponentContainer) -> None:
    """Write a model's log-odds, and the probabilities of them.

    A softmax of minus and plus half the log-odds keeps the precision of both probabilities; the
    sigmoid of ONNX Runtime loses it where one is small.
    """
    log_odds = operator.raw_operator.add_log_odds(scope, operator, container)
    halves, logits = (scope.get_unique_variable_name(name) for name in ("halves", "logits"))
    container.add_initializer(halves, TensorProto.FLOAT, [1, 2], [-0.5, 0.5])
    container.add_node("Mul", [log_odds, halves], logits, name=halves)
    container.add_node("Softmax", logits, operator.outputs[0].full_name, name=logits, axis=1)
