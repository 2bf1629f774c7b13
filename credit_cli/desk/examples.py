"""Applications to begin with: those that the API's document shows, and a new product's own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from credit_cli.checkout import Checkout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DECIDE = "decide"
SHOWN = ("approved", "referred", "declined")
TYPICAL = "typical"
PRIVATE = "private"
"""The folder where `credit products new` leaves the example of a product."""


def known_examples(product: str, *, root: Path | None = None) -> Mapping[str, Mapping[str, Any]]:
    """Return applications by what became of them when they were recorded; none is no fault.

    ``typical`` is the example of a product that was made of a lender's file.
    """
    place = root or Checkout().root
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted((place / "docs" / "api" / "examples" / product).glob("*.json")):
        example = _read(path)
        name, request = example.get("name"), example.get("request")
        if example.get("operation") == DECIDE and name in SHOWN and isinstance(request, dict):
            found[name] = request
    typical = _read(place / PRIVATE / product / "application.json")
    if typical:
        found[TYPICAL] = typical
    return {name: found[name] for name in (*SHOWN, TYPICAL) if name in found}


def _read(path: Path) -> Mapping[str, Any]:
    """Return the JSON object in a file, empty where there is none that can be read."""
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
