"""The key under which applicants are known to the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from cdk_app.components.acknowledgements import acknowledge

if TYPE_CHECKING:
    from aws_cdk import aws_kms as kms

    from cdk_app.stages import Stage

CHARACTERS = 64


class EntityKey(Construct):
    """A generated secret: entity keys are stored only as hashes under it (HMAC)."""

    def __init__(self, scope: Construct, id_: str, *, stage: Stage, key: kms.IKey) -> None:
        super().__init__(scope, id_)
        generated = secretsmanager.Secret(
            self,
            "Secret",
            description="HMAC key of entity keys; another one orphans every stored row",
            encryption_key=key,
            generate_secret_string=secretsmanager.SecretStringGenerator(
                password_length=CHARACTERS, exclude_punctuation=True
            ),
            removal_policy=stage.removal,
        )
        acknowledge(
            generated,
            {
                "AwsSolutions-SMG4": "A rotated key would match no stored row, so that every "
                "applicant became unknown; a new key goes with a backfill, by hand."
            },
        )
        native = generated.node.default_child
        assert isinstance(native, secretsmanager.CfnSecret)  # noqa: S101 (for mypy)
        # By the attribute that is its ARN everywhere: `Ref` is that on AWS, and on the local cloud
        # its name, which a policy can't be about.
        self.secret = secretsmanager.Secret.from_secret_complete_arn(self, "ByArn", native.attr_id)
