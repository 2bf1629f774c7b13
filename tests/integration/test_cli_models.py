"""`credit models` on a registry of moto's, behind it the own handlers of two functions."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from credit_cli import main, models
from credit_cli.checkout import Checkout
from credit_cli.deployment import Deployment
from credit_cli.local_commands import next_command
from credit_core.domain.model_manifest import Gate, manifest_key, report_key
from tests.builders import PRODUCT
from tests.builders_registry import ONNX, REPORT, Cloud, moto_cloud, registered, the_manifest
from tests.example_environments import EXAMPLE_ENVIRONMENTS
from tests.handlers import started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from credit_cli.aws import Aws
    from credit_core.domain.model_manifest import ModelManifest

FAILED = (
    Gate(name="parity", passed=True, evidence="0 of 100 differ"),
    Gate(name="calibration", passed=False, evidence="ratio 2.4", look_at="the curve"),
)
OUTPUTS = {
    "ModelsBucket": "models",
    "RegistryTable": "registry",
    "PromoterFunction": "the-promoter",
    "ApproverFunction": "the-approver",
    "RolloutStateMachine": "arn:aws:states:us-east-1:000000000000:stateMachine:rollout",
}


@dataclass
class Functions:
    """The functions, called as Lambda calls them."""

    handlers: dict[str, Any]
    asked: list[dict[str, Any]] = field(default_factory=list)

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:  # noqa: N803 (boto3's)
        self.asked.append(json.loads(Payload))
        try:
            answer = self.handlers[FunctionName].handler(self.asked[-1], SimpleNamespace())
        except Exception as error:  # noqa: BLE001 (Lambda answers any)
            document = json.dumps({"errorMessage": str(error)}).encode()
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(document)}
        return {"Payload": io.BytesIO(json.dumps(answer).encode())}


@dataclass
class StateMachine:
    """Step Functions, with one end to everything."""

    ended: dict[str, Any]
    asked: list[dict[str, Any]] = field(default_factory=list)

    def start_execution(self, *, stateMachineArn: str, input: str) -> dict[str, str]:  # noqa: A002, N803 (boto3's)
        assert stateMachineArn == OUTPUTS["RolloutStateMachine"]
        self.asked.append(json.loads(input))
        return {"executionArn": "arn:aws:states:us-east-1:000000000000:execution:rollout:1"}

    def describe_execution(self, *, executionArn: str) -> dict[str, Any]:  # noqa: N803 (boto3's)
        assert executionArn.endswith(":1")
        return self.ended


@dataclass
class Local:
    """The local cloud as the command sees it."""

    cloud: Cloud
    functions: Functions
    machine: StateMachine

    def client(self, service: str) -> Any:
        return {
            "s3": self.cloud.s3,
            "dynamodb": self.cloud.dynamodb,
            "kms": self.cloud.kms,
            "lambda": self.functions,
            "stepfunctions": self.machine,
        }[service]


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Iterator[Local]:
    with moto_cloud(monkeypatch, EXAMPLE_ENVIRONMENTS["promoter"]) as cloud:
        handlers = {f"the-{name}": started(name) for name in ("promoter", "approver")}
        local = Local(cloud, Functions(handlers), StateMachine({}))
        outputs = {**OUTPUTS, "SigningKey": cloud.signing_key}
        monkeypatch.setattr(models, "deployed", lambda _, **__: (local, outputs))
        yield local


@pytest.fixture
def credit(local: Local, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run `credit models ...` and return its lines; its exit code must be as expected."""
    del local

    def run(*words: str, ends: int = 0) -> list[str]:
        code = main.run(["models", *words])
        said = capsys.readouterr()
        assert code == ends, said
        return (said.out if code == 0 else said.err).splitlines()

    return run


def as_json(lines: list[str]) -> dict[str, Any]:
    return dict(json.loads("\n".join(lines)))


def test_versions_are_listed_with_state_and_gates_and_who_answers(
    credit: Any, local: Local
) -> None:
    for version, gates in (("v1", FAILED[:1]), ("v2", FAILED)):
        registered(local.cloud, version, gates=gates)
    credit("promote", "v1", "--now", "--by", "ada")

    lines = credit("list")
    document = as_json(credit("list", "--json"))

    assert lines[1].split()[:3] == ["v1", "champion", "pairwise"]
    assert lines[1].endswith("by ada")
    assert "1 failed" in lines[2]
    assert lines[-1] == "v1 answers everybody. Revision 1."
    assert (document["pointer"]["champion"], document["pointer"]["moved_by"]) == ("v1", "ada")
    by_version = {model["version"]: model for model in document["models"]}
    assert by_version["v2"]["failed_gates"] == ["calibration"]
    assert by_version["v2"]["state"] == "rejected"


def test_a_manifest_that_was_changed_hides_no_other_version(credit: Any, local: Local) -> None:
    for version in ("v1", "v2"):
        registered(local.cloud, version)
    key = manifest_key(PRODUCT.name, "v1")
    local.cloud.s3.put_object(Bucket="models", Key=key, Body=b"{}")

    lines = credit("list")

    assert "manifest.json has SHA-256" in lines[1]
    assert lines[2].startswith("v2       registered  pairwise")
    listed = as_json(credit("list", "--json"))["models"]
    assert [("fault" in model) for model in listed] == [True, False]


def test_nothing_registered_and_nothing_promoted_is_said(credit: Any) -> None:
    assert credit("list") == ["No model of personal_loan is registered."]
    assert "has no champion yet" in credit("show", ends=1)[0]
    assert "has no champion yet" in credit("rollback", ends=1)[0]
    assert credit("history") == []


def test_a_version_is_shown_with_its_gates_and_its_verified_report(
    credit: Any, local: Local, tmp_path: Path
) -> None:
    registered(local.cloud, "v1", gates=FAILED)
    report = tmp_path / "report.html"

    lines = credit("show", "v1", "--report", str(report))

    assert report.read_bytes() == REPORT
    assert "  ✗ calibration          ratio 2.4" in lines
    assert any("look at: the curve" in line for line in lines)
    assert lines[-1] == f"Its report is in {report}."
    shown = as_json(credit("show", "v1", "--json"))
    assert shown["manifest"]["golden"] == []

    key = report_key(PRODUCT.name, "v1")
    local.cloud.s3.put_object(Bucket="models", Key=key, Body=b"another")
    assert "report.html has SHA-256" in credit("show", "v1", "--report", str(report), ends=1)[0]


def test_an_unknown_version_is_said_with_what_to_do(credit: Any) -> None:
    assert credit("show", "v9", ends=1) == [
        "error: model v9 is not registered for personal_loan",
        "  see: credit models list",
    ]


def test_the_difference_of_two_versions_leaves_out_what_is_equal(credit: Any, local: Local) -> None:
    registered(local.cloud, "v1")
    registered(local.cloud, "v2", gates=FAILED)

    assert credit("diff", "v1", "v2") == [
        "v1 -> v2",
        "  gates.calibration: None -> failed",
    ]
    found = as_json(credit("diff", "v1", "v2", "--json"))
    assert found["changes"] == {"gates.calibration": {"from": None, "to": "failed"}}
    assert credit("diff", "v1", "v1") == ["v1 -> v1", "  they do not differ"]


def test_a_model_is_moved_through_all_places_and_back(credit: Any, local: Local) -> None:
    for version in ("v1", "v2"):
        registered(local.cloud, version)

    said = [
        credit(*words)
        for words in (
            ("promote", "v1", "--now"),
            ("shadow", "v2"),
            ("share", "v2", "0.2"),
            ("share", "v2", "0"),
            ("withdraw",),
            ("promote", "v2", "--now"),
            ("rollback",),
            ("retire", "v2"),
        )
    ]

    assert [lines[0] for lines in said] == [
        "v1 answers everybody. Revision 1.",
        "v1 answers everybody; v2 is in shadow. Revision 2.",
        "v2 answers 20 % of the applicants, v1 the others. Revision 3.",
        "v1 answers everybody; v2 is in shadow. Revision 4.",
        "v1 answers everybody. Revision 5.",
        "v2 answers everybody. The way back is v1. Revision 6.",
        "v1 answers everybody. Revision 7.",
        "v1 answers everybody. Revision 7.",
    ]
    assert local.cloud.state("v2") == "retired"
    moves = as_json(credit("history", "--json"))["moves"]
    assert [move["to"]["revision"] for move in moves] == [7, 6, 5, 4, 3, 2, 1]
    assert (moves[0]["from"]["champion"], moves[-1]["from"]) == ("v2", None)
    assert "v1 answers everybody. Revision 7." in credit("history")[0]


def test_what_the_promoter_refuses_is_a_line(credit: Any, local: Local) -> None:
    registered(local.cloud, "v1", gates=FAILED)

    (line,) = credit("promote", "v1", "--now", ends=1)

    assert line == "error: the promoter refused: model v1 stays out; it failed: calibration"


def test_nothing_under_trial_is_nothing_to_withdraw(credit: Any, local: Local) -> None:
    registered(local.cloud, "v1")
    credit("promote", "v1", "--now")

    assert credit("withdraw", ends=1) == ["error: nothing is under trial"]
    assert credit("withdraw", "v2", ends=1) == ["error: v2 is not under trial"]


def test_a_promotion_goes_through_the_rollout(credit: Any, local: Local) -> None:
    answer = {"champion": "v2", "challenger": None, "previous_champion": "v1", "revision": 9}
    local.machine.ended = {"status": "SUCCEEDED", "output": json.dumps(answer)}

    lines = credit("promote", "v2", "--by", "ada")

    assert local.machine.asked == [{"version": "v2", "moved_by": "ada"}]
    assert lines[-1] == "v2 answers everybody. The way back is v1. Revision 9."
    assert credit("promote", "v2", "--no-wait")[0].startswith("The rollout 1 is under way")
    under_way = as_json(credit("promote", "v2", "--no-wait", "--json"))
    assert under_way == {"execution": "1", "status": "running"}


def test_a_rollout_that_was_stopped_says_why(credit: Any, local: Local) -> None:
    cause = "model v2 was withdrawn, v1 answers: an alarm is in alarm"
    local.machine.ended = {"status": "FAILED", "error": "Withdrawn", "cause": cause}

    assert cause in credit("promote", "v2", ends=1)[0]


TRAINED = f"20261120T120000Z-{hashlib.sha256(ONNX).hexdigest()[:12]}"


def leave(folder: Path, manifest: ModelManifest) -> None:
    """Write what `credit train` writes."""
    (folder / "model.onnx").write_bytes(ONNX)
    (folder / "manifest.json").write_bytes(manifest.to_json())
    (folder / "report.html").write_bytes(REPORT)


def test_what_credit_train_wrote_is_registered(credit: Any, local: Local, tmp_path: Path) -> None:
    leave(tmp_path, the_manifest(TRAINED))

    lines = credit("register", str(tmp_path), "--by", "ada")

    assert lines == [
        f"{TRAINED} is registered, signed.",
        f"Next: credit models promote {TRAINED} --product {PRODUCT.name}",
    ]
    assert local.cloud.registry.find(TRAINED).moved_by == "ada"


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "report.html"])
def test_a_folder_that_lacks_a_file_is_not_registered(
    credit: Any, tmp_path: Path, name: str
) -> None:
    leave(tmp_path, the_manifest(TRAINED))
    (tmp_path / name).unlink()

    assert f"holds no {name}" in credit("register", str(tmp_path), ends=2)[0]


def test_a_folder_that_was_changed_since_is_not_registered(credit: Any, tmp_path: Path) -> None:
    """Its version, its bytes and its inputs have to fit each other and the product."""
    leave(tmp_path, the_manifest("20261120T120000Z-000000000000"))
    assert "is not that of its model" in credit("register", str(tmp_path), ends=2)[0]

    other = the_manifest(TRAINED).model_copy(update={"inputs": ("another",)})
    leave(tmp_path, other)
    assert "was trained for other inputs" in credit("register", str(tmp_path), ends=2)[0]

    leave(tmp_path, the_manifest(TRAINED))
    of_another = credit("register", str(tmp_path), "--product", "other_loan", ends=2)
    assert "holds a model of personal_loan, not of other_loan" in of_another[0]

    (tmp_path / "model.onnx").write_bytes(b"another")
    assert "model.onnx has SHA-256" in credit("register", str(tmp_path), ends=2)[0]


@pytest.mark.parametrize("word", ["approve", "reject"])
def test_nobody_decides_on_what_does_not_wait(credit: Any, word: str) -> None:
    assert credit(word, "v1", ends=1)[0].endswith("no rollout of model v1 waits for approval")


def test_what_follows_a_deployment_is_a_model_and_then_a_request(
    credit: Any, local: Local, tmp_path: Path
) -> None:
    def after(product: str, outputs: dict[str, str]) -> str:
        deployment = Deployment(cast("Aws", local), outputs, product=product)
        return next_command(Checkout(tmp_path), deployment)

    mine, outputs = PRODUCT.name, {**OUTPUTS, "SigningKey": local.cloud.signing_key}
    folder = tmp_path / "private" / mine

    other = "feast_tutorial"
    assert after(mine, outputs).startswith("credit demo ")
    assert after(other, outputs).startswith(f"credit models register FOLDER --product {other}, and")
    assert after(other, outputs).endswith(f"credit retrain --product {other}")
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "manifest.json").write_text("{}")
    register = f"credit models register private/{mine}/model --product {mine}"
    assert after(mine, outputs) == register
    registered(local.cloud, "v1", gates=FAILED[:1])
    assert after(mine, outputs) == register
    credit("promote", "v1", "--now", "--by", "ada")
    assert after(mine, outputs) == f"credit score examples/application.json --product {mine}"
    (folder / "application.json").write_text("{}")
    assert after(mine, outputs) == f"credit score private/{mine}/application.json --product {mine}"
    assert after(mine, {}) == f"credit models history --product {mine}"
