"""Tables and the signing key as the CDK app makes them, on moto or on a local cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from credit_core.domain.places import BY_APPLICANT

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_kms import KMSClient

TABLE_KEYS = {
    "online-store": ("entity_key",),
    "decisions": ("application_id", "record"),
    "registry": ("product", "record"),
}
INDEXES = {"decisions": {BY_APPLICANT: "applicant"}}


def create_table(dynamodb: DynamoDBClient, kind: str, *, name: str | None = None) -> None:
    """Create the table of that kind, under its kind or under a name of its own."""
    keys = TABLE_KEYS[kind]
    indexed = INDEXES.get(kind, {})
    extra: dict[str, Any] = {
        "GlobalSecondaryIndexes": [
            {
                "IndexName": index,
                "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
            for index, key in indexed.items()
        ]
    }
    dynamodb.create_table(
        TableName=name or kind,
        KeySchema=[
            {"AttributeName": key, "KeyType": role}  # type: ignore[typeddict-item]
            for key, role in zip(keys, ("HASH", "RANGE"), strict=False)
        ],
        AttributeDefinitions=[
            {"AttributeName": key, "AttributeType": "S"} for key in (*keys, *indexed.values())
        ],
        BillingMode="PAY_PER_REQUEST",
        **(extra if indexed else {}),
    )


def create_signing_key(kms: KMSClient) -> str:
    """Create a key of the kind that signs models; return its ARN."""
    return kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
