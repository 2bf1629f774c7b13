"""The layers: small enough, the same each time, and complete for every function."""

import functools
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from email import message_from_string
from importlib.metadata import distribution
from pathlib import Path, PurePosixPath

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from layers import build
from layers.build import FUNCTION_LAYERS, LayerError, Platform
from tests.example_environments import EXAMPLE_ENVIRONMENTS

FUNCTIONS = tuple(FUNCTION_LAYERS)
HANDLERS = sorted(path.parent.name for path in build.ROOT.glob("lambdas/*/handler.py"))

# Declared by onnxruntime, imported only by its tools for training and quantization.
LEFT_OUT = {"flatbuffers", "packaging", "protobuf", "sympy"}

# Byte 4 of byte code made by `--invalidation-mode unchecked-hash`.
UNCHECKED_HASH = 0b01

Unpack = Callable[[Path], Path]


@pytest.fixture(scope="module")
def unpack(tmp_path_factory: pytest.TempPathFactory) -> Unpack:
    """Unzip an archive once per test run and return its folder."""

    @functools.cache
    def unpacked(archive: Path) -> Path:
        folder = tmp_path_factory.mktemp(archive.stem)
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(folder)
        return folder

    return unpacked


@pytest.fixture(scope="module")
def boto3_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what Lambda's own runtime brings: boto3 and what it needs."""
    folder = tmp_path_factory.mktemp("boto3")
    site_packages = Path(str(distribution("boto3").locate_file("")))
    for name in ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six.py", "urllib3"):
        (folder / name).symlink_to(site_packages / name)
    return folder


def built_layers(function: str) -> list[Path]:
    """Return the zips of a function's layers for this machine, built if need be."""
    return [layer.archive for layer in build.build(FUNCTION_LAYERS[function], Platform.HOST)]


def run_clean(
    code: str, folders: list[Path], environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter that sees the standard library and these folders alone."""
    path = [str(folder) for folder in folders]
    return subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", f"import sys; sys.path[:0] = {path}\n{code}"],
        env={"AWS_DEFAULT_REGION": "eu-central-1", **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def files_of(archive: Path) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(archive) as zipped:
        for name in zipped.namelist():
            yield name, zipped.read(name)


# --- The same each time -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["core", "runtime"])
def test_a_layer_built_in_two_folders_is_the_same_byte_for_byte(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = []
    for folder in ("one", "quite-another"):
        monkeypatch.setattr(build, "BUILD", tmp_path / folder)
        archives.append(build.build_layer(name, Platform.HOST).archive)

    one, other = archives
    assert one != other
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("name", build.layer_names())
def test_no_path_of_the_building_machine_is_in_a_layer(name: str) -> None:
    archive = build.up_to_date_layer(name, Platform.HOST).archive

    assert [
        path for path, content in files_of(archive) if str(build.ROOT).encode() in content
    ] == []


@pytest.mark.parametrize("name", build.layer_names())
def test_every_module_has_byte_code_that_is_used_without_looking_at_file_times(name: str) -> None:
    files = dict(files_of(build.up_to_date_layer(name, Platform.HOST).archive))

    modules = [PurePosixPath(path) for path in files if path.endswith(".py")]
    byte_code = [
        files[str(path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc")]
        for path in modules
    ]
    assert modules
    assert {content[4] for content in byte_code} == {UNCHECKED_HASH}


def test_a_layer_that_is_there_is_not_built_again(monkeypatch: pytest.MonkeyPatch) -> None:
    build.build(["runtime"], Platform.HOST)
    monkeypatch.setattr(build, "build_layer", lambda *_: pytest.fail("built again"))

    (layer,) = build.build(["runtime"], Platform.HOST)

    assert layer.seconds == 0


def test_a_layer_whose_lock_changed_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build.build(["runtime"], Platform.HOST)
    changed = tmp_path / "requirements.txt"
    changed.write_text("numpy==0.0.1\n", encoding="utf-8")
    monkeypatch.setattr(build, "lock_file", lambda _: changed)

    with pytest.raises(LayerError, match=r"run: python -m layers\.build"):
        build.layer_archive("runtime", Platform.HOST)


def test_synthesis_builds_the_core_layer_but_never_fetches_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "BUILD", tmp_path)
    monkeypatch.setattr(
        build, "install_packages", lambda *_: pytest.fail("reached for the network")
    )

    assert build.layer_archive("core", Platform.LAMBDA).exists()
    with pytest.raises(LayerError, match="layer runtime is not built for x86_64-manylinux_2_28"):
        build.layer_archive("runtime", Platform.LAMBDA)


def test_an_unknown_layer_is_named_with_those_that_exist() -> None:
    with pytest.raises(LayerError, match=r"no layer typo; there are core, runtime"):
        build.build(["typo"])


# --- Small enough -------------------------------------------------------------------------------


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_and_its_layers_stay_below_the_unzipped_limit(function: str) -> None:
    archives = built_layers(function)
    if function in HANDLERS:
        archives.append(build.function_archive(function))

    unzipped = 0
    for archive in archives:
        with zipfile.ZipFile(archive) as zipped:
            unzipped += sum(entry.file_size for entry in zipped.infolist())

    assert unzipped / 1e6 < build.UNZIPPED_LIMIT_MB


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_layer_of_a_function_overwrites_a_file_of_another(function: str) -> None:
    names = [name for archive in built_layers(function) for name, _ in files_of(archive)]

    assert len(names) == len(set(names))


# --- Complete -----------------------------------------------------------------------------------


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_declared_dependency_is_in_a_layer_or_left_out_on_purpose(function: str) -> None:
    present, declared = set[str](), set[str]()
    for archive in built_layers(function):
        for name, content in files_of(archive):
            if not re.fullmatch(r"python/[^/]+\.dist-info/METADATA", name):
                continue
            metadata = message_from_string(content.decode())
            present.add(canonicalize_name(str(metadata["Name"])))
            for line in metadata.get_all("Requires-Dist", []):
                requirement = Requirement(line)
                if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                    declared.add(canonicalize_name(requirement.name))

    assert present
    assert declared - present <= LEFT_OUT


@pytest.mark.parametrize("layer", [name for name in build.layer_names() if name != "core"])
def test_a_layer_has_the_versions_that_the_tests_run_with(layer: str) -> None:
    pins = re.compile(r"^([a-z0-9-]+)==([^ ]+)", re.MULTILINE)
    dev = dict(pins.findall((build.ROOT / "requirements/dev.txt").read_text(encoding="utf-8")))

    locked = dict(pins.findall(build.lock_file(layer).read_text(encoding="utf-8")))

    assert locked
    assert locked.items() <= dev.items()


def test_the_runtime_layer_is_enough_to_score(unpack: Unpack, boto3_alone: Path) -> None:
    """Powertools, pydantic and onnxruntime import with no package from outside the layers."""
    folders = [unpack(archive) / "python" for archive in built_layers("scorer")]

    done = run_clean(
        """
import boto3, numpy, onnxruntime, pydantic, pydantic.networks
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
Logger(service="test").info("ready")
print(onnxruntime.get_available_providers())
""",
        [*folders, boto3_alone],
    )

    assert done.returncode == 0, done.stderr
    assert "CPUExecutionProvider" in done.stdout


TRAIN_EXPORT_AND_RUN = """
import warnings
warnings.simplefilter("ignore")
import numpy as np, onnx, onnxruntime
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, StandardScaler
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from skl2onnx.sklapi import CastTransformer

rng = np.random.default_rng(0)
income = rng.normal(size=(400, 2)).astype(np.float32)
purpose = rng.choice(["car", "home"], size=(400, 1)).astype(object)
bad = (income[:, 0] + rng.normal(size=400) > 0).astype(int)
income[rng.random(400) < 0.1, 1] = np.nan
applicants = np.concatenate([income.astype(object), purpose], axis=1)
cast = CastTransformer(dtype=np.float32)
for numeric, model in (
    (cast, HistGradientBoostingClassifier(interaction_cst="pairwise", max_iter=10)),
    (make_pipeline(cast, SimpleImputer(), StandardScaler()), LogisticRegression()),
):
    columns = ColumnTransformer([
        ("numeric", numeric, [0, 1]),
        ("purpose", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [2]),
    ])
    calibrated = CalibratedClassifierCV(model, method="sigmoid", ensemble=False, cv=3)
    pipeline = Pipeline([("columns", columns), ("model", calibrated)]).fit(applicants, bad)
    exported = to_onnx(
        pipeline,
        initial_types=[
            ("income", FloatTensorType([None, 1])),
            ("debt", FloatTensorType([None, 1])),
            ("purpose", StringTensorType([None, 1])),
        ],
        options={"zipmap": False},
        target_opset={"": 18, "ai.onnx.ml": 3},
    )
    onnx.checker.check_model(exported)
    session = onnxruntime.InferenceSession(
        exported.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    inputs = {"income": income[:, :1], "debt": income[:, 1:], "purpose": purpose}
    served = session.run(None, inputs)[1]
    np.testing.assert_allclose(served, pipeline.predict_proba(applicants), atol=1e-5)
    assert roc_auc_score(bad, served[:, 1]) > 0.7
print("trained")
"""


def test_the_training_layers_are_enough_to_train_export_and_run(unpack: Unpack) -> None:
    """What pruning removed is missed by neither scikit-learn, skl2onnx, onnx nor onnxruntime."""
    folders = [unpack(archive) / "python" for archive in built_layers("trainer")]

    done = run_clean(TRAIN_EXPORT_AND_RUN, folders)

    assert done.stdout == "trained\n", done.stderr


def test_the_parquet_layer_is_enough_to_write_and_read_parquet(
    unpack: Unpack, tmp_path: Path
) -> None:
    folders = [unpack(archive) / "python" for archive in built_layers("materializer")]
    file = tmp_path / "one.parquet"

    done = run_clean(
        f"file = {str(file)!r}"
        """
import duckdb
duckdb.sql("select 42 as answer").write_parquet(file)
print(duckdb.read_parquet(file).fetchall())
print(duckdb.read_parquet(file).fetchnumpy()["answer"][0])
""",
        folders,
    )

    assert done.stdout == "[(42,)]\n42\n", done.stderr


# --- Functions ----------------------------------------------------------------------------------


def test_every_function_has_its_layers_named() -> None:
    assert set(HANDLERS) <= set(FUNCTION_LAYERS)


@pytest.mark.parametrize("function", HANDLERS)
def test_a_handler_imports_with_only_its_code_its_layers_and_boto3(
    function: str, unpack: Unpack, boto3_alone: Path
) -> None:
    code = unpack(build.function_archive(function))
    layers = [unpack(archive) / "python" for archive in built_layers(function)]

    done = run_clean(
        "import handler; assert callable(handler.handler); print(handler.__file__)",
        [code, *layers, boto3_alone],
        EXAMPLE_ENVIRONMENTS[function],
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == os.fspath(code / "handler.py")


@pytest.mark.parametrize("function", HANDLERS)
def test_a_function_archive_has_the_handler_at_its_root_and_no_leftovers(function: str) -> None:
    archive = build.function_archive(function)
    before = archive.read_bytes()

    names = [name for name, _ in files_of(archive)]

    assert "handler.py" in names
    assert [name for name in names if "__pycache__" in name or "tests/" in name] == []
    assert build.function_archive(function).read_bytes() == before


def test_a_function_without_a_handler_is_refused_by_name() -> None:
    with pytest.raises(LayerError, match=r"lambdas/nobody/handler\.py does not exist"):
        build.function_archive("nobody")
