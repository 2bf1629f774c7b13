"""The commands that read a copy of the archive; nothing has to run for them."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from credit_cli.main import run
from credit_core.domain.loan_outcome import LoanOutcome
from tests.builders_evidence import Trial, a_version

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def receipts(tmp_path: Path) -> Path:
    """A copy of the archive with thirty loans of a trial, a third of which defaulted."""
    trial = Trial(challenger=a_version("v2", inq_last_6mths=0.5))
    decided = datetime.now(UTC) - timedelta(days=400)
    for number in range(30):
        trial.decide(f"a{number}", at=decided)
        outcome = LoanOutcome.REPAID if number % 3 else LoanOutcome.DEFAULTED
        trial.report(f"a{number}", outcome, on=decided.date(), at=decided)
    folder = tmp_path / "receipts"
    for key, body in trial.archive.objects.items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return folder


def test_models_are_compared_by_a_copy_of_the_archive(
    receipts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["models", "compare", "--receipts", str(receipts), "--json"]) == 0
    (pair,) = json.loads(capsys.readouterr().out)["pairs"]
    assert (pair["decisions"], pair["quality"]["defaults"]) == (30, 10)

    assert run(["models", "compare", "--receipts", str(receipts)]) == 0
    said = capsys.readouterr().out
    assert "Champion v1, challenger v2" in said
    assert "DeLong p" in said


def test_the_served_training_set_is_written_and_what_is_left_out_is_said(
    receipts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "served.csv"
    words = ["dataset", "served", "--receipts", str(receipts), "--out", str(out)]

    assert run(words) == 0
    with out.open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 30
    assert "30, 10 of them defaulted" in capsys.readouterr().out

    assert run(words) == 2
    assert "exists" in capsys.readouterr().err
    assert run([*words, "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 30


def test_a_training_set_without_rows_fails_and_writes_nothing(
    receipts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "served.csv"
    words = ["dataset", "served", "--receipts", str(receipts), "--out", str(out)]

    assert run([*words, "--to", "2020-01-01"]) == 1
    assert not out.exists()
    assert "no row, so no file" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["models", "compare", "--receipts", "no-such-folder"],
        ["models", "compare", "--from", "2026-02-01", "--to", "2026-01-01", "--receipts", "."],
        ["dataset", "served", "--out", "served.parquet"],
        ["dataset", "served", "--out", "no-such-folder/served.csv"],
        ["skew", "check", "--from", "2026-02-01", "--to", "2026-01-01"],
    ],
)
def test_wrong_use_is_said_in_a_line(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    assert run(words) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_folder_that_is_no_archive_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "some.json").write_text("{}")

    assert run(["models", "compare", "--receipts", str(tmp_path)]) == 2
    assert "no record of an archive" in capsys.readouterr().err
