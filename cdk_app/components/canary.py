"""CodeDeploy between CloudFormation and the live aliases: a share of requests first, then all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import (
    ArnFormat,
    CfnCodeDeployLambdaAliasUpdate,
    CfnUpdatePolicy,
    Stack,
)
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk_app.components.own_role import OwnRole
from cdk_app.components.pager import kebab
from cdk_app.components.service_function import acknowledge_versions, function_arn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cdk_app.components.live_alias import LiveAlias
    from cdk_app.components.rehearsal import Rehearsal
    from cdk_app.stages import Canary

ROLL_BACK_ON = ("DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST")


class CanaryDeployments(Construct):
    """A deployment group for each alias, with its alarms, behind one rehearsal.

    The alarms are known by name alone: they belong to the operations stack, which comes last. Not
    before there was a first version is there a deployment that looks at them.

    Args:
        scope: Where it is.
        id_: Its name there.
        prefix: Of the stage's names.
        canary: How many go first, and for how long.
        aliases: By the name of their function.
        alarms: Per function, what takes a new version back; names as the pager's.
        rehearsal: Tries new versions before any traffic.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        prefix: str,
        canary: Canary,
        aliases: Mapping[str, LiveAlias],
        alarms: Mapping[str, tuple[str, ...]],
        rehearsal: Rehearsal,
    ) -> None:
        super().__init__(scope, id_)
        self._prefix = prefix
        self._application = codedeploy.CfnApplication(
            self, "Application", application_name=prefix, compute_platform="Lambda"
        )
        self._config = self._configuration(canary)
        self._role = self._deployer(aliases, rehearsal)
        for name, alias in aliases.items():
            group = self._group(name, alarms[name])
            self._deploy(alias, group, rehearsal)

    def _configuration(self, canary: Canary) -> codedeploy.CfnDeploymentConfig:
        config = codedeploy.CfnDeploymentConfig
        return config(
            self,
            "Configuration",
            compute_platform="Lambda",
            traffic_routing_config=config.TrafficRoutingConfigProperty(
                type="TimeBasedCanary",
                time_based_canary=config.TimeBasedCanaryProperty(
                    canary_percentage=canary.percent, canary_interval=canary.minutes
                ),
            ),
        )

    def _deployer(self, aliases: Mapping[str, LiveAlias], rehearsal: Rehearsal) -> OwnRole:
        """Return CodeDeploy's role.

        Source: AWS managed policy AWSCodeDeployRoleForLambdaLimited, held to these functions.
        CloudFormation hands its instructions over in the call: no bucket is read.
        """
        role = OwnRole(
            self, "Deployer", assumed_by=iam.ServicePrincipal("codedeploy.amazonaws.com")
        )
        for name in aliases:
            function = function_arn(self, prefix=self._prefix, name=name)
            role.allow(
                *("lambda:GetAlias", "lambda:UpdateAlias"),
                "lambda:GetProvisionedConcurrencyConfig",
                on=[function, f"{function}:*"],
            )
            acknowledge_versions(role, prefix=self._prefix, name=name)
        role.allow_looking_at_alarms()
        role.allow("lambda:InvokeFunction", on=[rehearsal.function.function_arn])
        return role

    def _group(self, name: str, alarms: tuple[str, ...]) -> codedeploy.CfnDeploymentGroup:
        group = codedeploy.CfnDeploymentGroup
        return group(
            self,
            name.title(),
            application_name=self._application.ref,
            deployment_group_name=name,
            deployment_config_name=self._config.ref,
            service_role_arn=self._role.role_arn,
            deployment_style=group.DeploymentStyleProperty(
                deployment_type="BLUE_GREEN", deployment_option="WITH_TRAFFIC_CONTROL"
            ),
            auto_rollback_configuration=group.AutoRollbackConfigurationProperty(
                enabled=True, events=list(ROLL_BACK_ON)
            ),
            alarm_configuration=group.AlarmConfigurationProperty(
                enabled=True,
                alarms=[group.AlarmProperty(name=self._alarm_name(alarm)) for alarm in alarms],
                # Without eyes it doesn't go on.
                ignore_poll_alarm_failure=False,
            ),
        )

    def _deploy(
        self, alias: LiveAlias, group: codedeploy.CfnDeploymentGroup, rehearsal: Rehearsal
    ) -> None:
        """Have CodeDeploy move the alias, once the rehearsal knows of the new version."""
        resource = alias.node.default_child
        if not isinstance(resource, lambda_.CfnAlias):
            raise TypeError(f"{alias.node.path} is no alias of CloudFormation's")
        resource.cfn_options.update_policy = CfnUpdatePolicy(
            code_deploy_lambda_alias_update=CfnCodeDeployLambdaAliasUpdate(
                application_name=self._application.ref,
                deployment_group_name=group.ref,
                before_allow_traffic_hook=rehearsal.function.function_name,
            )
        )
        alias.node.add_dependency(rehearsal, self._role)
        rehearsal.role.allow(
            "codedeploy:PutLifecycleEventHookExecutionStatus",
            on=[
                Stack.of(self).format_arn(
                    service="codedeploy",
                    resource="deploymentgroup",
                    resource_name=f"{self._prefix}/{group.deployment_group_name}",
                    arn_format=ArnFormat.COLON_RESOURCE_NAME,
                )
            ],
        )

    def _alarm_name(self, name: str) -> str:
        return f"{self._prefix}-{kebab(name)}"
