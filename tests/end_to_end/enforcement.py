"""What the local cloud asks of a role under other names than AWS, where it enforces IAM.

Each is a difference of the emulator's; what AWS asks for is written out in
``tests/infrastructure/test_permissions.py``. Everything else is enforced as deployed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment

POLICY = "NamesOfTheEmulator"

AS_THE_EMULATOR_ASKS = {
    # AWS looks at each statement of a batch, and at its table.
    "dynamodb:PartiQLInsert": ("dynamodb:BatchExecuteStatement", "*"),
    "dynamodb:PartiQLUpdate": ("dynamodb:BatchExecuteStatement", "*"),
    # On AWS who may do it to one message may do it to ten.
    "sqs:ChangeMessageVisibility": ("sqs:ChangeMessageVisibilityBatch", None),
    "sqs:DeleteMessage": ("sqs:DeleteMessageBatch", None),
    "sqs:SendMessage": ("sqs:SendMessageBatch", None),
    # It knows nothing of the condition cloudwatch:namespace, so that ours never holds.
    "cloudwatch:PutMetricData": ("cloudwatch:PutMetricData", "*"),
}
"""By what a role may do on AWS: the action that the emulator asks for, and on what if not the same.
"""

UNKNOWN_CONDITIONS = {"OnlyWhatIsNotThere"}
"""Statements of buckets' policies: of s3:if-none-match it knows nothing either, and would refuse
each object.
"""


def as_the_emulator_asks(aws: LocalAws, deployment: Deployment) -> None:
    """Let the deployed roles do by the emulator's names what they may do by AWS's."""
    iam: Any = aws.client("iam")
    for page in iam.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            if role["RoleName"].startswith("credit-local-"):
                _widen(iam, role["RoleName"])
    s3: S3Client = aws.client("s3")
    for output in ("ModelsBucket", "ReceiptsBucket"):
        bucket = deployment[output]
        policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
        kept = [
            statement
            for statement in policy["Statement"]
            if statement.get("Sid") not in UNKNOWN_CONDITIONS
        ]
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({**policy, "Statement": kept}))


def _widen(iam: Any, role: str) -> None:
    added = [
        {
            "Effect": "Allow",
            "Action": asked,
            "Resource": statement["Resource"] if resource is None else resource,
        }
        for statement in statements_of(iam, role)
        for action in listed(statement["Action"])
        for asked, resource in [AS_THE_EMULATOR_ASKS.get(action, (None, None))]
        if asked
    ]
    if added:
        document = {"Version": "2012-10-17", "Statement": added}
        iam.put_role_policy(RoleName=role, PolicyName=POLICY, PolicyDocument=json.dumps(document))


def statements_of(iam: Any, role: str) -> Iterator[dict[str, Any]]:
    """Yield the statements of a role's own policies."""
    for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        if name != POLICY:
            found = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            yield from found["Statement"]


def listed(value: Any) -> list[Any]:
    """Return a value of a policy as the list that it may be given as."""
    return value if isinstance(value, list) else [value]
