"""How workflows of a repository get into an account: it is the account's, not a stage's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aws_cdk import CfnOutput, Stack

from cdk_app.components.github_roles import GitHubRoles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from constructs import Construct

    from cdk_app.components.github_roles import Repository


class DeliveryStack(Stack):
    """GitHub as an identity provider, and the roles that its workflows take on."""

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
        **props: Any,
    ) -> None:
        super().__init__(scope, id_, **props)
        roles = GitHubRoles(
            self,
            "GitHub",
            repository=repository,
            stages=stages,
            compared=compared,
            qualifier=qualifier,
            provider_arn=provider_arn,
        )
        for stage, role in roles.deploying.items():
            CfnOutput(self, f"{stage.capitalize()}Role", value=role.role_arn)
        if roles.comparing:
            CfnOutput(self, "DiffRole", value=roles.comparing.role_arn)
