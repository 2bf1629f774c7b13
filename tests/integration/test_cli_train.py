"""`credit train` from a stranger's table to the files it leaves, with real models."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mlflow.tracking import MlflowClient

from credit_cli import training_run
from credit_cli.main import run
from credit_core.adapters.onnx_model import OnnxClassifier
from credit_core.domain.model_manifest import ModelManifest
from model_build.candidates import CANDIDATES

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "tests" / "data" / "german_credit.csv"
ARGUMENTS = ("train", "--product", str(ROOT / "examples" / "german_credit.py"))
TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder with ``out`` of all candidates on German credit, and MLflow's ``runs``."""
    folder = tmp_path_factory.mktemp("german")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TRACKING_VARIABLE, (folder / "runs").as_uri())
        # What it changes in the environment is taken back.
        for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
            patch.setenv(name, "1")
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        code = run([*ARGUMENTS, "--data", str(TABLE), "--out", str(folder / "out")])
        assert code == 0
        yield folder


@pytest.fixture
def simplest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the simplest candidate alone compete, where it is no matter which."""
    monkeypatch.delenv(TRACKING_VARIABLE, raising=False)
    monkeypatch.setattr(training_run, "CANDIDATES", CANDIDATES[:1])


def summary_of(folder: Path) -> dict[str, Any]:
    """Return the summary that a run left."""
    document: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    return document


def test_german_credit_passes_all_gates_and_ranks_as_well_as_untuned_xgboost(trained: Path) -> None:
    """0.787 is XGBoost's AUC with all columns, the prohibited ones too; 0.01 is left for folds."""
    document = summary_of(trained / "out")

    chosen = document["candidates"][document["chosen"]]
    assert document["gates_passed"]
    assert document["failed_gates"] == []
    assert document["split"] == "cross_validated"
    assert chosen["auc"]["value"] > 0.787 - 0.01
    assert chosen["auc"]["low"] < chosen["auc"]["value"] < chosen["auc"]["high"]
    assert set(document["candidates"]) == {candidate.name for candidate in CANDIDATES}


def test_the_files_are_a_model_that_loads_its_manifest_and_its_report(trained: Path) -> None:
    out = trained / "out"
    manifest = ModelManifest.from_json((out / "manifest.json").read_bytes())
    body = (out / "model.onnx").read_bytes()

    assert manifest.onnx_sha256 == hashlib.sha256(body).hexdigest()
    OnnxClassifier(body, input_count=len(manifest.inputs))
    assert (out / "report.html").read_text().startswith("<!doctype html>")
    assert sorted(path.name for path in out.iterdir()) == [
        "manifest.json",
        "model.onnx",
        "report.html",
        "summary.json",
    ]


def test_the_run_is_in_mlflow_with_parameters_measures_and_files(trained: Path) -> None:
    client = MlflowClient(tracking_uri=(trained / "runs").as_uri())
    experiment = client.get_experiment_by_name("german_credit")
    assert experiment is not None

    (logged,) = client.search_runs([experiment.experiment_id])

    document = summary_of(trained / "out")
    auc = document["candidates"][document["chosen"]]["auc"]
    assert logged.info.run_name == document["version"]
    assert logged.info.status == "FINISHED"
    assert logged.data.tags["gates_passed"] == "true"
    assert logged.data.params["algorithm"] == document["chosen"]
    assert logged.data.metrics["auc"] == auc["value"]
    assert logged.data.metrics["auc_low"] == auc["low"]
    assert logged.data.metrics["unrestricted.ks"] > 0
    artifacts = {it.path for it in client.list_artifacts(logged.info.run_id)}
    assert artifacts == {"manifest.json", "model.onnx", "report.html", "summary.json"}


@pytest.mark.usefixtures("simplest")
def test_the_same_data_and_seed_give_the_same_model(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run([*ARGUMENTS, "--data", str(TABLE), "--out", str(tmp_path / name), "--json"])

    one, two = ((tmp_path / name / "model.onnx").read_bytes() for name in ("one", "two"))
    assert one == two


@pytest.mark.usefixtures("simplest")
def test_labels_that_mean_nothing_fail_a_gate_and_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every third loan is said to have defaulted, whoever took it."""
    header, *rows = TABLE.read_text().splitlines()
    lines = [f"{row[:-1]}{int(number % 3 == 0)}" for number, row in enumerate(rows)]
    (tmp_path / "loans.csv").write_text("\n".join([header, *lines]) + "\n")

    code = run(
        [
            *ARGUMENTS,
            "--data",
            str(tmp_path / "loans.csv"),
            "--out",
            str(tmp_path / "out"),
            "--json",
        ]
    )

    document = json.loads(capsys.readouterr().out)
    assert code == 1
    assert document == summary_of(tmp_path / "out")
    assert "quality_floor" in document["failed_gates"]
    (failed,) = (gate for gate in document["gates"] if gate["name"] == "quality_floor")
    assert failed["look_at"]


@pytest.mark.usefixtures("simplest")
def test_out_of_time_with_a_champion_to_beat(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each loan a day after the one before; the champion is the model of the first run."""
    header, *rows = TABLE.read_text().splitlines()
    days = [
        f"{1970 + day // 336}-{day // 28 % 12 + 1:02d}-{day % 28 + 1:02d}" for day in range(1_000)
    ]
    lines = [f"{day},{row}" for day, row in zip(days, rows, strict=True)]
    (tmp_path / "loans.csv").write_text("\n".join([f"Event Timestamp,{header}", *lines]) + "\n")
    arguments = [*ARGUMENTS, "--data", str(tmp_path / "loans.csv"), "--json"]
    run([*arguments, "--out", str(tmp_path / "first")])
    capsys.readouterr()

    run([*arguments, "--out", str(tmp_path / "second"), "--champion", str(tmp_path / "first")])

    document = json.loads(capsys.readouterr().out)
    (gate,) = (gate for gate in document["gates"] if gate["name"] == "beats_champion")
    assert gate["passed"]
    assert document["split"] == "out_of_time"
    assert document["data"]["renamed_columns"] == {"event_timestamp": "Event Timestamp"}
