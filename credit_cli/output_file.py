"""A file that a command is to write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from credit_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def require_writable(target: Path, endings: Sequence[str], *, force: bool) -> None:
    """Check before any work that a file can be written.

    Args:
        target: The file.
        endings: What its name may end in, ``.csv`` for instance.
        force: Whether it may be there already.

    Raises:
        UsageError: Its name says no format, its folder is not there, or it exists.
    """
    if target.suffix not in endings:
        raise UsageError(f"--out {target} does not end in {' or '.join(endings)}")
    if not target.parent.is_dir():
        raise UsageError(f"--out {target}: there is no folder {target.parent}")
    if target.is_dir():
        raise UsageError(f"--out {target} is a folder")
    if target.exists() and not force:
        raise UsageError(f"{target} exists", hint="name another with --out, or add --force")
