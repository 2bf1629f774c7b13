"""Recorded decisions are recomputed bit for bit from receipt and artifact, with no live store."""

from __future__ import annotations

import errno
import json
import os
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from credit_cli import main
from credit_cli import replay as command
from credit_core.adapters.decision_records import DynamoDecisionRecords
from credit_core.adapters.dynamodb_items import to_dynamodb
from credit_core.adapters.model_artifacts import verified_model
from credit_core.adapters.model_registry import objects_in
from credit_core.domain.product import Defaults, DType
from credit_core.domain.receipt import is_receipt
from credit_core.domain.receipt_archive import Days
from credit_core.errors import ModelUnavailableError, StoreUnavailableError
from credit_core.use_cases.replay import Replayer, Verdict
from tests.builders import PRODUCT, TOLERANT_PRODUCT, WITHOUT_RULES
from tests.builders_aws import create_table
from tests.builders_receipts import Models, archive, some_receipts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from credit_core.domain.product import CreditProduct, FeatureView

COUNT = 1_000


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return Models(tmp_path_factory.mktemp("models"))


def tolerant(view: FeatureView) -> FeatureView:
    """Return the view with middling defaults for what is stale or missing."""
    values = Defaults(
        {
            feature.name: 3 if feature.dtype is DType.INTEGER else 3.5
            for feature in view.features
            if not feature.nullable
        }
    )
    return replace(view, when_missing=values, when_stale=values)


def changed(product: CreditProduct) -> CreditProduct:
    """Return the product with another policy and other reasons, as it may be defined later."""
    policy = replace(WITHOUT_RULES, version="later", approve_up_to=0.01, points_to_double_odds=20)
    first = product.request_features[0]
    reason = replace(first.adverse_action, text="Another text for the amount that was asked for")
    features = (replace(first, adverse_action=reason), *product.request_features[1:])
    return replace(product, policy=policy, request_features=features)


def test_a_thousand_varied_decisions_replay_identically(models: Models) -> None:
    champion = models.register("v1")
    receipts = some_receipts(COUNT, champion=champion)
    models.register("v2", intercept=-1.0)
    replayer = Replayer(models.load, lambda _: PRODUCT)

    replays = [replayer(receipt.as_record()) for receipt in receipts]

    assert [it for it in replays if it.differences] == []
    verdicts = Counter(it.verdict for it in replays)
    assert verdicts[Verdict.IDENTICAL] + verdicts[Verdict.FAULT] == COUNT
    assert verdicts[Verdict.FAULT] > 0
    assert all(it.derived_checked for it in replays)
    outcomes = Counter(json.loads(it.response)["decided_by"]["code"] for it in receipts)
    assert outcomes.keys() >= {
        "MINIMUM_INCOME",
        "PAYMENT_BURDEN",
        "PAST_DUE_NOW",
        "approve_up_to",
        "decline_from",
        "between_cutoffs",
        "features_missing",
        "features_stale",
        "features_unreadable",
        "model_unavailable",
    }
    assert max(receipt.revision for receipt in receipts) == 2


def test_decisions_of_champion_and_challenger_replay_with_what_the_other_one_said(
    models: Models,
) -> None:
    champion, challenger = models.register("v7"), models.register("v8", intercept=-4.0)
    receipts = some_receipts(COUNT // 2, champion=champion, challenger=challenger)
    replayer = Replayer(models.load, lambda _: PRODUCT)

    replays = [replayer(receipt.as_record()) for receipt in receipts]

    assert [it for it in replays if not it.is_identical] == []
    shadows = [json.loads(it.shadow) for it in receipts if it.shadow]
    answered = Counter(json.loads(it.response)["model"]["role"] for it in receipts if it.shadow)
    assert Counter(it["role"] for it in shadows).keys() == {"champion", "challenger"}
    assert answered["champion"] > 100
    assert answered["challenger"] > 100
    assert {it["outcome"] for it in shadows} == {"approve", "decline", "refer"}


def test_they_replay_under_another_definition_with_another_champion(models: Models) -> None:
    """Nothing of today's product is asked but whether the derived features can be checked."""
    product = replace(
        TOLERANT_PRODUCT, feature_views=tuple(map(tolerant, TOLERANT_PRODUCT.feature_views))
    )
    champions = [models.register("v3"), models.register("v4", intercept=-2.0)]
    receipts = [
        receipt
        for seed, champion in enumerate(champions)
        for receipt in some_receipts(COUNT // 4, champion=champion, product=product, seed=seed)
    ]
    replayer = Replayer(models.load, lambda _: changed(product))

    replays = [replayer(receipt.as_record()) for receipt in receipts]

    assert [it for it in replays if not it.is_identical] == []
    assert not any(it.derived_checked for it in replays)
    served = Counter(view["status"] for it in receipts for view in json.loads(it.served).values())
    assert served["stale"]
    assert served["missing"]


# The table and the bucket.


@pytest.fixture
def _aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        yield


@pytest.mark.usefixtures("_aws")
def test_the_receipts_of_a_table_replay_with_the_models_of_a_bucket(models: Models) -> None:
    champion = models.register("v6")
    receipts = some_receipts(40, champion=champion)
    dynamodb, s3 = boto3.client("dynamodb"), boto3.client("s3")
    create_table(dynamodb, "decisions")
    newest = {receipt.application_id: receipt.revision for receipt in receipts}
    for receipt in receipts:
        is_newest = receipt.revision == newest[receipt.application_id]
        name = "decision" if is_newest else f"superseded/{receipt.revision:04}"
        item = to_dynamodb(receipt.as_record(name))
        dynamodb.put_item(TableName="decisions", Item=item)
    review = to_dynamodb(
        {"application_id": "application-0-1", "record": "review/1", "response": "{}"}
    )
    dynamodb.put_item(TableName="decisions", Item=review)
    s3.create_bucket(Bucket="models")
    for path in models.folder.rglob("*.*"):
        key = str(path.relative_to(models.folder))
        s3.put_object(Bucket="models", Key=key, Body=path.read_bytes())

    load = partial(verified_model, objects_in(s3, "models"))
    table = DynamoDecisionRecords(dynamodb, "decisions")
    replayer = Replayer(load, lambda _: PRODUCT)

    replays = [replayer(record) for record in table.of(Days()) if is_receipt(record)]

    assert len(replays) == 40
    assert all(it.is_identical for it in replays)
    twice = next(name for name, revision in newest.items() if revision == 2)
    assert [record["revision"] for record in table.of_application(twice)] == [2, 1]
    assert list(table.of_application("nobody")) == []
    with pytest.raises(ModelUnavailableError, match=r"manifest\.json cannot be read: NoSuchKey"):
        load(PRODUCT.name, version="none", manifest_sha256="0" * 64)
    with pytest.raises(StoreUnavailableError, match="ResourceNotFoundException"):
        list(DynamoDecisionRecords(dynamodb, "elsewhere").of_application(twice))


# The command, on files alone.


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive and a models bucket as folders, and nothing else to ask."""

    def nothing_runs(_: str) -> Any:
        pytest.fail("a live store was looked for")

    monkeypatch.setattr(command, "deployed", nothing_runs)
    champion = Models(tmp_path / "models").register("v1")
    archive(some_receipts(100, champion=champion), tmp_path / "archive")
    return tmp_path


def run(files: Path, *words: str) -> int:
    places = ["--receipts", str(files / "archive"), "--models", str(files / "models")]
    return main.run(["decisions", "replay", *words, *places])


def some_file(files: Path, outcome: str = "approve") -> Path:
    """Return the file of a receipt with that outcome."""
    return next(
        path
        for path in sorted((files / "archive").rglob("*.json"))
        if json.loads(path.read_text())["outcome"] == outcome
    )


def test_an_archive_replays_with_nothing_running(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(files, "--all") == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("✓ Replay")
    assert lines[1] == "100 replayed: 92 identical, 8 referred by a fault"


def test_one_application_replays_with_all_its_revisions(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    second = next((files / "archive").rglob("0002.json"))
    name = json.loads(second.read_text())["application_id"]

    assert run(files, name) == 0

    assert capsys.readouterr().out.splitlines()[1:] == [
        f"{name}: referred by a fault (the rules alone were checked again)",
        f"{name}, revision 2: identical",
        "2 replayed: 1 identical, 1 referred by a fault",
        "  no receipt can repeat a fault; all else in those is identical",
    ]
    assert run(files, name, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["replayed"], found["identical"], found["fault"]) == (2, 1, 1)


def test_a_changed_answer_is_named_and_fails(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = some_file(files)
    document = json.loads(path.read_text())
    response = json.loads(document["response"])
    probability = response["probability_of_default"]
    response["probability_of_default"] = 0.5
    path.write_text(
        json.dumps(document | {"response": json.dumps(response, separators=(",", ":"))})
    )

    assert run(files, "--all") == 1

    shown = capsys.readouterr().out
    assert f"{document['application_id']}: different" in shown
    assert f"  probability_of_default: recorded 0.5, replayed {probability!r}" in shown
    assert "100 replayed: 91 identical, 8 referred by a fault, 1 different" in shown


def test_a_machine_gets_every_difference_and_count(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, other = some_file(files, outcome="decline"), some_file(files)
    path.write_text("{")
    document = json.loads(other.read_text())
    del document["terms"]
    other.write_text(json.dumps(document))

    assert run(files, "--all", "--json") == 1

    found = json.loads(capsys.readouterr().out)
    assert (found["replayed"], found["not_replayable"]) == (100, 2)
    assert found["all_identical"] is False
    notes = {it["application_id"]: it["note"] for it in found["receipts"]}
    assert notes[f"{path}, line 1"] == "there is no receipt that can be read"
    assert notes[document["application_id"]].startswith("no terms: ")


def test_a_model_that_was_changed_is_not_loaded(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "models" / PRODUCT.name / "v1" / "model.onnx").write_bytes(b"other bytes")
    name = json.loads(some_file(files).read_text())["application_id"]

    assert run(files, name) == 1

    assert "not replayable (personal_loan/v1/model.onnx has SHA-256" in capsys.readouterr().out


def test_an_id_without_a_receipt_fails(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(files, "nobody") == 1

    assert capsys.readouterr().out.endswith("nobody: no receipt\n0 replayed; 1 not found\n")


def test_an_id_without_a_receipt_is_counted_beside_those_with_one(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = json.loads(some_file(files).read_text())["application_id"]

    assert run(files, name, "nobody") == 1

    assert capsys.readouterr().out.endswith("\n1 replayed: 1 identical; 1 not found\n")


@pytest.mark.parametrize("words", [(), ("application-1", "--all")])
def test_either_ids_or_all_are_replayed(
    files: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(files, *words) == 2

    assert "name application ids, or --all of them" in capsys.readouterr().err


def test_a_folder_without_receipts_is_no_success(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "empty").mkdir()
    words = ["--receipts", str(files / "empty"), "--models", str(files / "models")]

    assert main.run(["decisions", "replay", "--all", *words]) == 1
    assert "there are no receipts in" in capsys.readouterr().err

    words[1] = str(files / "nowhere")
    assert main.run(["decisions", "replay", "--all", *words]) == 2
    assert "nowhere can't be read: No such file" in capsys.readouterr().err


def test_a_decision_is_shown_with_what_the_model_saw(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt = json.loads(next((files / "archive").rglob("0002.json")).read_text())
    words = ["decisions", "show", receipt["application_id"], "--receipts", str(files / "archive")]

    assert main.run(words) == 0

    shown = capsys.readouterr().out
    assert f"Receipt   {receipt['application_id']}, revision 2, decided " in shown
    assert "Input     loan_amount" in shown
    assert "Before    revision 1, decided " in shown
    assert "Because   no champion has been promoted yet (model_unavailable)" in shown

    assert main.run([*words, "--json"]) == 0
    records = json.loads(capsys.readouterr().out)["records"]
    assert [it["revision"] for it in records] == [1, 2]
    assert records[0]["terms"]["product"] == "personal_loan"


def one_record_a_line(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ({"response": "{"}, "Receipt   the answer in it cannot be read\n"),
        ({"terms": "AAAA"}, "Input     its terms cannot be read (error)\n"),
        ({"model_input": '["x"]'}, "Input     loan_amount                 not a number\n"),
        ({"model_input": "[1,2,3,4,99]"}, "verification_status         not a category\n"),
    ],
)
def test_what_cannot_be_read_of_a_decision_is_told_and_the_rest_shown(
    files: Path, damage: dict[str, str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt = json.loads(some_file(files).read_text()) | damage
    damaged = one_record_a_line(files / "damaged", receipt)

    words = ["decisions", "show", receipt["application_id"], "--receipts", str(damaged)]
    assert main.run(words) == 0

    assert told in capsys.readouterr().out


def test_the_last_review_is_shown_last_and_stands(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receipt = json.loads(some_file(files).read_text())
    name = receipt["application_id"]
    reviews = [
        {"application_id": name, "record": f"review/{id_}", "number": number, "outcome": outcome}
        | {"response": json.dumps({"review_id": id_, "outcome": outcome})}
        for id_, number, outcome in (("a", 2, "decline"), ("b", 1, "approve"))
    ]
    reviewed = one_record_a_line(files / "reviewed", receipt, *reviews)

    assert main.run(["decisions", "show", name, "--receipts", str(reviewed)]) == 0

    assert capsys.readouterr().out.endswith(
        "Review    review_id b, outcome approve\n"
        "Review    review_id a, outcome decline\n"
        "Stands    decline, by the last review\n"
    )


def test_a_folder_that_is_no_archive_is_refused_by_its_first_file(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files of any other kind would each be told as a damaged receipt, however many there are."""
    for name in ("b.json", "a.json"):
        (files / name).write_text("{}\n" * 1_000)
    words = ["--receipts", str(files), "--models", str(files / "models")]

    assert main.run(["decisions", "replay", "--all", *words]) == 2

    assert capsys.readouterr().err == (
        f"error: {files / 'a.json'} is no record of an archive\n"
        "  --receipts is the archive, a folder of it, or a file with a record a line\n"
    )


@pytest.mark.parametrize("depth", range(1, 7))
def test_any_folder_of_an_archive_and_a_file_of_it_replay(
    files: Path, depth: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = some_file(files)
    place = files.joinpath(*path.relative_to(files).parts[: depth + 1])
    words = ["--receipts", str(place), "--models", str(files / "models"), "--json"]

    assert main.run(["decisions", "replay", "--all", *words]) == 0

    assert json.loads(capsys.readouterr().out)["replayed"] == (100 if depth < 4 else 1)


def test_a_folder_that_cannot_be_listed_is_not_left_out(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = os.scandir

    def refuses(place: str) -> Any:
        if "application=" in str(place):
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
        return listed(place)

    monkeypatch.setattr(os, "scandir", refuses)

    assert run(files, "--all") == 2

    assert "can't be read: Permission denied" in capsys.readouterr().err


def test_a_folder_of_models_that_is_none_is_used_wrongly(
    files: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = str(files / "nowhere")
    words = ["--receipts", str(files / "archive"), "--models", nowhere]

    assert main.run(["decisions", "replay", "--all", *words]) == 2

    assert capsys.readouterr().err == f"error: {nowhere} is no folder\n"
