"""The benchmarks run, at a tiny size: what they print is for people, and nothing is timed here."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from credit_core.domain.point_in_time import training_set_sql
from tests.builders import PRODUCT

if TYPE_CHECKING:
    from types import ModuleType

FOLDER = Path(__file__).parents[2] / "benchmarks"

pytestmark = pytest.mark.performance


def benchmark(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a benchmark, so that processes it starts can import it, too."""
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_the_join_is_measured_against_another_text_on_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    join = benchmark("point_in_time_join", monkeypatch)
    other = tmp_path / "other.sql"
    other.write_text(training_set_sql(PRODUCT))

    measured: dict[str, Any] = join.measure(
        tmp_path, loans=200, events=4_000, memory_mb=512, against=[other]
    )

    assert measured["queries"]["product"]["rows"] == 200
    assert measured["queries"]["product"]["peak_memory_mb"] > 0
    assert measured["same_rows"]
    assert join.lines(measured)[-1] == "the same rows: yes"


@pytest.mark.parametrize(("rows", "same"), [("(1), (2)", True), ("(1), (3)", False)])
def test_another_answer_of_another_text_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: str, *, same: bool
) -> None:
    join = benchmark("point_in_time_join", monkeypatch)
    paths = [tmp_path / "one.parquet", tmp_path / "other.parquet"]
    for path, values in zip(paths, ("(1), (2)", rows), strict=True):
        duckdb.sql(f"COPY (FROM (VALUES {values})) TO '{path}' (FORMAT parquet)")

    assert join.same_rows(paths) is same


def test_materialization_is_measured_beside_the_emulator_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    materialization = benchmark("materialization", monkeypatch)
    for name in ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "")

    measured = materialization.measure(tmp_path, rows=60, workers=[1])

    assert set(measured["emulator_alone"]) == {"PutItem", "INSERT in batches"}
    assert tuple(measured["guarded"]["1"]) == materialization.SCENARIOS
    assert len(materialization.lines(measured)) == 4 + 2 + 3


def test_decoding_is_measured_for_each_view(monkeypatch: pytest.MonkeyPatch) -> None:
    decode = benchmark("decode", monkeypatch)

    measured = decode.measure(PRODUCT.name, calls=20)

    assert set(measured) == {view.name for view in PRODUCT.feature_views}
    assert len(decode.lines(measured)) == 1 + len(PRODUCT.feature_views)


def test_clients_are_measured_on_the_same_call(monkeypatch: pytest.MonkeyPatch) -> None:
    aws_client = benchmark("aws_client", monkeypatch)
    for name in (*aws_client.ENVIRONMENT, "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, "")

    measured = aws_client.measure(calls=3)

    assert set(measured) == {"boto3", "boto3, parameters unchecked", "own client", "socket alone"}
    assert len(aws_client.lines(measured)) == 1 + len(measured)
