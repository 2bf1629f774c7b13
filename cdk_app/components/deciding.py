"""What deciding an application takes from storage, whichever function does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cdk_app.components.own_role import OwnRole
    from cdk_app.components.storage import Storage
    from credit_core.domain.product import CreditProduct


def allow_deciding(role: OwnRole, *, product: CreditProduct, storage: Storage) -> None:
    """Allow to read features, decisions and models, and to write decisions alone."""
    tables, secret = storage.tables, storage.entity_key.secret
    role.allow("dynamodb:BatchGetItem", on=tables.arns)
    role.allow("dynamodb:PutItem", on=[tables.decisions.table_arn])
    role.allow_objects("s3:GetObject", bucket=storage.buckets.models, prefix=f"{product.name}/")
    role.allow("kms:Verify", on=[storage.signing_key.key_arn])
    role.allow("secretsmanager:GetSecretValue", on=[secret.secret_arn])
    role.allow_key(storage.key, through=("dynamodb", "s3", "secretsmanager"))
