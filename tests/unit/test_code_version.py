"""The code that trained a model is told by a hash of its sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model_build.code_version import code_sha256, sources_sha256

if TYPE_CHECKING:
    from pathlib import Path


def a_package(folder: Path, **sources: str) -> Path:
    for name, text in sources.items():
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def test_the_same_sources_have_one_hash_wherever_they_lie(tmp_path: Path) -> None:
    here = a_package(tmp_path / "here", gates="1", train="2")
    there = a_package(tmp_path / "opt" / "python", gates="1", train="2")
    (there / "__pycache__").mkdir()
    (there / "__pycache__" / "gates.cpython-313.pyc").write_bytes(b"compiled")

    assert sources_sha256({"build": [str(here)]}) == sources_sha256({"build": [str(there)]})


def test_another_line_or_another_name_is_another_hash(tmp_path: Path) -> None:
    one = a_package(tmp_path / "one", gates="1")
    changed = a_package(tmp_path / "changed", gates="2")
    renamed = a_package(tmp_path / "renamed", limits="1")

    hashes = {sources_sha256({"build": [str(it)]}) for it in (one, changed, renamed)}

    assert len(hashes) == 3


def test_the_code_that_runs_has_a_hash() -> None:
    assert len(code_sha256()) == 64
    assert code_sha256() != sources_sha256({})
