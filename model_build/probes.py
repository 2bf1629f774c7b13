"""Rows at which an exported model is likeliest to differ from the one that was fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_THRESHOLDS = 300
LEAF = b"LEAF"


def threshold_probes(body: bytes, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows that lie on split thresholds of a model's trees, and just beside them.

    A threshold that was rounded the wrong way sends exactly such rows to the other side, and few
    loans lie there by themselves.

    Args:
        body: The model as ONNX.
        matrix: Rows to move, shape (n, G), n > 0.

    Returns:
        Shape (3 k, G): for each of at most ``MOST_THRESHOLDS`` thresholds, spread over all there
        are, a row with the input at the threshold, at the next float32 below and the next above.
        None for a model without trees.
    """
    thresholds = _thresholds(onnx.load_model_from_string(body))
    if not thresholds:
        return np.empty((0, matrix.shape[1]), dtype=np.float32)
    count = min(MOST_THRESHOLDS, len(thresholds))
    chosen = [thresholds[at] for at in np.linspace(0, len(thresholds) - 1, count).astype(int)]
    rows = np.linspace(0, len(matrix) - 1, count).astype(int)
    probes = np.repeat(matrix[rows], 3, axis=0)
    for place, (position, threshold) in enumerate(chosen):
        at = np.float32(threshold)
        with np.errstate(over="ignore"):
            beside = [np.nextafter(at, np.float32(end)) for end in (-np.inf, np.inf)]
        # The largest number has no finite one above it.
        ends = [value if np.isfinite(value) else at for value in beside]
        probes[3 * place : 3 * place + 3, position] = [at, *ends]
    return probes


def _thresholds(model: onnx.ModelProto) -> list[tuple[int, float]]:
    """Return position and value of each threshold of the model's trees, each once, sorted."""
    found = set()
    for node in model.graph.node:
        attributes = {it.name: it for it in node.attribute}
        if "nodes_featureids" not in attributes:
            continue
        found |= {
            (int(position), float(value))
            for position, value, mode in zip(
                attributes["nodes_featureids"].ints,
                attributes["nodes_values"].floats,
                attributes["nodes_modes"].strings,
                strict=True,
            )
            if mode != LEAF
        }
    return sorted(found)
