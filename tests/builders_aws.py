"""Tables and the signing key as the CDK app makes them, on moto or on a local cloud."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from credit_core.domain.places import AWAITING_REVIEW, BY_APPLICANT
from credit_core.domain.referrals import WAITING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient

TABLE_KEYS = {
    "online-store": ("entity_key",),
    "decisions": ("application_id", "record"),
    "registry": ("product", "record"),
}
INDEXES = {
    "decisions": {BY_APPLICANT: ("applicant",), AWAITING_REVIEW: (WAITING, "decided_at")},
}
TOLD = ["response", "revision", "added", "expires_at"]
"""What the index of what waits holds beside its keys."""


def create_table(dynamodb: DynamoDBClient, kind: str, *, name: str | None = None) -> None:
    """Create the table of that kind, under its kind or under a name of its own."""
    keys = TABLE_KEYS[kind]
    indexed = INDEXES.get(kind, {})
    extra: dict[str, Any] = {
        "GlobalSecondaryIndexes": [
            {
                "IndexName": index,
                "KeySchema": _schema(of_index),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": TOLD}
                if index == AWAITING_REVIEW
                else {"ProjectionType": "KEYS_ONLY"},
            }
            for index, of_index in indexed.items()
        ]
    }
    dynamodb.create_table(
        TableName=name or kind,
        KeySchema=_schema(keys),
        AttributeDefinitions=[
            {"AttributeName": key, "AttributeType": "S"}
            for key in dict.fromkeys(chain(keys, *indexed.values()))
        ],
        BillingMode="PAY_PER_REQUEST",
        **(extra if indexed else {}),
    )


def _schema(keys: Sequence[str]) -> Any:
    return [
        {"AttributeName": key, "KeyType": role}
        for key, role in zip(keys, ("HASH", "RANGE"), strict=False)
    ]


def create_signing_key(kms: KMSClient) -> str:
    """Create a key of the kind that signs models; return its ARN."""
    return kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
