"""`make bench` runs, at a tiny size: what it measures is for people, and nothing is timed here."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.decisions import AWS_VARIABLES, imports_by_package, measure, spread
from benchmarks.decisions_report import PARTS, markdown, number
from benchmarks.decisions_runtime import runtime
from model_build.train import TrainedModel
from tests.builders import PRODUCT, a_manifest
from tests.builders_onnx import a_linear_onnx

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.performance

STAGES = {"parse", "read", "infer", "explain", "write"}
QUANTILES = {"p50", "p95", "p99"}


def a_trained_model() -> TrainedModel:
    onnx = a_linear_onnx(intercept=-3.0, loan_amount=1e-5)
    sha256 = hashlib.sha256(onnx).hexdigest()
    manifest = a_manifest(version="v1", onnx_sha256=sha256, onnx_bytes=len(onnx))
    return TrainedModel(manifest, onnx, b"<!doctype html>")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as environment:
        for name in AWS_VARIABLES:
            environment.setenv(name, "")
        yield measure(
            tmp_path_factory.mktemp("bench"),
            decisions=12,
            clients=2,
            starts=1,
            warm_up=2,
            applicants=20,
            trained=a_trained_model(),
        )


@pytest.mark.parametrize(("of", "clients"), [("one_client", 1), ("clients", 2)])
def test_each_stage_is_measured_by_the_wall_and_by_the_processor(
    measured: dict[str, Any], of: str, clients: int
) -> None:
    found = measured[of]

    assert (found["clients"], found["decisions"]) == (clients, 12)
    assert sum(found["outcomes"].values()) == 12
    assert set(found["stages_ms"]) >= STAGES | {"total"}
    assert set(found["stages_cpu_ms"]) >= STAGES | {"answer"}
    for of_stage in (*found["stages_ms"].values(), *found["stages_cpu_ms"].values()):
        assert set(of_stage) == QUANTILES
    assert found["handler_cpu_ms"]["p50"] > 0
    assert found["process_cpu_ms"] > 0
    assert found["resident_mb"] > 20


def test_a_shadow_is_a_stage_where_there_is_a_challenger_and_only_there(
    measured: dict[str, Any],
) -> None:
    assert "shadow" in measured["challenger"]["stages_cpu_ms"]
    assert "shadow" not in measured["one_client"]["stages_cpu_ms"]


def test_the_floor_is_of_the_same_two_calls(measured: dict[str, Any]) -> None:
    assert set(measured["floor"]["calls_ms"]) == {"BatchGetItem", "PutItem", "both"}
    assert measured["floor"]["receipt_bytes"] > 1_000


def test_the_model_is_measured_with_one_row_for_every_contribution(
    measured: dict[str, Any],
) -> None:
    inputs = len(PRODUCT.model_features)

    assert measured["model"]["rows"] == 2 * inputs + 2
    assert len(measured["model"]["measured"]) == 3


def test_every_part_of_the_cold_start_is_found(measured: dict[str, Any]) -> None:
    """A function that was renamed would otherwise be taken for part of the imports."""
    assert set(measured["cold_start"]["parts_ms"]) == set(PARTS)
    assert {"numpy", "onnxruntime", "credit_core", "standard library"} <= set(
        measured["imports_ms"]
    )
    assert "handler" not in measured["imports_ms"]


def test_the_report_shows_all_of_it(measured: dict[str, Any]) -> None:
    page = markdown(measured)

    assert page.startswith("# What a decision costs\n")
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## One client",
        "## 2 clients",
        "## One client, with a challenger in shadow",
        "## The emulator's floor",
        "## The model alone",
        "## Cold start",
        "## Memory",
    ]
    tables = re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE)
    assert len(tables) == 8
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert "None" not in page
    assert "nan" not in page


def test_large_numbers_lose_their_decimals() -> None:
    assert [number(value) for value in (0.0312, 3.14159, 412.3)] == ["0.03", "3.14", "412"]


def test_a_spread_is_of_measured_values() -> None:
    assert spread([0.003, 0.001, 0.002], 1e3) == {"p50": 2.0, "p95": 3.0, "p99": 3.0}


def test_imports_are_added_up_by_package(tmp_path: Path) -> None:
    log = tmp_path / "imports.log"
    log.write_text(
        "import time: self [us] | cumulative | imported package\n"
        "import time:      2000 |       2000 |   numpy.linalg\n"
        "import time:      1000 |       3000 | numpy\n"
        "import time:       500 |        500 | json\n"
        "import time:     90000 |     90000  | handler\n"
        "something else\n"
    )

    assert imports_by_package(log) == {"numpy": 3.0, "standard library": 0.5}


def test_a_function_that_fails_at_its_start_shows_why(tmp_path: Path) -> None:
    (tmp_path / "decisions_measured.py").write_text("raise ValueError('no such table')\n")
    installed = Path(pytest.__file__).parents[1]

    with (
        pytest.raises(RuntimeError, match="no such table"),
        runtime(paths=[tmp_path, installed], environment={}, log=tmp_path / "function.log"),
    ):
        pass
