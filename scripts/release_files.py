"""Gather in a folder what a release consists of: source, layers, bills of materials, checksums.

    python scripts/release_files.py .build/release

The source is that of the commit; layers are those for Lambda, whose bytes anybody gets who builds
the same commit.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Of a file that is run the folder is searched for modules, and not the checkout.
sys.path[:0] = [str(ROOT)]

from layers.build import LayerError, Platform, layer_archive, layer_names  # noqa: E402 (as above)
from scripts import bill_of_materials  # noqa: E402 (as above)
from scripts.release_notes import project_version  # noqa: E402 (as above)


def git(*words: str) -> str:
    """Return what git prints in this checkout.

    Raises:
        subprocess.CalledProcessError: It is no checkout, or has no commit.
    """
    done = subprocess.run(
        ["git", *words],  # noqa: S607 (whichever git checked this out)
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def gather(folder: Path) -> list[Path]:
    """Write everything into a folder, emptied before, and return the files.

    Raises:
        LayerError: A layer is not built for Lambda.
        subprocess.CalledProcessError: It is no checkout of git.
    """
    version = project_version()
    name = f"credit-decisions-{version}"
    made_at = git("log", "-1", "--format=%cI")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    source = folder / f"{name}.tar.gz"
    git("archive", "--format=tar.gz", f"--prefix={name}/", f"--output={source.resolve()}", "HEAD")
    for layer in layer_names():
        shutil.copyfile(layer_archive(layer, Platform.LAMBDA), folder / f"layer-{layer}.zip")
    for suffix, bill in {
        "": bill_of_materials.deployed(version, made_at),
        "-development": bill_of_materials.made_with(version, made_at),
    }.items():
        text = json.dumps(bill, indent=2) + "\n"
        (folder / f"bill-of-materials{suffix}.cdx.json").write_text(text, encoding="utf-8")
    files = sorted(folder.iterdir())
    sums = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    return [*files, folder / "SHA256SUMS"]


def main(arguments: list[str]) -> int:
    """Gather the files and name each; return 0, or 1 after one line about what went wrong."""
    if len(arguments) != 1:
        print("usage: python scripts/release_files.py FOLDER", file=sys.stderr)
        return 2
    try:
        for file in gather(Path(arguments[0])):
            print(f"{file.stat().st_size / 1e6:9.2f} MB  {file}")
    except LayerError as error:
        print(f"error: {error}; run: make layers", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"error: git: {error.stderr.strip()}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
