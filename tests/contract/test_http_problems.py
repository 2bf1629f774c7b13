"""Every error has its place in the HTTP table, and problem documents keep values to themselves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from credit_core.adapters.http_problem import PROBLEM_OF_ERROR, problem_response
from credit_core.errors import (
    ApplicationConflictError,
    ConfigurationError,
    CreditScoringError,
    Fault,
    InvalidRequestError,
    StoreUnavailableError,
)


def all_errors(
    base: type[CreditScoringError] = CreditScoringError,
) -> set[type[CreditScoringError]]:
    return {base}.union(*(all_errors(child) for child in base.__subclasses__()))


def problem_of(error: Exception) -> dict[str, Any]:
    response = problem_response(error, request_id="request-1")
    assert response["headers"]["Content-Type"] == "application/problem+json"  # type: ignore[index]
    document: dict[str, Any] = json.loads(str(response["body"]))
    assert document["status"] == response["statusCode"]
    assert document["request_id"] == "request-1"
    return document


def test_every_error_has_a_status() -> None:
    assert set(PROBLEM_OF_ERROR) == all_errors()


def test_the_error_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    import credit_core.errors  # noqa: PLC0415 (its docstring is what is tested)

    drawn = {
        word
        for word in str(credit_core.errors.__doc__).replace("─", " ").split()
        if word.endswith("Error")
    }
    assert drawn == {error.__name__ for error in all_errors()}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InvalidRequestError([Fault("annual_income", "must be at least 0")]), 400),
        (ApplicationConflictError("application-1"), 409),
        (StoreUnavailableError("timeout"), 503),
        (ConfigurationError("CREDIT_PRODUCT"), 500),
        (ZeroDivisionError("42"), 500),
    ],
)
def test_errors_have_the_status_a_client_expects(error: Exception, status: int) -> None:
    assert problem_of(error)["status"] == status


def test_faults_are_listed_with_their_paths() -> None:
    faults = [Fault("annual_income", "must be at least 0"), Fault("$", "is not valid")]

    assert problem_of(InvalidRequestError(faults))["faults"] == [
        {"path": "annual_income", "message": "must be at least 0"},
        {"path": "$", "message": "is not valid"},
    ]


def test_what_went_wrong_inside_is_not_told_to_the_client() -> None:
    assert "secret" not in json.dumps(problem_of(ConfigurationError("secret-name is missing")))
    assert "4711" not in json.dumps(problem_of(ValueError("4711")))
