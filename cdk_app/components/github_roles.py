"""Roles that workflows of one GitHub repository take on, without any key that is stored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aws_cdk import ArnFormat, Aws, Duration, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from cdk_app.components.acknowledgements import acknowledge
from cdk_app.components.own_role import WILDCARD, OwnRole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ISSUER = "token.actions.githubusercontent.com"
AUDIENCE = "sts.amazonaws.com"
SESSION = Duration.hours(1)
"""The least that IAM takes, and the most that a role has which assumes the CDK's next."""

BOOTSTRAP_ROLES = ("deploy-role", "file-publishing-role")
"""Those of the CDK's roles that a deployment takes on: it has no images, and looks nothing up."""

OWNER = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})"
NAME = r"[A-Za-z0-9._-]{1,100}"
REPOSITORY = re.compile(rf"{OWNER}/{NAME}|{OWNER}@[0-9]+/{NAME}@[0-9]+")


class InvalidDeliveryError(Exception):
    """What the command line says of a repository or its stages can't be; the message is a line."""


@dataclass(frozen=True)
class Repository:
    """A repository as GitHub writes it into the subject of a token.

    ``acme/lending``, or ``acme@1234/lending@5678`` for one that was created, renamed or moved since
    15 July 2026: with its numbers, which nobody has again who takes the name over.

    Raises:
        InvalidDeliveryError: It is neither.

    Source: GitHub Docs, "OpenID Connect reference", "Immutable subject claims".

    >>> Repository("acme@1234/lending@5678").environment("prod")
    'repo:acme@1234/lending@5678:environment:prod'
    """

    name: str

    def __post_init__(self) -> None:
        if not REPOSITORY.fullmatch(self.name):
            raise InvalidDeliveryError(
                f"{self.name!r} is no repository: owner/name, or owner@ID/name@ID"
            )

    @property
    def pull_request(self) -> str:
        """The subject of a workflow that runs for a pull request, and in no environment."""
        return f"repo:{self.name}:pull_request"

    def environment(self, name: str) -> str:
        """Return the subject of a job that runs in an environment, from wherever it was started."""
        return f"repo:{self.name}:environment:{name}"


class GitHubRoles(Construct):
    """A role for each stage to deploy to, and one that compares a pull request with one of them.

    Each trusts one subject, word for word: no branch, tag or fork has it. Who may start a job in an
    environment is what its protection rules on GitHub say.

    Args:
        repository: Whose workflows.
        stages: Where they deploy to; the environments on GitHub have the same names.
        compared: The stage that pull requests are compared with, if it is among these.
        qualifier: Of the bootstrap stack whose roles deploy.
        provider_arn: Of the identity provider, if the account has one; else it is created. An
            account has one for each issuer.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        repository: Repository,
        stages: Sequence[str],
        compared: str,
        qualifier: str,
        provider_arn: str | None = None,
    ) -> None:
        super().__init__(scope, id_)
        self._qualifier = qualifier
        self._provider_arn = provider_arn or self._provider()
        self.deploying = {
            stage: self._deploying(stage, repository.environment(stage)) for stage in stages
        }
        self.comparing = (
            self._comparing(compared, repository.pull_request) if compared in stages else None
        )

    def _provider(self) -> str:
        # IAM checks GitHub's certificate by its own list of authorities: no thumbprint is needed.
        provider = iam.CfnOIDCProvider(
            self, "Provider", url=f"https://{ISSUER}", client_id_list=[AUDIENCE]
        )
        return provider.attr_arn

    def _role(self, name: str, subject: str, description: str) -> OwnRole:
        principal = iam.WebIdentityPrincipal(
            self._provider_arn,
            {"StringEquals": {f"{ISSUER}:aud": AUDIENCE, f"{ISSUER}:sub": subject}},
        )
        return OwnRole(
            self,
            name,
            assumed_by=principal,
            description=description,
            max_session_duration=SESSION,
        )

    def _comparing(self, stage: str, subject: str) -> OwnRole:
        """Return the role that reads what is deployed, and nothing that is in it.

        It is not the CDK's for lookups: with that one a pull request would read the whole account.
        """
        role = self._role("Diff", subject, f"Pull requests: reads the templates of {stage}")
        stacks = self._arn("cloudformation", "stack", f"credit-{stage}-*")
        role.allow("cloudformation:DescribeStacks", "cloudformation:GetTemplate", on=[stacks])
        self._acknowledge(role, {stacks: "A stage has stacks for each product."})
        return role

    def _deploying(self, stage: str, subject: str) -> OwnRole:
        role = self._role(
            stage.capitalize(), subject, f"Deploys {stage}, and looks whether it is well"
        )
        role.allow(
            "sts:AssumeRole",
            on=[
                self._arn(
                    *("iam", "role"),
                    f"cdk-{self._qualifier}-{name}-{Aws.ACCOUNT_ID}-{Aws.REGION}",
                    region="",
                )
                for name in BOOTSTRAP_ROLES
            ],
        )
        self._allow_status(role, stage)
        return role

    def _allow_status(self, role: OwnRole, stage: str) -> None:
        """Allow what ``credit --stage STAGE status`` asks for.

        By the names that everything of a stage begins with; by its tag what CloudFormation or
        Cognito gives a name that says nothing.
        """
        begin = f"credit-{stage}-*"
        tagged = {"StringEquals": {"aws:ResourceTag/stage": stage}}
        stacks = self._arn("cloudformation", "stack", begin)
        machines = self._arn("states", "stateMachine", begin, colon=True)
        runs = self._arn("states", "execution", begin, colon=True)
        queues = self._arn("sqs", begin, colon=True)
        registry = self._arn("dynamodb", "table", f"{begin}-storage-TablesRegistry*")
        pools = self._arn("cognito-idp", "userpool", "*")
        keys = self._arn("kms", "key", "*")
        role.allow(
            "cloudformation:DescribeStacks", "cloudformation:ListStackResources", on=[stacks]
        )
        role.allow("states:ListExecutions", on=[machines])
        role.allow("states:DescribeExecution", "states:GetExecutionHistory", on=[runs])
        role.allow("sqs:GetQueueAttributes", on=[queues])
        role.allow("dynamodb:GetItem", on=[registry])
        # Its secret: to ask the API whether it can decide takes a token.
        role.allow("cognito-idp:DescribeUserPoolClient", on=[pools], conditions=tagged)
        through = {"kms:ViaService": f"dynamodb.{Aws.REGION}.{Aws.URL_SUFFIX}"}
        role.allow(
            "kms:Decrypt", on=[keys], conditions={"StringEquals": tagged["StringEquals"] | through}
        )
        role.allow("cloudwatch:DescribeAlarms", "cloudwatch:GetMetricStatistics", on=["*"])
        named = "Names of a stage's resources begin with it; CloudFormation ends them."
        by_tag = "Its name is made up by AWS; the condition on its tag keeps to the stage."
        self._acknowledge(
            role,
            dict.fromkeys((stacks, machines, runs, queues, registry), named)
            | dict.fromkeys((pools, keys), by_tag)
            | {
                "*": "A metric is no resource that could be named, and CloudWatch wants this scope "
                "of whoever looks at alarms of both kinds."
            },
        )

    def _arn(
        self,
        service: str,
        resource: str,
        name: str = "",
        *,
        colon: bool = False,
        region: str | None = None,
    ) -> str:
        return Stack.of(self).format_arn(
            service=service,
            resource=resource,
            resource_name=name or None,
            region=region,
            arn_format=(
                ArnFormat.NO_RESOURCE_NAME
                if not name
                else ArnFormat.COLON_RESOURCE_NAME
                if colon
                else ArnFormat.SLASH_RESOURCE_NAME
            ),
        )

    def _acknowledge(self, role: OwnRole, reasons: Mapping[str, str]) -> None:
        acknowledge(
            role,
            {
                f"{WILDCARD}[Resource::{as_cdk_nag_writes(Stack.of(self).resolve(arn))}]": reason
                for arn, reason in reasons.items()
            },
        )


def as_cdk_nag_writes(arn: Any) -> str:
    """Return an ARN as it stands in the id of a finding: with ``<AWS::Region>`` for a reference."""
    if isinstance(arn, str):
        return arn
    _, parts = arn["Fn::Join"]
    return "".join(part if isinstance(part, str) else f"<{part['Ref']}>" for part in parts)
