"""What a deployment is made of, by the short names that on-call types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from credit_cli.deployment import STACKS
from credit_cli.errors import DeploymentError, UsageError, suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_lambda import LambdaClient

    from credit_cli.aws import Aws
    from credit_cli.deployment import Deployment

FUNCTION, MACHINE = "AWS::Lambda::Function", "AWS::StepFunctions::StateMachine"
QUEUE, LOG_GROUP = "AWS::SQS::Queue", "AWS::Logs::LogGroup"
ACCESS_LOG = "ApiAccessLog"
"""What the logical id of the API's access log begins with."""

HASH = re.compile(r"[0-9A-F]{8}$")
WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True)
class Resource:
    """One resource of a stack, by the names that CloudFormation and its service give it."""

    type: str
    logical_id: str
    physical_id: str


class Inventory:
    """The resources of a deployment's stacks, read once."""

    def __init__(self, aws: Aws, deployment: Deployment) -> None:
        self._aws = aws
        self._prefix = deployment.prefix

    @cached_property
    def resources(self) -> tuple[Resource, ...]:
        """Every resource that a stack has."""
        return tuple(self._read())

    @cached_property
    def functions(self) -> Mapping[str, str]:
        """Names of functions by short names: those of the service's own, not of the CDK's."""
        return self._named(FUNCTION)

    @cached_property
    def workflows(self) -> Mapping[str, str]:
        """ARNs of state machines by short names."""
        return {
            arn.rpartition(":")[2].removeprefix(f"{self._prefix}-"): arn
            for arn in sorted(self._ids(MACHINE))
        }

    @cached_property
    def queues(self) -> Mapping[str, str]:
        """URLs of queues by short names, made of their logical ids."""
        return {
            short_name(resource.logical_id): resource.physical_id
            for resource in sorted(self.resources, key=lambda found: found.logical_id)
            if resource.type == QUEUE
        }

    @cached_property
    def access_log(self) -> str:
        """The log group of the API's access log.

        Raises:
            DeploymentError: There is none.
        """
        for resource in self.resources:
            if resource.type == LOG_GROUP and resource.logical_id.startswith(ACCESS_LOG):
                return resource.physical_id
        raise DeploymentError("no deployed stack has the API's access log")

    def log_group(self, function: str) -> str:
        """Return the log group of a function, by its short name.

        Raises:
            UsageError: There is no such function.
        """
        lambda_: LambdaClient = self._aws.client("lambda")
        name = chosen(function, self.functions, "function")
        found = lambda_.get_function_configuration(FunctionName=name)
        return found.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{name}"

    def _named(self, type_: str) -> Mapping[str, str]:
        begin = f"{self._prefix}-"
        names = sorted(name for name in self._ids(type_) if name.startswith(begin))
        return {name.removeprefix(begin): name for name in names}

    def _ids(self, type_: str) -> list[str]:
        return [found.physical_id for found in self.resources if found.type == type_]

    def _read(self) -> Iterator[Resource]:
        cloudformation: CloudFormationClient = self._aws.client("cloudformation")
        pages = cloudformation.get_paginator("list_stack_resources")
        for stack in STACKS:
            try:
                for page in pages.paginate(StackName=f"{self._prefix}-{stack}"):
                    for found in page["StackResourceSummaries"]:
                        yield Resource(
                            found["ResourceType"],
                            found["LogicalResourceId"],
                            found.get("PhysicalResourceId", ""),
                        )
            except ClientError as error:
                if "does not exist" not in str(error):
                    raise


def short_name(logical_id: str) -> str:
    """Return a logical id as a person types it: in small letters, without the CDK's hash.

    >>> short_name("ArchiveFailedBatchesE584110D")
    'archive-failed-batches'
    """
    return WORD.sub("-", HASH.sub("", logical_id)).lower()


def chosen[Found](name: str, among: Mapping[str, Found], kind: str) -> Found:
    """Return what has that short name, or the one whose short name it begins.

    >>> chosen("push-d", {"push-dead-letters": "a", "push-queue": "b"}, "queue")
    'a'
    >>> chosen("push", {"push-dead-letters": "a", "push-queue": "b"}, "queue")
    Traceback (most recent call last):
    credit_cli.errors.UsageError: several queues begin with 'push'

    Raises:
        UsageError: Nothing has, or several have.
    """
    if name in among:
        return among[name]
    begun = [short for short in among if short.startswith(name)]
    if len(begun) != 1:
        if begun:
            hint = f"there are: {', '.join(begun)}"
            raise UsageError(f"several {kind}s begin with {name!r}", hint=hint)
        hint = suggestion(name, among, kind=f"{kind}s")
        raise UsageError(f"there is no {kind} {name!r}", hint=hint)
    return among[begun[0]]
