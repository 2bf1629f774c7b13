"""ONNX models whose answers are known by heart, written by hand and not by a converter."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from credit_core.adapters.onnx_model import INPUT_NAME, OUTPUT_NAME
from tests.builders import PRODUCT


def a_linear_onnx(*, intercept: float = -3.0, **weights: float) -> bytes:
    """Return a model whose log-odds are the intercept plus weighted features; unknown is zero."""
    names = [feature.name for feature in PRODUCT.model_features]
    assert set(weights) <= set(names)
    good_and_bad = np.zeros((len(names), 2), dtype=np.float32)
    for name, weight in weights.items():
        good_and_bad[names.index(name)] = (-weight / 2, weight / 2)
    bias = np.array([-intercept / 2, intercept / 2], dtype=np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("IsNaN", [INPUT_NAME], ["unknown"]),
            helper.make_node("Where", ["unknown", "zero", INPUT_NAME], ["known"]),
            helper.make_node("Gemm", ["known", "weights", "bias"], ["scores"]),
            helper.make_node("Softmax", ["scores"], [OUTPUT_NAME]),
        ],
        "linear",
        [helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, [None, len(names)])],
        [helper.make_tensor_value_info(OUTPUT_NAME, TensorProto.FLOAT, [None, 2])],
        [
            numpy_helper.from_array(good_and_bad, "weights"),
            numpy_helper.from_array(bias, "bias"),
            numpy_helper.from_array(np.zeros(1, dtype=np.float32), "zero"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    body: bytes = model.SerializeToString()
    return body
