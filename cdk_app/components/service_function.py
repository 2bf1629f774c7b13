"""A Lambda function that may do what it was allowed by name, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_app.components.acknowledgements import acknowledge
from cdk_app.components.own_role import WILDCARD, OwnRole
from layers.build import FUNCTION_LAYERS, function_archive

if TYPE_CHECKING:
    from aws_cdk import App
    from aws_cdk import aws_kms as kms

    from cdk_app.components.layers import Layers
    from cdk_app.stages import FunctionSize, Stage
    from credit_core.settings import EnvironmentSettings


NO_TRACES = "The local cloud has no X-Ray."


class ServiceFunction(Construct):
    """A function with a role of its own, its layers and its encrypted log.

    ``warm`` environments of its current version are kept, see ``LiveAlias``.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        name: str,
        description: str,
        stage: Stage,
        size: FunctionSize,
        settings: EnvironmentSettings,
        layers: Layers,
        key: kms.IKey,
        warm: int | None = None,
    ) -> None:
        super().__init__(scope, id_)
        self.name = name
        self.full_name = f"{stage.prefix}-{name}"
        self.memory_mb = size.memory_mb
        self.log_group = logs.LogGroup(
            self,
            "Logs",
            encryption_key=key,
            retention=stage.log_retention,
            removal_policy=stage.removal,
        )
        self.role = OwnRole(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.role.allow(
            "logs:CreateLogStream", "logs:PutLogEvents", on=[self.log_group.log_group_arn]
        )
        self.function = lambda_.Function(
            self,
            "Function",
            # CloudFormation's own name would be cut where it begins to say which function it is.
            function_name=self.full_name,
            # A version can't be given other warm environments: another number is another version.
            description=f"{description}; {warm} warm" if warm else description,
            runtime=lambda_.Runtime.PYTHON_3_13,
            # onnxruntime has crashed at import on arm64.
            architecture=lambda_.Architecture.X86_64,
            handler="handler.handler",
            code=lambda_.Code.from_asset(str(function_archive(name))),
            layers=[layers[layer] for layer in FUNCTION_LAYERS[name]],
            memory_size=size.memory_mb,
            timeout=Duration.seconds(size.timeout_seconds),
            environment=settings.to_environment(),
            log_group=self.log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            role=self.role,
            reserved_concurrent_executions=size.reserved,
            current_version_options=lambda_.VersionOptions(
                provisioned_concurrent_executions=warm,
                # Where state is retained, so are earlier versions: a way back. But what is kept
                # warm is paid for as long as it is there, even where its deployment failed.
                removal_policy=RemovalPolicy.DESTROY if warm else stage.removal,
            ),
            tracing=lambda_.Tracing.ACTIVE if stage.tracing else lambda_.Tracing.DISABLED,
        )
        acknowledge(
            self.function,
            {
                "AwsSolutions-L1": "Python 3.13 is what the layers' wheels are locked and tested "
                "for; a newer runtime comes with new locks.",
                "Serverless-LambdaLatestVersion": "The same.",
                "Serverless-LambdaDLQ": "Events of a schedule say nothing and come again, those of "
                "other callers have somebody who waits or a queue behind them; errors alarm.",
            },
        )
        if stage.tracing:
            acknowledge(
                self.role,
                {f"{WILDCARD}[Resource::*]": "X-Ray: a trace is no resource that could be named."},
            )
        else:
            acknowledge(self.function, {"Serverless-LambdaTracing": NO_TRACES})


def function_arn(scope: Construct, *, prefix: str, name: str) -> str:
    """Return the ARN of a function of this region by its name, so that nothing depends on it."""
    return Stack.of(scope).format_arn(
        service="lambda",
        resource="function",
        resource_name=f"{prefix}-{name}",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )


def acknowledge_versions(role: OwnRole, *, prefix: str, name: str) -> None:
    """Record why a role may do something with every version of a function."""
    here = "<AWS::Region>:<AWS::AccountId>"
    arn = f"arn:<AWS::Partition>:lambda:{here}:function:{prefix}-{name}:*"
    acknowledge(
        role, {f"{WILDCARD}[Resource::{arn}]": "Versions are numbered as they are published."}
    )


def service_functions(app: App) -> list[ServiceFunction]:
    """Return every function that an app has so far, in the order in which they were made."""
    return [found for found in app.node.find_all() if isinstance(found, ServiceFunction)]
