"""Build the Lambda layers without Docker: install, prune, compile, and zip them reproducibly.

    python -m layers.build                        every layer, for this machine
    python -m layers.build --platform lambda      every layer, for Lambda
    python -m layers.build runtime core           only these

A layer is built from hash-locked wheels for one platform, loses what no function imports (tests,
stubs, sources of compiled modules), gains byte code that needs no check of file times, and becomes
a zip whose bytes depend on nothing but its inputs. It is kept under a fingerprint of those inputs,
so that building again is instant, and `layer_archive` and `function_archive`, which the CDK app
calls, never need the network.
"""

import argparse
import compileall
import contextlib
import hashlib
import importlib.util
import io
import json
import os
import platform as machine
import py_compile
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"

LAMBDA_TAG = "x86_64-manylinux_2_28"
PYTHON_VERSION = "3.13"

# Lambda refuses a function whose code and layers unzip to more than 250 MB; what is built here
# stays below 240, so that a function can grow a little before anybody has to prune again.
UNZIPPED_LIMIT_MB = 240

# Level 6 takes twice as long as 4 and saves 4 %.
LAYER_ZIP_LEVEL = 4

# Where Lambda puts a layer. Byte code carries it, so a traceback shows the path that exists there.
LAYER_ROOT = "/opt/python"

FUNCTION_LAYERS: Mapping[str, tuple[str, ...]] = {
    "scorer": ("core", "runtime"),
    "records": ("core", "runtime"),
    "batch": ("core", "runtime"),
    "planner": ("core", "runtime", "parquet"),
    "materializer": ("core", "runtime", "parquet"),
    "reconciler": ("core", "runtime"),
    "pusher": ("core", "runtime", "parquet"),
    "freshness": ("core", "runtime"),
    "archiver": ("core", "runtime"),
    "eraser": ("core", "runtime", "parquet"),
    "comparer": ("core", "runtime"),
    "served_set": ("core", "runtime"),
    "skew": ("core", "runtime", "parquet"),
    "monitor": ("core", "runtime"),
    "trainer": ("core", "runtime", "training"),
    "promoter": ("core", "runtime"),
    "rehearsal": ("core", "runtime"),
    "approver": ("core", "runtime"),
    "guard": ("core", "runtime"),
    "emptier": ("core", "runtime"),
}
"""The layers that each function runs with, in the order in which Lambda unpacks them."""

FUNCTION_PACKAGES: Mapping[str, tuple[str, ...]] = {
    "trainer": ("model_build",),
    # Recorded calls of the API, shown in the document that it serves.
    "records": ("docs/api/examples",),
}
"""Folders of this repository that lie beside a function's handler in its own zip."""

CORE_PACKAGES = ("layers/core/python/credit_core", "products")


class LayerError(Exception):
    """A layer can't be built or is not there; the message is one line and says what to do."""


class Platform(StrEnum):
    """Where a layer is to run."""

    HOST = "host"
    LAMBDA = "lambda"

    @property
    def tag(self) -> str:
        """The platform's name in paths; equal for host and Lambda where wheels are, too."""
        if self is Platform.LAMBDA or runs_lambda_wheels():
            return LAMBDA_TAG
        return f"{machine.system()}-{machine.machine()}".lower()


def runs_lambda_wheels() -> bool:
    """Tell whether this machine runs the very wheels that Lambda runs."""
    if (machine.system(), machine.machine()) != ("Linux", "x86_64"):
        return False
    library, version = machine.libc_ver()
    major, _, minor = version.partition(".")
    return library == "glibc" and (int(major), int(minor)) >= (2, 28)


@dataclass(frozen=True, kw_only=True)
class BuiltLayer:
    """A layer's archive and its measures; `seconds` is 0 when it was already there."""

    name: str
    archive: Path
    sha256: str
    zipped_mb: float
    unzipped_mb: float
    seconds: float = 0.0


# --- What is left out ---------------------------------------------------------------------------

PRUNED_FOLDERS = ("bin", "include", "share", "tests", "test", "testdata", "__pycache__")
"""Folders that no function imports: scripts, headers, and the packages' own tests."""

PRUNED_FILES = (
    # What compiled modules were made from.
    *("*.a", "*.build", "*.c", "*.cc", "*.cpp", "*.f", "*.f90", "*.h", "*.hpp", "*.pxd", "*.pxi"),
    *("*.pyf", "*.pyx", "*.src", "*.tp", "*.proto"),
    # What only type checkers and people read.
    *("*.pyi", "py.typed", "*.md", "*.rst"),
    # pytest's, beside the code.
    "conftest.py",
    # Installers' notes. METADATA and licences stay: vulnerability scanners and lawyers read them.
    *("*.dist-info/INSTALLER", "*.dist-info/RECORD", "*.dist-info/REQUESTED", "*.dist-info/WHEEL"),
    *("*.dist-info/direct_url.json", "*.dist-info/sboms/*"),
    ".lock",
)
"""Patterns of files, matched against the path inside the layer or the name."""

PRUNED_BY_LAYER: Mapping[str, tuple[str, ...]] = {
    "runtime": (
        # The same engine again as a C library; Python's extension module doesn't link to it.
        "onnxruntime/capi/libonnxruntime.so.*",
        # Tools around a model's making; a scorer runs one that is made.
        "onnxruntime/backend/*",
        "onnxruntime/datasets/*",
        "onnxruntime/quantization/*",
        "onnxruntime/tools/*",
        "onnxruntime/transformers/*",
        "onnxruntime/ThirdPartyNotices.txt",
        # numpy's self-tests, compiled.
        *("numpy/_core/_simd.*", "numpy/_core/_*_tests.*"),
        # The page that shows an OpenAPI document in a browser.
        "aws_lambda_powertools/event_handler/openapi/swagger_ui/*.js",
        "aws_lambda_powertools/event_handler/openapi/swagger_ui/*.css",
    ),
    "training": (
        # Sample data sets, the checks of an estimator's manners, tutorials.
        *("sklearn/datasets/*", "sklearn/utils/estimator_checks.py", "skl2onnx/tutorial/*"),
        # Parts of scipy that no estimator used here imports.
        *("scipy/cluster/*", "scipy/datasets/*", "scipy/differentiate/*", "scipy/fftpack/*"),
        *("scipy/io/*", "scipy/odr/*", "scipy/signal/*"),
        *("scipy/ndimage/_cytest.*", "scipy/special/_test_internal.*"),
        # scikit-learn sees data frames through narwhals; the ones behind these doors aren't here.
        *("narwhals/_arrow/*", "narwhals/_dask/*", "narwhals/_duckdb/*", "narwhals/_ibis/*"),
        *("narwhals/_pandas_like/*", "narwhals/_polars/*", "narwhals/_spark_like/*"),
        "narwhals/_sql/*",
        # ONNX in pure Python, and the conformance suite.
        *("onnx/reference/*", "onnx/backend/*"),
    ),
    "parquet": (
        "_duckdb-stubs/*",
        # An Arrow database driver, which needs a package that isn't here.
        "adbc_driver_duckdb/*",
    ),
}
"""Per layer, what else no function needs. Tests import every function with what is left."""


def is_pruned(path: PurePosixPath, layer: str) -> bool:
    """Tell whether a file, named by its path inside the layer, is left out."""
    if any(part in PRUNED_FOLDERS for part in path.parts[:-1]):
        return True
    patterns = (*PRUNED_FILES, *PRUNED_BY_LAYER.get(layer, ()))
    return any(
        fnmatchcase(str(path), pattern) or fnmatchcase(path.name, pattern) for pattern in patterns
    )


# --- Making the same bytes each time ------------------------------------------------------------


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and its subfolders, in an order that never varies."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def compile_byte_code(folder: Path, *, workers: int) -> None:
    """Compile each module; the byte code is used without comparing it with its source.

    Zip archives reset file times, so byte code checked by time would be compiled again at each
    cold start. Paths inside it are the layer's on Lambda: nothing of this machine is recorded.
    """
    compiled = compileall.compile_dir(
        folder,
        quiet=2,
        workers=workers,
        stripdir=str(folder),
        prependdir=LAYER_ROOT,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    if not compiled:
        raise LayerError(f"byte code of {folder.name} can't be compiled; see python -m compileall")


def zip_bytes(entries: Iterable[tuple[str, bytes]], *, level: int) -> bytes:
    """Return a zip of named contents; equal entries in equal order give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries:
            # The earliest time that a zip can hold; a creation system and modes of Unix.
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content, compresslevel=level)
    return buffer.getvalue()


def write_whole(path: Path, content: bytes) -> None:
    """Put a file in place in one step: a reader or a second builder never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


# --- Layers -------------------------------------------------------------------------------------


def layer_names() -> tuple[str, ...]:
    """Return the layers that functions use, each once, in order of first use."""
    return tuple(dict.fromkeys(name for names in FUNCTION_LAYERS.values() for name in names))


def archive_path(name: str, platform: Platform) -> Path:
    """Return where a layer's zip lies once it is built."""
    # The core layer is Python alone, so one archive serves every platform.
    return BUILD / "layers" / ("any" if name == "core" else platform.tag) / f"{name}.zip"


def lock_file(name: str) -> Path:
    """Return the hash-locked requirements of a layer of packages."""
    return ROOT / "layers" / name / "requirements.txt"


def core_files() -> Iterator[tuple[str, Path]]:
    """Yield this project's own modules by their path in the core layer."""
    for package in CORE_PACKAGES:
        folder = ROOT / package
        for path in files_below(folder):
            name = PurePosixPath(path.relative_to(folder.parent).as_posix())
            if not is_pruned(name, "core") and not name.name.startswith("."):
                yield str(name), path


def fingerprint(name: str, platform: Platform) -> str:
    """Return the SHA-256 of all that decides a layer's bytes."""
    digest = hashlib.sha256()
    digest.update(Path(__file__).read_bytes())
    digest.update(importlib.util.MAGIC_NUMBER)
    digest.update(archive_path(name, platform).parent.name.encode())
    if name == "core":
        for path_in_layer, path in core_files():
            digest.update(f"{path_in_layer}\n".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    else:
        digest.update(lock_file(name).read_bytes())
    return digest.hexdigest()


def read_built(name: str, platform: Platform) -> BuiltLayer | None:
    """Return the layer if it is there and made from today's inputs, else None."""
    archive = archive_path(name, platform)
    try:
        record = json.loads(archive.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if record.pop("fingerprint", None) != fingerprint(name, platform) or not archive.exists():
        return None
    return BuiltLayer(name=name, archive=archive, **record)


def layer_archive(name: str, platform: Platform) -> Path:
    """Return a built layer's zip, for use in a template.

    The core layer is built on the spot when its sources have changed: that needs no network.

    Raises:
        LayerError: The layer is not built, or its lock has changed since.
    """
    built = read_built(name, platform)
    if built is None and name == "core":
        built = build_layer(name, platform)
    if built is None:
        raise LayerError(
            f"layer {name} is not built for {platform.tag}; "
            f"run: python -m layers.build --platform {platform} {name}"
        )
    return built.archive


def install_packages(name: str, platform: Platform, folder: Path) -> None:
    """Install a layer's locked wheels into a folder, each checked by its hash.

    Raises:
        LayerError: uv could not; the message is its last line.
    """
    # The file names every package, so nothing is resolved: what a package declares but no function
    # imports stays out, and each requirements.in says what and why.
    command = [
        *(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--target", str(folder)),
        *("--no-deps", "--require-hashes", "--only-binary", ":all:"),
        *("--python-version", PYTHON_VERSION, "--requirement", str(lock_file(name))),
    ]
    if platform.tag == LAMBDA_TAG:
        command += ["--python-platform", LAMBDA_TAG]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or "no message from uv").splitlines()[-1].strip()
        raise LayerError(f"layer {name} can't be installed for {platform.tag}: {reason}")


def prune(name: str, folder: Path) -> None:
    """Remove what no function imports, and the folders left empty."""
    for path in files_below(folder):
        if is_pruned(PurePosixPath(path.relative_to(folder).as_posix()), name):
            path.unlink()
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            with contextlib.suppress(OSError):  # not empty
                path.rmdir()


def build_layer(name: str, platform: Platform) -> BuiltLayer:
    """Build one layer and put it in place, whatever is there.

    Raises:
        LayerError: There is no such layer, or uv could not install its packages.
    """
    if name not in layer_names():
        raise LayerError(f"there is no layer {name}; there are {', '.join(layer_names())}")
    started = time.monotonic()
    # Taken first: a source that changes from here on makes the archive stale, as it should.
    inputs = fingerprint(name, platform)
    BUILD.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD, prefix=f"layer-{name}-") as temporary:
        folder = Path(temporary) / "python"
        if name == "core":
            for path_in_layer, path in core_files():
                target = folder / path_in_layer
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        else:
            install_packages(name, platform, folder)
            prune(name, folder)
        # Worker processes import the main module again, which during synthesis is the CDK app: the
        # core layer, all that is built then, does without them. Zero means one per core.
        compile_byte_code(folder, workers=1 if name == "core" else 0)
        paths = list(files_below(folder))
        unzipped = sum(path.stat().st_size for path in paths)
        content = zip_bytes(
            ((path.relative_to(temporary).as_posix(), path.read_bytes()) for path in paths),
            level=LAYER_ZIP_LEVEL,
        )
    layer = BuiltLayer(
        name=name,
        archive=archive_path(name, platform),
        sha256=hashlib.sha256(content).hexdigest(),
        zipped_mb=len(content) / 1e6,
        unzipped_mb=unzipped / 1e6,
        seconds=time.monotonic() - started,
    )
    write_whole(layer.archive, content)
    # Last, because this is what makes the archive count as built.
    record = {
        "fingerprint": inputs,
        "sha256": layer.sha256,
        "zipped_mb": layer.zipped_mb,
        "unzipped_mb": layer.unzipped_mb,
    }
    write_whole(layer.archive.with_suffix(".json"), json.dumps(record, indent=2).encode())
    return layer


def up_to_date_layer(name: str, platform: Platform) -> BuiltLayer:
    """Return a layer, built now unless it is there already."""
    return read_built(name, platform) or build_layer(name, platform)


def build(
    names: Iterable[str] | None = None,
    platform: Platform = Platform.HOST,
    *,
    progress: Callable[[BuiltLayer], None] = lambda _: None,
) -> list[BuiltLayer]:
    """Bring layers up to date and return them; those already built cost nothing.

    Args:
        names: The layers; all of them by default.
        platform: Where they are to run.
        progress: Called with each layer as soon as it is there.

    Raises:
        LayerError: A layer can't be built.
    """
    built = []
    # Compiling is one process per core already; a second layer fills the gaps between.
    with ThreadPoolExecutor(max_workers=2) as pool:
        wanted = layer_names() if names is None else names
        for layer in pool.map(lambda name: up_to_date_layer(name, platform), wanted):
            progress(layer)
            built.append(layer)
    return built


# --- Functions ----------------------------------------------------------------------------------


def function_files(name: str) -> Iterator[tuple[str, Path]]:
    """Yield a function's own files by their path in its zip: handler.py lies at the root.

    Raises:
        LayerError: There is no handler.py in the function's folder.
    """
    folder = ROOT / "lambdas" / name
    if not (folder / "handler.py").is_file():
        raise LayerError(f"lambdas/{name}/handler.py does not exist")
    packages = [(ROOT / package, ROOT) for package in FUNCTION_PACKAGES.get(name, ())]
    for source, base in [(folder, folder), *packages]:
        for path in files_below(source):
            inside = PurePosixPath(path.relative_to(base).as_posix())
            if not is_pruned(inside, name) and not inside.name.startswith("."):
                yield str(inside), path


def function_archive(name: str) -> Path:
    """Write a function's code as a zip and return its path.

    It is a few small files, so this is quick enough to be done at each synthesis. An archive that
    would come out the same is left alone.

    Raises:
        LayerError: There is no such function.
    """
    content = zip_bytes(
        ((inside, path.read_bytes()) for inside, path in sorted(function_files(name))), level=9
    )
    archive = BUILD / "functions" / f"{name}.zip"
    if not archive.exists() or archive.read_bytes() != content:
        write_whole(archive, content)
    return archive


# --- Command line -------------------------------------------------------------------------------


def print_layer(layer: BuiltLayer) -> None:
    """Print one line: the layer, its sizes, and what it cost."""
    cost = f"{layer.seconds:5.1f} s" if layer.seconds else "  ready"
    print(
        f"  {layer.name:<10}{layer.zipped_mb:7.1f} MB zipped {layer.unzipped_mb:7.1f} MB unzipped"
        f"  {cost}",
        flush=True,
    )


def main(arguments: list[str] | None = None) -> int:
    """Build the named layers; return 0, or 1 after one line about what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m layers.build", description="Build layers.")
    parser.add_argument("layers", nargs="*", metavar="LAYER", help=", ".join(layer_names()))
    parser.add_argument("--platform", type=Platform, choices=list(Platform), default=Platform.HOST)
    options = parser.parse_args(arguments)
    print(f"Layers for {options.platform.tag}:", flush=True)
    try:
        build(options.layers or None, options.platform, progress=print_layer)
    except LayerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
