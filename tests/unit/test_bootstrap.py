"""What `make env` leaves alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("scripts", "requirements", "pyproject.toml", "package.json", "package-lock.json")


@pytest.mark.parametrize("name", [".venv", ".cloud-venv", "node_modules"])
def test_an_environment_of_another_checkout_is_not_emptied(tmp_path: Path, name: str) -> None:
    checkout, elsewhere = tmp_path / "checkout", tmp_path / "elsewhere"
    checkout.mkdir()
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, checkout / part)
    (checkout / name).symlink_to(elsewhere)

    done = subprocess.run(
        [sys.executable, checkout / "scripts" / "bootstrap.py"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr == f"error: {name} is a link to another folder; remove the link\n"
    assert (elsewhere / "kept").exists()
