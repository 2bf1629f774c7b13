"""A CDK app: the roles of a repository's workflows for the stage of the local cloud.

No workflow deploys that one; here it shows on an enforcing cloud what such roles may do. The cloud
has no identity providers for CloudFormation to create: it takes any that a policy names.
"""

from __future__ import annotations

from aws_cdk import App, DefaultStackSynthesizer

from cdk_app.app import DELIVERY, check
from cdk_app.components.github_roles import ISSUER, Repository
from cdk_app.stacks.delivery import DeliveryStack

REPOSITORY = "acme@1234/lending@5678"

if __name__ == "__main__":
    app = App()
    DeliveryStack(
        app,
        DELIVERY,
        repository=Repository(REPOSITORY),
        stages=("local",),
        compared="local",
        qualifier=DefaultStackSynthesizer.DEFAULT_QUALIFIER,
        provider_arn=f"arn:aws:iam::000000000000:oidc-provider/{ISSUER}",
    )
    check(app)
    app.synth()
