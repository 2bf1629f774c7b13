"""What carries a pushed row: encrypted all the way, and nothing is dropped in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from credit_core.domain.feature_event import DETAIL_TYPE
from tests.infrastructure.templates import properties, statements

if TYPE_CHECKING:
    from tests.infrastructure.templates import Deployment

STACK = "materialization"
QUEUE, QUEUE_POLICY = "AWS::SQS::Queue", "AWS::SQS::QueuePolicy"
PUSH, DEAD_LETTERS = "materialization/Push/Queue", "materialization/Push/DeadLetters"
UNDECRYPTABLE = "materialization/Push/Undecryptable"
BUS, RULE = "materialization/Push/Bus", "materialization/Push/Rule"
MESSAGES = "materialization/Push/Messages"
PUSHER = "materialization/Push/Pusher/Function"
DATA_KEY = "storage/Data/Key"
EVENT_BRIDGE = {"Service": "events.amazonaws.com"}


def assert_event_bridge_may_use_the_key(deployment: Deployment) -> None:
    policy = properties(deployment.at(DATA_KEY, "AWS::KMS::Key"))["KeyPolicy"]
    (statement,) = (found for found in statements(policy) if found.get("Principal") == EVENT_BRIDGE)
    assert set(statement["Action"]) == {"kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"}
    assert statement["Condition"] == {
        "StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    }


def test_rows_are_encrypted_under_the_data_key_on_the_bus_and_in_the_queues(
    deployment: Deployment,
) -> None:
    bus = properties(deployment.at(BUS, "AWS::Events::EventBus"))
    assert deployment.text(bus["KmsKeyIdentifier"], STACK) == DATA_KEY
    for path in (PUSH, DEAD_LETTERS):
        queue = properties(deployment.at(path, QUEUE))
        assert deployment.text(queue["KmsMasterKeyId"], STACK) == DATA_KEY


def test_event_bridge_may_use_the_key_for_this_account_alone(deployment: Deployment) -> None:
    """Without that, EventBridge drops each row, and nobody is told."""
    assert_event_bridge_may_use_the_key(deployment)


def test_a_key_that_event_bridge_cannot_use_would_be_noticed(prod: Deployment) -> None:
    mutant = prod.changed(DATA_KEY, "AWS::KMS::Key", KeyPolicy={"Statement": []})

    with pytest.raises(ValueError, match="not enough values"):
        assert_event_bridge_may_use_the_key(mutant)


def test_the_rule_takes_rows_of_this_bus_to_the_queue(deployment: Deployment) -> None:
    rule = properties(deployment.at(RULE, "AWS::Events::Rule"))

    assert rule["EventBusName"] == deployment.stage.prefix
    assert rule["EventPattern"] == {"detail-type": [DETAIL_TYPE]}
    (target,) = rule["Targets"]
    assert deployment.text(target["Arn"], STACK) == PUSH


def test_what_cannot_be_delivered_or_taken_ends_among_the_dead_letters(
    deployment: Deployment,
) -> None:
    (target,) = properties(deployment.at(RULE, "AWS::Events::Rule"))["Targets"]
    redrive = properties(deployment.at(PUSH, QUEUE))["RedrivePolicy"]

    for arn in (
        target["DeadLetterConfig"]["Arn"],
        redrive["deadLetterTargetArn"],
    ):
        assert deployment.text(arn, STACK) == DEAD_LETTERS
    assert redrive["maxReceiveCount"] == deployment.stage.push.attempts
    # 14 days: the longest that SQS keeps anything.
    assert properties(deployment.at(DEAD_LETTERS, QUEUE))["MessageRetentionPeriod"] == 1_209_600


def test_what_cannot_be_decrypted_waits_where_the_same_key_is_not_needed(
    deployment: Deployment,
) -> None:
    bus = properties(deployment.at(BUS, "AWS::Events::EventBus"))
    assert deployment.text(bus["DeadLetterConfig"]["Arn"], STACK) == UNDECRYPTABLE

    queue = properties(deployment.at(UNDECRYPTABLE, QUEUE))
    assert "KmsMasterKeyId" not in queue
    assert queue["SqsManagedSseEnabled"] is True
    assert queue["MessageRetentionPeriod"] == 1_209_600


def test_only_this_bus_sends_to_the_queues_and_over_tls(deployment: Deployment) -> None:
    for path, senders in ((PUSH, [RULE]), (DEAD_LETTERS, [RULE]), (UNDECRYPTABLE, [BUS])):
        policy = properties(deployment.at(f"{path}/Policy", QUEUE_POLICY))["PolicyDocument"]
        plain, sending = statements(policy)
        assert (plain["Effect"], plain["Action"]) == ("Deny", ["sqs:*"])
        assert plain["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert (sending["Effect"], sending["Action"]) == ("Allow", ["sqs:SendMessage"])
        assert sending["Principal"] == EVENT_BRIDGE
        arns = sending["Condition"]["ArnEquals"]["aws:SourceArn"]
        assert deployment.texts(arns, STACK) == senders


def test_a_message_is_not_seen_again_while_it_is_worked_on(deployment: Deployment) -> None:
    """Six timeouts of the function, as AWS asks: batches may wait for a free function."""
    timeout = properties(deployment.at(PUSHER, "AWS::Lambda::Function"))["Timeout"]

    assert properties(deployment.at(PUSH, QUEUE))["VisibilityTimeout"] >= 6 * timeout
    # Rows of the near future are waited for.
    assert timeout > 120


def test_a_row_that_fails_does_not_bring_its_batch_back(deployment: Deployment) -> None:
    mapping = properties(deployment.at(MESSAGES, "AWS::Lambda::EventSourceMapping"))

    assert deployment.text(mapping["EventSourceArn"], STACK) == PUSH
    assert deployment.text(mapping["FunctionName"], STACK) == PUSHER
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    concurrency = mapping["ScalingConfig"]["MaximumConcurrency"]
    assert concurrency == deployment.stage.push.functions_at_once


def test_freshness_is_measured_on_a_schedule(deployment: Deployment) -> None:
    path = "materialization/Freshness/Schedule/Schedule"
    schedule = properties(deployment.at(path, "AWS::Scheduler::Schedule"))

    minutes = deployment.stage.freshness.every_minutes
    assert schedule["ScheduleExpression"] == f"rate({minutes} minutes)"
    assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}
    target = deployment.text(schedule["Target"]["Arn"], STACK)
    assert target == "materialization/Freshness/Meter/Function"
    role = deployment.text(schedule["Target"]["RoleArn"], STACK)
    assert role == "materialization/Freshness/Schedule/Role"
