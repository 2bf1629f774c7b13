"""Everything that can go wrong, in one tree.

::

    CreditScoringError
    ├── ConfigurationError          the deployment is wrong: a variable, a secret
    ├── InvalidProductError         a product definition contradicts itself
    ├── InvalidRequestError         the client sent something that cannot be read or judged
    │   └── BodyTooLargeError       it is longer than any such request
    ├── ApplicationConflictError    the id was used before, with another body
    ├── ApplicationUnknownError     nothing was decided under this id
    ├── RecordConflictError         a review or an outcome contradicts what is recorded
    ├── StoreUnavailableError       DynamoDB or S3 did not answer in time
    ├── DamagedReceiptError         a stored decision cannot be read
    ├── MalformedFeaturesError      a stored feature row cannot be read
    ├── ModelUnavailableError       there is no champion, or it cannot be loaded
    │   ├── ArtifactIntegrityError  its bytes are not the bytes that were registered
    │   ├── SignatureInvalidError   its manifest is not signed under this service's key
    │   └── GoldenVectorError       it answers otherwise than when it was registered
    ├── ModelOutputError            the model answered something that is no probability
    ├── InvalidFeatureFileError     a lake file does not match the product definition
    ├── InvalidErasureError         nobody can be erased by these keys
    ├── TrainingDataError           the training set cannot support a model
    ├── RetrainingSupersededError   another retraining of the product has taken over
    └── RolloutConflictError        somebody else moved the rollout pointer meanwhile

Names end in ``Error``; messages carry measured values, never an applicant's; HTTP is unknown here.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class CreditScoringError(Exception):
    """Base of every error this service raises on purpose."""


class ConfigurationError(CreditScoringError):
    """The deployment is wrong: a setting is missing or cannot be used."""


class InvalidProductError(CreditScoringError):
    """A product definition contradicts itself; all its faults are listed."""

    def __init__(self, product: str, faults: Sequence[str]) -> None:
        super().__init__(f"product {product!r} has {len(faults)} fault(s): " + "; ".join(faults))
        self.product = product
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a request body: where, and what is expected there."""

    path: str
    message: str


class InvalidRequestError(CreditScoringError):
    """The request cannot be read or judged. Every fault is listed; no value is repeated."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(f"{fault.path}: {fault.message}" for fault in faults))
        self.faults = tuple(faults)


class BodyTooLargeError(InvalidRequestError):
    """The body is longer than anything that could be judged; it was not read."""


class ApplicationConflictError(CreditScoringError):
    """The application id already has a decision, made for a different body."""

    def __init__(self, application_id: str) -> None:
        super().__init__(
            f"application_id {application_id} was decided before with a different body; "
            "send a new application_id"
        )


class ApplicationUnknownError(CreditScoringError):
    """Nothing was decided under this application id."""

    def __init__(self, application_id: str) -> None:
        super().__init__(f"there is no decision under application_id {application_id}")


class RecordConflictError(CreditScoringError):
    """A review or an outcome contradicts what is recorded of its application."""


class StoreUnavailableError(CreditScoringError):
    """A store did not answer, or not completely, within its time."""


class DamagedReceiptError(CreditScoringError):
    """A stored decision cannot be read; nothing is decided in its place."""


class MalformedFeaturesError(CreditScoringError):
    """A stored feature row cannot be read as its view defines it."""

    def __init__(self, view: str, reason: str) -> None:
        super().__init__(f"stored features of {view} cannot be read: {reason}")
        self.view = view


class ModelUnavailableError(CreditScoringError):
    """There is no champion, or it cannot be loaded."""


class ArtifactIntegrityError(ModelUnavailableError):
    """The artifact's bytes are not the bytes that were registered."""

    def __init__(self, key: str, *, expected: str, actual: str) -> None:
        super().__init__(f"{key} has SHA-256 {actual[:12]}…, registered was {expected[:12]}…")


class SignatureInvalidError(ModelUnavailableError):
    """A manifest's signature was not made for it under this service's key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key} is not signed under the signing key of this service")


class GoldenVectorError(ModelUnavailableError):
    """The model answers otherwise than it did when it was registered."""

    def __init__(self, version: str, *, differing: int, of: int, largest: float) -> None:
        super().__init__(
            f"model {version} answers {differing} of {of} golden vectors otherwise than when it "
            f"was registered, by up to {largest:.3g} log-odds"
        )


class ModelOutputError(CreditScoringError):
    """The model answered something that is not a probability."""


class InvalidFeatureFileError(CreditScoringError):
    """A lake file does not match the product definition; nothing of it was written."""


class InvalidErasureError(CreditScoringError):
    """Nobody can be erased by these keys; nothing was done. The message repeats no value."""


class TrainingDataError(CreditScoringError):
    """The training set cannot support a model: too few rows, no defaults, a missing column."""


class RetrainingSupersededError(CreditScoringError):
    """Another retraining of the product holds the lock."""

    def __init__(self, holder: str) -> None:
        super().__init__(
            f"the retraining {holder} has taken over since; redrive that one, or start another"
        )


class RolloutConflictError(CreditScoringError):
    """Somebody else moved the rollout pointer since it was read."""


def loggable(error: Exception) -> str:
    """Return what a log may hold of an error: the message of ours, the place of any other."""
    return str(error) if isinstance(error, CreditScoringError) else fault_location(error)


def fault_location(error: Exception) -> str:
    """Return an error's type and the line that raised it; its message might hold a value."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {PurePath(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"
