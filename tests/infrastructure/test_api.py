"""The API's routes, who opens them, and what API Gateway answers itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.domain.batch_body import LARGEST_BATCH
from tests.infrastructure.templates import properties

if TYPE_CHECKING:
    from tests.infrastructure.templates import Deployment

METHOD, RESPONSE = "AWS::ApiGateway::Method", "AWS::ApiGateway::GatewayResponse"
STAGE = "AWS::ApiGateway::Stage"
ROUTES = "scoring/Api/RestApi/Default"
API_STAGE = "scoring/Api/RestApi/DeploymentStage.live"
WRITE_UNITS_A_RECEIPT = 6
WRITE_UNITS_OF_A_NEW_TABLE = 4_000
"""A second, on demand. Source: Amazon DynamoDB Developer Guide, "On-demand capacity mode"."""
SCORER, RECORDS, BATCH = (f"scoring/{name}/Live" for name in ("Scorer", "Records", "Batch"))

OFFERED = {
    "/v1/decisions/POST": (SCORER, {"decide"}),
    "/v1/health/GET": (SCORER, {"decide", "read"}),
    "/v1/decision-batches/POST": (BATCH, {"decide"}),
    "/v1/decisions/{application_id}/GET": (RECORDS, {"read"}),
    "/v1/decisions/{application_id}/explanation/GET": (RECORDS, {"read"}),
    "/v1/referrals/GET": (RECORDS, {"review"}),
    "/v1/decisions/{application_id}/review/POST": (RECORDS, {"review"}),
    "/v1/outcomes/POST": (RECORDS, {"report"}),
    "/v1/model/GET": (RECORDS, {"read"}),
    "/v1/openapi.json/GET": (RECORDS, set()),
    "/v1/docs/GET": (RECORDS, set()),
}
"""Every route: who answers it, and the scopes of which one opens it."""


def methods(deployment: Deployment) -> dict[str, dict[str, Any]]:
    """Return the methods by path and verb."""
    return {
        path.removeprefix(ROUTES): properties(found)
        for path, found in deployment.of_type(METHOD).items()
    }


def assert_routes_are_open_to_whom_is_written(deployment: Deployment) -> None:
    found = methods(deployment)
    assert {name for name in found if not name.endswith("/ANY")} == OFFERED.keys()
    for name, (function, scopes) in OFFERED.items():
        method = found[name]
        uri = deployment.text(method["Integration"]["Uri"], "scoring")
        assert f"/functions/{function}/invocations" in uri
        assert set(method.get("AuthorizationScopes", [])) == {
            f"decisions/{scope}" for scope in scopes
        }
        if scopes:
            assert method["AuthorizationType"] == "COGNITO_USER_POOLS"
            assert deployment.text(method["AuthorizerId"], "scoring") == "scoring/Api/Authorizer"


def test_each_route_is_open_to_whom_is_written_and_nobody_else(deployment: Deployment) -> None:
    assert_routes_are_open_to_whom_is_written(deployment)


@pytest.mark.parametrize("route", [name for name, (_, scopes) in OFFERED.items() if scopes])
def test_a_route_without_its_scopes_would_be_noticed(prod: Deployment, route: str) -> None:
    mutant = prod.changed(f"{ROUTES}{route}", METHOD, AuthorizationScopes=None)

    with pytest.raises(AssertionError):
        assert_routes_are_open_to_whom_is_written(mutant)


def test_other_methods_of_a_resource_are_refused_and_reach_no_function(
    deployment: Deployment,
) -> None:
    found = methods(deployment)
    resources = {name.rpartition("/")[0] for name in OFFERED}
    assert {name.removesuffix("/ANY") for name in found if name.endswith("/ANY")} == resources

    for resource in resources:
        integration = found[f"{resource}/ANY"]["Integration"]
        (response,) = integration["IntegrationResponses"]
        headers = response["ResponseParameters"]
        assert (integration["Type"], response["StatusCode"]) == ("MOCK", "405")
        allowed = headers["method.response.header.Allow"].strip("'").split(", ")
        assert {f"{resource}/{method}" for method in allowed} <= OFFERED.keys()
        assert headers["method.response.header.Content-Type"] == "'application/problem+json'"
        problem = json.loads(response["ResponseTemplates"]["application/json"])
        assert problem["status"] == 405


def status_of(answer: dict[str, Any]) -> int | None:
    """Return the status that API Gateway is told to answer, or None if it is left its own."""
    return int(answer["StatusCode"]) if "StatusCode" in answer else None


def test_what_api_gateway_answers_itself_is_a_problem_document(deployment: Deployment) -> None:
    answers = [properties(found) for found in deployment.of_type(RESPONSE).values()]

    for answer in answers:
        assert answer["ResponseParameters"]["gatewayresponse.header.Content-Type"] == (
            "'application/problem+json'"
        )
        (template,) = answer["ResponseTemplates"].values()
        problem = json.loads(template)
        assert problem.keys() - {"status"} == {"type", "title", "request_id"}
        assert problem.get("status") == status_of(answer)
        assert problem["request_id"] == "$context.requestId"
        # API Gateway's own messages may hold quotes and parts of the request.
        assert "$context.error" not in template


def test_every_kind_of_answer_of_api_gateway_has_its_document(deployment: Deployment) -> None:
    """Each 5xx is API Gateway's own: a changed one would count as 4XXError and page nobody."""
    statuses = {
        properties(found)["ResponseType"]: status_of(properties(found))
        for found in deployment.of_type(RESPONSE).values()
    }

    assert statuses == {
        "ACCESS_DENIED": 403,
        "API_CONFIGURATION_ERROR": 500,
        "AUTHORIZER_CONFIGURATION_ERROR": 500,
        "AUTHORIZER_FAILURE": 500,
        "BAD_REQUEST_BODY": 400,
        "BAD_REQUEST_PARAMETERS": 400,
        "DEFAULT_4XX": None,
        "DEFAULT_5XX": None,
        "EXPIRED_TOKEN": 401,
        "INTEGRATION_FAILURE": 504,
        "INTEGRATION_TIMEOUT": 504,
        "INVALID_API_KEY": 403,
        "INVALID_SIGNATURE": 403,
        "MISSING_AUTHENTICATION_TOKEN": 404,
        "QUOTA_EXCEEDED": 429,
        "REQUEST_TOO_LARGE": 413,
        "RESOURCE_NOT_FOUND": 404,
        "THROTTLED": 429,
        "UNAUTHORIZED": 401,
        "UNSUPPORTED_MEDIA_TYPE": 415,
        "WAF_FILTERED": 403,
    }


def test_the_api_throttles_and_measures_each_method(deployment: Deployment) -> None:
    stage = deployment.stage
    settings = {
        (found["ResourcePath"], found["HttpMethod"]): found
        for found in properties(deployment.at(API_STAGE, STAGE))["MethodSettings"]
    }
    expected = {
        ("/*", "*"): stage.throttle,
        ("/~1v1~1decision-batches", "POST"): stage.batching.throttle,
        ("/~1v1~1openapi.json", "GET"): stage.open_throttle,
        ("/~1v1~1docs", "GET"): stage.open_throttle,
    }

    assert settings.keys() == expected.keys()
    for method, throttle in expected.items():
        assert settings[method]["ThrottlingRateLimit"] == throttle.requests_per_second
        assert settings[method]["ThrottlingBurstLimit"] == throttle.burst
        assert settings[method]["MetricsEnabled"] is True
        assert settings[method]["LoggingLevel"] == "ERROR"


def test_decisions_as_fast_as_they_are_let_in_fit_into_a_new_table(
    scaled: list[Deployment],
) -> None:
    for deployment in scaled:
        single, batches = deployment.stage.throttle, deployment.stage.batching.throttle

        decisions = single.requests_per_second + LARGEST_BATCH * batches.requests_per_second

        assert WRITE_UNITS_A_RECEIPT * decisions < WRITE_UNITS_OF_A_NEW_TABLE


def test_each_kind_of_client_has_the_scopes_that_it_needs(deployment: Deployment) -> None:
    scopes: dict[str, set[str]] = {}
    for path, client in deployment.of_type("AWS::Cognito::UserPoolClient").items():
        found = properties(client)
        assert found["AllowedOAuthFlows"] == ["client_credentials"]
        assert found["GenerateSecret"] is True
        assert found["AccessTokenValidity"] == deployment.stage.token_validity_minutes
        kind = path.rpartition("/")[2]
        scopes[kind] = {
            deployment.text(scope, "scoring").rpartition("/")[2]
            for scope in found["AllowedOAuthScopes"]
        }

    assert scopes == {
        "Application": {"decide", "read"},
        "Desk": {"read", "review"},
        "Servicing": {"report"},
    }


def test_nobody_signs_up_for_tokens(deployment: Deployment) -> None:
    (pool,) = map(properties, deployment.of_type("AWS::Cognito::UserPool").values())

    assert pool["AdminCreateUserConfig"] == {"AllowAdminCreateUserOnly": True}
