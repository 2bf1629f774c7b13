"""Print what CHANGELOG.md says of a version, as the notes of its release.

    python scripts/release_notes.py 0.1.0

A version is released when pyproject.toml has its number and the changelog a day for it:
``## 0.1.0 (2026-11-30)``. Needs Python 3.13 and nothing else.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADING = re.compile(r"^## (?P<version>\S+) \((?P<when>[^)]*)\)$", re.MULTILINE)
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class ReleaseError(Exception):
    """The version can't be released; the message says in a line why."""


def project_version(root: Path = ROOT) -> str:
    """Return the version that pyproject.toml states."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def notes(changelog: str, version: str) -> str:
    """Return the part of a changelog that is about a version, without its heading.

    Raises:
        ReleaseError: There is none, it is empty, or it has no day yet.
    """
    headings = list(HEADING.finditer(changelog))
    for found, following in zip(headings, [*headings[1:], None], strict=True):
        if found["version"] != version:
            continue
        if not DAY.fullmatch(found["when"]):
            raise ReleaseError(
                f"CHANGELOG.md says {version} ({found['when']}): give it the day of its release"
            )
        text = changelog[found.end() : following.start() if following else None].strip()
        if not text:
            raise ReleaseError(f"CHANGELOG.md says nothing about {version}")
        return f"{text}\n"
    known = ", ".join(found["version"] for found in headings) or "none"
    raise ReleaseError(f"CHANGELOG.md has no version {version}; it has {known}")


def release_notes(version: str, root: Path = ROOT) -> str:
    """Return the notes of a version that this checkout is to be released as.

    Raises:
        ReleaseError: pyproject.toml has another version, or the changelog is not ready.
    """
    if version != project_version(root):
        raise ReleaseError(f"pyproject.toml has version {project_version(root)}, not {version}")
    return notes((root / "CHANGELOG.md").read_text(encoding="utf-8"), version)


def main(arguments: list[str]) -> int:
    """Print the notes; return 0, or 1 after one line about what is missing."""
    if len(arguments) != 1:
        print("usage: python scripts/release_notes.py VERSION", file=sys.stderr)
        return 2
    try:
        print(release_notes(arguments[0]), end="")
    except ReleaseError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
