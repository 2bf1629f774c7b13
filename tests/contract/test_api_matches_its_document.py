"""The published document says what the code does: routes, scopes, bodies, errors, examples."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import validate

from cdk_app.components.api_routes import ROUTES
from cdk_app.components.client_access import RESOURCE_SERVER, SCOPES
from cdk_app.components.gateway_problems import PROBLEMS, problem_template
from credit_cli.checkout import Checkout
from credit_cli.openapi import document_of, examples_folder
from credit_core.adapters.api_document import recorded_examples
from credit_core.adapters.http_problem import PROBLEM_OF_ERROR
from credit_core.domain import openapi
from credit_core.domain.api_schemas import all_schemas
from credit_core.domain.loan_outcome import read_outcome_report
from credit_core.domain.model_card import model_card
from credit_core.domain.model_manifest import Challenger, RolloutMode
from credit_core.domain.openapi import ERRORS, OPENAPI_PATH, OPERATIONS, PAGE_PATH
from credit_core.domain.product import load_product, product_names
from credit_core.domain.review import ReviewReader
from credit_core.errors import InvalidRequestError
from tests.builders import (
    NOW,
    PRODUCT,
    LinearModel,
    a_body,
    a_manifest,
    a_model,
    a_pointer,
    a_reference,
    a_scorer,
)

if TYPE_CHECKING:
    from collections.abc import Callable

DOCUMENT = document_of(PRODUCT)
COMMITTED = Checkout().root / "docs" / "api" / f"openapi-{PRODUCT.name}.json"
CALLS = [
    (operation, call)
    for operation, calls in recorded_examples(examples_folder(PRODUCT.name)).items()
    for call in calls
]


def validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Return a validator of a schema that may refer to the document's."""
    whole = {**schema, "components": {"schemas": DOCUMENT["components"]["schemas"]}}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def of_component(name: str) -> jsonschema_rs.Draft202012Validator:
    return validator({"$ref": f"#/components/schemas/{name}"})


def resolved(response: dict[str, Any]) -> dict[str, Any]:
    """Return a response, whether it is stated or referred to."""
    name = response.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = DOCUMENT["components"]["responses"][name] if name else response
    return found


def operation_of(identifier: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        operation
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
        if isinstance(operation, dict) and operation["operationId"] == identifier
    )
    return found


def test_the_committed_document_is_the_one_that_is_generated() -> None:
    assert json.loads(COMMITTED.read_bytes()) == DOCUMENT, (
        f"run: .venv/bin/credit api openapi --out {Checkout().relative(COMMITTED)}"
    )


@pytest.mark.parametrize("name", product_names())
def test_the_document_of_every_product_is_valid(name: str) -> None:
    validate(document_of(load_product(name)))


def test_every_route_is_described_with_its_scopes() -> None:
    deployed = {(route.path, route.method): route.scopes for route in ROUTES}
    described = {
        (operation.path, operation.method.upper()): operation.scopes for operation in OPERATIONS
    }

    assert deployed == described | {(OPENAPI_PATH, "GET"): (), (PAGE_PATH, "GET"): ()}


def test_the_scopes_are_those_of_the_user_pool() -> None:
    assert openapi.RESOURCE_SERVER == RESOURCE_SERVER
    assert list(openapi.SCOPES) == list(SCOPES)


def test_every_status_of_the_services_errors_is_described() -> None:
    """But for what a client of this document can't meet: a media type that isn't in it."""
    own = {problem.status.value for problem in PROBLEM_OF_ERROR.values()}
    of_gateway = {status for _, status, _ in PROBLEMS.values() if status}

    assert own | of_gateway <= {status.value for status in ERRORS} | {415}


@pytest.mark.parametrize("status", sorted({status for _, status, _ in PROBLEMS.values()}, key=str))
def test_the_gateways_problems_have_the_published_form(status: int | None) -> None:
    assert of_component("Problem").is_valid(json.loads(problem_template(status, "No")))


def test_every_object_that_is_answered_is_closed() -> None:
    def open_objects(schema: Any, place: str) -> list[str]:
        if isinstance(schema, list):
            return [found for part in schema for found in open_objects(part, place)]
        if not isinstance(schema, dict):
            return []
        found = (
            [place]
            if schema.get("type") == "object" and "additionalProperties" not in schema
            else []
        )
        return found + [
            deeper
            for name, part in schema.items()
            for deeper in open_objects(part, f"{place}.{name}")
        ]

    assert open_objects(all_schemas(PRODUCT), "") == []


@pytest.mark.parametrize(
    "changes",
    [{}, {"loan_amount": 40_000}, {"annual_income": 100}, {"applicant_id": "unknown"}],
)
def test_decisions_have_the_published_form(changes: dict[str, object]) -> None:
    of_component("Decision").validate(a_scorer()(a_body(**changes)))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_decisions_beside_a_challenger_have_the_published_form(share: float) -> None:
    challenger = LinearModel(a_model().weights, manifest=a_manifest(version="v2"))
    decision = a_scorer(challenger=challenger, share=share)()

    of_component("Decision").validate(decision)


@pytest.mark.parametrize(
    "challenger",
    [None, Challenger(model=a_reference("v2"), mode=RolloutMode.SHADOW)],
)
def test_a_model_card_has_the_published_form(challenger: Challenger | None) -> None:
    pointer = a_pointer(challenger=challenger)
    card = model_card(pointer, a_manifest(), promoted_at=NOW, policy_version="1")

    of_component("ModelCard").validate(json.loads(json.dumps(card)))


# --- bodies: the published schema and the reader say the same ------------------------------

CODES = st.sampled_from(["TERM", "INCOME", "REGION", "OTHER", 7])
REVIEWS = st.fixed_dictionaries(
    {
        "review_id": st.sampled_from(["r-1", "", "a b", "x" * 65]),
        "revision": st.sampled_from([1, 2.0, 0, 1.5, "1", True, None]),
        "outcome": st.sampled_from(["approve", "decline", "refer", None]),
        "reviewer": st.sampled_from(["a.smith", " ", "", "x" * 129]),
    },
    optional={
        "reason": st.sampled_from(["Because.", "\n", 5]),
        "adverse_action_codes": st.lists(CODES, max_size=6) | st.none(),
        "extra": st.just(1),
    },
)
REPORTS = st.fixed_dictionaries(
    {
        "application_id": st.sampled_from(["a-1", "", "a/b"]),
        "outcome": st.sampled_from(["repaid", "defaulted", "withdrawn", "lost"]),
    },
    optional={
        "date": st.dates().map(str)
        | st.sampled_from(["2026-02-30", "2026-1-1", "20260101", "2026-13-01", 20260101]),
        "extra": st.just(1),
    },
)


def is_read(read: Callable[[str], object], document: object) -> bool:
    try:
        read(json.dumps(document))
    except InvalidRequestError:
        return False
    return True


READ_REVIEW = ReviewReader(PRODUCT)
REVIEW_SCHEMA, REPORT_SCHEMA = of_component("Review"), of_component("OutcomeReport")


@given(REVIEWS)
def test_a_review_is_read_if_and_only_if_the_published_schema_allows_it(review: object) -> None:
    assert is_read(READ_REVIEW, review) == REVIEW_SCHEMA.is_valid(review)


@given(REPORTS)
def test_a_report_is_read_if_and_only_if_the_published_schema_allows_it(report: object) -> None:
    assert is_read(read_outcome_report, report) == REPORT_SCHEMA.is_valid(report)


# --- examples ------------------------------------------------------------------------------


def test_every_operation_has_a_recorded_example() -> None:
    assert {operation for operation, _ in CALLS} == {operation.id for operation in OPERATIONS}


@pytest.mark.parametrize(("operation", "call"), CALLS, ids=[call["name"] for _, call in CALLS])
def test_recorded_calls_are_as_the_document_says(operation: str, call: dict[str, Any]) -> None:
    described, answer = operation_of(operation), call["response"]

    response = resolved(described["responses"][str(answer["status"])])
    (media_type,) = response["content"]
    assert answer["headers"]["Content-Type"] == media_type
    assert response.get("headers", {}).keys() <= answer["headers"].keys()
    validator(response["content"][media_type]["schema"]).validate(answer["body"])
    if "requestBody" in described and answer["status"] < 400:
        (content,) = described["requestBody"]["content"].values()
        validator(content["schema"]).validate(call["request"])


def test_the_recorded_calls_show_every_outcome() -> None:
    decided = [call["response"]["body"] for operation, call in CALLS if operation == "decide"]

    assert {body.get("outcome") for body in decided} >= {"approve", "decline", "refer"}
