"""`credit train` before and after the training itself: what it refuses, and what it prints."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from credit_cli import training_run
from credit_cli.main import run
from credit_cli.training_rendering import data_lines, model_lines, summary
from credit_cli.training_run import FoundData
from credit_core.domain.model_manifest import MEASURES, Gate
from credit_core.domain.product import load_product_file
from model_build.loans import LoanSet, TrainingSet
from model_build.mlflow_log import TRACKING_VARIABLE
from model_build.tables import LeftOut
from tests.builders import PRODUCT, a_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
DEFINITION = ROOT / "examples" / "german_credit.py"
TABLE = ROOT / "tests" / "data" / "german_credit.csv"
type Refused = Callable[..., tuple[int, str]]


@pytest.fixture
def refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Return a function that runs the command and returns its exit code and its error."""

    def train(**options: object) -> tuple[int, str]:
        given = {"product": DEFINITION, "data": TABLE, "out": tmp_path / "out", **options}
        words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        return run(["train", *words]), capsys.readouterr().err

    return train


@pytest.fixture(autouse=True)
def nothing_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test here ends before the training, which takes its time."""
    monkeypatch.delenv(TRACKING_VARIABLE, raising=False)
    monkeypatch.setattr(training_run, "train", None)


def a_training_set(*, rows: int = 1_000, unservable: int = 0, not_labelled: int = 0) -> TrainingSet:
    """Return a training set of which only the counts matter."""
    loans = LoanSet(
        np.zeros((rows - unservable - not_labelled, 1), dtype=np.float32),
        np.zeros(rows - unservable - not_labelled, dtype=np.int64),
        None,
        np.arange(rows - unservable - not_labelled),
        {},
    )
    lost = {"housing": unservable} if unservable else {}
    return TrainingSet(loans, "1" * 64, rows, 0, lost, unservable, {}, not_labelled)


def test_a_definition_that_is_not_there_or_broken_is_a_line(
    refused: Refused, tmp_path: Path
) -> None:
    broken = tmp_path / "mine.py"
    broken.write_text(DEFINITION.read_text().replace("decline_from=0.6", "decline_from=0.1"))
    unfinished = tmp_path / "unfinished.py"
    unfinished.write_text("PRODUCT = (\n")

    code, error = refused(product="nothing.py")
    assert code == 2
    assert "error: product 'nothing' has 1 fault(s): there is no file nothing.py\n" in error
    code, error = refused(product=broken)
    assert code == 2
    assert "policy.approve_up_to: 0.25 is not below decline_from, 0.1" in error
    code, error = refused(product=unfinished)
    assert code == 2
    assert "unfinished.py, line 1: SyntaxError: '(' was never closed" in error


def test_a_definition_is_read_as_it_is_now_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    mine = tmp_path / "my definition.py"
    for title in ("One", "Two"):
        mine.write_text(DEFINITION.read_text().replace("German credit", title))
        assert load_product_file(mine).title == title

    assert list(tmp_path.iterdir()) == [mine]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": "nowhere"}, "--data nowhere does not exist"),
        ({"out": TABLE}, "is a file; name a folder"),
        ({"challenger": "random_forest"}, "--challenger random_forest is not known\n  one of "),
        ({"champion": "nowhere"}, "nowhere holds no model.onnx"),
        ({"seed": -1}, "--seed -1 is not from 0"),
    ],
)
def test_an_option_that_cannot_be_used_is_a_line(
    refused: Refused, options: dict[str, object], message: str
) -> None:
    code, error = refused(**options)

    assert code == 2
    assert message in error


def test_a_champion_has_to_be_the_product_s_and_whole(refused: Refused, tmp_path: Path) -> None:
    champion = tmp_path / "champion"
    champion.mkdir()
    (champion / "model.onnx").write_bytes(b"model")
    (champion / "report.html").write_bytes(b"report")
    manifest = a_manifest(onnx_sha256=hashlib.sha256(b"model").hexdigest())
    (champion / "manifest.json").write_bytes(manifest.to_json())

    assert "holds a model of personal_loan, not of german_credit" in refused(champion=champion)[1]
    assert "are the same folder" in refused(champion=champion, out=champion)[1]
    (champion / "model.onnx").write_bytes(b"another")
    code, error = refused(champion=champion, product="personal_loan")
    assert (code, "model.onnx has SHA-256" in error) == (2, True)
    (champion / "manifest.json").write_text("{}")
    error = refused(champion=champion)[1]
    assert "the manifest cannot be read: product: Field required (and " in error
    (champion / "manifest.json").write_text("{")
    error = refused(champion=champion)[1]
    assert "the manifest cannot be read: the whole of it: Invalid JSON: EOF" in error


def test_data_that_cannot_be_read_end_in_a_line_with_the_remedy(
    refused: Refused, tmp_path: Path
) -> None:
    table = tmp_path / "loans.csv"
    table.write_text(TABLE.read_text().replace(",0\n", ",2\n"))

    code, error = refused(data=table)

    assert code == 2
    assert "loans.csv: column defaulted, row 1 (and 699 more) is neither 0 nor 1" in error


def test_the_folder_inside_a_lake_is_pointed_out(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "german_credit" / "applications").mkdir(parents=True)

    code, error = refused(data=tmp_path / "german_credit")

    assert code == 2
    assert "did you mean the folder above" in error


def test_mlflow_is_missed_before_anything_is_trained(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(TRACKING_VARIABLE, (tmp_path / "runs").as_uri())
    monkeypatch.setitem(sys.modules, "mlflow", None)

    code, error = refused()

    assert code == 1
    assert "MLFLOW_TRACKING_URI is set, but MLflow is not installed\n  install" in error


def test_rows_left_out_are_told_and_many_of_them_loudly() -> None:
    lost = LeftOut("housing", 50, "are none of its declared categories", "loans.csv, row 7")

    few = data_lines(FoundData(a_training_set(unservable=5), {}, (lost,)))
    many = data_lines(FoundData(a_training_set(unservable=50, not_labelled=3), {}, (lost,)))

    assert few[0].startswith("  5 rows (0.5%) are left out")
    assert many[0] == "  3 rows have no outcome yet"
    assert many[1].startswith("  WARNING: 50 rows (5.0%) are left out")
    assert many[2] == (
        "    housing: 50 are none of its declared categories, the first in loans.csv, row 7"
    )


def test_a_failed_gate_is_shown_with_what_to_look_at() -> None:
    gates = (
        Gate(name="parity", passed=True, evidence="0 of 100 differ"),
        Gate(name="leakage", passed=False, evidence="paid: AUC 0.99", look_at="column paid"),
    )

    lines = model_lines(a_manifest(gates=gates))

    assert "Gates: 1 of 2 passed." in lines
    assert lines[-2:] == ["  ✗ leakage: paid: AUC 0.99", "    look at: column paid"]
    (chosen,) = (line for line in lines if line.startswith("*"))
    assert chosen.split()[1] == "pairwise"


def test_the_summary_says_all_measures_with_intervals(tmp_path: Path) -> None:
    manifest = a_manifest()
    found = FoundData(a_training_set(unservable=5), {"source": "loans.csv"})

    document = summary(found, manifest, tmp_path, seconds=1.234)

    (candidate,) = document["candidates"].values()
    for measure in MEASURES:
        assert candidate[measure].keys() == {"value", "low", "high"}
    assert document["chosen"] == "pairwise"
    assert document["gates"][0].keys() == {"name", "passed", "evidence", "look_at"}
    assert document["data"]["left_out"] == [{"column": "housing", "rows": 5}]
    assert (document["gates_passed"], document["seconds"]) == (True, 1.2)
    assert document["product"] == PRODUCT.name
