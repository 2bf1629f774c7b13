"""What is registered with a model: enough to serve it, explain it and trust it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from credit_core.errors import ArtifactIntegrityError, ModelUnavailableError

if TYPE_CHECKING:
    from credit_core.domain.product import CreditProduct

ROLLOUT_RECORD = "rollout"
"""Sort key of the registry's one item per product that holds the rollout pointer."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,80}$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Estimate(_Record):
    """A measured value with its 95 % confidence interval."""

    value: float
    low: float
    high: float


class Evaluation(_Record):
    """Quality on the out-of-time test set. All values are measured, never assumed."""

    loans: int
    defaults: int
    auc: Estimate
    ks: Estimate
    brier: Estimate
    first_event: str
    last_event: str


class Gate(_Record):
    """One condition a model had to meet, and the evidence."""

    name: str
    passed: bool
    evidence: str


class ModelManifest(_Record):
    """The manifest beside ``model.onnx``.

    ``inputs`` are the model's features in the order of its float32 matrix; ``categories`` gives
    the codes of each category feature by position; ``reference`` is the applicant that reasons
    are measured against, in the same order (null is unknown).
    """

    product: str
    version: Version
    created_at: AwareDatetime
    onnx_sha256: Sha256
    onnx_bytes: int
    algorithm: str
    pairwise: bool
    inputs: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    reference: tuple[float | None, ...]
    evaluation: Evaluation
    candidates: dict[str, Evaluation]
    gates: tuple[Gate, ...]
    training_set: dict[str, str | int]
    libraries: dict[str, str]

    @property
    def gates_passed(self) -> bool:
        """Whether every gate passed; a model without gates did not pass them."""
        return bool(self.gates) and all(gate.passed for gate in self.gates)

    def to_json(self) -> bytes:
        """Return the manifest as it is stored: readable, keys in order of definition."""
        return (json.dumps(self.model_dump(mode="json"), indent=2) + "\n").encode()

    @classmethod
    def from_json(cls, body: bytes) -> ModelManifest:
        """Read a stored manifest.

        Raises:
            ModelUnavailableError: It is not a manifest.
        """
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            message = f"the manifest cannot be read: {error.error_count()} fault(s)"
            raise ModelUnavailableError(message) from None

    def check_serves(self, product: CreditProduct) -> None:
        """Check that the model takes exactly what the product now defines.

        Raises:
            ModelUnavailableError: Features, their order, or their categories differ.
        """
        expected = tuple(feature.name for feature in product.model_features)
        if (
            self.product != product.name
            or self.inputs != expected
            or self.categories != categories_of(product)
            or len(self.reference) != len(expected)
        ):
            message = (
                f"model {self.version} was trained for other inputs than product "
                f"{product.name} now defines; retrain"
            )
            raise ModelUnavailableError(message)


def categories_of(product: CreditProduct) -> dict[str, tuple[str, ...]]:
    """Return the categories of each category feature, by name."""
    return {
        feature.name: feature.categories for feature in product.model_features if feature.categories
    }


def model_key(product: str, version: str) -> str:
    """Key of the ONNX file in the models bucket."""
    return f"{product}/{version}/model.onnx"


def manifest_key(product: str, version: str) -> str:
    """Key of the manifest in the models bucket."""
    return f"{product}/{version}/manifest.json"


def verify_sha256(key: str, body: bytes, expected: str) -> None:
    """Check bytes against their registered SHA-256.

    Raises:
        ArtifactIntegrityError: They differ.
    """
    actual = hashlib.sha256(body).hexdigest()
    if actual != expected:
        raise ArtifactIntegrityError(key, expected=expected, actual=actual)


class RolloutPointer(_Record):
    """Which model answers. One item in the registry table; moving it is the rollout.

    ``revision`` grows by one with each move; a move is conditional on the revision it read.
    ``manifest_sha256`` ties the pointer to the exact manifest, which ties it to the exact model.
    """

    product: str
    champion: Version
    manifest_sha256: Sha256
    revision: int
    moved_at: AwareDatetime
    moved_by: str
    previous_champion: Version | None = None
