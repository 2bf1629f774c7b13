"""Where things lie in a checkout. Nothing the command writes leaves it."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from credit_cli.errors import PreconditionError, UsageError

ROOT = Path(__file__).resolve().parent.parent

ENFORCE_VARIABLE = "CREDIT_LOCAL_ENFORCE"
"""Set to 1, commands mean another local cloud beside the usual one: it enforces IAM."""

NAME_VARIABLE = "CREDIT_LOCAL_NAME"
"""Where it is set, commands mean another local cloud of that name, beside the usual one."""
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

FREE_DISK_NEEDED_GB = 2.0
"""Layers unzipped per Lambda worker, the emulator's S3 and the CDK's assets: about 1 GB."""


def enforces() -> bool:
    """Whether the local cloud that is meant enforces IAM."""
    return os.environ.get(ENFORCE_VARIABLE) == "1"


@dataclass(frozen=True)
class Checkout:
    """Paths of one clone of the repository."""

    root: Path = ROOT

    @property
    def local(self) -> Path:
        """All that the local cloud writes; `credit local down` removes it.

        Raises:
            UsageError: The environment names a local cloud by what is no name.
        """
        name = os.environ.get(NAME_VARIABLE, "")
        if name and not NAME.fullmatch(name):
            raise UsageError(
                f"{NAME_VARIABLE}={name} is no name of a local cloud",
                hint="write it in small letters, digits and hyphens",
            )
        # With a point, which no name has: called "enforcing", it is not the one that enforces.
        folder = ".local-enforcing" if enforces() else ".local"
        return self.root / (f"{folder}.{name}" if name else folder)

    @property
    def build(self) -> Path:
        """What outlives the local cloud: layers and caches."""
        return self.root / ".build"

    @property
    def cloud_python(self) -> Path:
        """The interpreter that holds the emulator and nothing else of ours."""
        return self.root / ".cloud-venv" / "bin" / "python"

    @property
    def cdk(self) -> Path:
        """The pinned CDK CLI."""
        return self.root / "node_modules" / ".bin" / "cdk"

    @property
    def binaries(self) -> Path:
        """Node, Python and the tools that `make env` installed."""
        return self.root / ".venv" / "bin"

    @property
    def example_application(self) -> Path:
        """The application that the demo scores."""
        return self.root / "examples" / "application.json"

    def relative(self, path: Path) -> str:
        """Return a path as a person in the checkout would type it."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def require_disk(self, needed_gb: float = FREE_DISK_NEEDED_GB) -> None:
        """Check the free space where the local cloud writes.

        Raises:
            PreconditionError: Less than ``needed_gb`` (10^9 bytes) are free.
        """
        free_gb = shutil.disk_usage(self.root).free / 1e9
        if free_gb < needed_gb:
            raise PreconditionError(
                f"{free_gb:.1f} GB are free on this disk; the local cloud needs {needed_gb:.0f} GB",
                hint="make room, then run the command again",
            )

    def require_environments(self) -> None:
        """Check that `make env` has made what the local cloud runs with.

        Raises:
            PreconditionError: Something is not there.
        """
        needed = (self.cloud_python, self.binaries / "node", self.cdk)
        missing = [self.relative(path) for path in needed if not path.exists()]
        if missing:
            raise PreconditionError(f"{', '.join(missing)} not found", hint="run: make env")
