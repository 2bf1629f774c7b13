"""Which code trained a model, told from the code itself: a function has no repository."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import credit_core
import model_build

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@cache
def code_sha256() -> str:
    """Return the SHA-256 of all sources of ``model_build`` and ``credit_core`` as they run."""
    return sources_sha256({it.__name__: it.__path__ for it in (credit_core, model_build)})


def sources_sha256(packages: Mapping[str, Iterable[str]]) -> str:
    """Return the SHA-256 of the sources below the folders of packages, by package name.

    The same on a laptop and in a function, wherever the folders lie.
    """
    digest = hashlib.sha256()
    for name, folders in sorted(packages.items()):
        for folder in sorted(folders):
            for path in sorted(Path(folder).rglob("*.py")):
                digest.update(f"{name}/{path.relative_to(folder).as_posix()}\n".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
