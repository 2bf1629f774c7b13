from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credit_core.domain.places import AWAITING_REVIEW
from credit_core.domain.referrals import WAITING
from tests.builders_aws import TOLD
from tests.infrastructure.release import fixed_properties
from tests.infrastructure.templates import STATEFUL, properties, stack_of, statements

if TYPE_CHECKING:
    from tests.infrastructure.templates import Deployment

BUCKET, TABLE, KEY = "AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::KMS::Key"
DATA_KEY, SIGNING_KEY = "storage/Data/Key", "storage/Models/Key"
TABLES = {
    "storage/Tables/OnlineStore": {"entity_key": "HASH"},
    "storage/Tables/Decisions": {"application_id": "HASH", "record": "RANGE"},
    "storage/Tables/Registry": {"product": "HASH", "record": "RANGE"},
}


def assert_buckets_are_private_and_versioned(deployment: Deployment) -> None:
    for path, bucket in deployment.of_type(BUCKET).items():
        assert properties(bucket)["PublicAccessBlockConfiguration"] == {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        }, path
        assert properties(bucket)["VersioningConfiguration"] == {"Status": "Enabled"}, path


def assert_buckets_refuse_plain_http(deployment: Deployment) -> None:
    refusing = {
        deployment.text(properties(policy)["Bucket"], stack_of(path))
        for path, policy in deployment.of_type("AWS::S3::BucketPolicy").items()
        for statement in statements(properties(policy)["PolicyDocument"])
        if statement["Effect"] == "Deny"
        and statement["Action"] == ["s3:*"]
        and statement["Principal"] == {"AWS": "*"}
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    }
    assert refusing == set(deployment.of_type(BUCKET))


def assert_tables_are_protected(deployment: Deployment) -> None:
    for path in TABLES:
        table = properties(deployment.at(path, TABLE))
        assert table["SSESpecification"]["SSEType"] == "KMS"
        assert deployment.text(table["SSESpecification"]["KMSMasterKeyId"], "storage") == DATA_KEY
        assert table["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        expected = deployment.stage.name == "prod"
        assert table["DeletionProtectionEnabled"] is expected


def test_buckets_are_private_and_versioned(deployment: Deployment) -> None:
    assert_buckets_are_private_and_versioned(deployment)


def test_a_public_bucket_would_be_noticed(prod: Deployment) -> None:
    mutant = prod.changed("storage/Buckets/Lake", BUCKET, PublicAccessBlockConfiguration={})

    with pytest.raises(AssertionError):
        assert_buckets_are_private_and_versioned(mutant)


def assert_marks_end_by_a_rule_that_is_accepted(deployment: Deployment) -> None:
    """S3 takes no days beside the mark's end, and CloudFormation no rule of that end alone."""
    for path, bucket in deployment.of_type(BUCKET).items():
        for rule in properties(bucket)["LifecycleConfiguration"]["Rules"]:
            if "ExpiredObjectDeleteMarker" in rule:
                assert not {"ExpirationInDays", "ExpirationDate", "TagFilters"} & set(rule), path
                assert {"AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration"} & set(
                    rule
                ), path


def test_marks_of_expired_objects_end_by_a_rule_that_is_accepted(deployment: Deployment) -> None:
    assert_marks_end_by_a_rule_that_is_accepted(deployment)


def test_a_rule_of_marks_alone_would_be_noticed(prod: Deployment) -> None:
    alone = {"Status": "Enabled", "ExpiredObjectDeleteMarker": True}
    mutant = prod.changed("storage/Buckets/Lake", BUCKET, LifecycleConfiguration={"Rules": [alone]})

    with pytest.raises(AssertionError):
        assert_marks_end_by_a_rule_that_is_accepted(mutant)


def test_buckets_refuse_plain_http(deployment: Deployment) -> None:
    assert_buckets_refuse_plain_http(deployment)


def test_a_bucket_that_accepts_plain_http_would_be_noticed(prod: Deployment) -> None:
    mutant = prod.changed(
        "storage/Buckets/Models/Policy",
        "AWS::S3::BucketPolicy",
        PolicyDocument={"Statement": []},
    )

    with pytest.raises(AssertionError):
        assert_buckets_refuse_plain_http(mutant)


@pytest.mark.parametrize("name", ["Lake", "Models", "Results", "Receipts"])
def test_data_in_buckets_is_encrypted_under_the_data_key(deployment: Deployment, name: str) -> None:
    bucket = properties(deployment.at(f"storage/Buckets/{name}", BUCKET))

    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]

    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    key = rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"]
    assert deployment.text(key, "storage") == DATA_KEY


def test_opening_a_data_bucket_leaves_a_record(deployment: Deployment) -> None:
    for path, bucket in deployment.of_type(BUCKET).items():
        if path != "storage/Buckets/AccessLogs":
            target = properties(bucket)["LoggingConfiguration"]["DestinationBucketName"]
            assert deployment.text(target, "storage") == "storage/Buckets/AccessLogs"


def test_tables_are_protected(deployment: Deployment) -> None:
    assert_tables_are_protected(deployment)


@pytest.mark.parametrize(
    "lost",
    ["SSESpecification", "PointInTimeRecoverySpecification", "DeletionProtectionEnabled"],
)
def test_an_unprotected_table_would_be_noticed(prod: Deployment, lost: str) -> None:
    mutant = prod.changed("storage/Tables/Decisions", TABLE, **{lost: None})

    with pytest.raises((AssertionError, KeyError)):
        assert_tables_are_protected(mutant)


def test_tables_have_the_keys_that_the_functions_use(deployment: Deployment) -> None:
    found = {
        path: {key["AttributeName"]: key["KeyType"] for key in properties(table)["KeySchema"]}
        for path, table in deployment.of_type(TABLE).items()
    }

    assert found == TABLES


def test_what_waits_for_a_person_is_found_without_an_applicants_data(
    deployment: Deployment,
) -> None:
    """The index holds what the queue tells; requests, features and hashes stay in the table."""
    (index,) = (
        index
        for index in properties(deployment.at("storage/Tables/Decisions", TABLE))[
            "GlobalSecondaryIndexes"
        ]
        if index["IndexName"] == AWAITING_REVIEW
    )

    assert index["KeySchema"] == [
        {"AttributeName": WAITING, "KeyType": "HASH"},
        {"AttributeName": "decided_at", "KeyType": "RANGE"},
    ]
    assert index["Projection"]["ProjectionType"] == "INCLUDE"
    assert set(index["Projection"]["NonKeyAttributes"]) == set(TOLD)


def test_the_table_of_decisions_is_of_the_class_that_costs_less(deployment: Deployment) -> None:
    table = properties(deployment.at("storage/Tables/Decisions", TABLE))
    expected = "STANDARD_INFREQUENT_ACCESS" if deployment.stage.receipts_seldom_read else None
    assert table.get("TableClass") == expected
    # So that a release that changes it replaces no table.
    assert "TableClass" not in fixed_properties(TABLE)


def test_features_and_decisions_expire_and_the_registry_does_not(deployment: Deployment) -> None:
    expiring = {
        path: properties(table)["TimeToLiveSpecification"]
        for path, table in deployment.of_type(TABLE).items()
        if "TimeToLiveSpecification" in properties(table)
    }

    assert expiring == {
        f"storage/Tables/{name}": {"AttributeName": "expires_at", "Enabled": True}
        for name in ("OnlineStore", "Decisions")
    }


def test_keys_that_can_rotate_do(deployment: Deployment) -> None:
    """KMS rotates no asymmetric key."""
    for path, key in deployment.of_type(KEY).items():
        assert (properties(key).get("EnableKeyRotation") is True) is (path != SIGNING_KEY), path


def test_models_are_signed_under_a_key_that_only_signs(deployment: Deployment) -> None:
    key = properties(deployment.at(SIGNING_KEY, KEY))

    assert (key["KeySpec"], key["KeyUsage"]) == ("ECC_NIST_P256", "SIGN_VERIFY")


def test_what_holds_state_outlives_a_prod_stack(prod: Deployment) -> None:
    for type_ in STATEFUL:
        for path, found in prod.of_type(type_).items():
            assert found["DeletionPolicy"] == "Retain", path
            assert found["UpdateReplacePolicy"] == "Retain", path


def test_the_entity_key_is_long_and_generated(deployment: Deployment) -> None:
    (secret,) = deployment.of_type("AWS::SecretsManager::Secret").values()

    generated = properties(secret)["GenerateSecretString"]

    assert generated == {"PasswordLength": 64, "ExcludePunctuation": True}
    assert deployment.text(properties(secret)["KmsKeyId"], "storage") == DATA_KEY
    assert "SecretString" not in properties(secret)
