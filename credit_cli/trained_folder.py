"""What `credit train` left in a folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from credit_cli.errors import UsageError
from credit_core.domain.model_manifest import (
    MANIFEST,
    MODEL,
    REPORT,
    ModelManifest,
    verify_sha256,
)
from credit_core.errors import CreditScoringError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class TrainedFolder:
    """A model with its manifest and its report, read and checked."""

    manifest: ModelManifest
    onnx: bytes
    report: bytes

    @classmethod
    def read(cls, folder: Path, product: str) -> TrainedFolder:
        """Return what lies in the `--out` of an earlier run.

        Raises:
            UsageError: It is not whole, is of another product, or is not what its manifest says.
        """
        missing = [name for name in (MODEL, MANIFEST, REPORT) if not (folder / name).is_file()]
        if missing:
            hint = "name the --out of a credit train that ended with a model"
            raise UsageError(f"{folder} holds no {missing[0]}", hint=hint)
        onnx = (folder / MODEL).read_bytes()
        try:
            manifest = ModelManifest.from_json((folder / MANIFEST).read_bytes())
            verify_sha256(str(folder / MODEL), onnx, manifest.onnx_sha256)
        except CreditScoringError as error:
            raise UsageError(f"{folder}: {error}") from None
        if manifest.product != product:
            raise UsageError(f"{folder} holds a model of {manifest.product}, not of {product}")
        if not manifest.version.endswith(manifest.onnx_sha256[:12]):
            raise UsageError(
                f"{folder}: version {manifest.version} is not that of its model, whose SHA-256"
                f" begins with {manifest.onnx_sha256[:12]}",
                hint="take the folder as credit train left it",
            )
        return cls(manifest, onnx, (folder / REPORT).read_bytes())
