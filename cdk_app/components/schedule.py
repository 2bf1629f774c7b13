"""Something that is started again and again, by a role that may start it and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from constructs import Construct

from cdk_app.components.own_role import OwnRole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_lambda as lambda_


class FunctionSchedule(Construct):
    """Invokes a function again and again.

    Args:
        scope: Whose it is.
        id_: Its name there.
        description: What it is for.
        expression: When, as EventBridge Scheduler writes it.
        tries_seconds: How long it tries to invoke it; then that time is left to the next one.
        asked: The function's event.
        function: What is invoked.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        description: str,
        expression: str,
        tries_seconds: int,
        asked: Mapping[str, Any],
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
            schedule_expression=expression,
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            target=scheduler.CfnSchedule.TargetProperty(
                arn=function.function_arn,
                role_arn=role.role_arn,
                input=json.dumps(asked),
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                    maximum_event_age_in_seconds=tries_seconds, maximum_retry_attempts=2
                ),
            ),
        )
        # At its creation AWS checks that the role can be assumed.
        schedule.node.add_dependency(role)
