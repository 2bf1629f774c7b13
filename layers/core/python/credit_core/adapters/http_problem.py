"""How errors look over HTTP: RFC 9457 problem details, one table, no values of an applicant."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus

from credit_core.errors import (
    ApplicationConflictError,
    ArtifactIntegrityError,
    ConfigurationError,
    CreditScoringError,
    InvalidApplicationError,
    InvalidFeatureFileError,
    InvalidProductError,
    MalformedFeaturesError,
    ModelOutputError,
    ModelUnavailableError,
    RolloutConflictError,
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
    HTTPStatus.SERVICE_UNAVAILABLE, "The decision is not known to be recorded; send the same again"
)

PROBLEM_OF_ERROR: dict[type[CreditScoringError], Problem] = {
    CreditScoringError: UNEXPECTED,
    ConfigurationError: UNEXPECTED,
    InvalidProductError: UNEXPECTED,
    InvalidApplicationError: Problem(
        HTTPStatus.BAD_REQUEST, "The application cannot be judged", open=True
    ),
    ApplicationConflictError: Problem(
        HTTPStatus.CONFLICT, "The application id was used before", open=True
    ),
    StoreUnavailableError: UNAVAILABLE,
    MalformedFeaturesError: UNEXPECTED,
    ModelUnavailableError: UNAVAILABLE,
    ArtifactIntegrityError: UNAVAILABLE,
    ModelOutputError: UNEXPECTED,
    InvalidFeatureFileError: UNEXPECTED,
    TrainingDataError: UNEXPECTED,
    RolloutConflictError: Problem(HTTPStatus.CONFLICT, "The rollout was changed meanwhile"),
}
"""Every error of the tree has its line here; a test proves it."""


def problem_response(error: Exception, *, request_id: str) -> dict[str, object]:
    """Return the API Gateway proxy response for an error."""
    problem = UNEXPECTED
    if isinstance(error, CreditScoringError):
        problem = PROBLEM_OF_ERROR[type(error)]
    document: dict[str, object] = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status.value,
        "request_id": request_id,
    }
    if isinstance(error, InvalidApplicationError):
        document["detail"] = f"{len(error.faults)} fault(s); each names its field"
        document["faults"] = [
            {"path": fault.path, "message": fault.message} for fault in error.faults
        ]
    elif problem.open:
        document["detail"] = str(error)
    return {
        "statusCode": problem.status.value,
        "headers": {"Content-Type": "application/problem+json", "Cache-Control": "no-store"},
        "body": json.dumps(document),
    }
