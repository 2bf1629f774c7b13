"""A second checkout, for tests that edit files or deploy what is no part of the repository."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.ports import a_free_port

ROOT = Path(__file__).resolve().parents[1]
INSTALLED = (".venv", ".cloud-venv", "node_modules")
"""What `make env` made: shared, because nothing that a test types changes it."""
LAYERS, CACHE = Path(".build", "layers"), Path(".build", "jsii")
NOT_COPIED = shutil.ignore_patterns(
    *(".git", ".build", ".local*", "cdk.out", "node_modules", ".*venv", ".*_cache", "__pycache__"),
    *(".hypothesis", "application.json"),
)
UNFINISHED = shutil.ignore_patterns(".*")
"""What a layer is written to before it is put in its place."""
PATIENCE_SECONDS = 900


@dataclass(frozen=True)
class ScratchCheckout:
    """A copy of the repository with a local cloud of its own."""

    root: Path
    environment: dict[str, str]

    def type(self, line: str) -> subprocess.CompletedProcess[str]:
        """Type a line in a shell there; both outputs are told as one."""
        return subprocess.run(  # noqa: S602 (a line of a document)
            line,
            shell=True,
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )


def scratch_checkout(root: Path) -> ScratchCheckout:
    """Copy the repository to a folder, with what was installed and built for it."""
    shutil.copytree(ROOT, root, ignore=NOT_COPIED, dirs_exist_ok=True)
    shutil.copy(ROOT / "examples" / "application.json", root / "examples")
    for name in INSTALLED:
        (root / name).symlink_to(ROOT / name)
    if (ROOT / LAYERS).is_dir():
        shutil.copytree(ROOT / LAYERS, root / LAYERS, ignore=UNFINISHED)
    (root / CACHE).parent.mkdir(exist_ok=True)
    (ROOT / CACHE).mkdir(parents=True, exist_ok=True)
    (root / CACHE).symlink_to(ROOT / CACHE)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "CREDIT_"))
    }
    return ScratchCheckout(
        root,
        environment
        | {
            "CREDIT_LOCAL_PORT": str(a_free_port()),
            "PATH": f"{root / '.venv' / 'bin'}{os.pathsep}{environment['PATH']}",
            # The command is installed from the repository; here it has to be the copy's.
            "PYTHONPATH": f"{root}{os.pathsep}{root / 'layers' / 'core' / 'python'}",
        },
    )
