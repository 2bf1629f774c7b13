from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from scripts import release_notes
from scripts.release_notes import ReleaseError
from tests.infrastructure.templates import ROOT
from tests.workflow_runs import line, run

if TYPE_CHECKING:
    from pathlib import Path

CHANGELOG = """# Changelog

For users.

## 1.2.0 (unreleased)

- Soon.

## 1.1.0 (2026-11-30)

### Added

- Something.

## 1.0.0 (2026-10-01)

- The first.

## 0.9.0 (2026-09-01)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the line of the workflow needs of a checkout."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "release_notes.py", tmp_path / "scripts")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.1.0"\n')
    return tmp_path


def test_the_notes_are_what_the_changelog_says_of_the_version() -> None:
    assert release_notes.notes(CHANGELOG, "1.1.0") == "### Added\n\n- Something.\n"
    assert release_notes.notes(CHANGELOG, "1.0.0") == "- The first.\n"


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("1.2.0", r"says 1\.2\.0 \(unreleased\): give it the day of its release"),
        ("0.9.0", "says nothing about 0.9.0"),
        ("2.0.0", "has no version 2.0.0; it has 1.2.0, 1.1.0, 1.0.0, 0.9.0"),
        ("1.1", "has no version 1.1;"),
    ],
)
def test_a_version_that_is_not_ready_has_no_notes(version: str, message: str) -> None:
    with pytest.raises(ReleaseError, match=message):
        release_notes.notes(CHANGELOG, version)


def test_the_workflow_writes_the_notes_of_its_tag(checkout: Path) -> None:
    done = run(line("release.yml: Write the notes"), checkout, {"GITHUB_REF_NAME": "v1.1.0"})

    assert done.returncode == 0, done.stderr
    assert (checkout / "notes.md").read_text() == "### Added\n\n- Something.\n"


def test_a_tag_that_is_not_the_projects_version_ends_the_release(checkout: Path) -> None:
    done = run(line("release.yml: Write the notes"), checkout, {"GITHUB_REF_NAME": "v1.0.0"})

    assert done.returncode == 1
    assert done.stderr == "error: pyproject.toml has version 1.1.0, not 1.0.0\n"


def test_the_changelog_begins_with_the_version_that_the_project_has() -> None:
    found = release_notes.HEADING.search((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))

    assert found is not None
    assert found["version"] == release_notes.project_version()
