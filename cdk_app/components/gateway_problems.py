"""What API Gateway answers itself, in the one shape of this API's errors (RFC 9457)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aws_cdk import aws_apigateway as apigateway
from constructs import Construct

from cdk_app.components.acknowledgements import acknowledge
from cdk_app.components.api_routes import ROUTES, methods_of

if TYPE_CHECKING:
    from collections.abc import Mapping

PROBLEM_TYPE = "application/problem+json"
HEADERS = {"Content-Type": f"'{PROBLEM_TYPE}'", "Cache-Control": "'no-store'"}
"""Header values are quoted: without quotes they would name a part of the request."""

Kind = apigateway.ResponseType
TURNED_AWAY = "The request was turned away"
MISCONFIGURED = "The service is not set up correctly"
PROBLEMS: Mapping[str, tuple[Kind, int | None, str]] = {
    "Unauthorized": (Kind.UNAUTHORIZED, 401, "A valid token with the scope of this call is needed"),
    "ExpiredToken": (Kind.EXPIRED_TOKEN, 401, "The token has expired"),
    "AccessDenied": (Kind.ACCESS_DENIED, 403, "The token does not allow this call"),
    "InvalidApiKey": (Kind.INVALID_API_KEY, 403, TURNED_AWAY),
    "InvalidSignature": (Kind.INVALID_SIGNATURE, 403, TURNED_AWAY),
    "WafFiltered": (Kind.WAF_FILTERED, 403, "The firewall turned the request away"),
    # API Gateway's word for a path, or a method of it, that does not exist.
    "MissingToken": (Kind.MISSING_AUTHENTICATION_TOKEN, 404, "There is no such resource"),
    "NotFound": (Kind.RESOURCE_NOT_FOUND, 404, "There is no such resource"),
    "BadBody": (Kind.BAD_REQUEST_BODY, 400, "The body is not what this call takes"),
    "BadParameters": (Kind.BAD_REQUEST_PARAMETERS, 400, "A parameter is missing or wrong"),
    "TooLarge": (Kind.REQUEST_TOO_LARGE, 413, "The request is too large"),
    "MediaType": (Kind.UNSUPPORTED_MEDIA_TYPE, 415, "This media type is not taken"),
    "Throttled": (Kind.THROTTLED, 429, "Too many requests at once; wait, then send the same again"),
    "Quota": (Kind.QUOTA_EXCEEDED, 429, "The quota is used up"),
    "AuthorizerFailure": (Kind.AUTHORIZER_FAILURE, 500, "The token could not be checked"),
    "AuthorizerSetup": (Kind.AUTHORIZER_CONFIGURATION_ERROR, 500, MISCONFIGURED),
    "ApiSetup": (Kind.API_CONFIGURATION_ERROR, 500, MISCONFIGURED),
    "IntegrationFailure": (Kind.INTEGRATION_FAILURE, 504, "The service failed; send it again"),
    "IntegrationTimeout": (Kind.INTEGRATION_TIMEOUT, 504, "No answer in time; send it again"),
    "Other4xx": (Kind.DEFAULT_4_XX, None, TURNED_AWAY),
    "Other5xx": (Kind.DEFAULT_5_XX, None, "The service failed; send the same again"),
}
"""Every kind that API Gateway knows, with its status here; None leaves each as it is.

A 5xx is always API Gateway's own: it counts a status that was changed as ``4XXError``, whatever it
became, and the alarm on ``5XXError`` would not see it.

Source: Amazon API Gateway Developer Guide, "Gateway response types" and "Amazon API Gateway
dimensions and metrics".
"""

MORE_HEADERS: Mapping[str, Mapping[str, str]] = {
    # RFC 6750, section 3; RFC 9110, section 10.2.3.
    "Unauthorized": {"WWW-Authenticate": "'Bearer'"},
    "ExpiredToken": {"WWW-Authenticate": "'Bearer'"},
    "Throttled": {"Retry-After": "'1'"},
}


def problem_template(status: int | None, title: str) -> str:
    """Return a problem document; of what API Gateway puts in, the request's id alone is safe.

    Its error messages may hold quotes and parts of the request.
    """
    return json.dumps(
        {
            "type": "about:blank",
            "title": title,
            **({"status": status} if status else {}),
            "request_id": "$context.requestId",
        }
    )


class GatewayProblems(Construct):
    """Problem documents for what never reaches a function."""

    def __init__(self, scope: Construct, id_: str, *, rest_api: apigateway.RestApi) -> None:
        super().__init__(scope, id_)
        for name, (kind, status, title) in PROBLEMS.items():
            apigateway.GatewayResponse(
                self,
                name,
                rest_api=rest_api,
                type=kind,
                status_code=str(status) if status else None,
                response_headers={**HEADERS, **MORE_HEADERS.get(name, {})},
                templates={"application/json": problem_template(status, title)},
            )
        for path in dict.fromkeys(route.path for route in ROUTES):
            refuse_other_methods(rest_api.root.resource_for_path(path), methods_of(path))


def refuse_other_methods(resource: apigateway.Resource, offered: tuple[str, ...]) -> None:
    """Answer 405 and name what is offered; API Gateway itself would say 403."""
    fixed = {**HEADERS, "Allow": f"'{', '.join(offered)}'"}
    headers = {f"method.response.header.{name}": value for name, value in fixed.items()}
    title = f"This resource takes {' and '.join(offered)} only"
    method = resource.add_method(
        "ANY",
        apigateway.MockIntegration(
            request_templates={"application/json": '{"statusCode": 405}'},
            passthrough_behavior=apigateway.PassthroughBehavior.NEVER,
            integration_responses=[
                apigateway.IntegrationResponse(
                    status_code="405",
                    response_parameters=headers,
                    response_templates={"application/json": problem_template(405, title)},
                )
            ],
        ),
        authorization_type=apigateway.AuthorizationType.NONE,
        method_responses=[
            apigateway.MethodResponse(
                status_code="405", response_parameters=dict.fromkeys(headers, True)
            )
        ],
    )
    reason = "It answers 405 to everybody, and nothing else; no function is behind it."
    acknowledge(method, {"AwsSolutions-APIG4": reason, "AwsSolutions-COG4": reason})
