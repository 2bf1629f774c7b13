"""The API that applications call: its routes, its limits, its logs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_app.components.acknowledgements import acknowledge
from cdk_app.components.api_routes import BATCHES_PATH, ROUTES
from cdk_app.components.client_access import scope_name
from cdk_app.components.firewall import ApiFirewall
from cdk_app.components.gateway_problems import GatewayProblems
from cdk_app.components.service_function import NO_TRACES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_kms as kms
    from aws_cdk import aws_lambda as lambda_

    from cdk_app.components.client_access import ClientAccess
    from cdk_app.stages import Stage, Throttle

STAGE_NAME = "live"
EXECUTION_LOGS = "API-Gateway-Execution-Logs"

# Who called, what came of it, and how long it took: nothing about an applicant.
ACCESS_LOG = {
    "request_id": "$context.requestId",
    "time": "$context.requestTimeEpoch",
    "client": "$context.authorizer.claims.client_id",
    "method": "$context.httpMethod",
    "resource": "$context.resourcePath",
    "status": "$context.status",
    "latency_ms": "$context.responseLatency",
    # Lambda's own id of the call, under which it says how a function ended.
    "function_request_id": "$context.integration.requestId",
    "integration_latency_ms": "$context.integrationLatency",
    "response_bytes": "$context.responseLength",
    "error": "$context.error.responseType",
    "function_error": "$context.integration.error",
}


class ScoringApi(Construct):
    """A regional REST API; Cognito vouches for the caller, a function answers each route.

    ``functions`` answer the routes that bear their names.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        stage: Stage,
        functions: Mapping[str, lambda_.IFunction],
        access: ClientAccess,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id_)
        self.access_log = logs.LogGroup(
            self,
            "AccessLog",
            encryption_key=key,
            retention=stage.log_retention,
            removal_policy=stage.removal,
        )
        self.rest_api = apigateway.RestApi(
            self,
            "RestApi",
            rest_api_name=stage.prefix,
            description="Credit decisions",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            cloud_watch_role=True,
            # The setting is the account's: other APIs of the region log under this role from now
            # on, other stages' among them, and would stop if it went with this stack.
            cloud_watch_role_removal_policy=stage.api_logging_removal,
            deploy_options=apigateway.StageOptions(
                stage_name=STAGE_NAME,
                **limited(stage.throttle),
                method_options=method_limits(stage),
                tracing_enabled=stage.tracing,
                access_log_destination=apigateway.LogGroupLogDestination(self.access_log),
                access_log_format=apigateway.AccessLogFormat.custom(json.dumps(ACCESS_LOG)),
            ),
        )
        # API Gateway would make this group itself, and keep it for ever.
        execution_log = logs.LogGroup(
            self,
            "ExecutionLog",
            log_group_name=f"{EXECUTION_LOGS}_{self.rest_api.rest_api_id}/{STAGE_NAME}",
            encryption_key=key,
            retention=stage.log_retention,
            removal_policy=stage.removal,
        )
        self.rest_api.deployment_stage.node.add_dependency(execution_log)
        self._add_routes(functions, access)
        GatewayProblems(self, "Problems", rest_api=self.rest_api)
        if stage.firewall:
            ApiFirewall(
                self,
                "Firewall",
                api=self.rest_api.deployment_stage,
                limits=stage.firewall,
                stage=stage,
                key=key,
            )
        self._acknowledge(stage)

    @property
    def name(self) -> str:
        """The API's name, as CloudWatch knows it."""
        return self.rest_api.rest_api_name

    @property
    def stage_name(self) -> str:
        """The name of the API's one stage."""
        return self.rest_api.deployment_stage.stage_name

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return self.rest_api.url_for_path("/").rstrip("/")

    def _add_routes(self, functions: Mapping[str, lambda_.IFunction], access: ClientAccess) -> None:
        authorizer = apigateway.CognitoUserPoolsAuthorizer(
            self, "Authorizer", cognito_user_pools=[access.user_pool]
        )
        for route in ROUTES:
            resource = self.rest_api.root.resource_for_path(route.path)
            integration = apigateway.LambdaIntegration(
                functions[route.function], allow_test_invoke=False
            )
            if route.scopes:
                resource.add_method(
                    route.method,
                    integration,
                    authorizer=authorizer,
                    authorization_type=apigateway.AuthorizationType.COGNITO,
                    authorization_scopes=[scope_name(scope) for scope in route.scopes],
                )
                continue
            method = resource.add_method(
                route.method, integration, authorization_type=apigateway.AuthorizationType.NONE
            )
            reason = "It describes the API and holds no data; its throttle is its own."
            acknowledge(method, {"AwsSolutions-APIG4": reason, "AwsSolutions-COG4": reason})

    def _acknowledge(self, stage: Stage) -> None:
        acknowledge(
            self.rest_api,
            {
                "AwsSolutions-APIG2": "The functions validate each body and name the field at "
                "fault; API Gateway's validator would only say 'Invalid request body'.",
                "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
                "AmazonAPIGatewayPushToCloudWatchLogs]": "The account-wide setting of API Gateway "
                "is meant for this policy; AWS widens it when its log delivery changes.",
            },
        )
        if not stage.tracing:
            acknowledge(self.rest_api, {"Serverless-APIGWXrayEnabled": NO_TRACES})
        if not stage.firewall:
            acknowledge(
                self.rest_api,
                {"AwsSolutions-APIG3": "The local cloud has no web application firewall."},
            )


def limited(throttle: Throttle) -> dict[str, Any]:
    """Return the options of a stage or a method: they replace the stage's, so each states all."""
    return {
        "throttling_rate_limit": throttle.requests_per_second,
        "throttling_burst_limit": throttle.burst,
        "metrics_enabled": True,
        # Errors only and no data trace: execution logs would hold request bodies.
        "logging_level": apigateway.MethodLoggingLevel.ERROR,
        "data_trace_enabled": False,
    }


def method_limits(stage: Stage) -> dict[str, apigateway.MethodDeploymentOptions]:
    """Return the methods with a throttle of their own: batches, and what is open to everybody."""
    throttles = {f"{BATCHES_PATH}/POST": stage.batching.throttle}
    throttles |= {
        f"{route.path}/{route.method}": stage.open_throttle for route in ROUTES if not route.scopes
    }
    return {
        path: apigateway.MethodDeploymentOptions(**limited(throttle))
        for path, throttle in throttles.items()
    }
