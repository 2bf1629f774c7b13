"""A deployment in an AWS account, as CloudFormation knows it; moto plays the account."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3

if TYPE_CHECKING:
    from collections.abc import Mapping

ACCOUNT, REGION = "123456789012", "eu-central-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": REGION,
}
QUIET: Mapping[str, Any] = {"Ignored": {"Type": "AWS::SNS::Topic", "Properties": {}}}


def make_stack(
    name: str, *, outputs: Mapping[str, Any] = {}, resources: Mapping[str, Any] = QUIET
) -> None:
    """Create a stack; an output may refer to a resource."""
    template = {
        "Resources": resources,
        "Outputs": {key: {"Value": value} for key, value in outputs.items()},
    }
    cloudformation = boto3.client("cloudformation", region_name=REGION)
    cloudformation.create_stack(
        StackName=name, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_IAM"]
    )


def a_queue(**properties: Any) -> dict[str, Any]:
    """Return a queue of a template."""
    return {"Type": "AWS::SQS::Queue", "Properties": properties}


def a_machine(name: str, role_arn: str) -> dict[str, Any]:
    """Return a state machine that ends at once."""
    definition = {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "End": True}}}
    return {
        "Type": "AWS::StepFunctions::StateMachine",
        "Properties": {
            "StateMachineName": name,
            "DefinitionString": json.dumps(definition),
            "RoleArn": role_arn,
        },
    }


def a_function(name: str, role_arn: str) -> dict[str, Any]:
    """Return a function that nobody calls."""
    return {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "FunctionName": name,
            "Runtime": "python3.13",
            "Handler": "index.handler",
            "Code": {"ZipFile": "def handler(event, context): return {}"},
            "Role": role_arn,
        },
    }


def a_role() -> str:
    """Create a role that functions and state machines may take; return its ARN."""
    policy = {"Version": "2012-10-17", "Statement": []}
    iam = boto3.client("iam", region_name=REGION)
    role = iam.create_role(RoleName="runs", AssumeRolePolicyDocument=json.dumps(policy))
    return str(role["Role"]["Arn"])
