"""What the workflows say, and a shell that runs their lines as GitHub's runner does."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from tests.infrastructure.templates import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

FOLDER = ROOT / ".github" / "workflows"

type Workflow = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One ``run:`` of a workflow, by the names it is found under."""

    workflow: str
    job: str
    step: str
    text: str

    @property
    def name(self) -> str:
        """As in ``deploy-stage.yml: Deploy``."""
        return f"{self.workflow}: {self.step}"


def workflows(folder: Path = FOLDER) -> dict[str, Workflow]:
    """Return every workflow by its file's name; ``on`` is the word, not YAML's truth."""
    found = {}
    for path in sorted(folder.glob("*.yml")):
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        found[path.name] = {
            ("on" if key is True else key): value for key, value in document.items()
        }
    return found


def lines() -> Iterator[Line]:
    """Yield every ``run:`` of every workflow."""
    for file, workflow in workflows().items():
        for job, described in workflow["jobs"].items():
            for step in described.get("steps", []):
                if "run" in step:
                    yield Line(file, job, step["name"], step["run"].strip())


def line(name: str) -> str:
    """Return the text of one ``run:`` by its name."""
    (found,) = (found.text for found in lines() if found.name == name)
    return found


def run(
    text: str, folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a line as GitHub's runner does where a step names no shell.

    Source: GitHub Docs, "Workflow syntax", ``jobs.<job_id>.steps[*].shell``: ``bash -e {0}``.
    """
    return subprocess.run(
        ["bash", "-e", "-c", text],  # noqa: S607 (as the runner finds it)
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
