"""A state machine that may do what it was allowed by name, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import ArnFormat, Aws, Fn, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as stepfunctions
from constructs import Construct

from cdk_app.components.acknowledgements import acknowledge
from cdk_app.components.own_role import WILDCARD, OwnRole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_cdk import aws_kms as kms

    from cdk_app.stages import Stage

LAMBDA_INVOKE = f"arn:{Aws.PARTITION}:states:::lambda:invoke"

LOG_DELIVERY = (
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
)
TRACES = (
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
)

# What Lambda may answer though nothing is wrong with the function or its input.
RETRY_LAMBDA = {
    "ErrorEquals": [
        "Lambda.ClientExecutionTimeoutException",
        "Lambda.ServiceException",
        "Lambda.AWSLambdaException",
        "Lambda.SdkClientException",
    ],
    "IntervalSeconds": 1,
    "BackoffRate": 2,
    "MaxDelaySeconds": 30,
    "MaxAttempts": 6,
    "JitterStrategy": "FULL",
}

# All workflows of an account share its concurrency. When thousands of files come in a minute, their
# runs wait for each other: some twelve minutes on the average, until there is room.
RETRY_THROTTLED = {
    "ErrorEquals": ["Lambda.TooManyRequestsException"],
    "IntervalSeconds": 1,
    "BackoffRate": 2,
    "MaxDelaySeconds": 60,
    "MaxAttempts": 30,
    "JitterStrategy": "FULL",
}


class Workflow(Construct):
    """A state machine with a role of its own and its encrypted log."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        name: str,
        definition: Mapping[str, Any],
        stage: Stage,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id_)
        self.name = f"{stage.prefix}-{name}"
        # Digits of the stack's own id. A log that is retained keeps its name, and without these a
        # stack that failed at first, or was deleted, could not be deployed again.
        incarnation = Fn.select(0, Fn.split("-", Fn.select(2, Fn.split("/", Aws.STACK_ID))))
        log_group = logs.LogGroup(
            self,
            "Logs",
            # Under this prefix the log needs no entry in the account's one resource policy.
            log_group_name=f"/aws/vendedlogs/states/{self.name}-{incarnation}",
            encryption_key=key,
            retention=stage.log_retention,
            removal_policy=stage.removal,
        )
        self.role = OwnRole(
            self,
            "Role",
            assumed_by=iam.ServicePrincipal(
                "states.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}},
            ),
        )
        # AWS knows no resource for any of these.
        self.role.allow(*LOG_DELIVERY, *TRACES, on=["*"])
        acknowledge(
            self.role,
            {
                f"{WILDCARD}[Resource::*]": "Log delivery and traces of a state machine: "
                "AWS accepts no narrower resource for these actions."
            },
        )
        self.state_machine = stepfunctions.CfnStateMachine(
            self,
            "StateMachine",
            state_machine_name=self.name,
            role_arn=self.role.role_arn,
            definition_string=Stack.of(self).to_json_string(definition),
            tracing_configuration=stepfunctions.CfnStateMachine.TracingConfigurationProperty(
                enabled=True
            ),
            logging_configuration=stepfunctions.CfnStateMachine.LoggingConfigurationProperty(
                level="ALL",
                include_execution_data=False,
                destinations=[
                    stepfunctions.CfnStateMachine.LogDestinationProperty(
                        cloud_watch_logs_log_group=(
                            stepfunctions.CfnStateMachine.CloudWatchLogsLogGroupProperty(
                                log_group_arn=log_group.log_group_arn
                            )
                        )
                    )
                ],
            ),
        )
        # At its creation AWS checks that the role may write the log.
        self.state_machine.node.add_dependency(self.role)

    @property
    def arn(self) -> str:
        """The state machine's ARN, known before it exists: its own role may name it."""
        return self._arn("stateMachine", self.name)

    def allow_children(self, label: str) -> None:
        """Allow a Distributed Map, which starts each child as an execution of this machine.

        Args:
            label: The Map state's label, part of its children's ARNs.
        """
        self.role.allow("states:StartExecution", on=[self.arn])
        self.allow_on_executions(
            "states:DescribeExecution",
            "states:RedriveExecution",
            "states:StopExecution",
            of=self,
            labels=(label,),
        )

    def allow_to_follow(self, other: Workflow) -> None:
        """Allow to run another state machine to its end, and to stop it when this one is stopped.

        Source: AWS Step Functions Developer Guide, "IAM policies for calling Step Functions": the
        rule is AWS's own, and tells of executions that end.
        """
        self.role.allow("states:StartExecution", on=[other.arn])
        self.allow_on_executions("states:DescribeExecution", "states:StopExecution", of=other)
        rule = Stack.of(self).format_arn(
            service="events",
            resource="rule",
            resource_name="StepFunctionsGetEventsForStepFunctionsExecutionRule",
        )
        self.role.allow("events:DescribeRule", "events:PutRule", "events:PutTargets", on=[rule])

    def allow_on_executions(
        self, *actions: str, of: Workflow, labels: tuple[str, ...] = ()
    ) -> None:
        """Allow these actions on the executions of a state machine, this one or another.

        Args:
            actions: What may be done.
            of: Whose executions.
            labels: Those of its Distributed Maps whose children are meant as well.
        """
        executions = (f"{of.name}:*", *(f"{of.name}/{label}:*" for label in labels))
        self.role.allow(*actions, on=[self._arn("execution", name) for name in executions])
        where = "arn:<AWS::Partition>:states:<AWS::Region>:<AWS::AccountId>:execution"
        acknowledge(
            self.role,
            {
                f"{WILDCARD}[Resource::{where}:{pattern}]": "Executions are named when they "
                "start; these are of one state machine."
                for pattern in executions
            },
        )

    def _arn(self, resource: str, name: str) -> str:
        return Stack.of(self).format_arn(
            service="states",
            resource=resource,
            resource_name=name,
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
