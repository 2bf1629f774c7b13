"""The registry on S3, DynamoDB and KMS (moto): what is kept, signed, found and moved."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from credit_core.adapters.query_results import read_query_result
from credit_core.adapters.signing import KmsSigner
from credit_core.domain.model_manifest import (
    Challenger,
    Gate,
    GoldenVector,
    ModelReference,
    RolloutMode,
    RolloutPointer,
    manifest_key,
    model_key,
    report_key,
    signature_key,
)
from credit_core.errors import (
    ArtifactIntegrityError,
    GoldenVectorError,
    ModelUnavailableError,
    RolloutConflictError,
    SignatureInvalidError,
    StoreUnavailableError,
    TrainingDataError,
)
from credit_core.ports import Approval, PointerMove
from tests.builders import NOW, PRODUCT, a_manifest, a_pointer
from tests.builders_aws import create_signing_key
from tests.builders_registry import ONNX, REPORT, Cloud, moto_cloud, registered, the_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

FAILED = (Gate(name="calibration", passed=False, evidence="ratio 2.4"),)
LOCATION = "s3://results/training-sets/q-1.csv"
UNKNOWN = (None,) * len(PRODUCT.model_features)
"""An applicant of whom nothing is known: the linear model answers its intercept, -3."""


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    with moto_cloud(monkeypatch) as cloud:
        yield cloud


def pointing(
    champion: ModelReference,
    revision: int,
    *,
    challenger: Challenger | None = None,
    previous: ModelReference | None = None,
) -> RolloutPointer:
    return a_pointer(revision=revision).model_copy(
        update={"champion": champion, "challenger": challenger, "previous_champion": previous}
    )


def test_a_registered_model_lies_in_s3_signed_and_is_found_by_its_version(cloud: Cloud) -> None:
    manifest = the_manifest()

    cloud.registry.register(manifest, ONNX, REPORT, registered_by="training/run-1")

    body = manifest.to_json()
    objects = cloud.objects()
    signature = objects.pop(signature_key(PRODUCT.name, "v1"))
    assert objects == {
        model_key(PRODUCT.name, "v1"): ONNX,
        manifest_key(PRODUCT.name, "v1"): body,
        report_key(PRODUCT.name, "v1"): REPORT,
    }
    assert KmsSigner(cloud.kms, cloud.signing_key).is_signed(body, signature)
    found = cloud.registry.find("v1")
    assert found.reference.manifest_sha256 == hashlib.sha256(body).hexdigest()
    assert found.report_sha256 == hashlib.sha256(REPORT).hexdigest()
    assert (found.state, found.moved_by) == ("registered", "training/run-1")
    assert list(cloud.registry.models()) == [found]


def test_registering_the_same_again_changes_nothing(cloud: Cloud) -> None:
    """No two signatures are equal: the first one stays."""
    cloud.registry.move(pointing(registered(cloud), 1))
    before = cloud.objects(), cloud.item("model#v1")

    registered(cloud)

    assert (cloud.objects(), cloud.item("model#v1")) == before
    assert cloud.state("v1") == "champion"


def test_other_bytes_under_a_version_are_refused_and_the_first_stay(cloud: Cloud) -> None:
    registered(cloud)
    before = cloud.objects()

    with pytest.raises(ArtifactIntegrityError, match=r"manifest\.json"):
        registered(cloud, gates=FAILED)
    with pytest.raises(ArtifactIntegrityError, match=r"report\.html"):
        cloud.registry.register(the_manifest(), ONNX, b"another report", registered_by="test")
    assert cloud.objects() == before


def test_a_model_that_is_not_its_manifest_s_is_not_registered(cloud: Cloud) -> None:
    with pytest.raises(ArtifactIntegrityError, match=r"model\.onnx"):
        cloud.registry.register(a_manifest(), ONNX, REPORT, registered_by="test")
    assert cloud.objects() == {}


def test_what_lies_in_the_place_of_a_signature_is_not_taken_for_one(cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket="models", Key=signature_key(PRODUCT.name, "v1"), Body=b"rubbish")

    with pytest.raises(SignatureInvalidError, match=r"manifest\.json is not signed"):
        registered(cloud)
    with pytest.raises(ModelUnavailableError, match="not registered"):
        cloud.registry.find("v1")


def test_who_may_write_everything_but_not_sign_makes_no_model_that_loads(cloud: Cloud) -> None:
    """Objects and registry are forged throughout; the signature is one of the forger's own key."""
    registered(cloud)
    forged = the_manifest(gates=FAILED).to_json()
    own_key = KmsSigner(cloud.kms, create_signing_key(cloud.kms))
    for key, body in (
        (manifest_key(PRODUCT.name, "v1"), forged),
        (signature_key(PRODUCT.name, "v1"), own_key.sign(forged)),
    ):
        cloud.s3.put_object(Bucket="models", Key=key, Body=body)
    reference = ModelReference(version="v1", manifest_sha256=hashlib.sha256(forged).hexdigest())

    with pytest.raises(SignatureInvalidError):
        cloud.registry.load(reference)


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "manifest.sig"])
@pytest.mark.parametrize("bit", [0, 100, -1])
def test_one_flipped_bit_keeps_a_model_from_loading(cloud: Cloud, name: str, bit: int) -> None:
    reference = registered(cloud)
    key = f"{PRODUCT.name}/v1/{name}"
    body = bytearray(cloud.objects()[key])
    body[bit % len(body)] ^= 1
    cloud.s3.put_object(Bucket="models", Key=key, Body=bytes(body))

    with pytest.raises((ArtifactIntegrityError, SignatureInvalidError)):
        cloud.registry.load(reference)


def test_a_model_that_answers_otherwise_than_at_its_registration_is_not_loaded(
    cloud: Cloud,
) -> None:
    answers = (GoldenVector(model_input=UNKNOWN, log_odds=-3.0),)
    model = cloud.registry.load(registered(cloud, "v1", golden=answers))
    assert model.manifest.golden == answers

    other = (*answers, GoldenVector(model_input=UNKNOWN, log_odds=-2.9))
    with pytest.raises(GoldenVectorError, match=r"1 of 2 golden vectors .* 0\.1 log-odds"):
        cloud.registry.load(registered(cloud, "v2", golden=other))
    short = (GoldenVector(model_input=(1.0,), log_odds=-3.0),)
    with pytest.raises(ModelUnavailableError, match="other inputs"):
        cloud.registry.load(registered(cloud, "v3", golden=short))


@pytest.mark.parametrize("changes", [{"version": "v2"}, {"product": "another_loan"}])
def test_a_manifest_of_another_model_is_not_loaded(cloud: Cloud, changes: dict[str, str]) -> None:
    """Its name would be in every receipt; even this service's own signature does not help."""
    body = the_manifest().model_copy(update=changes).to_json()
    signature = KmsSigner(cloud.kms, cloud.signing_key).sign(body)
    for key, content in (
        (manifest_key(PRODUCT.name, "v1"), body),
        (signature_key(PRODUCT.name, "v1"), signature),
    ):
        cloud.s3.put_object(Bucket="models", Key=key, Body=content)

    with pytest.raises(ModelUnavailableError, match="is the manifest of"):
        cloud.registry.load(
            ModelReference(version="v1", manifest_sha256=hashlib.sha256(body).hexdigest())
        )


def test_a_model_that_failed_a_gate_is_kept_as_rejected(cloud: Cloud) -> None:
    registered(cloud, gates=FAILED)

    assert cloud.state("v1") == "rejected"


def test_an_unknown_version_is_not_registered(cloud: Cloud) -> None:
    with pytest.raises(ModelUnavailableError, match="model v9 is not registered"):
        cloud.registry.find("v9")


def test_there_is_no_pointer_before_the_first_promotion(cloud: Cloud) -> None:
    assert cloud.registry.pointer() is None
    with pytest.raises(ModelUnavailableError, match="no champion"):
        cloud.registry.champion()


def test_moving_the_pointer_sets_the_states_of_all_its_models(cloud: Cloud) -> None:
    v1, v2 = registered(cloud, "v1"), registered(cloud, "v2", gates=FAILED)
    cloud.registry.move(pointing(v1, 1))
    for revision, mode in enumerate(RolloutMode, start=2):
        cloud.registry.move(pointing(v1, revision, challenger=Challenger(model=v2, mode=mode)))
        assert (cloud.state("v1"), cloud.state("v2")) == ("champion", mode)

    cloud.registry.move(pointing(v2, 4, previous=v1))
    assert (cloud.state("v1"), cloud.state("v2")) == ("registered", "champion")

    cloud.registry.move(pointing(v1, 5))
    assert (cloud.state("v1"), cloud.state("v2")) == ("champion", "rejected")
    found = cloud.registry.find("v2")
    assert (found.moved_at, found.moved_by) == (NOW, "test")


def test_each_move_is_kept_the_latest_first(cloud: Cloud) -> None:
    v1, v2 = registered(cloud, "v1"), registered(cloud, "v2")
    first, second = pointing(v1, 1), pointing(v2, 2, previous=v1)

    cloud.registry.move(first)
    cloud.registry.move(second)

    assert cloud.registry.pointer() == second
    assert list(cloud.registry.moves()) == [PointerMove(first, second), PointerMove(None, first)]


@pytest.mark.parametrize("revision", [1, 2, 4])
def test_a_pointer_that_does_not_follow_the_present_one_loses(cloud: Cloud, revision: int) -> None:
    v1, v2 = registered(cloud, "v1"), registered(cloud, "v2")
    cloud.registry.move(pointing(v1, 1))
    cloud.registry.move(pointing(v1, 2))

    with pytest.raises(RolloutConflictError, match="not at revision"):
        cloud.registry.move(pointing(v2, revision))
    assert cloud.item("rollout")["revision"] == "2"
    assert cloud.state("v2") == "registered"


def test_who_loses_the_race_between_reading_and_moving_is_told(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    v1, v2 = registered(cloud, "v1"), registered(cloud, "v2")
    cloud.registry.move(pointing(v1, 1))
    seen = cloud.registry.pointer()
    cloud.registry.move(pointing(v2, 2, previous=v1))
    monkeypatch.setattr(cloud.registry, "pointer", lambda: seen)

    with pytest.raises(RolloutConflictError, match="not at revision 1 any more"):
        cloud.registry.move(pointing(v1, 2))
    monkeypatch.undo()
    assert len(list(cloud.registry.moves())) == 2


def test_a_retired_model_gets_no_role_again(cloud: Cloud) -> None:
    v1, v2 = registered(cloud, "v1"), registered(cloud, "v2")
    cloud.registry.move(pointing(v1, 1))

    cloud.registry.retire("v2", revision=1, moved_by="ada", as_of=NOW)

    assert (cloud.state("v2"), cloud.registry.find("v2").moved_by) == ("retired", "ada")
    with pytest.raises(RolloutConflictError, match="was retired"):
        cloud.registry.move(pointing(v2, 2, previous=v1))
    assert cloud.item("rollout")["revision"] == "1"


@pytest.mark.parametrize("revision", [0, 2])
def test_nothing_is_retired_beside_a_pointer_that_has_moved(cloud: Cloud, revision: int) -> None:
    v1, _ = registered(cloud, "v1"), registered(cloud, "v2")
    cloud.registry.move(pointing(v1, 1))

    with pytest.raises(RolloutConflictError):
        cloud.registry.retire("v2", revision=revision, moved_by="ada", as_of=NOW)
    assert cloud.state("v2") == "registered"


def test_an_approval_is_kept_as_asked_and_as_given(cloud: Cloud) -> None:
    asked = Approval("v2", "token", asked_at=NOW, asked_by="ada")
    given = Approval("v2", "token", NOW, "ada", approved=False, decided_at=NOW, decided_by="grace")
    assert cloud.registry.approval("v2") is None

    for approval in (asked, given):
        cloud.registry.keep_approval(approval)
        assert cloud.registry.approval("v2") == approval


def test_a_store_that_does_not_answer_is_named(cloud: Cloud) -> None:
    cloud.dynamodb.delete_table(TableName="registry")

    with pytest.raises(StoreUnavailableError, match="ResourceNotFoundException"):
        cloud.registry.pointer()
    with pytest.raises(StoreUnavailableError, match="the registry"):
        registered(cloud)
    with pytest.raises(StoreUnavailableError, match="the registry"):
        list(cloud.registry.models())


def test_a_key_that_is_not_there_is_named(cloud: Cloud) -> None:
    signer = KmsSigner(cloud.kms, cloud.signing_key[:-1] + "x")

    with pytest.raises(StoreUnavailableError, match="KMS did not sign: NotFoundException"):
        signer.sign(b"{}")
    with pytest.raises(StoreUnavailableError, match="did not verify a signature: NotFound"):
        signer.is_signed(b"{}", b"x")


@pytest.mark.parametrize("key", ["q-1.csv", "q-1.csv/q-1.csv"])
def test_a_query_s_result_is_found_where_aws_and_the_local_cloud_leave_it(
    cloud: Cloud, key: str
) -> None:
    cloud.s3.put_object(Bucket="results", Key=f"training-sets/{key}", Body=b"a,b")
    cloud.s3.put_object(Bucket="results", Key=f"training-sets/{key}.metadata", Body=b"x")

    assert read_query_result(cloud.s3, LOCATION, bucket="results") == b"a,b"


@pytest.mark.parametrize("location", ["s3://elsewhere/q-1.csv", "https://results/q-1.csv"])
def test_a_result_outside_the_results_bucket_is_refused(cloud: Cloud, location: str) -> None:
    with pytest.raises(TrainingDataError, match="not in the results bucket"):
        read_query_result(cloud.s3, location, bucket="results")


def test_a_result_that_is_not_there_is_said(cloud: Cloud) -> None:
    with pytest.raises(TrainingDataError, match="0 CSV files"):
        read_query_result(cloud.s3, LOCATION, bucket="results")
