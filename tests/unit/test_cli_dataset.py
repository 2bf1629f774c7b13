"""`credit dataset build` on small lakes: what it prints, and what it refuses in a line or two."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING

import duckdb
import pytest

from credit_cli.dataset import lines
from credit_cli.main import run
from credit_cli.sample import write_sample
from credit_core.adapters.local_lake import LocalLake, ViewShares, WrittenTrainingSet
from credit_core.domain.point_in_time import training_set_columns
from model_build.training_set import read_training_set
from tests.builders import PRODUCT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BUREAU = PRODUCT.view_prefix(PRODUCT.view("bureau"))
type Build = Callable[..., int]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the sample, which no test may change."""
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder, last_day=date(2026, 11, 21), product=PRODUCT)
    return folder


@pytest.fixture
def lake(sample: Path, tmp_path: Path) -> Path:
    """Return a lake of links to the sample's files; a test may add, remove and replace them."""
    for path in sample.rglob("*.parquet"):
        link = tmp_path / "lake" / path.relative_to(sample)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    return tmp_path / "lake"


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Return a function that runs the command in an empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return lambda lake, *more: run(["dataset", "build", "--data", str(lake), *map(str, more)])


def rewrite(path: Path, select: str) -> None:
    """Replace a file of the lake by what a query makes of its ``rows``."""
    source = path.resolve()
    path.unlink()
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (WITH rows AS (FROM '{source}') {select}) TO '{path}' (FORMAT parquet)"
        )


def test_the_sample_s_training_set_is_written_and_summed_up(
    sample: Path, build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(sample) == 0

    printed = capsys.readouterr().out
    assert "rows            9,857" in printed
    assert "columns         27" in printed
    assert "bureau          fresh 100.0%, stale 0.0%, missing 0.0%" in printed
    target = tmp_path / "here" / "personal_loan-training-set.parquet"
    with duckdb.connect() as connection:
        described = connection.execute("DESCRIBE FROM read_parquet(?)", [str(target)]).fetchall()
    assert tuple(name for name, *_ in described) == training_set_columns(PRODUCT)


def test_for_a_machine_it_prints_one_json_object(
    sample: Path, build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(sample, "--json", "--out", "rows.csv") == 0

    document = json.loads(capsys.readouterr().out)
    assert document["rows"] == 9_857
    assert document["file"] == "rows.csv"
    assert document["columns"] == list(training_set_columns(PRODUCT))
    assert sum(document["views"]["bureau"].values()) == document["rows"]


def test_training_reads_the_csv_as_it_reads_athena_s(
    sample: Path, build: Build, tmp_path: Path
) -> None:
    build(sample, "--out", "rows.csv")

    training_set = read_training_set(PRODUCT, (tmp_path / "here" / "rows.csv").read_bytes())

    assert training_set.rows == 9_857
    assert training_set.loans.defaults > 0


def test_a_file_that_exists_is_replaced_only_by_force(
    sample: Path, build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "here" / "rows.csv"
    target.write_text("precious")

    assert build(sample, "--out", target) == 2
    assert target.read_text() == "precious"
    assert "exists\n  name another with --out, or add --force" in capsys.readouterr().err
    assert build(sample, "--out", target, "--force") == 0
    assert target.read_text().startswith("application_id,")


@pytest.mark.parametrize(
    ("select", "fault"),
    [
        ("SELECT * EXCLUDE (inq_fi) FROM rows", "column inq_fi is missing; bureau expects a whole"),
        (
            "SELECT * REPLACE (inq_fi::DOUBLE AS inq_fi) FROM rows",
            "column inq_fi is DOUBLE; bureau expects a whole number",
        ),
    ],
)
def test_a_feature_file_of_another_schema_is_refused_by_file_column_and_expectation(
    lake: Path, build: Build, capsys: pytest.CaptureFixture[str], select: str, fault: str
) -> None:
    path = lake / BUREAU / "part-2-of-2.parquet"
    rewrite(path, select)

    assert build(lake) == 1
    assert f"error: {path}: {fault}" in capsys.readouterr().err


def test_applications_of_another_schema_are_refused_too(
    lake: Path, build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lake / PRODUCT.applications_prefix / "part-1-of-3.parquet"
    rewrite(path, "SELECT * EXCLUDE (addr_state) REPLACE ('no' AS defaulted) FROM rows")

    assert build(lake) == 1
    printed = capsys.readouterr().err
    assert (
        f"{path}: column addr_state is missing; personal_loan_applications expects text" in printed
    )
    assert (
        "column defaulted is VARCHAR; personal_loan_applications expects a whole number" in printed
    )
    assert not list((tmp_path / "here").iterdir())


@pytest.mark.parametrize("keep", [0, 9, 2_000])
def test_a_truncated_file_is_named_and_nothing_is_left_behind(
    lake: Path, build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str], keep: int
) -> None:
    path = lake / BUREAU / "part-2-of-2.parquet"
    body = path.read_bytes()[:keep]
    path.unlink()
    path.write_bytes(body)

    assert build(lake) == 1
    printed = capsys.readouterr().err
    assert f"error: {path}: expected whole, readable Parquet" in printed
    assert printed.count("\n") <= 2
    assert not list((tmp_path / "here").iterdir())


def test_a_damaged_page_is_an_error_in_one_line(
    lake: Path, build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lake / BUREAU / "part-2-of-2.parquet"
    body = bytearray(path.read_bytes())
    body[1_000:60_000] = bytes(59_000)
    path.unlink()
    path.write_bytes(body)

    assert build(lake) == 1
    assert "expected whole, readable Parquet" in capsys.readouterr().err
    assert not list((tmp_path / "here").iterdir())


def test_what_athena_passes_over_is_passed_over(lake: Path, build: Build) -> None:
    for name in ("_SUCCESS", ".part.tmp", "_temporary/part.parquet"):
        path = lake / BUREAU / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("no Parquet")

    assert build(lake) == 0


def test_a_file_of_another_format_is_refused(
    lake: Path, build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    (lake / BUREAU / "reports.csv").write_text("a,b\n")

    assert build(lake) == 1
    assert "reports.csv: the name of a file of the lake ends in .parquet" in capsys.readouterr().err


def test_a_view_without_files_is_missing_everywhere(
    lake: Path, build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    """As Athena reads an empty table."""
    for path in (lake / BUREAU).iterdir():
        path.unlink()

    assert build(lake) == 0
    assert "bureau          fresh 0.0%, stale 0.0%, missing 100.0%" in capsys.readouterr().out


def test_without_applications_there_is_no_training_set(
    lake: Path, build: Build, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (lake / PRODUCT.applications_prefix).iterdir():
        path.unlink()

    assert build(lake) == 1
    assert "applications: there are no Parquet files in this folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--out", "rows.txt"), "--out rows.txt does not end in .parquet or .csv"),
        (("--out", "no/rows.csv"), "--out no/rows.csv: there is no folder no"),
        (("--memory", "10"), "--memory 10 is below 256 MB"),
        (("--scratch", "no"), "--scratch no is not a folder"),
        (("--product", "mortgage"), "there is no file products/mortgage.py"),
    ],
)
def test_wrong_options_are_refused_before_any_work(
    sample: Path,
    build: Build,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    message: str,
) -> None:
    assert build(sample, *more) == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_is_no_lake_is_refused_with_a_way_out(
    build: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert build(tmp_path / "nowhere") == 2
    assert build(tmp_path) == 2
    printed = capsys.readouterr().err
    assert "nowhere is not a folder" in printed
    assert "holds no folder personal_loan/" in printed
    assert "credit sample generate" in printed


def test_a_query_that_needs_more_memory_says_so(
    sample: Path, build: Build, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def too_much(*_: object) -> None:
        raise duckdb.OutOfMemoryException

    monkeypatch.setattr("credit_core.adapters.local_lake._copy", too_much)

    assert build(sample) == 1
    printed = capsys.readouterr().err
    assert "more than 4096 MB of memory" in printed
    assert "raise --memory, or name a folder with more room: --scratch" in printed


def test_an_interrupted_query_is_an_interrupted_command(
    sample: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*_: object) -> None:
        raise duckdb.InterruptException

    monkeypatch.setattr("credit_core.adapters.local_lake._copy", interrupted)

    with pytest.raises(KeyboardInterrupt):
        LocalLake(PRODUCT, sample).write_training_set(tmp_path / "rows.parquet")
    assert not list(tmp_path.glob("*rows*"))


def test_a_long_name_of_a_view_stays_apart_from_its_figures() -> None:
    written = WrittenTrainingSet(0, 0, (), {"a_view_of_a_long_name": ViewShares(0, 0, 0)})

    assert "a_view_of_a_long_name  fresh 0.0%" in "\n".join(lines(written))
    assert lines(written)[-1] == "No application has an outcome whose horizon has passed."
