"""What carries a receipt into the archive: nothing is dropped, and nothing there is replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.infrastructure.templates import properties, statements

if TYPE_CHECKING:
    from tests.infrastructure.templates import Deployment

STACK = "archive"
MAPPING, QUEUE = "AWS::Lambda::EventSourceMapping", "AWS::SQS::Queue"
POLICY = "AWS::IAM::Policy"
BUCKET, BUCKET_POLICY = "AWS::S3::Bucket", "AWS::S3::BucketPolicy"
STREAM, ARCHIVER = "archive/Archive/Stream", "archive/Archive/Archiver/Function"
FAILED_BATCHES = "archive/Archive/FailedBatches"
RECEIPTS, DECISIONS = "storage/Buckets/Receipts", "storage/Tables/Decisions"
DATA_KEY = "storage/Data/Key"
REGULATION_B_DAYS = 25 * 31


def denied(deployment: Deployment) -> dict[str, dict[str, Any]]:
    policy = properties(deployment.at(f"{RECEIPTS}/Policy", BUCKET_POLICY))["PolicyDocument"]
    return {
        action: statement
        for statement in statements(policy)
        if statement["Effect"] == "Deny" and statement["Principal"] == {"AWS": "*"}
        for action in statement["Action"]
    }


def assert_the_archive_is_append_only(deployment: Deployment) -> None:
    found = denied(deployment)
    assert found["s3:PutObject"]["Condition"] == {"Null": {"s3:if-none-match": "true"}}
    never = (
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:ReplicateDelete",
        "s3:ReplicateObject",
    )
    for action in ("s3:PutObject", *never):
        assert deployment.text(found[action]["Resource"], "storage") == f"{RECEIPTS}/*"
    for action in never:
        assert "Condition" not in found[action]


def assert_what_fails_is_kept(deployment: Deployment) -> None:
    mapping = properties(deployment.at(STREAM, MAPPING))
    destination = mapping["DestinationConfig"]["OnFailure"]["Destination"]
    assert deployment.text(destination, STACK) == FAILED_BATCHES
    # 14 days: the longest that SQS keeps anything.
    assert properties(deployment.at(FAILED_BATCHES, QUEUE))["MessageRetentionPeriod"] == 1_209_600


def test_only_decisions_have_a_stream_and_it_has_the_whole_record(deployment: Deployment) -> None:
    streams = {
        path: properties(table).get("StreamSpecification")
        for path, table in deployment.of_type("AWS::DynamoDB::Table").items()
    }

    assert streams.pop(DECISIONS) == {"StreamViewType": "NEW_IMAGE"}
    assert set(streams.values()) == {None}


def test_the_archiver_follows_the_stream_of_decisions_from_its_start(
    deployment: Deployment,
) -> None:
    mapping = properties(deployment.at(STREAM, MAPPING))

    assert deployment.text(mapping["EventSourceArn"], STACK) == DECISIONS
    assert deployment.text(mapping["FunctionName"], STACK) == ARCHIVER
    assert mapping["StartingPosition"] == "TRIM_HORIZON"
    assert mapping["ParallelizationFactor"] == 1


def test_a_record_that_always_fails_is_left_alone_and_given_up(deployment: Deployment) -> None:
    mapping, limits = properties(deployment.at(STREAM, MAPPING)), deployment.stage.archiving

    assert mapping["BisectBatchOnFunctionError"] is True
    assert mapping["MaximumRetryAttempts"] == limits.retries > 0
    # Before the stream forgets it, which would be without a word.
    assert 60 <= mapping["MaximumRecordAgeInSeconds"] == limits.record_age_seconds < 86_400


def test_a_batch_is_not_reported_in_part(deployment: Deployment) -> None:
    """The archiver tries each record of a batch and then fails as a whole, see decision 33."""
    assert "FunctionResponseTypes" not in properties(deployment.at(STREAM, MAPPING))


def test_what_is_given_up_is_kept_encrypted_for_two_weeks(deployment: Deployment) -> None:
    assert_what_fails_is_kept(deployment)
    queue = properties(deployment.at(FAILED_BATCHES, QUEUE))
    assert deployment.text(queue["KmsMasterKeyId"], STACK) == DATA_KEY
    policy = properties(deployment.at(f"{FAILED_BATCHES}/Policy", "AWS::SQS::QueuePolicy"))
    (plain,) = statements(policy["PolicyDocument"])
    assert (plain["Effect"], plain["Action"]) == ("Deny", ["sqs:*"])


def test_a_stream_that_gives_up_in_silence_would_be_noticed(prod: Deployment) -> None:
    with pytest.raises(KeyError):
        assert_what_fails_is_kept(prod.changed(STREAM, MAPPING, DestinationConfig=None))


def test_batches_that_a_redrive_took_come_back_only_after_it_has_ended(
    deployment: Deployment,
) -> None:
    timeout = properties(deployment.at(ARCHIVER, "AWS::Lambda::Function"))["Timeout"]

    assert properties(deployment.at(FAILED_BATCHES, QUEUE))["VisibilityTimeout"] >= timeout


def test_the_archive_is_append_only_for_everybody(deployment: Deployment) -> None:
    assert_the_archive_is_append_only(deployment)


def test_an_archive_that_lets_receipts_be_replaced_would_be_noticed(prod: Deployment) -> None:
    mutant = prod.changed(f"{RECEIPTS}/Policy", BUCKET_POLICY, PolicyDocument={"Statement": []})

    with pytest.raises(KeyError):
        assert_the_archive_is_append_only(mutant)


def lifetime(deployment: Deployment) -> dict[str, Any]:
    """Return the rule that ends receipts; those of erased applicants, with a tag, have another."""
    rules = properties(deployment.at(RECEIPTS, BUCKET))["LifecycleConfiguration"]["Rules"]
    (rule,) = (
        found for found in rules if "ExpirationInDays" in found and "TagFilters" not in found
    )
    return dict(rule)


def test_receipts_are_kept_as_long_as_the_law_asks(prod: Deployment) -> None:
    rule = lifetime(prod)

    assert rule["ExpirationInDays"] == prod.stage.receipt_days > REGULATION_B_DAYS
    assert rule["Status"] == "Enabled"


def test_the_archiver_knows_how_long_receipts_are_kept(deployment: Deployment) -> None:
    """What it takes for lacking must not be what the bucket let go of."""
    rule = lifetime(deployment)
    function = properties(deployment.at(ARCHIVER, "AWS::Lambda::Function"))

    told = function["Environment"]["Variables"]["CREDIT_RECEIPT_DAYS"]

    assert int(told) == rule["ExpirationInDays"]


def test_who_archives_cannot_read_the_archive(deployment: Deployment) -> None:
    policy = properties(deployment.at("archive/Archive/Archiver/Role/DefaultPolicy", POLICY))

    actions = {
        action
        for statement in statements(policy["PolicyDocument"])
        for action in statement["Action"]
    }

    assert "s3:PutObject" in actions
    assert "s3:GetObject" not in actions


@pytest.mark.parametrize(
    ("name", "metric", "watched"),
    [
        (
            "ReceiptsNotArchived",
            "AWS/SQS ApproximateNumberOfMessagesVisible",
            ("QueueName", FAILED_BATCHES),
        ),
        ("ReceiptsLate", "AWS/Lambda IteratorAge", ("FunctionName", ARCHIVER)),
    ],
)
def test_receipts_that_are_given_up_or_late_page(
    deployment: Deployment, name: str, metric: str, watched: tuple[str, str]
) -> None:
    alarm = properties(deployment.at(f"operations/Pager/{name}", "AWS::CloudWatch::Alarm"))

    assert f"{alarm['Namespace']} {alarm['MetricName']}" == metric
    assert alarm["Statistic"] == "Maximum"
    (found,) = alarm["Dimensions"]
    assert (found["Name"], deployment.text(found["Value"], "operations")) == watched


def test_lateness_pages_before_anything_is_given_up_in_prod(prod: Deployment) -> None:
    alarm = properties(prod.at("operations/Pager/ReceiptsLate", "AWS::CloudWatch::Alarm"))
    mapping = properties(prod.at(STREAM, MAPPING))

    assert alarm["Threshold"] / 1_000 < mapping["MaximumRecordAgeInSeconds"]


def test_on_call_is_told_how_to_redrive(deployment: Deployment) -> None:
    path = "operations/Pager/ReceiptsNotArchived"
    said = properties(deployment.at(path, "AWS::CloudWatch::Alarm"))["AlarmDescription"]

    assert "`credit archive redrive`" in said
