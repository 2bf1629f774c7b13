"""`credit sample generate`, as a person or a program meets it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from credit_cli import main

if TYPE_CHECKING:
    from pathlib import Path

SMALL = ["sample", "generate", "--applicants", "50", "--seed", "3"]


def test_the_summary_for_machines_counts_what_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--months", "18", "--end", "2026-06-30", "--drift", "1", "--json"]

    assert main.run([*SMALL, *words, "--out", str(tmp_path / "book")]) == 0

    summary = json.loads(capsys.readouterr().out)
    assert summary["rows"]["applications"] == 50
    assert list(summary["rows"]) == ["applications", "bureau", "region_market"]
    assert summary["labels"] == round(50 * summary["label_share"])
    assert 0.1 < summary["label_share"] < 0.6
    assert summary["end"] == summary["observed_until"] == "2026-06-30"
    assert summary["drift_from"] == "2025-09-30"
    assert len(summary["drifted_features"]) == 11
    assert summary["seconds"] >= 0
    assert summary["files"] == len(list((tmp_path / "book").rglob("*.parquet")))


def test_a_person_reads_where_things_are_and_how_to_get_the_same_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([*SMALL, "--out", str(tmp_path / "book")]) == 0

    said = capsys.readouterr().out
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    assert "applications 50" in said
    assert "must not get into the lake" in said
    assert f"--seed 3 --end {yesterday}" in said


def test_a_book_too_short_for_labels_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([*SMALL, "--months", "3", "--out", str(tmp_path / "book")]) == 0

    assert "none has matured" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--product", "nix"], "there is no file products/nix.py\n  products: "),
        (["--applicants", "0"], "--applicants is 0; it must be from 1 to 100,000,000"),
        (["--months", "0"], "--months is 0; it must be from 1 to 600"),
        (["--end", "yesterday"], "'yesterday' is no day; a day is written YYYY-MM-DD"),
        (["--applicant-entity", "region", "--applicants", "700"], "allow 676 applicants, not 700"),
    ],
)
def test_wrong_arguments_are_refused_in_a_line_or_two(
    words: list[str], error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([*SMALL, *words, "--out", str(tmp_path / "book")]) == 2

    shown = capsys.readouterr().err
    assert error in shown
    assert len(shown.splitlines()) <= 2
    assert not (tmp_path / "book").exists()


def test_a_folder_that_is_not_empty_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").touch()

    assert main.run([*SMALL, "--out", str(tmp_path)]) == 2

    assert capsys.readouterr() == (
        "",
        f"error: {tmp_path} is not empty\n  name another folder, or remove it first\n",
    )
