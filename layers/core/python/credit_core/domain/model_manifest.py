"""What is registered with a model: enough to serve it, explain it and trust it."""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from credit_core.errors import ArtifactIntegrityError, ModelUnavailableError

if TYPE_CHECKING:
    from credit_core.domain.product import CreditProduct

ROLLOUT_RECORD = "rollout"
"""Sort key of the registry's one item per product that holds the rollout pointer."""

MODEL, MANIFEST, REPORT = "model.onnx", "manifest.json", "report.html"
"""The files of a model, wherever they lie."""

MEASURES = ("auc", "gini", "ks", "brier", "log_loss", "calibration_error", "stability")
"""The estimates of an evaluation, in the order in which people read them."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,80}$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Estimate(_Record):
    """A measured value with its 95 % confidence interval."""

    value: float
    low: float
    high: float


class Split(StrEnum):
    """How the loans were found that measure a model."""

    OUT_OF_TIME = "out_of_time"
    CROSS_VALIDATED = "cross_validated"


class Evaluation(_Record):
    """Quality on loans that the model did not learn from. All values are measured, never assumed.

    ``stability`` is the population stability index of the probability from the loans trained on to
    those tested with. The events are None where the data has no time.
    """

    split: Split
    loans: int
    defaults: int
    auc: Estimate
    gini: Estimate
    ks: Estimate
    brier: Estimate
    log_loss: Estimate
    calibration_error: Estimate
    stability: Estimate
    first_event: str | None
    last_event: str | None


class CandidateRecord(_Record):
    """A model that competed: what it is, how it was set, and how it did.

    ``cross_validated_log_loss`` is the mean over the folds by which one was chosen.
    """

    pairwise: bool
    parameters: dict[str, str | int | float]
    cross_validated_log_loss: float
    evaluation: Evaluation


class Gate(_Record):
    """One condition a model had to meet, and the evidence.

    ``look_at`` tells a person what to look at when it failed; it is empty when it passed.
    """

    name: str
    passed: bool
    evidence: str
    look_at: str = ""


class GoldenVector(_Record):
    """An applicant's model input and what the model answered when it was registered.

    ``model_input`` has G numbers in the order of the inputs, null where unknown.
    """

    model_input: tuple[float | None, ...]
    log_odds: float


class Distribution(_Record):
    """Shares of the loans trained on, per bin of one input or of the probability of default.

    A number's bins are up to and including each of ``edges``, above the last, and unknown: one more
    than edges, plus one. A category's are its codes, and unknown. ``shares`` sum to 1.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]


class ModelManifest(_Record):
    """The manifest beside ``model.onnx``.

    ``inputs`` are the model's features in the order of its float32 matrix; ``categories`` gives
    the codes of each category feature by position; ``reference`` is the applicant that reasons
    are measured against, in the same order (null is unknown). ``baseline`` has the distribution of
    each input by name, ``baseline_probability`` that of the model's own answers.
    """

    product: str
    version: Version
    created_at: AwareDatetime
    onnx_sha256: Sha256
    onnx_bytes: int
    algorithm: str
    pairwise: bool
    parameters: dict[str, str | int | float]
    inputs: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    reference: tuple[float | None, ...]
    golden: tuple[GoldenVector, ...]
    evaluation: Evaluation
    candidates: dict[str, CandidateRecord]
    selection: str
    gates: tuple[Gate, ...]
    baseline: dict[str, Distribution]
    baseline_probability: Distribution
    training_set: dict[str, str | int | None]
    libraries: dict[str, str]
    code_sha256: Sha256

    @property
    def gates_passed(self) -> bool:
        """Whether every gate passed; a model without gates did not pass them."""
        return bool(self.gates) and not self.failed_gates

    @property
    def failed_gates(self) -> tuple[Gate, ...]:
        """The gates that did not pass."""
        return tuple(gate for gate in self.gates if not gate.passed)

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
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "the whole of it"
            others = error.error_count() - 1
            message = f"the manifest cannot be read: {place}: {first['msg']}"
            if others:
                message += f" (and {others} more fault(s))"
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
    return f"{product}/{version}/{MODEL}"


def manifest_key(product: str, version: str) -> str:
    """Key of the manifest in the models bucket."""
    return f"{product}/{version}/{MANIFEST}"


def signature_key(product: str, version: str) -> str:
    """Key of the manifest's signature in the models bucket."""
    return f"{product}/{version}/manifest.sig"


def report_key(product: str, version: str) -> str:
    """Key of the model report in the models bucket."""
    return f"{product}/{version}/{REPORT}"


def verify_sha256(key: str, body: bytes, expected: str) -> None:
    """Check bytes against their registered SHA-256.

    Raises:
        ArtifactIntegrityError: They differ.
    """
    actual = hashlib.sha256(body).hexdigest()
    if actual != expected:
        raise ArtifactIntegrityError(key, expected=expected, actual=actual)


class ModelReference(_Record):
    """A registered model. The hash ties it to the exact manifest, which ties it to the model."""

    version: Version
    manifest_sha256: Sha256


class RolloutMode(StrEnum):
    """What a challenger does: be asked and not heard, or answer a share of the applicants."""

    SHADOW = "shadow"
    LIVE = "live"


class Role(StrEnum):
    """As what a model answered."""

    CHAMPION = "champion"
    CHALLENGER = "challenger"


class Challenger(_Record):
    """The model that is tried beside the champion. ``share`` is of applicants, 0 in shadow."""

    model: ModelReference
    mode: RolloutMode
    share: Annotated[float, Field(ge=0, le=1)] = 0.0


class RolloutPointer(_Record):
    """Which models answer. One item in the registry table; moving it is the rollout.

    ``revision`` grows by one with each move; a move is conditional on the revision it read.
    """

    product: str
    champion: ModelReference
    revision: int
    moved_at: AwareDatetime
    moved_by: str
    challenger: Challenger | None = None
    previous_champion: ModelReference | None = None


def who_answers(pointer: RolloutPointer | None) -> dict[str, Any]:
    """Return the JSON object in which a caller is told which models answer, and who moved them."""
    if pointer is None:
        names = ("champion", "challenger", "mode", "share", "previous_champion")
        return {**dict.fromkeys(names), "revision": 0, "moved_at": None, "moved_by": None}
    challenger, previous = pointer.challenger, pointer.previous_champion
    return {
        "champion": pointer.champion.version,
        "challenger": challenger.model.version if challenger else None,
        "mode": challenger.mode.value if challenger else None,
        "share": challenger.share if challenger else None,
        "previous_champion": previous.version if previous else None,
        "revision": pointer.revision,
        "moved_at": pointer.moved_at.isoformat(),
        "moved_by": pointer.moved_by,
    }
