"""Whether the files of an earlier run are still as it wrote them, or a person changed them since.

A note beside the data holds their SHA-256, in the form that `sha256sum --check` reads.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NOTE = "written.sha256"


def note_written(root: Path, note: Path, files: Iterable[Path]) -> None:
    """Note what files hold, for a later run to tell whether they were changed.

    Args:
        root: The checkout; files are named from there.
        note: The file to write.
        files: What was written.

    Raises:
        OSError: A file can't be read, or the note not be written.
    """
    lines = [f"{_digest(it)}  {it.relative_to(root).as_posix()}\n" for it in files]
    note.write_text("".join(lines), encoding="utf-8")


def changed_since(root: Path, note: Path, files: Iterable[Path]) -> list[Path]:
    """Return the files that are there and are not what the note says; all of them without one.

    Args:
        root: The checkout.
        note: What `note_written` wrote.
        files: Those that would be replaced.
    """
    try:
        lines = note.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        lines = []
    noted = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    return [
        it
        for it in files
        if it.exists() and not _is(it, noted.get(it.relative_to(root).as_posix()))
    ]


def _is(path: Path, digest: str | None) -> bool:
    try:
        return _digest(path) == digest
    except OSError:
        return False  # what can't be read is not what was written


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
