"""Functions' handlers, imported afresh as a new execution environment does."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

LAMBDAS = Path(__file__).parents[1] / "lambdas"


def started(name: str) -> Any:
    """Return the handler's module of a function, started with the environment of now."""
    specification = importlib.util.spec_from_file_location(
        f"{name}_handler", LAMBDAS / name / "handler.py"
    )
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
