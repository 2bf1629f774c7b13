"""Queues for what a service of AWS could not deliver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs

from cdk_app.components.acknowledgements import acknowledge

if TYPE_CHECKING:
    from aws_cdk import RemovalPolicy
    from constructs import Construct

KEPT_DAYS = 14
"""The longest that SQS keeps a message: what informs may wait for a Monday."""


def undelivered(scope: Construct, id_: str, *, removal: RemovalPolicy) -> sqs.Queue:
    """Return a queue that EventBridge, SNS and Scheduler can write.

    Under a customer's key they would have to be let in by that key, and what it is that fails could
    be that key.
    """
    queue = sqs.Queue(
        scope,
        id_,
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=True,
        retention_period=Duration.days(KEPT_DAYS),
        removal_policy=removal,
    )
    acknowledge(
        queue,
        {
            "AwsSolutions-SQS3": "This is the queue for what could not be delivered.",
            "Serverless-SQSRedrivePolicy": "The same.",
        },
    )
    return queue
