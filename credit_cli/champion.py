"""The champion model, as the registry and its manifest describe it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from credit_cli.errors import DeploymentError
from credit_core.domain.model_manifest import (
    ROLLOUT_RECORD,
    ModelManifest,
    RolloutPointer,
    manifest_key,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

    from credit_cli.aws import LocalAws
    from credit_cli.deployment import Deployment
    from credit_core.domain.model_manifest import Estimate, Evaluation


@dataclass(frozen=True)
class Champion:
    """The model that answers, and the pointer that makes it so."""

    pointer: RolloutPointer
    manifest: ModelManifest


def find_champion(aws: LocalAws, deployment: Deployment, product: str) -> Champion | None:
    """Return the champion of a product, or None where nothing was promoted.

    Raises:
        DeploymentError: The registry names a model that can't be read.
    """
    dynamodb: DynamoDBClient = aws.client("dynamodb")
    item = dynamodb.get_item(
        TableName=deployment["RegistryTable"],
        Key={"product": {"S": product}, "record": {"S": ROLLOUT_RECORD}},
        ConsistentRead=True,
    ).get("Item")
    if item is None:
        return None
    s3: S3Client = aws.client("s3")
    try:
        pointer = RolloutPointer.model_validate_json(item["pointer"]["S"])
        body = s3.get_object(
            Bucket=deployment["ModelsBucket"], Key=manifest_key(product, pointer.champion)
        )["Body"].read()
    except (KeyError, ValidationError, s3.exceptions.NoSuchKey) as error:
        raise DeploymentError(
            f"the champion of {product} can't be read: {type(error).__name__}",
            hint="run: credit demo --retrain",
        ) from None
    return Champion(pointer, ModelManifest.from_json(body))


def quality(evaluation: Evaluation) -> str:
    """Say a model's out-of-time quality in a line, 95 % intervals included."""
    return (
        f"AUC {interval(evaluation.auc)}, KS {interval(evaluation.ks)}, "
        f"Brier {interval(evaluation.brier, digits=4)}, on {evaluation.loans:,} later loans "
        f"of which {evaluation.defaults:,} defaulted"
    )


def interval(estimate: Estimate, *, digits: int = 3) -> str:
    """Return a value with its 95 % interval."""
    return f"{estimate.value:.{digits}f} ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"
