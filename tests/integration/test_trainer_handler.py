"""The trainer's steps on S3, DynamoDB and KMS (moto), in the order of the state machine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from credit_core.adapters.retraining_lock import DynamoRetrainingLock
from credit_core.adapters.signing import KmsSigner
from credit_core.domain.model_manifest import (
    ModelManifest,
    manifest_key,
    model_key,
    report_key,
    signature_key,
)
from credit_core.errors import (
    ArtifactIntegrityError,
    RetrainingSupersededError,
    SignatureInvalidError,
    StoreUnavailableError,
    TrainingDataError,
)
from credit_core.use_cases.rollout import Rollout
from tests.builders import NOW, PRODUCT
from tests.builders_registry import Cloud, moto_cloud, registered
from tests.builders_training import QUICK, as_csv, some_rows
from tests.example_environments import EXAMPLE_ENVIRONMENTS
from tests.handlers import started

if TYPE_CHECKING:
    from collections.abc import Iterator

EXECUTION = "arn:aws:states:us-east-1:111122223333:execution:retraining:run-1"
ANOTHER = "arn:aws:states:us-east-1:111122223333:execution:retraining:run-2"
LOCATION = {"output_location": "s3://results/training-sets/q-1.csv"}
LINEAGE = {"query": "SELECT 1", "query_execution_id": "q-1", "run_id": "run-1", "trigger": "test"}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with moto_cloud(monkeypatch, EXAMPLE_ENVIRONMENTS["trainer"]) as cloud:
        yield cloud


@pytest.fixture
def trainer(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The function, with one quick candidate and a training set in the results bucket."""
    leave(cloud, some_rows())
    module = started("trainer")
    monkeypatch.setattr(module, "CANDIDATES", (QUICK,))
    return module


def leave(cloud: Cloud, rows: list[dict[str, str]]) -> None:
    cloud.s3.put_object(Bucket="results", Key="training-sets/q-1.csv", Body=as_csv(rows))


def do(trainer: Any, action: str, execution: str = EXECUTION, **asked: Any) -> dict[str, Any]:
    answer: dict[str, Any] = trainer.handler(
        {"action": action, "execution": execution, **LOCATION, **asked}, SimpleNamespace()
    )
    return answer


def judged(trainer: Any, execution: str = EXECUTION) -> dict[str, Any]:
    """Do all steps up to the judgement; return what that answered."""
    checked = do(trainer, "check", execution)
    for candidate in checked["candidates"]:
        do(trainer, "fit", execution, candidate=candidate)
    return do(
        trainer,
        "judge",
        execution,
        champion=checked["champion"],
        lineage=LINEAGE,
        started_at="2026-11-22T12:00:00.000Z",
    )


def test_a_run_leaves_a_registered_and_signed_model(cloud: Cloud, trainer: Any) -> None:
    answer = judged(trainer)
    kept = do(trainer, "register")

    assert kept == answer
    assert answer["gates_passed"], answer["failed_gates"]
    assert answer["auc"]["low"] > 0.5
    version, objects = answer["version"], cloud.objects()
    body = objects[manifest_key(PRODUCT.name, version)]
    manifest = ModelManifest.from_json(body)
    assert manifest.training_set["query_execution_id"] == "q-1"
    assert manifest.training_set["trigger"] == "test"
    assert KmsSigner(cloud.kms, cloud.signing_key).is_signed(
        body, objects[signature_key(PRODUCT.name, version)]
    )
    assert objects[model_key(PRODUCT.name, version)]
    assert objects[report_key(PRODUCT.name, version)].startswith(b"<!")
    found = cloud.registry.find(version)
    assert (found.state, found.moved_by) == ("registered", "retraining/run-1")


def test_any_step_may_be_done_again(cloud: Cloud, trainer: Any) -> None:
    judged(trainer)
    first = do(trainer, "register")
    before = cloud.objects()

    assert judged(trainer) == first
    assert do(trainer, "register") == first
    assert cloud.objects() == before


def test_the_check_says_what_there_is_to_learn_from_and_who_competes(trainer: Any) -> None:
    checked = do(trainer, "check")

    assert checked["candidates"] == [QUICK.name]
    assert checked["champion"] is None
    assert checked["loans_fitted"] > checked["loans_tested"] > checked["defaults"] / 10 > 0
    assert checked["failed_gates"] == []
    assert "enough_data" in checked["passed_gates"]


def test_a_failed_check_says_which_by_how_much_and_what_to_look_at(
    cloud: Cloud, trainer: Any
) -> None:
    rows = [row | {"annual_income": "50000"} for row in some_rows()]
    leave(cloud, rows)

    failed = do(trainer, "check")["failed_gates"]

    (gate,) = (gate for gate in failed if gate["name"] == "informative_inputs")
    assert "annual_income" in gate["evidence"]
    assert gate["look_at"]


def test_the_second_model_is_measured_against_the_first(cloud: Cloud, trainer: Any) -> None:
    first = judged(trainer)["version"]
    do(trainer, "register")
    Rollout(PRODUCT.name, cloud.registry, moved_by="test", as_of=NOW).promote(first)
    leave(cloud, some_rows(seed=1))

    checked = do(trainer, "check")
    second = judged(trainer)

    assert checked["champion"] == first
    manifest = ModelManifest.from_json(
        cloud.s3.get_object(Bucket="results", Key="training-runs/run-1/manifest.json")[
            "Body"
        ].read()
    )
    (gate,) = (gate for gate in manifest.gates if gate.name == "beats_champion")
    assert second["version"] == manifest.version
    assert first in gate.evidence


def test_how_far_a_candidate_has_got_can_be_read(cloud: Cloud, trainer: Any) -> None:
    do(trainer, "fit", candidate=QUICK.name)

    said = cloud.s3.get_object(Bucket="results", Key=f"training-runs/run-1/progress/{QUICK.name}")

    assert said["Body"].read() == b"fitted"


def test_loans_that_support_no_model_leave_nothing(cloud: Cloud, trainer: Any) -> None:
    leave(cloud, [row | {"defaulted": "0"} for row in some_rows(400)])

    with pytest.raises(TrainingDataError, match="have 0 defaults"):
        do(trainer, "check")
    assert cloud.objects() == {}


def test_a_champion_whose_bytes_were_changed_is_nothing_to_measure_against(
    cloud: Cloud, trainer: Any
) -> None:
    version = judged(trainer)["version"]
    do(trainer, "register")
    Rollout(PRODUCT.name, cloud.registry, moved_by="test", as_of=NOW).promote(version)
    key = model_key(PRODUCT.name, version)
    body = bytearray(cloud.objects()[key])
    body[100] ^= 1
    cloud.s3.put_object(Bucket="models", Key=key, Body=bytes(body))

    with pytest.raises(ArtifactIntegrityError, match="SHA-256"):
        do(trainer, "check")


def test_a_champion_that_somebody_else_signed_is_nothing_to_measure_against(
    cloud: Cloud, trainer: Any
) -> None:
    version = registered(cloud).version
    Rollout(PRODUCT.name, cloud.registry, moved_by="test", as_of=NOW).promote(version)
    key = signature_key(PRODUCT.name, version)
    cloud.s3.put_object(Bucket="models", Key=key, Body=b"another's")

    with pytest.raises(SignatureInvalidError):
        do(trainer, "check")


def test_a_step_out_of_turn_says_what_it_misses(trainer: Any) -> None:
    with pytest.raises(StoreUnavailableError, match=r"training-runs/run-1/manifest\.json"):
        do(trainer, "register")


def test_a_step_that_does_not_exist_is_refused(trainer: Any) -> None:
    with pytest.raises(ValueError, match="no step 'train'"):
        do(trainer, "train")


# --- One run at a time --------------------------------------------------------------------------


def test_a_run_that_another_one_has_superseded_does_nothing_more(
    cloud: Cloud, trainer: Any
) -> None:
    """A redriven run goes on at the step that failed; meanwhile another one may have begun."""
    judged(trainer)
    hold(cloud, ANOTHER)

    with pytest.raises(RetrainingSupersededError, match="run-2 has taken over"):
        do(trainer, "register")
    assert cloud.objects() == {}


def test_a_redriven_run_holds_the_lock_again(cloud: Cloud, trainer: Any) -> None:
    """Another one may have come, ended, and given the lock back."""
    do(trainer, "check")

    with pytest.raises(RetrainingSupersededError):
        DynamoRetrainingLock(cloud.dynamodb, "registry", product=PRODUCT.name).claim(ANOTHER)


def test_a_lock_that_cannot_be_asked_for_is_not_held(cloud: Cloud) -> None:
    cloud.dynamodb.delete_table(TableName="registry")

    with pytest.raises(StoreUnavailableError, match="retraining lock"):
        DynamoRetrainingLock(cloud.dynamodb, "registry", product=PRODUCT.name).claim(EXECUTION)


def hold(cloud: Cloud, execution: str) -> None:
    cloud.dynamodb.put_item(
        TableName="registry",
        Item={
            "product": {"S": f"{PRODUCT.name}#retraining"},
            "record": {"S": "lock"},
            "holder": {"S": execution},
        },
    )
