"""Something that is started again and again, by a role that may start it and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from cdk_app.components.own_role import OwnRole

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_


class FunctionSchedule(Construct):
    """Invokes a function every so many minutes; a run that fails is left to the next one."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        description: str,
        every_minutes: int,
        function: lambda_.IFunction,
    ) -> None:
        super().__init__(scope, id_)
        role = OwnRole(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "scheduler.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            ),
        )
        role.allow("lambda:InvokeFunction", on=[function.function_arn])
        schedule = scheduler.CfnSchedule(
            self,
            "Schedule",
            description=description,
            schedule_expression=f"rate({every_minutes} minute{'s'[: every_minutes > 1]})",
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            target=scheduler.CfnSchedule.TargetProperty(
                arn=function.function_arn,
                role_arn=role.role_arn,
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                    maximum_event_age_in_seconds=60 * every_minutes, maximum_retry_attempts=2
                ),
            ),
        )
        # At its creation AWS checks that the role can be assumed.
        schedule.node.add_dependency(role)
