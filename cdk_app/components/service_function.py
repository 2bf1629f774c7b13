"""A Lambda function that may do what it was allowed by name, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_app.components.acknowledgements import acknowledge
from cdk_app.components.own_role import WILDCARD, OwnRole
from layers.build import FUNCTION_LAYERS, function_archive

if TYPE_CHECKING:
    from aws_cdk import aws_kms as kms

    from cdk_app.components.layers import Layers
    from cdk_app.stages import FunctionSize, Stage
    from credit_core.settings import EnvironmentSettings


class ServiceFunction(Construct):
    """A function with a role of its own, its layers and its encrypted log."""

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
    ) -> None:
        super().__init__(scope, id_)
        log_group = logs.LogGroup(
            self,
            "Logs",
            encryption_key=key,
            retention=stage.log_retention,
            removal_policy=stage.removal,
        )
        self.role = OwnRole(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.role.allow("logs:CreateLogStream", "logs:PutLogEvents", on=[log_group.log_group_arn])
        self.function = lambda_.Function(
            self,
            "Function",
            # CloudFormation's own name would be cut where it begins to say which function it is.
            function_name=f"{stage.prefix}-{name}",
            description=description,
            runtime=lambda_.Runtime.PYTHON_3_13,
            # onnxruntime has crashed at import on arm64.
            architecture=lambda_.Architecture.X86_64,
            handler="handler.handler",
            code=lambda_.Code.from_asset(str(function_archive(name))),
            layers=[layers[layer] for layer in FUNCTION_LAYERS[name]],
            memory_size=size.memory_mb,
            timeout=Duration.seconds(size.timeout_seconds),
            environment=settings.to_environment(),
            log_group=log_group,
            logging_format=lambda_.LoggingFormat.JSON,
            role=self.role,
            # Where state is retained, so are earlier versions: a way back.
            current_version_options=lambda_.VersionOptions(removal_policy=stage.removal),
            tracing=lambda_.Tracing.ACTIVE if stage.tracing else lambda_.Tracing.DISABLED,
        )
        acknowledge(
            self.function,
            {
                "AwsSolutions-L1": "Python 3.13 is what the layers' wheels are locked and tested "
                "for; a newer runtime comes with new locks."
            },
        )
        if stage.tracing:
            acknowledge(
                self.role,
                {f"{WILDCARD}[Resource::*]": "X-Ray: a trace is no resource that could be named."},
            )
