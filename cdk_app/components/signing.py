"""The key under which models are signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_kms as kms
from constructs import Construct

if TYPE_CHECKING:
    from cdk_app.stages import Stage


class SigningKey(Construct):
    """An elliptic-curve key that never leaves KMS.

    Whoever may write objects and the registry still can't make a model that the scorer loads: that
    takes ``kms:Sign``. KMS rotates no asymmetric key; another key means signing anew what serves.
    """

    def __init__(self, scope: Construct, id_: str, *, stage: Stage) -> None:
        super().__init__(scope, id_)
        self.key = kms.Key(
            self,
            "Key",
            alias=f"{stage.prefix}-models",
            description=f"Signatures of the models of {stage.prefix}",
            key_spec=kms.KeySpec.ECC_NIST_P256,
            key_usage=kms.KeyUsage.SIGN_VERIFY,
            removal_policy=stage.removal,
            pending_window=Duration.days(stage.key_pending_days),
        )
