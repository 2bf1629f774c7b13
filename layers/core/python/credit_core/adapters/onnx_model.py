"""Loads an ONNX model from bytes and runs it on one thread.

The contract with ``model_build.onnx_export``: one float32 input ``features`` of shape (n, G), one
float32 output ``probabilities`` of shape (n, 2), good then bad.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
import onnxruntime

from credit_core.errors import ModelOutputError, ModelUnavailableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from credit_core.domain.model_manifest import ModelManifest

INPUT_NAME = "features"
OUTPUT_NAME = "probabilities"
FLOAT32 = "tensor(float)"


class OnnxClassifier:
    """A two-class ONNX model, loaded and run once so that the first request pays for nothing.

    Raises:
        ModelUnavailableError: The bytes are no model, or one with other inputs or outputs.
    """

    def __init__(self, body: bytes, *, input_count: int) -> None:
        options = onnxruntime.SessionOptions()
        # A run of 2G + 2 rows takes a tenth of a millisecond: handing parts of it to other
        # threads costs more than it saves, and a Lambda function has one core or two.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                body, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # noqa: BLE001 (onnxruntime's errors share no other base)
            message = f"the model cannot be loaded: {type(error).__name__}"
            raise ModelUnavailableError(message) from None
        self._check_interface(input_count)
        try:
            self.probabilities(np.zeros((1, input_count), dtype=np.float32))
        except Exception as error:  # noqa: BLE001 (as above)
            message = f"the model loads but does not run: {type(error).__name__}"
            raise ModelUnavailableError(message) from None

    def _check_interface(self, input_count: int) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        found = [(node.name, node.type, len(node.shape), node.shape[-1:]) for node in inputs]
        if found != [(INPUT_NAME, FLOAT32, 2, [input_count])]:
            described = ", ".join(f"{node.name} {node.type} {node.shape}" for node in inputs)
            message = (
                f"the model takes {described}; expected {INPUT_NAME} {FLOAT32} [n, {input_count}]"
            )
            raise ModelUnavailableError(message)
        if [(node.name, node.type) for node in outputs] != [(OUTPUT_NAME, FLOAT32)]:
            described = ", ".join(f"{node.name} {node.type}" for node in outputs)
            message = f"the model answers {described}; expected {OUTPUT_NAME} {FLOAT32}"
            raise ModelUnavailableError(message)

    def probabilities(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities of good and bad, (n, G) to (n, 2), as the model states them."""
        answer: NDArray[np.float32] = self._session.run([OUTPUT_NAME], {INPUT_NAME: matrix})[0]
        return answer

    def log_odds(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the log-odds of default for each row, (n, G) to (n,).

        Both probabilities are used: near 1, what is left of 1 is not in the float32 of the other.

        Raises:
            ModelOutputError: An answer is not a probability strictly between 0 and 1.
        """
        answer = self.probabilities(matrix)
        if answer.shape != (matrix.shape[0], 2):
            raise ModelOutputError(f"the model answered shape {answer.shape}")
        # A NaN fails both comparisons.
        proper = (answer > 0) & (answer < 1)
        if not proper.all():
            broken = int((~proper).any(axis=1).sum())
            raise ModelOutputError(f"{broken} of {len(answer)} answers lie outside 0 to 1")
        logarithms = np.log(answer.astype(np.float64))
        difference: NDArray[np.float64] = logarithms[:, 1] - logarithms[:, 0]
        return difference


class OnnxModel:
    """A registered model, ready to score and to explain."""

    def __init__(
        self, classifier: OnnxClassifier, manifest: ModelManifest, manifest_sha256: str
    ) -> None:
        self.manifest = manifest
        self.manifest_sha256 = manifest_sha256
        self.reference = np.array(manifest.reference, dtype=np.float32)
        self.log_odds = classifier.log_odds

    @classmethod
    def from_bytes(cls, body: bytes, manifest: ModelManifest, *, manifest_sha256: str) -> Self:
        """Load a model whose bytes were verified against its manifest, and that by its hash.

        Raises:
            ModelUnavailableError: The bytes are no model, or one with other inputs or outputs.
        """
        classifier = OnnxClassifier(body, input_count=len(manifest.inputs))
        return cls(classifier, manifest, manifest_sha256)
