"""The registry, the trainer and the promoter on S3 and DynamoDB (moto)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from credit_core.adapters.model_artifacts import ModelArtifacts
from credit_core.adapters.model_registry import S3DynamoModelRegistry, objects_in
from credit_core.adapters.query_results import read_query_result
from credit_core.domain.model_manifest import Gate, ModelManifest, manifest_key, model_key
from credit_core.errors import (
    ArtifactIntegrityError,
    ModelUnavailableError,
    RolloutConflictError,
    StoreUnavailableError,
    TrainingDataError,
)
from tests.builders import PRODUCT, a_manifest, a_pointer
from tests.builders_aws import create_table
from tests.builders_training import as_csv, some_rows
from tests.example_environments import EXAMPLE_ENVIRONMENTS
from tests.handlers import started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

ONNX = b"the model's bytes"
FAILED = (Gate(name="calibration", passed=False, evidence="ratio 2.4"),)
EVENT = {
    "output_location": "s3://results/training-sets/q-1.csv",
    "query": "SELECT 1",
    "query_execution_id": "q-1",
    "run_id": "run-1",
    "started_at": "2026-11-20T12:00:00.000Z",
}


@dataclass
class Cloud:
    """The buckets and the table, and a registry on them."""

    s3: S3Client
    dynamodb: DynamoDBClient
    registry: S3DynamoModelRegistry

    def item(self, record: str) -> dict[str, Any]:
        key = {"product": {"S": PRODUCT.name}, "record": {"S": record}}
        item = self.dynamodb.get_item(TableName="registry", Key=key)["Item"]
        return {name: next(iter(value.values())) for name, value in item.items()}

    def objects(self) -> dict[str, bytes]:
        listed = self.s3.list_objects_v2(Bucket="models").get("Contents", [])
        return {
            item["Key"]: self.s3.get_object(Bucket="models", Key=item["Key"])["Body"].read()
            for item in listed
        }


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        s3: S3Client = boto3.client("s3")
        dynamodb: DynamoDBClient = boto3.client("dynamodb")
        for bucket in ("models", "results"):
            s3.create_bucket(Bucket=bucket)
        create_table(dynamodb, "registry")
        registry = S3DynamoModelRegistry(
            PRODUCT.name,
            s3=s3,
            bucket="models",
            dynamodb=dynamodb,
            table="registry",
            artifacts=ModelArtifacts(objects_in(s3, "models"), PRODUCT),
        )
        yield Cloud(s3, dynamodb, registry)


def a_registered(cloud: Cloud, version: str = "v1", **changes: Any) -> ModelManifest:
    manifest = a_manifest(version=version, onnx_sha256=hashlib.sha256(ONNX).hexdigest(), **changes)
    cloud.registry.register(manifest, ONNX)
    return manifest


def test_a_registered_model_lies_in_s3_and_is_found_by_its_version(cloud: Cloud) -> None:
    manifest = a_registered(cloud)

    body = manifest.to_json()
    assert cloud.objects() == {
        model_key(PRODUCT.name, "v1"): ONNX,
        manifest_key(PRODUCT.name, "v1"): body,
    }
    assert cloud.registry.manifest_sha256("v1") == hashlib.sha256(body).hexdigest()
    assert cloud.item("model#v1")["state"] == "registered"


def test_registering_the_same_again_changes_nothing(cloud: Cloud) -> None:
    a_registered(cloud)
    cloud.registry.move(a_pointer(champion="v1", revision=1))
    before = cloud.objects(), cloud.item("model#v1")

    a_registered(cloud)

    assert (cloud.objects(), cloud.item("model#v1")) == before
    assert cloud.item("model#v1")["state"] == "champion"


def test_other_bytes_under_a_version_are_refused_and_the_first_stay(cloud: Cloud) -> None:
    a_registered(cloud)
    before = cloud.objects()

    with pytest.raises(ArtifactIntegrityError, match=r"manifest\.json"):
        a_registered(cloud, gates=FAILED)
    assert cloud.objects() == before


def test_a_model_that_is_not_its_manifest_s_is_not_registered(cloud: Cloud) -> None:
    with pytest.raises(ArtifactIntegrityError, match=r"model\.onnx"):
        cloud.registry.register(a_manifest(), ONNX)
    assert cloud.objects() == {}


@pytest.mark.parametrize("changes", [{"version": "v2"}, {"product": "another_loan"}])
def test_a_manifest_of_another_model_is_not_loaded(cloud: Cloud, changes: dict[str, str]) -> None:
    """Whoever put it under the pointer's version: its name would be in every receipt."""
    body = a_manifest().model_copy(update=changes).to_json()
    cloud.s3.put_object(Bucket="models", Key=manifest_key(PRODUCT.name, "v1"), Body=body)

    with pytest.raises(ModelUnavailableError, match="is the manifest of"):
        cloud.registry.load(a_pointer(sha256=hashlib.sha256(body).hexdigest()))


def test_a_model_that_failed_a_gate_is_kept_as_rejected(cloud: Cloud) -> None:
    a_registered(cloud, gates=FAILED)

    assert cloud.item("model#v1")["state"] == "rejected"


def test_an_unknown_version_is_not_registered(cloud: Cloud) -> None:
    with pytest.raises(ModelUnavailableError, match="model v9 is not registered"):
        cloud.registry.manifest_sha256("v9")


def test_there_is_no_pointer_before_the_first_promotion(cloud: Cloud) -> None:
    assert cloud.registry.pointer() is None


def test_moving_the_pointer_sets_the_states_of_both_models(cloud: Cloud) -> None:
    a_registered(cloud, "v1")
    a_registered(cloud, "v2")
    cloud.registry.move(a_pointer(champion="v1", revision=1))
    second = a_pointer(champion="v2", revision=2).model_copy(update={"previous_champion": "v1"})

    cloud.registry.move(second)

    assert cloud.registry.pointer() == second
    assert cloud.item("rollout")["revision"] == "2"
    assert cloud.item("model#v1")["state"] == "retired"
    assert cloud.item("model#v2")["state"] == "champion"


@pytest.mark.parametrize("revision", [1, 2, 4])
def test_a_pointer_that_does_not_follow_the_present_one_loses(cloud: Cloud, revision: int) -> None:
    a_registered(cloud, "v1")
    a_registered(cloud, "v2")
    cloud.registry.move(a_pointer(champion="v1", revision=1))
    cloud.registry.move(a_pointer(champion="v1", revision=2))

    with pytest.raises(RolloutConflictError, match="not at revision"):
        cloud.registry.move(a_pointer(champion="v2", revision=revision))
    assert cloud.item("rollout")["revision"] == "2"
    assert cloud.item("model#v2")["state"] == "registered"


def test_a_store_that_does_not_answer_is_named(cloud: Cloud) -> None:
    cloud.dynamodb.delete_table(TableName="registry")

    with pytest.raises(StoreUnavailableError, match="ResourceNotFoundException"):
        cloud.registry.pointer()
    with pytest.raises(StoreUnavailableError, match="the registry"):
        a_registered(cloud)


@pytest.mark.parametrize("key", ["q-1.csv", "q-1.csv/q-1.csv"])
def test_a_query_s_result_is_found_where_aws_and_the_local_cloud_leave_it(
    cloud: Cloud, key: str
) -> None:
    cloud.s3.put_object(Bucket="results", Key=f"training-sets/{key}", Body=b"a,b")
    cloud.s3.put_object(Bucket="results", Key=f"training-sets/{key}.metadata", Body=b"x")

    assert read_query_result(cloud.s3, EVENT["output_location"], bucket="results") == b"a,b"


@pytest.mark.parametrize("location", ["s3://elsewhere/q-1.csv", "https://results/q-1.csv"])
def test_a_result_outside_the_results_bucket_is_refused(cloud: Cloud, location: str) -> None:
    with pytest.raises(TrainingDataError, match="not in the results bucket"):
        read_query_result(cloud.s3, location, bucket="results")


def test_a_result_that_is_not_there_is_said(cloud: Cloud) -> None:
    with pytest.raises(TrainingDataError, match="0 CSV files"):
        read_query_result(cloud.s3, EVENT["output_location"], bucket="results")


def a_handler(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    for variable, value in EXAMPLE_ENVIRONMENTS[name].items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("CREDIT_RESULTS_BUCKET", "results")
    return started(name)


def test_trained_registered_promoted_and_loaded_as_the_scorer_loads_it(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A retried invocation of either function answers the same and changes nothing."""
    cloud.s3.put_object(Bucket="results", Key="training-sets/q-1.csv", Body=as_csv(some_rows()))
    trainer, promoter = a_handler("trainer", monkeypatch), a_handler("promoter", monkeypatch)
    context = SimpleNamespace()

    trained = trainer.handler(EVENT, context)
    event = {"version": trained["version"], "moved_by": "retraining"}
    promoted = promoter.handler(event, context)

    assert trained["gates_passed"], trained
    assert trained["failed_gates"] == []
    assert trained["auc"]["low"] > 0.5
    expected = {"champion": trained["version"], "previous_champion": None, "revision": 1}
    assert promoted == expected
    pointer = cloud.registry.pointer()
    assert pointer is not None
    manifest = cloud.registry.load(pointer).manifest
    assert manifest_key(PRODUCT.name, manifest.version) == trained["manifest_key"]
    assert manifest.training_set["query_execution_id"] == "q-1"
    assert trainer.handler(EVENT, context) == trained
    assert promoter.handler(event, context) == expected


def test_a_training_set_without_defaults_registers_nothing(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row | {"defaulted": "0"} for row in some_rows(400)]
    cloud.s3.put_object(Bucket="results", Key="training-sets/q-1.csv", Body=as_csv(rows))

    with pytest.raises(TrainingDataError, match="have 0 defaults"):
        a_handler("trainer", monkeypatch).handler(EVENT, SimpleNamespace())
    assert cloud.objects() == {}
