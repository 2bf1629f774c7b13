"""Schemathesis against an API that is served with its document, as anybody would run it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from credit_core.domain.openapi import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_SECONDS = 240
"""Beyond that something hangs."""


def findings(
    api_url: str, tokens: Mapping[str, str], folder: Path, *, examples: int
) -> tuple[int, str]:
    """Run every check in every phase; return the exit code, 0 without findings, and the output.

    Args:
        api_url: Where the API is, its document at ``/v1/openapi.json``.
        tokens: A token by each scope.
        folder: Where the configuration is written.
        examples: How many cases each operation gets in the phase that draws them at random.
    """
    configuration = folder / "schemathesis.toml"
    configuration.write_text(configured(tokens, examples=examples), encoding="utf-8")
    done = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"),
            *("--config-file", str(configuration), "--no-color"),
            *("run", f"{api_url}/v1/openapi.json", "--url", api_url),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def configured(tokens: Mapping[str, str], *, examples: int) -> str:
    """Return schemathesis's configuration: each operation has a token that is good for it."""
    # What a busy machine draws slowly is no finding.
    parts = ["seed = 1", 'suppress-health-check = ["too_slow"]']
    parts += [f"[generation]\nmax-examples = {examples}\ndatabase = 'none'"]
    parts += [
        f"[[operations]]\ninclude-operation-id = {json.dumps(operation.id)}\n"
        f"headers = {{ Authorization = {json.dumps(f'Bearer {tokens[operation.scopes[0]]}')} }}\n"
        for operation in OPERATIONS
    ]
    return "\n".join(parts)
