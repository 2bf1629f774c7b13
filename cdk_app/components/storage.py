"""All that outlives a deployment, as the other stacks receive it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aws_cdk import aws_kms as kms

    from cdk_app.components.buckets import Buckets
    from cdk_app.components.catalog import Catalog
    from cdk_app.components.channels import Channels
    from cdk_app.components.entity_key import EntityKey
    from cdk_app.components.tables import Tables


@dataclass(frozen=True, kw_only=True)
class Storage:
    """The data key and what is encrypted under it, the key that signs models, who is told."""

    key: kms.IKey
    signing_key: kms.IKey
    buckets: Buckets
    tables: Tables
    catalog: Catalog
    entity_key: EntityKey
    channels: Channels
