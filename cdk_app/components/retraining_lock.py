"""One retraining at a time, as Amazon States Language: who takes the lock, and who takes it over.

The lock is an item of the registry that names its holder. A run that ends well deletes it; one that
failed keeps it, to be redriven. Whoever meets a lock asks Step Functions whether its holder runs:
if so, this run ends, and says so; otherwise it takes the lock over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import Aws

from credit_core.domain.places import RETRAINING_LOCK

if TYPE_CHECKING:
    from aws_cdk import aws_dynamodb as dynamodb

    from cdk_app.components.workflow import Workflow

ME = {"S": "{% $states.context.Execution.Id %}"}
LOST = ["DynamoDB.ConditionalCheckFailedException"]
STEP_SECONDS = 30

# What the integration knows no name of its own for, throttling included, is the first of these.
# Source: AWS Step Functions Developer Guide, sample project "Invoke Synchronous Express Workflows".
RETRY_DYNAMODB = {
    "ErrorEquals": [
        "DynamoDB.AmazonDynamoDBException",
        "DynamoDB.InternalServerErrorException",
        "DynamoDB.ProvisionedThroughputExceededException",
        "DynamoDB.RequestLimitExceededException",
        "DynamoDB.SdkClientException",
        "DynamoDB.ThrottlingException",
    ],
    "IntervalSeconds": 1,
    "BackoffRate": 2,
    "MaxDelaySeconds": 30,
    "MaxAttempts": 6,
    "JitterStrategy": "FULL",
}
RETRY_STEP_FUNCTIONS = {
    **RETRY_DYNAMODB,
    "ErrorEquals": ["Sfn.SdkClientException", "Sfn.ThrottlingException"],
}
# Step Functions forgets an execution after 90 days; the local cloud's name lacks the ending.
FORGOTTEN = ["Sfn.ExecutionDoesNotExistException", "Sfn.ExecutionDoesNotExist"]


def lock_states(*, table: str, partition: str, then: str) -> dict[str, Any]:
    """Return the states from ``Lock`` on; with the lock they go on to ``then``."""
    key = {"product": {"S": partition}, "record": {"S": RETRAINING_LOCK}}
    put = {"TableName": table, "Item": {**key, "holder": ME}}
    return {
        "Lock": {
            **_dynamodb("putItem"),
            "Arguments": {
                **put,
                # A try whose answer was lost has taken it.
                "ConditionExpression": "attribute_not_exists(holder) OR holder = :me",
                "ExpressionAttributeValues": {":me": ME},
            },
            "Catch": [{"ErrorEquals": LOST, "Output": {}, "Next": "ReadLock"}],
            "Output": {},
            "Next": then,
        },
        "ReadLock": {
            **_dynamodb("getItem"),
            "Arguments": {"TableName": table, "Key": key, "ConsistentRead": True},
            "Output": {
                "holder": "{% $exists($states.result.Item) ? $states.result.Item.holder.S : '' %}"
            },
            "Next": "Locked",
        },
        "Locked": {
            "Type": "Choice",
            # Its own, where a try to take it over was not answered.
            "Choices": [
                {
                    "Condition": "{% $states.input.holder in ['', $states.context.Execution.Id] %}",
                    "Next": "Lock",
                }
            ],
            "Default": "AskHolder",
        },
        "AskHolder": {
            "Type": "Task",
            "Resource": f"arn:{Aws.PARTITION}:states:::aws-sdk:sfn:describeExecution",
            "Arguments": {"ExecutionArn": "{% $states.input.holder %}"},
            "TimeoutSeconds": STEP_SECONDS,
            "Retry": [RETRY_STEP_FUNCTIONS],
            "Catch": [
                {
                    "ErrorEquals": FORGOTTEN,
                    "Output": {"holder": "{% $states.input.holder %}"},
                    "Next": "TakeOver",
                }
            ],
            "Output": {
                "holder": "{% $states.input.holder %}",
                "status": "{% $states.result.Status %}",
                "name": "{% $states.result.Name %}",
                "since": "{% $states.result.StartDate %}",
            },
            "Next": "HolderRuns",
        },
        "HolderRuns": {
            "Type": "Choice",
            "Choices": [
                {"Condition": "{% $states.input.status = 'RUNNING' %}", "Next": "AlreadyRunning"}
            ],
            "Default": "TakeOver",
        },
        "TakeOver": {
            **_dynamodb("putItem"),
            "Arguments": {
                **put,
                "ConditionExpression": "holder = :before",
                "ExpressionAttributeValues": {":before": {"S": "{% $states.input.holder %}"}},
            },
            "Catch": [{"ErrorEquals": LOST, "Output": {}, "Next": "ReadLock"}],
            "Output": {},
            "Next": then,
        },
        # No failure: nothing is wrong, and nobody is to be woken.
        "AlreadyRunning": {
            "Type": "Pass",
            "Output": {
                "already_running": {
                    "name": "{% $states.input.name %}",
                    "since": "{% $states.input.since %}",
                }
            },
            "End": True,
        },
    }


def release_states(*, table: str, partition: str, then: str) -> dict[str, Any]:
    """Return the state ``Release``, which gives the lock back and goes on to ``then``."""
    return {
        "Release": {
            **_dynamodb("deleteItem"),
            "Arguments": {
                "TableName": table,
                "Key": {"product": {"S": partition}, "record": {"S": RETRAINING_LOCK}},
                "ConditionExpression": "holder = :me",
                "ExpressionAttributeValues": {":me": ME},
            },
            # It is nobody's or somebody else's: given back already, by a try whose answer was lost.
            "Catch": [{"ErrorEquals": LOST, "Output": "{% $states.input %}", "Next": then}],
            "Output": "{% $states.input %}",
            "Next": then,
        }
    }


def allow_lock(workflow: Workflow, *, table: dynamodb.ITable, partition: str) -> None:
    """Allow a workflow to hold its lock, and to ask whether another of its executions runs."""
    workflow.role.allow_items(
        *("dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem"),
        table=table,
        partition=partition,
    )
    workflow.allow_on_executions("states:DescribeExecution", of=workflow)


def _dynamodb(action: str) -> dict[str, Any]:
    return {
        "Type": "Task",
        "Resource": f"arn:{Aws.PARTITION}:states:::dynamodb:{action}",
        "TimeoutSeconds": STEP_SECONDS,
        "Retry": [RETRY_DYNAMODB],
    }
