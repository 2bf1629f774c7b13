"""How errors look over HTTP: RFC 9457 problem details, one table, no values of an applicant."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus

from credit_core.errors import (
    ApplicationConflictError,
    ApplicationUnknownError,
    ArtifactIntegrityError,
    BodyTooLargeError,
    ConfigurationError,
    CreditScoringError,
    DamagedReceiptError,
    GoldenVectorError,
    InvalidErasureError,
    InvalidFeatureFileError,
    InvalidProductError,
    InvalidRequestError,
    MalformedFeaturesError,
    ModelOutputError,
    ModelUnavailableError,
    RecordConflictError,
    RetrainingSupersededError,
    RolloutConflictError,
    SignatureInvalidError,
    StoreUnavailableError,
    TrainingDataError,
)


@dataclass(frozen=True, slots=True)
class Problem:
    """Status and title of a kind of error; ``open`` when its message is for the client."""

    status: HTTPStatus
    title: str
    open: bool = False


UNEXPECTED = Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed; send the same again")
UNAVAILABLE = Problem(
    HTTPStatus.SERVICE_UNAVAILABLE, "A store did not answer in time; send the same again"
)

NO_MODEL = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "There is no model that could answer")

PROBLEM_OF_ERROR: dict[type[CreditScoringError], Problem] = {
    CreditScoringError: UNEXPECTED,
    ConfigurationError: UNEXPECTED,
    InvalidProductError: UNEXPECTED,
    InvalidRequestError: Problem(HTTPStatus.BAD_REQUEST, "The request is not valid", open=True),
    BodyTooLargeError: Problem(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large", open=True
    ),
    ApplicationConflictError: Problem(
        HTTPStatus.CONFLICT, "The application id was used before", open=True
    ),
    ApplicationUnknownError: Problem(
        HTTPStatus.NOT_FOUND, "There is no such application", open=True
    ),
    RecordConflictError: Problem(
        HTTPStatus.CONFLICT, "This contradicts what is recorded", open=True
    ),
    StoreUnavailableError: UNAVAILABLE,
    # Not for the client to mend, and not for good: repaired, the same request finds it.
    DamagedReceiptError: Problem(
        HTTPStatus.SERVICE_UNAVAILABLE, "The recorded decision cannot be read"
    ),
    MalformedFeaturesError: UNEXPECTED,
    ModelUnavailableError: NO_MODEL,
    ArtifactIntegrityError: NO_MODEL,
    SignatureInvalidError: NO_MODEL,
    GoldenVectorError: NO_MODEL,
    ModelOutputError: UNEXPECTED,
    InvalidErasureError: UNEXPECTED,
    InvalidFeatureFileError: UNEXPECTED,
    TrainingDataError: UNEXPECTED,
    RetrainingSupersededError: UNEXPECTED,
    RolloutConflictError: Problem(HTTPStatus.CONFLICT, "The rollout was changed meanwhile"),
}
"""Every error of the tree has its line here; a test proves it."""


def problem_document(error: Exception, *, request_id: str) -> dict[str, object]:
    """Return the problem details of an error."""
    problem = UNEXPECTED
    if isinstance(error, CreditScoringError):
        problem = PROBLEM_OF_ERROR[type(error)]
    document: dict[str, object] = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status.value,
        "request_id": request_id,
    }
    if isinstance(error, InvalidRequestError):
        document["detail"] = f"{len(error.faults)} fault(s); each names its field"
        document["faults"] = [
            {"path": fault.path, "message": fault.message} for fault in error.faults
        ]
    elif problem.open:
        document["detail"] = str(error)
    return document


def problem_response(error: Exception, *, request_id: str) -> dict[str, object]:
    """Return the API Gateway proxy response for an error."""
    document = problem_document(error, request_id=request_id)
    return {
        "statusCode": document["status"],
        "headers": {"Content-Type": "application/problem+json", "Cache-Control": "no-store"},
        "body": json.dumps(document),
    }
