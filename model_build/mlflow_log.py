"""Logs a training run to MLflow, for lenders who keep their experiments there.

The package is optional: it is imported when a tracker is opened.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from credit_core.domain.model_manifest import MEASURES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from credit_core.domain.model_manifest import Evaluation, ModelManifest

TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
EXPERIMENT_VARIABLE = "MLFLOW_EXPERIMENT_NAME"
LONGEST_PARAMETER = 500
"""Characters that every MLflow store takes."""

SETTINGS = {
    # MLflow's own defaults let a person wait for minutes on a server that is not there.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    # Of a lender's training nobody else learns.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Whoever names a folder wants its file store, which MLflow 3 refuses unless told so.
    "MLFLOW_ALLOW_FILE_STORE": "true",
}
"""Of MLflow, where the environment does not say otherwise."""


@dataclass(frozen=True, slots=True)
class Tracker:
    """An experiment that runs are logged to.

    It has the product's name, unless MLflow's own variable names another.
    """

    client: Any
    experiment_id: str

    @classmethod
    def opened(cls, product: str, uri: str) -> Tracker:
        """Find the experiment, or make it: what cannot be reached shows before a model is trained.

        Raises:
            Exception: MLflow's own, of whatever store it is.
        """
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient  # noqa: PLC0415 (an optional package)

        client = MlflowClient(tracking_uri=uri)
        name = os.environ.get(EXPERIMENT_VARIABLE) or product
        found = client.get_experiment_by_name(name)
        return cls(client, found.experiment_id if found else client.create_experiment(name))

    def log(self, manifest: ModelManifest, files: Iterable[Path]) -> dict[str, str]:
        """Log parameters, measures and files as one run, and return its ids.

        Raises:
            Exception: MLflow's own, of whatever store it is.
        """
        run = self.client.create_run(
            self.experiment_id,
            run_name=manifest.version,
            tags={
                "product": manifest.product,
                "version": manifest.version,
                "algorithm": manifest.algorithm,
                "gates_passed": str(manifest.gates_passed).lower(),
                "failed_gates": ", ".join(gate.name for gate in manifest.failed_gates),
                "onnx_sha256": manifest.onnx_sha256,
                "training_set_sha256": str(manifest.training_set.get("sha256")),
                "code_sha256": manifest.code_sha256,
            },
        )
        run_id = run.info.run_id
        ended = "FAILED"
        try:
            for name, parameter in _parameters(manifest):
                self.client.log_param(run_id, name, parameter[:LONGEST_PARAMETER])
            for name, value in _metrics(manifest):
                self.client.log_metric(run_id, name, value)
            for file in files:
                self.client.log_artifact(run_id, str(file))
            ended = "FINISHED"
        finally:
            self.client.set_terminated(run_id, status=ended)
        return {"run_id": run_id, "experiment_id": self.experiment_id}


def _parameters(manifest: ModelManifest) -> Iterator[tuple[str, str]]:
    yield "algorithm", manifest.algorithm
    yield "selection", manifest.selection
    yield "inputs", str(len(manifest.inputs))
    yield "split", manifest.evaluation.split.value
    for name in ("seed", "rows", "rows_trained", "rows_tested"):
        if name in manifest.training_set:
            yield name, str(manifest.training_set[name])
    for name, record in manifest.candidates.items():
        for parameter, value in record.parameters.items():
            yield f"{name}.{parameter}", str(value)


def _metrics(manifest: ModelManifest) -> Iterator[tuple[str, float]]:
    yield from _measures("", manifest.evaluation)
    yield "gates_failed", float(len(manifest.failed_gates))
    for name, record in manifest.candidates.items():
        yield f"{name}.cross_validated_log_loss", record.cross_validated_log_loss
        yield from _measures(f"{name}.", record.evaluation)


def _measures(prefix: str, evaluation: Evaluation) -> Iterator[tuple[str, float]]:
    for measure in MEASURES:
        estimate = getattr(evaluation, measure)
        yield f"{prefix}{measure}", estimate.value
        yield f"{prefix}{measure}_low", estimate.low
        yield f"{prefix}{measure}_high", estimate.high
