"""Exports a fitted pipeline to ONNX: one float32 matrix in, two float32 probabilities out."""

from __future__ import annotations

import copy
import warnings
from typing import TYPE_CHECKING

import numpy as np
from skl2onnx import convert_sklearn, update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.helpers.onnx_helper import select_model_inputs_outputs
from skl2onnx.operator_converters.scaler_op import convert_sklearn_min_max_scaler
from skl2onnx.shape_calculators.scaler import calculate_sklearn_scaler_output_shapes
from sklearn.ensemble import HistGradientBoostingClassifier

from credit_core.adapters.onnx_model import INPUT_NAME, OUTPUT_NAME
from model_build.candidates import WinsorizingScaler

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from sklearn.pipeline import Pipeline

TARGET_OPSET = {"": 21, "ai.onnx.ml": 3}
"""Fixed, so that a newer converter writes the same operators."""

# It differs from its base only in how its range is found.
update_registered_converter(
    WinsorizingScaler,
    "WinsorizingScaler",
    calculate_sklearn_scaler_output_shapes,
    convert_sklearn_min_max_scaler,
)


def to_onnx(pipeline: Pipeline, *, input_count: int) -> bytes:
    """Return the pipeline as ONNX; the same pipeline gives the same bytes.

    Args:
        pipeline: Fitted, as ``model_build.candidates`` makes it; takes a float32 matrix of shape
            (n, input_count).
        input_count: Number of model features G.
    """
    with warnings.catch_warnings():
        # The converter writes Python's False where protobuf wants the number 0.
        warnings.filterwarnings("ignore", message=".*bool", category=DeprecationWarning)
        model = convert_sklearn(
            _with_float32_thresholds(pipeline),
            # Without a name the converter invents a random one.
            name="credit_model",
            initial_types=[(INPUT_NAME, FloatTensorType([None, input_count]))],
            options={"zipmap": False},
            target_opset=TARGET_OPSET,
        )
    # The predicted label is of no use: a policy decides, not a cut-off of one half.
    selected = select_model_inputs_outputs(model, OUTPUT_NAME)
    body: bytes = selected.SerializeToString(deterministic=True)
    return body


def round_down_to_float32(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the largest float32 that is not above each value, as float64, shape as given.

    A float32 x is at or below a threshold exactly when it is at or below this. Rounding to the
    nearest, as the converter does, can lift a threshold onto the next value and send it the
    other way (onnx/sklearn-onnx issue 1192).
    """
    nearest = values.astype(np.float32)
    below = np.nextafter(nearest, np.float32(-np.inf))
    return np.where(nearest > values, below, nearest).astype(np.float64)


def _with_float32_thresholds(pipeline: Pipeline) -> Pipeline:
    """Return a copy that answers the same for every float32 input, with float32 thresholds."""
    duplicate = copy.deepcopy(pipeline)
    for calibrated in duplicate["classify"].calibrated_classifiers_:
        if isinstance(calibrated.estimator, HistGradientBoostingClassifier):
            for (predictor,) in calibrated.estimator._predictors:  # noqa: SLF001 (no public way)
                nodes = predictor.nodes
                nodes["num_threshold"] = round_down_to_float32(nodes["num_threshold"])
    return duplicate
